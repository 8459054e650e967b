//! Tests which notifications count as repeats.

use std::collections::HashMap;

use super::*;
use crate::model::notification::Level;
use crate::store::{
    Accepted, DeliveryId, HistoryRow, HistoryStore, LastNotification, LastNotificationStore,
    NewRequest, Ownership, RequestStore, Running, Store, StoreError, StoreErrorKind, StoreFuture,
    StoredRequest,
};

const HOUR: Duration = Duration::from_secs(3600);

/// A step of a scenario: the time since the previous step, the notification, and whether it is sent or is a repeat.
type Step = (u64, &'static str, &'static str);

/// `critical firing`, each of them, or neither.
fn said(words: &str) -> Notification {
    let mut words = words.split(' ');
    Notification {
        level: words.next().and_then(Level::parse),
        status: words.next().and_then(AlertStatus::parse),
        dedup_key: Some("k".into()),
        ..Notification::plain(Json::String("x".to_owned()))
    }
}

fn hourly() -> DeliveryPolicy {
    DeliveryPolicy {
        repeat_interval: Some(HOUR),
        ..policy()
    }
}

impl World {
    async fn end(&self, delivery: PlannedDelivery, outbox: Option<&Arc<Memory>>) -> Outcome {
        self.end_under(hourly(), delivery, outbox).await
    }

    async fn end_under(
        &self,
        policy: DeliveryPolicy,
        delivery: PlannedDelivery,
        outbox: Option<&Arc<Memory>>,
    ) -> Outcome {
        let persistence = outbox.map(|outbox| Persistence {
            outbox: Arc::<Memory>::clone(outbox),
            seal: None,
            arguments: Default::default(),
            request_json: String::new(),
            for_others: false,
            wait: Some(PERSIST_TIMEOUT),
        });
        let with = |request: &mut SubmitRequest| request.persistence = persistence;
        let task = self.submit_with(vec![delivery], policy, with).await;
        task.ended().await;
        task.report(0).unwrap().outcome
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeat_is_sent_after_the_interval() {
    let stories: &[&[Step]] = &[
        // The same, until an hour has passed since it was last sent.
        &[
            (0, "critical firing", "sent"),
            (10, "critical firing", "no news"),
            (3589, "critical firing", "no news"),
            (1, "critical firing", "sent"),
            (3599, "critical firing", "no news"),
        ],
        // Without level and status too.
        &[(0, "", "sent"), (10, "", "no news"), (3600, "", "sent")],
        // Another level is news, and the old one again.
        &[
            (0, "warning firing", "sent"),
            (1, "critical firing", "sent"),
            (1, "critical firing", "no news"),
            (1, "warning firing", "sent"),
            (1, " firing", "sent"),
        ],
        // Another status too.
        &[
            (0, "critical firing", "sent"),
            (1, "critical acknowledged", "sent"),
            (1, "critical acknowledged", "no news"),
            (1, "critical firing", "sent"),
        ],
        // The first of several equal resolved notifications is sent. A new firing is sent too.
        &[
            (0, "critical firing", "sent"),
            (1, "critical resolved", "sent"),
            (1, "critical resolved", "no news"),
            (1, "critical resolved", "no news"),
            (1, "critical firing", "sent"),
            (1, "critical firing", "no news"),
            (1, "critical resolved", "sent"),
            (3599, "critical resolved", "no news"),
            (1, "critical resolved", "sent"),
        ],
        // The first is sent where no firing was seen, and another level is news.
        &[
            (0, " resolved", "sent"),
            (0, " resolved", "no news"),
            (1, "ok resolved", "sent"),
            (1, "critical acknowledged", "sent"),
            (1, "ok resolved", "sent"),
        ],
    ];
    for story in stories {
        for outbox in [None, Some(Arc::<Memory>::default())] {
            let world = World::new(story.iter().map(|_| ok()));
            for (n, (after, words, expected)) in story.iter().enumerate() {
                tokio::time::sleep(Duration::from_secs(*after)).await;
                if let Some(outbox) = &outbox {
                    outbox.pass(Duration::from_secs(*after));
                }
                let delivery = notification("http", HTTP, said(words));
                let outcome = world.end(delivery, outbox.as_ref()).await;
                let found = match &outcome {
                    Outcome::Delivered { .. } => "sent",
                    Outcome::Suppressed { rule } if rule == "repeat_interval" => "no news",
                    other => panic!("{other:?}"),
                };
                assert_eq!(found, *expected, "step {n} of {story:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_key_another_destination_and_no_key_are_no_repeats() {
    let world = World::new((0..4).map(|_| ok()));
    let firing = || said("critical firing");
    let other = Notification {
        dedup_key: Some("other".into()),
        ..firing()
    };
    let none = Notification {
        dedup_key: None,
        ..firing()
    };
    for (configuration, notified) in [
        (HTTP, firing()),
        (OTHER, firing()),
        (HTTP, other),
        (HTTP, none),
    ] {
        let delivery = notification("http", configuration, notified);
        let outcome = world.end(delivery, None).await;
        assert_eq!(outcome.code(), "delivered");
    }
}

#[tokio::test(start_paused = true)]
async fn an_undelivered_notification_is_sent_again() {
    let refused = Answers(400, &[], String::new());
    let world = World::new([refused, ok()]);
    for expected in ["failed", "delivered", "suppressed"] {
        let delivery = notification("http", HTTP, said("critical firing"));
        assert_eq!(world.end(delivery, None).await.code(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_end_without_success_the_next_notification_is_sent() {
    for failing in [
        Answers(400, &[], String::new()),
        // The destination may have got the notification.
        Breaks(Sent::Answered),
    ] {
        for outbox in [None, Some(Arc::<Memory>::default())] {
            let world = World::new([ok(), failing.clone(), ok(), ok()]);
            let expected = [
                ("resolved", "delivered"),
                ("firing", "not delivered"),
                ("resolved", "delivered"),
                ("resolved", "suppressed"),
                ("firing", "delivered"),
            ];
            for (status, expected) in expected {
                let delivery = notification("http", HTTP, said(&format!("critical {status}")));
                let code = world.end(delivery, outbox.as_ref()).await.code();
                let found = match code {
                    "failed" | "ambiguous" => "not delivered",
                    code => code,
                };
                assert_eq!(found, expected, "{status}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolved_is_remembered_only_where_repeats_are_suppressed() {
    let outbox = Arc::<Memory>::default();
    let world = World::new([ok(), ok(), ok()]);
    for (words, remembered) in [
        ("critical firing", 1),
        ("critical resolved", 0),
        ("critical resolved", 0),
    ] {
        let delivery = notification("http", HTTP, said(words));
        let outcome = world.end_under(policy(), delivery, Some(&outbox)).await;
        assert_eq!(outcome.code(), "delivered");
        assert_eq!(outbox.lasts.lock().unwrap().len(), remembered);
    }
}

#[tokio::test(start_paused = true)]
async fn whether_it_is_a_repeat_is_decided_when_its_turn_comes() {
    let slow = After(
        Duration::from_secs(5),
        Box::new(Answers(400, &[], String::new())),
    );
    let world = World::new([slow, ok()]);
    let firing = || notification("http", HTTP, said("critical firing"));
    let storm = vec![firing(), firing(), firing()];
    let task = world.submit(storm, hourly()).await;
    task.ended().await;
    let outcomes: Vec<_> = task
        .reports()
        .iter()
        .map(|report| report.outcome.code())
        .collect();
    assert_eq!(outcomes, ["failed", "delivered", "suppressed"]);
    assert_eq!(world.seen(), [(0.0, "POST"), (5.0, "POST")]);
}

#[tokio::test(start_paused = true)]
async fn another_process_reads_last_notifications_from_the_outbox() {
    let outbox = Arc::<Memory>::default();
    let firing = || notification("http", HTTP, said("critical firing"));
    let first = World::new([ok()]);
    assert_eq!(first.end(firing(), Some(&outbox)).await.code(), "delivered");
    let second = World::new([]);
    assert_eq!(
        second.end(firing(), Some(&outbox)).await.code(),
        "suppressed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_resolved_edits_the_message_of_another_process() {
    let outbox = Arc::<Memory>::default();
    let message = || Answers(200, &[], json!({"id": "1"}).to_string());
    let delivery = |words| notification("discord", DISCORD, said(words));
    let first = World::new([message()]);
    first.end(delivery("critical firing"), Some(&outbox)).await;
    let second = World::new([message()]);
    second
        .end(delivery("critical resolved"), Some(&outbox))
        .await;
    assert_eq!(second.seen(), [(0.0, "PATCH")]);
    // Neither a third process's resolved nor its firing edits it again.
    let lasts: Vec<_> = outbox.lasts.lock().unwrap().values().cloned().collect();
    assert_eq!(
        lasts.iter().filter(|last| last.message.is_some()).count(),
        0
    );
    let third = World::new([message()]);
    let outcomes = [
        third
            .end(delivery("critical resolved"), Some(&outbox))
            .await,
        third.end(delivery("critical firing"), Some(&outbox)).await,
    ];
    assert_eq!(
        outcomes.map(|outcome| outcome.code()),
        ["suppressed", "delivered"]
    );
    assert_eq!(third.seen(), [(0.0, "POST")]);
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_fails_or_hangs_fails_no_delivery_and_memory_counts() {
    for kind in [Some(StoreErrorKind::IoFailed), None] {
        let outbox = Arc::<Memory>::default();
        *outbox.kind.lock().unwrap() = Some(kind);
        let world = World::new([ok()]);
        for expected in ["delivered", "suppressed"] {
            let delivery = notification("http", HTTP, said("critical firing"));
            assert_eq!(world.end(delivery, Some(&outbox)).await.code(), expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_extends_no_interval() {
    let outbox = Arc::<Memory>::default();
    let firing = || notification("http", HTTP, said("critical firing"));
    let world = World::new([ok(), ok()]);
    assert_eq!(world.end(firing(), Some(&outbox)).await.code(), "delivered");
    outbox.move_to(SystemTime::now() + 10 * HOUR);
    assert_eq!(world.end(firing(), Some(&outbox)).await.code(), "delivered");
    assert_eq!(
        world.end(firing(), Some(&outbox)).await.code(),
        "suppressed"
    );
}

/// A store that remembers only last notifications.
#[derive(Default)]
pub(super) struct Memory {
    pub lasts: Mutex<HashMap<String, LastNotification>>,
    /// Places of a request that are behind others.
    pub behind: Vec<usize>,
    /// How often it reports an older delivery.
    pub older: Mutex<usize>,
    /// Its answers about the owner of a delivery. Empty: this process.
    pub ownership: Mutex<Option<Ownership>>,
    /// How often it fails to store an outcome.
    pub failing_ends: Mutex<usize>,
    pub ends: Mutex<Vec<(Instant, DeliveryReport, Option<HistoryRow>)>>,
    /// Rows of deliveries that are not stored themselves.
    pub rows: Mutex<Vec<HistoryRow>>,
    pub written: Mutex<Vec<HistoryRow>>,
    /// The requests that wait for any process.
    pub left: Mutex<Vec<String>>,
    /// How long it takes to store a request.
    pub latency: Duration,
    /// Its answer about the last notification. `Some(None)`: it never answers.
    pub kind: Mutex<Option<Option<StoreErrorKind>>>,
    pub running: Running,
}

impl Memory {
    /// Lets this much time pass.
    fn pass(&self, time: Duration) {
        for last in self.lasts.lock().unwrap().values_mut() {
            last.at -= time;
        }
    }

    fn move_to(&self, at: SystemTime) {
        for last in self.lasts.lock().unwrap().values_mut() {
            last.at = at;
        }
    }
}

fn at_once<T: Send + 'static>(reply: T) -> StoreFuture<T> {
    Box::pin(async { Ok(reply) })
}

impl Store for Memory {
    fn location(&self) -> String {
        "memory".to_owned()
    }
}

impl RequestStore for Memory {
    fn accept(&self, _: NewRequest) -> StoreFuture<Accepted> {
        let (behind, latency) = (self.behind.clone(), self.latency);
        Box::pin(async move {
            tokio::time::sleep(latency).await;
            Ok(Accepted::New { behind })
        })
    }

    fn enqueue(&self, request: NewRequest) -> StoreFuture<Accepted> {
        self.left.lock().unwrap().push(request.task);
        at_once(Accepted::New { behind: Vec::new() })
    }

    fn claim(&self, _: &str, _: usize) -> StoreFuture<Vec<StoredRequest>> {
        at_once(Vec::new())
    }

    fn check_lease(&self, _: &DeliveryId) -> StoreFuture<Ownership> {
        at_once(self.ownership.lock().unwrap().unwrap_or(Ownership::Owned))
    }

    fn begin_attempt(&self, delivery: &DeliveryId, _: SystemTime) -> StoreFuture<Ownership> {
        self.check_lease(delivery)
    }

    fn attempt_failed(&self, _: &DeliveryId) -> StoreFuture<()> {
        at_once(())
    }

    fn parts_done(&self, _: &DeliveryId, _: usize) -> StoreFuture<()> {
        at_once(())
    }

    fn complete(
        &self,
        _: &DeliveryId,
        report: &DeliveryReport,
        row: Option<&HistoryRow>,
    ) -> StoreFuture<()> {
        let mut failing = self.failing_ends.lock().unwrap();
        if *failing > 0 {
            *failing -= 1;
            return Box::pin(async { Err(StoreError::new("memory", StoreErrorKind::NoSpace)) });
        }
        let end = (Instant::now(), report.clone(), row.cloned());
        self.ends.lock().unwrap().push(end);
        at_once(())
    }

    fn has_older(&self, _: &DeliveryId) -> StoreFuture<bool> {
        let mut older = self.older.lock().unwrap();
        let has_older = *older > 0;
        *older -= usize::from(has_older);
        at_once(has_older)
    }

    fn claimed_by_others(
        &self,
        _: &DeliveryId,
        _: Vec<MessageRef>,
    ) -> StoreFuture<Vec<MessageRef>> {
        at_once(Vec::new())
    }

    fn depth(&self) -> StoreFuture<usize> {
        at_once(0)
    }

    fn release(&self) -> StoreFuture<()> {
        at_once(())
    }

    fn running(&self) -> &Running {
        &self.running
    }
}

impl HistoryStore for Memory {
    fn store_history(&self, row: &HistoryRow) -> StoreFuture<()> {
        self.rows.lock().unwrap().push(row.clone());
        at_once(())
    }

    fn claim_history(&self, _: &str, _: usize) -> StoreFuture<Vec<HistoryRow>> {
        at_once(Vec::new())
    }

    fn history_written(&self, row: &HistoryRow) -> StoreFuture<()> {
        self.written.lock().unwrap().push(row.clone());
        at_once(())
    }
}

impl LastNotificationStore for Memory {
    fn last_notification(&self, key: &str) -> StoreFuture<Option<LastNotification>> {
        match *self.kind.lock().unwrap() {
            Some(Some(kind)) => Box::pin(async move { Err(StoreError::new("memory", kind)) }),
            Some(None) => Box::pin(std::future::pending()),
            None => at_once(self.lasts.lock().unwrap().get(key).cloned()),
        }
    }

    fn set_last_notification(&self, key: &str, last: Option<&LastNotification>) -> StoreFuture<()> {
        let mut lasts = self.lasts.lock().unwrap();
        match last {
            Some(last) => lasts.insert(key.to_owned(), last.clone()),
            None => lasts.remove(key),
        };
        at_once(())
    }
}
