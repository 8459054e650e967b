//! The store on NATS over a model of the servers, in virtual time: the suite that every store passes, and a process that is killed at
//! every question that it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use notifier_core::store::{
    Accepted, HistoryRow, LEASE, Ownership, RENEW_EVERY, Store, StoreErrorKind,
};
use notifier_jetstream::JetStreamStore;
use notifier_jetstream::server::StreamName;
use rust_tests::conformance::StoreFixture;
use rust_tests::conformance::kills::{Kill, Left, STEPS, go_to, left_by};
use rust_tests::fixtures::{delivered, failed, id, keyed, request};
use rust_tests::jetstream::{Link, Servers};
use tokio::runtime::Handle;
use tokio::time::timeout;

#[derive(Default)]
struct Model {
    servers: Servers,
    opened: AtomicUsize,
}

impl Model {
    fn open_link(&self) -> (Arc<dyn Store>, Link) {
        let owner = format!("owner{}", self.opened.fetch_add(1, Ordering::Relaxed));
        let link = self.servers.link(&owner);
        let connector = Box::new(link.clone());
        let store = JetStreamStore::with_connector(connector, owner, Handle::current());
        (Arc::new(store), link)
    }

    /// Kills a process at its n-th question. Gives back the last step that it has done, and whether it asked so many.
    async fn kill_at_question(
        &self,
        kill: &Kill,
        question: usize,
        arrives: bool,
    ) -> (Option<usize>, bool) {
        let (store, link) = self.open_link();
        link.cut_at(question, arrives);
        let mut last = None;
        let steps = go_to(&*store, kill, |step| last = Some(step));
        let was_cut = tokio::select! {
            biased;
            () = link.until_cut() => true,
            () = steps => false,
        };
        link.cut();
        (last, was_cut)
    }
}

impl StoreFixture for Model {
    fn open(&self) -> Arc<dyn Store> {
        self.open_link().0
    }

    fn lapse(&self) {
        self.servers.lapse();
    }

    fn kill_at(&self, kill: Kill) -> BoxFuture<'_, ()> {
        async move {
            let (store, link) = self.open_link();
            go_to(&*store, &kill, |_| ()).await;
            link.cut();
        }
        .boxed()
    }
}

rust_tests::conformance!(
    #[tokio::test(start_paused = true)]
    Model::default()
);

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_at_any_question_leaves_each_step_done_or_not_done() {
    for chain in ["row written", "released"] {
        let step = STEPS.iter().position(|step| step.name == chain).unwrap();
        for arrives in [false, true] {
            let mut questions = 0;
            for question in 1.. {
                let model = Model::default();
                let task = format!("{chain} {arrives} {question}");
                let kill = Kill {
                    task: task.clone(),
                    step,
                    within: None,
                };
                let (last, was_cut) = model.kill_at_question(&kill, question, arrives).await;
                let left = left_by(&model, &task).await;
                let done = last.map_or(Left::Nothing, |last| STEPS[last].left);
                let next = last.map_or(Left::Nothing, |last| STEPS[(last + 1).min(step)].left);
                assert!([done, next].contains(&left), "{task}: {last:?}, {left:?}");
                assert_eq!(model.servers.count(StreamName::Work), 0, "{task}");
                if !was_cut {
                    break;
                }
                questions = question;
            }
            assert!(questions > 10, "{questions}");
        }
    }
}

/// The same for a process that lives on: it stores each step once, or says that it could not.
#[tokio::test(start_paused = true)]
async fn a_question_without_a_reply_loses_nothing_and_leaves_nothing() {
    for arrives in [false, true] {
        let mut questions = 0;
        for question in 1.. {
            let model = Model::default();
            let (store, link) = model.open_link();
            link.lose_reply_at(question, arrives);
            let task = format!("{arrives} {question}");
            deliver(&*store, &task).await;
            assert_eq!(model.servers.count(StreamName::Work), 0, "{task}");
            assert_eq!(model.servers.count(StreamName::Attempts), 0, "{task}");
            if link.is_waiting() {
                break;
            }
            questions = question;
        }
        assert!(questions > 15, "{questions}");
    }
}

/// Delivers one request like delivery code: repeats a question without a reply.
async fn deliver(store: &dyn Store, task: &str) {
    let delivery = id(task, 0);
    match store.accept(keyed(task, "key", 1)).await {
        Ok(Accepted::New { .. }) => {}
        Ok(Accepted::Enqueued) => {
            until(async || {
                tokio::time::sleep(RENEW_EVERY).await;
                store
                    .claim("notifier.toml", 9)
                    .await
                    .is_ok_and(|claimed| !claimed.is_empty())
            })
            .await
        }
        Ok(accepted) => panic!("{accepted:?}"),
        Err(_) => return,
    }
    let at = SystemTime::now();
    until(async || store.begin_attempt(&delivery, at).await == Ok(Ownership::Owned)).await;
    until(async || store.parts_done(&delivery, 1).await.is_ok()).await;
    until(async || store.begin_attempt(&delivery, at).await == Ok(Ownership::Owned)).await;
    let report = delivered(0, None);
    store.complete(&delivery, &report, None).await.unwrap();
    tokio::time::sleep(RENEW_EVERY).await;
    until(
        async || match store.accept(keyed("again", "key", 1)).await {
            Ok(Accepted::Known(known)) => known.task == task,
            Ok(accepted) => panic!("{accepted:?}"),
            Err(_) => false,
        },
    )
    .await;
}

async fn until(mut is_done: impl AsyncFnMut() -> bool) {
    for _ in 0..10 {
        if is_done().await {
            return;
        }
    }
    panic!("it is never done");
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_that_were_handed_a_request_one_begins_the_attempt() {
    let model = Model::default();
    let ((one, link), other) = (model.open_link(), model.open());
    one.accept(request("a")).await.unwrap();
    link.stop_answering();
    // A new consumer delivers the message as if no process had it.
    model.servers.delete_consumers();
    let mut claimed = Vec::new();
    for _ in 0..4 {
        tokio::time::sleep(RENEW_EVERY).await;
        claimed.extend(other.claim("notifier.toml", 9).await.unwrap());
    }
    assert_eq!(claimed.len(), 1);
    let at = SystemTime::now();
    assert_eq!(
        one.begin_attempt(&id("a", 0), at).await.unwrap(),
        Ownership::Owned
    );
    assert_eq!(
        other.begin_attempt(&id("a", 0), at).await.unwrap(),
        Ownership::Lost
    );
    one.complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert_eq!(one.depth().await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_stream_refuses_requests_and_leaves_no_key() {
    for stream in [StreamName::Work, StreamName::IdempotencyKeys] {
        let model = Model::default();
        let store = model.open();
        model.servers.set_full(stream, true);
        for n in 0..3 {
            let refused = store.accept(keyed(&n.to_string(), &n.to_string(), 1)).await;
            assert_eq!(refused.unwrap_err().kind, StoreErrorKind::NoSpace);
        }
        assert_eq!(model.servers.count(StreamName::IdempotencyKeys), 0);
        model.servers.set_full(stream, false);
        let accepted = store.accept(keyed("0", "0", 1)).await.unwrap();
        assert!(matches!(accepted, Accepted::New { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_waits_for_room_where_it_must_be_stored() {
    for (stream, report) in [
        (StreamName::History, delivered(0, None)),
        (StreamName::Attempts, delivered(0, None)),
        (StreamName::Dead, failed(0)),
    ] {
        let model = Model::default();
        let store = model.open();
        store.accept(request("a")).await.unwrap();
        let delivery = id("a", 0);
        let row = HistoryRow {
            config: "notifier.toml".into(),
            line: "a".to_owned(),
        };
        let at = SystemTime::now();
        store.begin_attempt(&delivery, at).await.unwrap();
        model.servers.set_full(stream, true);
        let mut completed = store.complete(&delivery, &report, Some(&row));
        let hour = Duration::from_secs(3600);
        assert!(timeout(hour, &mut completed).await.is_err() || stream == StreamName::History);
        model.servers.set_full(stream, false);
        if stream != StreamName::History {
            completed.await.unwrap();
            assert_eq!(model.servers.count(StreamName::History), 1);
        }
        assert_eq!(store.depth().await.unwrap(), 0);
        assert_eq!(model.servers.count(StreamName::Attempts), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn deliveries_in_flight_survive_replaced_streams() {
    let model = Model::default();
    let store = model.open();
    store.accept(request("a")).await.unwrap();
    let at = SystemTime::now();
    store.begin_attempt(&id("a", 0), at).await.unwrap();
    model.servers.replace_streams();
    assert_eq!(
        store.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Missing
    );
    store
        .complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    deliver(&*store, "b").await;
    for stream in [StreamName::Work, StreamName::Attempts, StreamName::Dead] {
        assert_eq!(model.servers.count(stream), 0);
    }
}

/// Another process that had the request meanwhile would deliver it too.
#[tokio::test(start_paused = true)]
async fn a_delivery_whose_streams_are_replaced_after_its_lease_is_not_attempted() {
    let model = Model::default();
    let store = model.open();
    store.accept(request("a")).await.unwrap();
    // No delivery of it runs, so its lease is not renewed.
    tokio::time::sleep(LEASE).await;
    model.servers.replace_streams();
    let refused = store.check_lease(&id("a", 0)).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::NotAnOutbox);
}
