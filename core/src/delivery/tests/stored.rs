//! Tests the owners and the order of stored deliveries.

use super::intake::silenced;
use super::repeat::Memory;
use super::*;
use crate::model::plan::{ConfiguredIn, Rate};
use crate::observe::{Gauges, History, Recorder};
use crate::secret::Secret;
use crate::store::{Ownership, RequestStore};

fn keyed(text: &str) -> PlannedDelivery {
    let notification = Notification {
        dedup_key: Some("k".into()),
        ..Notification::plain(Json::String(text.to_owned()))
    };
    super::notification("http", HTTP, notification)
}

impl World {
    async fn stored(
        &self,
        outbox: &Arc<Memory>,
        deliveries: Vec<PlannedDelivery>,
        policy: DeliveryPolicy,
    ) -> Arc<Task> {
        self.submit_with(deliveries, policy, |request| {
            request.persistence = Some(persistence(outbox));
        })
        .await
    }
}

fn persistence(outbox: &Arc<Memory>) -> Persistence {
    Persistence {
        outbox: Arc::<Memory>::clone(outbox),
        seal: None,
        arguments: Default::default(),
        request_json: String::new(),
        for_others: false,
        wait: Some(PERSIST_TIMEOUT),
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_waits_until_the_store_has_no_older_one() {
    let outbox = Arc::new(Memory {
        behind: vec![0],
        older: Mutex::new(4),
        ..Memory::default()
    });
    let world = World::new([ok()]);
    let task = world.stored(&outbox, vec![keyed("late")], policy()).await;
    task.ended().await;
    // After 50, 100, 200 and 400 ms.
    assert_eq!(world.start.elapsed(), Duration::from_millis(750));
}

#[tokio::test(start_paused = true)]
async fn a_delivery_waits_for_older_ones_no_longer_than_its_own_time() {
    let outbox = Arc::new(Memory {
        behind: vec![0],
        older: Mutex::new(usize::MAX),
        ..Memory::default()
    });
    let world = World::new([ok()]);
    let task = world.stored(&outbox, vec![keyed("late")], policy()).await;
    task.ended().await;
    assert_eq!(world.start.elapsed(), policy().delivery_timeout);
    assert_eq!(task.report(0).unwrap().outcome, SENT);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_had_to_wait_in_line_asks_the_store_and_one_that_had_not_does_not() {
    let outbox = Arc::new(Memory {
        older: Mutex::new(1),
        ..Memory::default()
    });
    let slow = After(Duration::from_secs(1), Box::new(ok()));
    let world = World::new([slow, ok()]);
    let first = world.stored(&outbox, vec![keyed("first")], policy()).await;
    let second = world.stored(&outbox, vec![keyed("second")], policy()).await;
    outcomes(&[first, second]).await;
    assert_eq!(world.said(), ["first", "second"]);
    assert_eq!(world.start.elapsed(), Duration::from_millis(1050));
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_for_an_older_one_lets_that_one_pass_in_the_line() {
    let waiting = Arc::new(Memory {
        behind: vec![0],
        older: Mutex::new(2),
        ..Memory::default()
    });
    let world = World::new([ok(), ok()]);
    let late = world.stored(&waiting, vec![keyed("late")], policy()).await;
    // Another process accepted it, and this one took it over.
    let older = Arc::<Memory>::default();
    let older = world.stored(&older, vec![keyed("older")], policy()).await;
    outcomes(&[late, older]).await;
    assert_eq!(world.said(), ["older", "late"]);
}

/// The first of two stored deliveries has ended. The second waits for its destination's rate limit.
async fn one_waits(sender: &str, outbox: &Arc<Memory>, per: Duration) -> (World, Arc<Task>) {
    let slow = DeliveryPolicy {
        rate_limit: Some(Rate { messages: 1, per }),
        ..policy()
    };
    let world = World::new([if sender == "sms" {
        accepted_reply("SM1")
    } else {
        ok()
    }]);
    let some = || match sender {
        "sms" => delivery("sms", SMS),
        _ => plain("x"),
    };
    let first = world.stored(outbox, vec![some()], slow.clone()).await;
    let second = world.stored(outbox, vec![some()], slow).await;
    first.ended().await;
    (world, second)
}

#[tokio::test(start_paused = true)]
async fn a_delayed_first_attempt_checks_its_lease() {
    for sender in ["http", "sms"] {
        let outbox = Arc::<Memory>::default();
        let (world, second) = one_waits(sender, &outbox, Duration::from_secs(10)).await;
        *outbox.ownership.lock().unwrap() = Some(Ownership::Lost);
        second.ended().await;
        assert_eq!(world.seen().len(), 1, "{sender}");
        let report = second.report(0).unwrap();
        assert_eq!(report.outcome, Outcome::Pending(None), "{sender}");
        assert_eq!(outbox.ends.lock().unwrap().len(), 1, "{sender}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_releases_its_requests_begins_no_attempt() {
    for sender in ["http", "sms"] {
        let outbox = Arc::<Memory>::default();
        let (world, second) = one_waits(sender, &outbox, Duration::from_millis(500)).await;
        // The store has just confirmed that this process owns the second delivery.
        outbox.running().release();
        second.ended().await;
        assert_eq!(world.seen().len(), 1, "{sender}");
        assert_eq!(outbox.ends.lock().unwrap().len(), 1, "{sender}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_runs_is_started_no_second_time() {
    let outbox = Arc::<Memory>::default();
    let slow = || After(Duration::from_secs(5), Box::new(ok()));
    let world = World::new([slow(), slow()]);
    let task = world.stored(&outbox, vec![plain("x")], policy()).await;
    let again = || {
        let kept = StoredTask {
            outbox: Arc::<Memory>::clone(&outbox),
            behind: Vec::new(),
            confirmed: Instant::now(),
        };
        world.dispatcher.recover(RecoveredRequest {
            observer: None,
            caller: Caller::Settings("test".into()),
            task_id: task.id.clone(),
            identity: Identity {
                scope: "test".into(),
                key: None,
                fingerprint: [0; 32],
            },
            age: Duration::ZERO,
            reports: task.reports(),
            deliveries: vec![(0, plain("x"))],
            shared_bytes: 0,
            policy: Arc::new(policy()),
            log: TaskLog::new(None),
            warnings: Vec::new(),
            stored: kept,
        })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    again().ended().await;
    task.ended().await;
    assert_eq!(world.seen().len(), 1);
    // Once it has ended, it may be put back.
    again().ended().await;
    assert_eq!(world.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_could_not_be_noted_is_noted_once_there_is_room_with_its_history_row() {
    let outbox = Arc::new(Memory {
        failing_ends: Mutex::new(3),
        ..Memory::default()
    });
    let world = World::new([ok()]);
    let history = Arc::new(History::default());
    let recorder = {
        let notification = Notification::plain(Json::String("x".to_owned()));
        Recorder::new(&history, "n.toml", &"table".into(), &notification, None)
    };
    let task = world
        .submit_with(vec![plain("x")], policy(), |request| {
            let log = TaskLog::new(Some("t".to_owned()));
            request.log = log.recording(Some(recorder));
            request.persistence = Some(persistence(&outbox));
        })
        .await;
    task.ended().await;
    // No call waits for that.
    assert_eq!(world.start.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let ends = std::mem::take(&mut *outbox.ends.lock().unwrap());
    let [(at, report, Some(row))] = <[_; 1]>::try_from(ends).unwrap() else {
        panic!("without a row");
    };
    assert_eq!(at - world.start, Duration::from_secs(6));
    assert_eq!(report.outcome, SENT);
    let waiting = history.next("n.toml").unwrap();
    assert_eq!(waiting.line(), row.line);
    waiting.done();
    assert_eq!(*outbox.written.lock().unwrap(), [row]);
}

#[tokio::test(start_paused = true)]
async fn the_history_row_of_a_delivery_that_is_not_stored_is_stored_alone() {
    let outbox = Arc::<Memory>::default();
    let world = World::new([ok()]);
    let history = Arc::new(History::default());
    let notification = Notification::plain(Json::String("x".to_owned()));
    let store = store_rows(Arc::<Memory>::clone(&outbox));
    let table = "table".into();
    let recorder = Recorder::new(&history, "n.toml", &table, &notification, Some(store));
    let task = world
        .submit_with(vec![plain("x"), silenced()], policy(), |request| {
            let log = TaskLog::new(Some("t".to_owned()));
            request.log = log.recording(Some(recorder));
            request.persistence = Some(persistence(&outbox));
        })
        .await;
    task.ended().await;
    let alone = outbox.rows.lock().unwrap().clone();
    let [suppressed] = <[_; 1]>::try_from(alone).unwrap();
    assert!(
        suppressed.line.contains("outcome=suppressed"),
        "{suppressed:?}"
    );
    let ends = std::mem::take(&mut *outbox.ends.lock().unwrap());
    let [(_, _, Some(delivered))] = <[_; 1]>::try_from(ends).unwrap() else {
        panic!("without a row");
    };
    // Both are forgotten when they are in the database.
    assert!(outbox.written.lock().unwrap().is_empty());
    std::iter::from_fn(|| history.next("n.toml")).for_each(|row| row.done());
    let written = outbox.written.lock().unwrap();
    assert_eq!(*written, [suppressed, delivered]);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_stored_has_rows_in_the_history_and_no_line_of_each_delivery() {
    let world = World::new([]);
    let history = Arc::new(History::default());
    let notification = Notification::plain(Json::String("x".to_owned()));
    let recorder = Recorder::new(&history, "n.toml", &"t".into(), &notification, None);
    let mut own = plain("x");
    if let Disposition::Send(sending) = &mut own.disposition {
        // There is no key to seal it with.
        sending.configured_in = Some(Box::new(ConfiguredIn::Request(Secret::new(String::new()))));
    }
    let task = world.try_submit(vec![own, silenced()], policy(), |request| {
        request.log = TaskLog::new(Some("t".to_owned())).recording(Some(recorder));
        request.persistence = Some(persistence(&Arc::default()));
    });
    assert!(task.await.is_none());
    let row = history.next("n.toml").unwrap();
    assert!(row.line().contains("outcome=failed,reason=outbox"));
    assert!(history.next("n.toml").is_none());
    let metrics = world.dispatcher.sink().metrics.render(Gauges::default());
    assert!(!metrics.contains("notifier_deliveries_total{"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_room_is_left_in_the_store_where_its_caller_wants_that() {
    let outbox = Arc::<Memory>::default();
    let slow = After(Duration::from_secs(5), Box::new(ok()));
    let world = World::new([slow, ok()]);
    let one = || DeliveryPolicy {
        max_in_flight: 1,
        ..policy()
    };
    let first = world.stored(&outbox, vec![plain("first")], one()).await;
    let mut accepted = Vec::new();
    for leaves in [false, true] {
        let task = world.try_submit(vec![plain("second")], one(), |request| {
            request.persistence = Some(persistence(&outbox));
            if leaves {
                request.capacity = CapacityPolicy::LeaveInStore;
            }
        });
        accepted.push(task.await);
    }
    let [None, Some(left)] = &accepted[..] else {
        panic!("refused, then left");
    };
    assert_eq!(outbox.left.lock().unwrap().concat(), left.id);
    assert_eq!(left.report(0).unwrap().outcome, Outcome::Pending(None));
    assert!(left.has_ended(), "for this process");
    assert_eq!(world.dispatcher.gauges().in_flight, 1);
    outcomes(&[first]).await;
    assert_eq!(world.said(), ["first"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_may_take_its_time_where_no_call_waits() {
    let outbox = Arc::new(Memory {
        latency: Duration::from_secs(60),
        ..Memory::default()
    });
    let world = World::new([ok()]);
    let task = world.submit_with(vec![plain("x")], policy(), |request| {
        request.persistence = Some(Persistence {
            wait: None,
            ..persistence(&outbox)
        });
    });
    outcomes(&[task.await]).await;
    assert_eq!(world.start.elapsed(), Duration::from_secs(60));
}
