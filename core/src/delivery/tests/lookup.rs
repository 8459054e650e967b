//! Tests messages that must not be repeated and whose reply is lost.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_lost_reply_is_looked_up_after_5_15_and_45_seconds_and_then_ambiguous() {
    let failing = Answers(500, &[], String::new());
    let world = World::new([LOST, listed(&[]), Breaks(Sent::No), failing]);
    let report = world.sms(policy()).await;
    assert_eq!(reason(&report), ("ambiguous", Some("lost_reply")));
    assert_eq!(report.attempts, 1);
    assert_eq!(
        world.seen(),
        [(0.0, "POST"), (5.0, "GET"), (15.0, "GET"), (45.0, "GET")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_found_by_lookup_is_delivered_with_its_sid() {
    for lost in [
        LOST,
        Answers(500, &[], String::new()),
        Answers(502, &[], String::new()),
    ] {
        let world = World::new([lost, listed(&[]), listed(&["SM1"])]);
        let report = world.sms(policy()).await;
        assert_eq!((report.outcome, report.attempts), (delivered("SM1"), 1));
        assert_eq!(world.seen(), [(0.0, "POST"), (5.0, "GET"), (15.0, "GET")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_found_message_that_twilio_says_failed_has_failed() {
    let listed = Answers(200, &[], {
        let Answers(_, _, body) = listed(&["SM1"]) else {
            unreachable!()
        };
        body.replace("\"sent\"", "\"undelivered\",\"error_code\":30007")
    });
    let world = World::new([LOST, listed]);
    assert_eq!(
        reason(&world.sms(policy()).await),
        ("failed", Some("forbidden"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_would_come_after_the_deadline_is_made_just_before_it_and_is_the_last() {
    for (timeout, times) in [
        (17, vec![5.0, 15.0, 16.0]),
        (10, vec![5.0, 9.0]),
        (3, vec![2.0]),
    ] {
        let world = World::new([vec![LOST], vec![listed(&[]); times.len()]].concat());
        let report = world
            .sms(DeliveryPolicy {
                delivery_timeout: Duration::from_secs(timeout),
                ..policy()
            })
            .await;
        assert_eq!(reason(&report), ("ambiguous", Some("lost_reply")));
        let asked: Vec<_> = world.seen().into_iter().skip(1).map(|(at, _)| at).collect();
        assert_eq!(asked, times, "{timeout}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_report_the_provider_is_not_asked() {
    let world = World::new([LOST]);
    let on_ambiguous = OnAmbiguous::Report;
    let report = world
        .sms(DeliveryPolicy {
            on_ambiguous,
            ..policy()
        })
        .await;
    assert_eq!(reason(&report), ("ambiguous", Some("lost_reply")));
    assert_eq!(world.start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn with_resend_a_missing_message_is_resent() {
    let asked = || vec![listed(&[]); 3];
    let resend = || DeliveryPolicy {
        on_ambiguous: OnAmbiguous::Resend,
        ..policy()
    };
    let world = World::new([vec![LOST], asked(), vec![accepted_reply("SM2")]].concat());
    let report = world.sms(resend()).await;
    assert_eq!((report.outcome, report.attempts), (delivered("SM2"), 2));
    assert_eq!(world.seen().last(), Some(&(45.0, "POST")));
    // The provider may have accepted the first message, so the second result cannot make it a failure.
    let refused = Answers(400, &[], json!({"code": 21211}).to_string());
    let world = World::new([vec![LOST], asked(), vec![refused]].concat());
    assert_eq!(
        reason(&world.sms(resend()).await),
        ("ambiguous", Some("lost_reply"))
    );
    let once = DeliveryPolicy {
        max_attempts: 1,
        ..resend()
    };
    let world = World::new([vec![LOST], asked()].concat());
    assert_eq!(
        reason(&world.sms(once).await),
        ("ambiguous", Some("lost_reply"))
    );
}

#[tokio::test(start_paused = true)]
async fn no_message_at_the_provider_is_counted_for_two_deliveries() {
    // The provider accepted one of two identical messages.
    let world = World::new([
        LOST,
        LOST,
        listed(&["SM1"]),
        listed(&["SM1"]),
        listed(&["SM1"]),
        listed(&["SM1"]),
    ]);
    let both = vec![delivery("sms", SMS), delivery("sms", SMS)];
    let task = world.submit(both, policy()).await;
    task.ended().await;
    let mut outcomes: Vec<_> = task
        .reports()
        .iter()
        .map(|report| report.outcome.code())
        .collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["ambiguous", "delivered"]);
    // The other's reply came, and named it.
    let world = World::new([
        accepted_reply("SM1"),
        LOST,
        listed(&["SM1"]),
        listed(&["SM1", "SM2"]),
    ]);
    assert_eq!(world.sms(policy()).await.outcome, delivered("SM1"));
    assert_eq!(world.sms(policy()).await.outcome, delivered("SM2"));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_may_be_anothers_is_not_claimed_before_the_others_reply() {
    let slow = After(Duration::from_secs(10), Box::new(accepted_reply("SM1")));
    let world = World::new([
        LOST,
        slow,
        listed(&["SM1"]),
        listed(&["SM1"]),
        listed(&["SM1"]),
    ]);
    let task = world
        .submit(vec![delivery("sms", SMS), delivery("sms", SMS)], policy())
        .await;
    task.ended().await;
    let outcomes: Vec<_> = task
        .reports()
        .iter()
        .map(|report| report.outcome.code())
        .collect();
    assert_eq!(outcomes, ["ambiguous", "delivered"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_wait_for_a_look_up() {
    let world = World::new([LOST, listed(&["SM1"])]);
    let task = world.submit(vec![delivery("sms", SMS)], policy()).await;
    while task.report(0).unwrap().outcome.failure().is_none() {
        tokio::task::yield_now().await;
    }
    task.wait_settled(world.start + Duration::from_secs(2));
    assert_eq!(world.start.elapsed(), Duration::ZERO);
    let report = task.reports().remove(0);
    assert_eq!(reason(&report), ("pending", Some("lost_reply")));
    assert_eq!(report.next_attempt_in, None, "no attempt is due");
    task.ended().await;
    assert_eq!(task.report(0).unwrap().outcome, delivered("SM1"));
}
