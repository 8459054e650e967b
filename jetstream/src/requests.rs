//! Which requests this process holds, and how they are asked.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::order::KeyQueuePosition;
use notifier_core::panics::lock;

/// The way to each request that this process holds, by its task.
pub struct Requests<R>(Arc<Mutex<HashMap<String, Owned<R>>>>);

impl<R> Requests<R> {
    pub fn lock(&self) -> MutexGuard<'_, HashMap<String, Owned<R>>> {
        lock(&self.0)
    }
}

impl<R> Clone for Requests<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> Default for Requests<R> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// The operations on a request, in the order of the calls.
pub type RequestJob<R> = Box<dyn for<'a> FnOnce(&'a mut R) -> BoxFuture<'a, ()> + Send>;

/// The way to a request that this process holds.
pub struct Owned<R> {
    pub sequence: u64,
    /// `None`: it has no dedup key.
    pub queue_position: Option<Arc<KeyQueuePosition>>,
    jobs: UnboundedSender<RequestJob<R>>,
}

impl<R: 'static> Owned<R> {
    /// Has something done once all is done that was asked for before. An error says that the process has given the request up.
    pub fn ask<T: Send + 'static>(
        &self,
        work: impl for<'a> FnOnce(&'a mut R) -> BoxFuture<'a, T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        let _ = self.jobs.send(Box::new(|request| {
            let answered = work(request).map(|answer| drop(reply.send(answer)));
            answered.boxed()
        }));
        answer
    }
}

/// Registers that this process holds a request, and queues its operations. The drop releases the request.
pub struct Registration<R> {
    requests: Requests<R>,
    pub sequence: u64,
    pub queue_position: Option<Arc<KeyQueuePosition>>,
    task: String,
    jobs: UnboundedReceiver<RequestJob<R>>,
    has_ended: bool,
}

impl<R> Registration<R> {
    /// `None`: the process holds the request already, by another message.
    pub fn new(
        requests: &Requests<R>,
        task: &str,
        sequence: u64,
        queue_position: impl FnOnce() -> Option<Arc<KeyQueuePosition>>,
    ) -> Option<Self> {
        let mut owned = requests.lock();
        let Entry::Vacant(entry) = owned.entry(task.to_owned()) else {
            return None;
        };
        let queue_position = queue_position();
        let (sender, jobs) = unbounded_channel();
        entry.insert(Owned {
            sequence,
            queue_position: queue_position.clone(),
            jobs: sender,
        });
        Some(Self {
            requests: requests.clone(),
            sequence,
            queue_position,
            task: task.to_owned(),
            jobs,
            has_ended: false,
        })
    }

    /// Returns the next operation. `None`: the process has released the request.
    pub async fn next(&mut self) -> Option<RequestJob<R>> {
        self.jobs.recv().await
    }

    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Removes the registration: the process may hold the request again.
    pub fn end(&mut self) {
        if !std::mem::replace(&mut self.has_ended, true) {
            self.requests.lock().remove(&self.task);
            self.queue_position = None;
        }
    }
}

impl<R> Drop for Registration<R> {
    fn drop(&mut self) {
        self.end();
    }
}
