//! Which requests this process holds, and how they are asked.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use async_nats::Subject;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::OwnedRequest;
use crate::outbox::jetstream::order::PlaceInLine;
use crate::outbox::jetstream::stored::Stored;
use crate::outbox::jetstream::{Shared, lock};

/// What is done with a request, in the order of asking.
type Job = Box<dyn for<'a> FnOnce(&'a mut OwnedRequest) -> BoxFuture<'a, ()> + Send>;

/// The way to a request that this process holds.
pub struct Owned {
    pub sequence: u64,
    /// `None`: it has no dedup key.
    pub place: Option<Arc<PlaceInLine>>,
    jobs: UnboundedSender<Job>,
}

impl Owned {
    /// Has something done once all is done that was asked for before. An error says that the process has given the request up.
    pub fn ask<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut OwnedRequest) -> BoxFuture<'a, T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        let _ = self.jobs.send(Box::new(|request| {
            let answered = work(request).map(|answer| drop(reply.send(answer)));
            answered.boxed()
        }));
        answer
    }

    /// The server has handed the request to this process once more.
    pub fn redelivered(&self, reply: Option<Subject>) {
        drop(self.ask(|request| {
            request.reply = reply;
            std::future::ready(()).boxed()
        }));
    }
}

/// That this process holds a request, and what it is asked. Given up when it is dropped.
pub struct Registration {
    pub shared: Arc<Shared>,
    pub sequence: u64,
    pub place: Option<Arc<PlaceInLine>>,
    task: String,
    jobs: UnboundedReceiver<Job>,
    has_ended: bool,
}

impl Registration {
    /// `None`: the process holds the request already, by another message.
    pub fn new(
        shared: &Arc<Shared>,
        stored: &Stored,
        sequence: u64,
        place: Option<Arc<PlaceInLine>>,
    ) -> Option<Self> {
        let mut owned = lock(&shared.owned);
        let Entry::Vacant(entry) = owned.entry(stored.task.clone()) else {
            return None;
        };
        let place = place.or_else(|| PlaceInLine::enter(shared, stored, sequence));
        let (sender, jobs) = unbounded_channel();
        entry.insert(Owned {
            sequence,
            place: place.clone(),
            jobs: sender,
        });
        Some(Self {
            shared: Arc::clone(shared),
            sequence,
            place,
            task: stored.task.clone(),
            jobs,
            has_ended: false,
        })
    }

    /// What is to be done next; `None`: the process has given the request up.
    pub async fn next(&mut self) -> Option<Job> {
        self.jobs.recv().await
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The process may hold the request anew.
    pub fn end(&mut self) {
        if !std::mem::replace(&mut self.has_ended, true) {
            lock(&self.shared.owned).remove(&self.task);
            self.place = None;
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.end();
    }
}
