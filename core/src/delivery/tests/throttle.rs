//! Tests which notifications of a burst pass, and which are queued.

use super::*;
use crate::delivery::progress::Progress;

const PAGER: &str = r#"{"pagerduty_routing_key": "R0151XYZ0151XYZ0151XYZ0151XYZ015"}"#;

fn keyed(
    sender: &str,
    configuration: &str,
    key: &str,
    status: Option<AlertStatus>,
) -> PlannedDelivery {
    let dedup_key = Some(key.into());
    let status = Notification {
        dedup_key,
        status,
        ..Notification::plain(Json::String(key.to_owned()))
    };
    notification(sender, configuration, status)
}

fn per_batch(limit: u32) -> DeliveryPolicy {
    DeliveryPolicy {
        max_per_batch: Some(limit),
        ..policy()
    }
}

impl World {
    /// The rows of one batch, as `process_writes` takes them.
    async fn rows(
        &self,
        deliveries: impl IntoIterator<Item = PlannedDelivery>,
        policy: DeliveryPolicy,
    ) -> Vec<Arc<Task>> {
        let batch = self.dispatcher.batch();
        let mut tasks = Vec::new();
        for delivery in deliveries {
            let with = |request: &mut SubmitRequest| request.batch = Some(Arc::clone(&batch));
            let task = self.submit_with(vec![delivery], policy.clone(), with);
            tasks.push(task.await);
        }
        batch.close();
        tasks
    }
}

#[tokio::test(start_paused = true)]
async fn excess_notifications_of_a_minute_become_one_digest_at_its_end() {
    let world = World::new([ok(), ok(), ok()]);
    let texts = [
        "[CRITICAL] a",
        "b",
        "[WARN] c\nsecond line",
        "[CRITICAL] d",
        "e",
    ];
    let tasks = world.requests(texts.map(plain), per_minute(2)).await;
    assert_eq!(
        outcomes(&tasks).await,
        [
            SENT,
            SENT,
            suppressed("max_per_minute"),
            suppressed("max_per_minute"),
            suppressed("max_per_minute"),
        ]
    );
    assert_eq!(
        world.said(),
        [
            "[CRITICAL] a",
            "b",
            "[CRITICAL] and 3 more in the last minute: 1 critical, 1 warning, 1 without a level\n- [CRITICAL] d\n- [WARN] c second line\n- e",
        ]
    );
    assert_eq!(world.times(), [0.0, 0.0, 60.0]);
    assert_eq!(world.dispatcher.gauges().in_flight, 0);
    let metrics = world
        .dispatcher
        .0
        .services
        .sink
        .metrics
        .render(Gauges::default());
    for (outcome, count) in [("delivered", 3), ("suppressed", 3)] {
        let line = format!(
            "notifier_deliveries_total{{sender=\"http\",outcome=\"{outcome}\",reason=\"\"}} {count}"
        );
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_ten_thousand_makes_as_few_messages_and_loses_none() {
    let many = DeliveryPolicy {
        max_in_flight: 10_000,
        ..per_minute(5)
    };
    let world = World::new((0..6).map(|_| ok()));
    let storm = (0..10_000).map(|n| plain(&format!("[ERROR] disk {n} full")));
    let tasks = world.requests(storm, many).await;
    let held = world.dispatcher.gauges().in_flight;
    assert!((9_995..=10_000).contains(&held), "{held}");
    let outcomes = outcomes(&tasks).await;
    let told = outcomes
        .iter()
        .filter(|outcome| **outcome == suppressed("max_per_minute"));
    assert_eq!(told.count(), 9_995);
    let digest = world.said().pop().unwrap();
    let beginning = "[ERROR] and 9995 more in the last minute: 9995 error\n- [ERROR] disk 5 full\n";
    assert!(digest.starts_with(beginning), "{digest}");
    assert_eq!(world.dispatcher.gauges().in_flight, 0);
    let capacity = &world.dispatcher.0.services.capacity;
    let own = capacity.usage(&Caller::Settings("test".into()));
    assert!(capacity.reserve(&own, &[MAX_BYTES], 0, 1).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_the_first_message_of_the_next_minute_and_one_alone_goes_as_it_is() {
    let world = World::new((0..4).map(|_| ok()));
    let mut tasks = world
        .requests(["a", "b", "c"].map(plain), per_minute(1))
        .await;
    tokio::time::sleep(Duration::from_secs(70)).await;
    tasks.extend(world.requests(["d"].map(plain), per_minute(1)).await);
    tokio::time::sleep(Duration::from_secs(150)).await;
    tasks.extend(world.requests(["e"].map(plain), per_minute(1)).await);
    let told = suppressed("max_per_minute");
    assert_eq!(
        outcomes(&tasks).await,
        [SENT, told.clone(), told, SENT, SENT]
    );
    assert_eq!(
        world.said(),
        ["a", "and 2 more in the last minute\n- b\n- c", "d", "e"]
    );
    assert_eq!(world.times(), [0.0, 60.0, 120.0, 220.0]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_held_for_longer_than_it_has_time_gets_its_attempt() {
    let world = World::new([ok(), ok()]);
    let short = DeliveryPolicy {
        delivery_timeout: Duration::from_secs(5),
        ..per_minute(1)
    };
    let tasks = world.requests(["a", "b"].map(plain), short).await;
    assert_eq!(outcomes(&tasks).await, [SENT, SENT]);
    assert_eq!(world.times(), [0.0, 60.0]);
}

#[tokio::test(start_paused = true)]
async fn no_answer_waits_for_a_digest() {
    let world = World::new([ok(), ok()]);
    let tasks = world
        .requests(["a", "b", "c"].map(plain), per_minute(1))
        .await;
    tasks[1].wait_settled(world.start + Duration::from_secs(4));
    assert_eq!(world.start.elapsed(), Duration::ZERO);
    let report = tasks[1].reports().remove(0);
    assert_eq!(reason(&report), ("pending", None));
    assert_eq!(report.next_attempt_in, Some(Duration::from_secs(60)));
    outcomes(&tasks).await;
}

#[tokio::test(start_paused = true)]
async fn each_receiver_destination_and_limit_has_a_count_of_its_own() {
    let world = World::new((0..5).map(|_| ok()));
    let to = |receiver: Option<&str>, configuration| {
        let text = Notification::plain(Json::String("x".to_owned()));
        PlannedDelivery {
            receiver: receiver.map(str::to_owned),
            ..notification("http", configuration, text)
        }
    };
    let deliveries = vec![
        to(None, HTTP),
        to(None, OTHER),
        to(Some("oncall"), HTTP),
        to(Some("night"), HTTP),
    ];
    let one = world.submit(deliveries, per_minute(1)).await;
    let other = world.submit(vec![to(None, HTTP)], per_minute(2)).await;
    one.ended().await;
    other.ended().await;
    assert_eq!(world.times(), [0.0; 5]);
}

#[tokio::test(start_paused = true)]
async fn resolved_notifications_are_held_unless_they_close_an_alert() {
    let success = || Answers(202, &[], json!({"status": "success"}).to_string());
    let world = World::new((0..3).map(|_| success()));
    let storm = [
        keyed("pagerduty", PAGER, "a", FIRING),
        keyed("pagerduty", PAGER, "b", FIRING),
        keyed("pagerduty", PAGER, "a", RESOLVED),
    ];
    let tasks = world.requests(storm, per_minute(1)).await;
    outcomes(&tasks[..1]).await;
    outcomes(&tasks[2..]).await;
    assert_eq!(world.start.elapsed(), Duration::ZERO);
    // A single notification also becomes a digest, which is its own alert: the notification's alert may have been
    // closed meanwhile.
    assert_eq!(outcomes(&tasks[1..2]).await, [suppressed("max_per_minute")]);
    let digest = world.script.bodies.lock().unwrap().pop().unwrap();
    assert!(
        digest.contains("and 1 more in the last minute") && !digest.contains(r#""dedup_key":"b""#),
        "{digest}"
    );
    let world = World::new([ok(), ok()]);
    let storm = [
        keyed("http", HTTP, "a", FIRING),
        keyed("http", HTTP, "a", RESOLVED),
    ];
    let tasks = world.requests(storm, per_minute(1)).await;
    outcomes(&tasks).await;
    assert_eq!(world.times(), [0.0, 60.0]);
}

#[tokio::test(start_paused = true)]
async fn repeats_do_not_count_and_digested_notifications_are_no_repeats() {
    let calm = DeliveryPolicy {
        repeat_interval: Some(Duration::from_secs(3600)),
        ..per_minute(2)
    };
    let world = World::new((0..4).map(|_| ok()));
    let firing = |key| keyed("http", HTTP, key, FIRING);
    // The second and third notification of a key repeat the queued ones before them.
    let storm = ["a", "a", "a", "b", "c", "c"].map(firing);
    let tasks = world.requests(storm, calm.clone()).await;
    let again = suppressed("repeat_interval");
    let told = suppressed("max_per_minute");
    assert_eq!(
        outcomes(&tasks).await,
        [SENT, again.clone(), again.clone(), SENT, told.clone(), told]
    );
    // The same by the remembered notifications. The destination got no notification of `c` except in the digest.
    let tasks = world.requests(["a", "b", "c"].map(firing), calm).await;
    assert_eq!(outcomes(&tasks).await, [again.clone(), again, SENT]);
    assert_eq!(world.times(), [0.0, 0.0, 60.0, 60.0]);
}

#[tokio::test(start_paused = true)]
async fn a_digest_ends_the_interval_of_its_keys() {
    let calm = DeliveryPolicy {
        repeat_interval: Some(Duration::from_secs(3600)),
        ..per_minute(1)
    };
    let world = World::new((0..4).map(|_| ok()));
    let storm = [
        keyed("http", HTTP, "a", FIRING),
        keyed("http", HTTP, "a", RESOLVED),
        keyed("http", HTTP, "b", FIRING),
    ];
    let tasks = world.requests(storm, calm.clone()).await;
    outcomes(&tasks).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tasks = world
        .requests([keyed("http", HTTP, "a", FIRING)], calm)
        .await;
    assert_eq!(outcomes(&tasks).await, [SENT]);
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_so_many_pass_and_the_digest_goes_when_it_is_closed() {
    let world = World::new((0..3).map(|_| ok()));
    let rows = (0..100).map(|n| plain(&format!("[WARN] row {n}")));
    let tasks = world.rows(rows, per_batch(2)).await;
    let outcomes = outcomes(&tasks).await;
    assert_eq!(outcomes[..2], [SENT, SENT]);
    assert!(
        outcomes[2..]
            .iter()
            .all(|outcome| *outcome == suppressed("max_per_batch"))
    );
    assert_eq!(world.start.elapsed(), Duration::ZERO);
    let digest = world.said().pop().unwrap();
    let beginning = "[WARNING] and 98 more in the same batch: 98 warning\n- [WARN] row 2\n";
    assert!(digest.starts_with(beginning), "{digest}");
    assert_eq!(world.dispatcher.gauges().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_next_batch_counts_anew_and_requests_are_of_none() {
    let world = World::new((0..5).map(|_| ok()));
    for _ in 0..2 {
        let tasks = world.rows(["a"].map(plain), per_batch(1)).await;
        assert_eq!(outcomes(&tasks).await, [SENT]);
    }
    let tasks = world
        .requests(["a", "b", "c"].map(plain), per_batch(1))
        .await;
    assert_eq!(outcomes(&tasks).await, [SENT, SENT, SENT]);
}

#[tokio::test(start_paused = true)]
async fn a_batchs_digest_is_never_held_and_counts_in_its_minute() {
    let both = |batch, minute| DeliveryPolicy {
        max_per_batch: Some(batch),
        ..per_minute(minute)
    };
    // One row also exceeds the minute's limit. The batch's digest is sent anyway.
    let world = World::new((0..3).map(|_| ok()));
    let tasks = world
        .rows(["a", "b", "c", "d"].map(plain), both(2, 1))
        .await;
    let batch = suppressed("max_per_batch");
    assert_eq!(
        outcomes(&tasks).await,
        [SENT, SENT, batch.clone(), batch.clone()]
    );
    assert_eq!(world.times(), [0.0, 0.0, 60.0]);
    assert_eq!(world.said()[1], "and 2 more in the same batch\n- c\n- d");
    // A minute that sent its messages as a digest passes no more.
    let world = World::new((0..3).map(|_| ok()));
    let mut tasks = world.rows(["a", "b", "c"].map(plain), both(1, 2)).await;
    tasks.extend(world.requests(["d"].map(plain), both(1, 2)).await);
    assert_eq!(outcomes(&tasks).await, [SENT, batch.clone(), batch, SENT]);
    assert_eq!(world.times(), [0.0, 0.0, 60.0]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_batch_is_closed() {
    let world = World::new((0..2).map(|_| ok()));
    let batch = world.dispatcher.batch();
    let mut tasks = Vec::new();
    for text in ["a", "b", "c"] {
        let with = |request: &mut SubmitRequest| request.batch = Some(Arc::clone(&batch));
        tasks.push(
            world
                .submit_with(vec![plain(text)], per_batch(1), with)
                .await,
        );
    }
    // Called from a thread without a runtime, like a trigger's thread.
    std::thread::spawn(move || drop(batch)).join().unwrap();
    let batch = suppressed("max_per_batch");
    assert_eq!(outcomes(&tasks).await, [SENT, batch.clone(), batch]);
}

#[tokio::test(start_paused = true)]
async fn rows_that_wait_for_the_room_of_those_that_are_held_get_it() {
    // Two batches at once, each of more rows than there may be in flight.
    let world = World::new((0..200).map(|_| ok()));
    let rows = |name: &'static str| {
        let world = &world;
        async move {
            let batch = world.dispatcher.batch();
            let mut tasks = Vec::new();
            for n in 0..1_000 {
                loop {
                    let row = plain(&format!("{name} {n}"));
                    let with = |row: &mut SubmitRequest| row.batch = Some(Arc::clone(&batch));
                    let submitted = world.try_submit(vec![row], per_batch(2), with).await;
                    if let Some(task) = submitted {
                        tasks.push(task);
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                tokio::task::yield_now().await;
            }
            batch.close();
            outcomes(&tasks).await
        }
    };
    let (one, other) = tokio::join!(rows("a"), rows("b"));
    for outcomes in [one, other] {
        let sent = outcomes.iter().filter(|outcome| **outcome == SENT).count();
        // A single queued notification was sent as it is.
        assert!((2..20).contains(&sent), "{sent}");
        let told = outcomes
            .iter()
            .filter(|outcome| outcome.code() == "suppressed");
        assert_eq!(told.count(), 1_000 - sent);
    }
    let said = world.said();
    let told = said.iter().filter_map(|said| {
        let (_, more) = said.split_once("and ")?;
        more.split(' ').next()?.parse::<usize>().ok()
    });
    let told: usize = told.sum();
    assert_eq!(
        told + said.iter().filter(|said| !said.contains(" more ")).count(),
        2_000
    );
    assert!(said.len() < 100, "{}", said.len());
    assert_eq!(world.dispatcher.gauges().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_minute_sends_its_digest_early_and_admits_no_more() {
    let world = World::new((0..3).map(|_| ok()));
    let tasks = world
        .requests((0..100).map(|n| plain(&n.to_string())), per_minute(1))
        .await;
    let more = || world.try_submit(vec![plain("x")], per_minute(1), |_| {});
    // Sent notifications have left their window.
    tasks[0].ended().await;
    let mut tasks = [tasks, vec![more().await.unwrap()]].concat();
    assert!(more().await.is_none(), "no room");
    assert_eq!(
        outcomes(&tasks[1..]).await,
        vec![suppressed("max_per_minute"); 100]
    );
    assert_eq!(world.start.elapsed(), Duration::ZERO);
    tasks = vec![more().await.unwrap(), more().await.unwrap()];
    assert_eq!(
        outcomes(&tasks).await,
        vec![suppressed("max_per_minute"); 2]
    );
    assert_eq!(world.times(), [0.0, 0.0, 60.0]);
}

#[tokio::test(start_paused = true)]
async fn minutes_are_bounded_and_the_oldest_is_flushed_at_once() {
    let world = World::new([ok(), ok()]);
    let tasks = world
        .requests(["a", "b", "c"].map(plain), per_minute(1))
        .await;
    let others = (0..10_000).map(|n| {
        let text = Notification::plain(Json::String("x".to_owned()));
        let delivery = notification("http", OTHER, text);
        PlannedDelivery {
            receiver: Some(format!("receiver {n}")),
            ..delivery
        }
    });
    for other in others {
        let Disposition::Send(sending) = other.disposition else {
            unreachable!()
        };
        let progress = Progress {
            task: Arc::clone(&tasks[0]),
            index: 0,
            entry: None,
        };
        let delivery = state::Delivery::new(
            Arc::clone(&world.dispatcher.0.services),
            progress,
            other.sender,
            other.receiver,
            sending,
            Arc::new(per_minute(1)),
        );
        assert!(world.dispatcher.throttle(delivery, None).is_some());
    }
    let told = suppressed("max_per_minute");
    assert_eq!(outcomes(&tasks).await, [SENT, told.clone(), told]);
    assert_eq!(world.start.elapsed(), Duration::ZERO);
}
