//! The store on NATS over a model of the servers, in virtual time: the suite that every store passes, and a process that is killed at
//! every question that it asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use notifier_core::outbox::Store;
use notifier_jetstream::JetStreamStore;
use notifier_jetstream::server::Stream;
use rust_tests::conformance::Place;
use rust_tests::conformance::kills::{Kill, Left, STEPS, go_to, left_by};
use rust_tests::jetstream::{Link, Servers};
use tokio::runtime::Handle;

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

impl Place for Model {
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
                assert_eq!(model.servers.count(Stream::Work), 0, "{task}");
                if !was_cut {
                    break;
                }
                questions = question;
            }
            assert!(questions > 10, "{questions}");
        }
    }
}
