//! When a message is tried again, and what is said when there is no time left.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_deliverys_end_cuts_short_says_what_was_known_before() {
    let hangs = After(Duration::from_secs(60), Box::new(ok()));
    let world = World::new([Answers(503, &[], String::new()), hangs]);
    let short = DeliveryPolicy {
        delivery_timeout: Duration::from_secs(5),
        ..policy()
    };
    let task = world.accept(vec![delivery("http", HTTP)], short).await;
    task.ended().await;
    let report = task.report(0).unwrap();
    assert_eq!(reason(&report), ("failed", Some("server_error")));
    assert_eq!((report.http_status, report.attempts), (Some(503), 2));
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_connection_in_time_says_so() {
    let hangs = After(Duration::from_secs(14), Box::new(ok()));
    let world = World::new([hangs]);
    let one = DeliveryPolicy {
        max_connections: 1,
        delivery_timeout: Duration::from_secs(15),
        ..policy()
    };
    let short = DeliveryPolicy {
        delivery_timeout: Duration::from_secs(10),
        ..one.clone()
    };
    let first = world.accept(vec![delivery("http", HTTP)], one).await;
    let second = world.accept(vec![delivery("http", OTHER)], short).await;
    second.ended().await;
    let report = second.report(0).unwrap();
    assert_eq!(
        (reason(&report), report.attempts),
        (("failed", Some("timeout")), 0)
    );
    assert_eq!(world.start.elapsed(), Duration::from_secs(10));
    first.ended().await;
    assert_eq!(first.report(0).unwrap().outcome.code(), "delivered");
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_for_what_was_waiting_for_its_retry() {
    let failing = Answers(503, &[], String::new());
    let limited = Answers(429, &[("retry-after", "60")], String::new());
    let world = World::new([failing, ok(), limited, ok(), ok()]);
    let slowly = || DeliveryPolicy {
        initial_backoff: Duration::from_secs(10),
        ..policy()
    };
    let first = world.accept(vec![delivery("http", HTTP)], slowly());
    let first = first.await;
    while first.report(0).unwrap().outcome.failure().is_none() {
        tokio::task::yield_now().await;
    }
    let second = world.accept(vec![delivery("http", HTTP)], slowly());
    second.await.ended().await;
    let third = world.accept(vec![delivery("http", HTTP)], slowly());
    let third = third.await;
    first.ended().await;
    third.ended().await;
    let times: Vec<_> = world.seen().into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [0.0, 0.0, 0.0, 60.0, 60.0]);
}

#[tokio::test(start_paused = true)]
async fn row_16_a_wait_that_no_clock_can_tell_ends_the_delivery() {
    let limited = Answers(
        429,
        &[("retry-after", "10000000000000000000")],
        String::new(),
    );
    let world = World::new([limited]);
    let task = world.accept(vec![delivery("http", HTTP)], policy()).await;
    task.ended().await;
    assert_eq!(
        reason(&task.report(0).unwrap()),
        ("failed", Some("rate_limited"))
    );
}

#[tokio::test(start_paused = true)]
async fn row_50_a_wall_clock_that_jumps_changes_no_wait() {
    // Dates are held against the wall clock of the reply that brought them; everything else is monotonic.
    let dated = |date| Answers(429, date, String::new());
    let past = dated(&[("retry-after", "Thu, 01 Jan 1970 00:00:10 GMT")]);
    let future = dated(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]);
    let world = World::new([past.clone(), past, ok()]);
    let task = world.accept(vec![delivery("http", HTTP)], policy()).await;
    task.ended().await;
    assert_eq!(task.report(0).unwrap().outcome.code(), "delivered");
    assert!(world.start.elapsed() < Duration::from_secs(1));
    let world = World::new([future]);
    let task = world.accept(vec![delivery("http", HTTP)], policy()).await;
    task.ended().await;
    assert_eq!(
        reason(&task.report(0).unwrap()),
        ("failed", Some("rate_limited"))
    );
    assert!(
        world.start.elapsed() < Duration::from_secs(1),
        "no endless wait"
    );
}
