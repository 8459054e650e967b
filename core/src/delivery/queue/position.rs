//! A delivery's place in the queue of its destination.

use std::sync::Arc;

use tokio::sync::watch;

use super::Queues;
use super::destination::DestinationQueue;
use crate::model::notification::{AlertState, DedupKey};
use crate::model::wire::Destination;

pub struct QueuePosition {
    pub queue: Arc<DestinationQueue>,
    /// Its number in the order of arrival.
    pub ticket: u64,
    /// Its turn among the deliveries with its dedup key. `None`: it has no key, or lets an older delivery pass.
    pub turn: Option<Box<DedupTurn>>,
}

/// A place in the line of a dedup key; the next one's turn comes when it is dropped.
pub struct DedupTurn {
    queue: Arc<DestinationQueue>,
    dedup_key: DedupKey,
    ticket: u64,
    before: Option<watch::Receiver<()>>,
    _done: watch::Sender<()>,
}

impl QueuePosition {
    /// Waits until the delivery before has ended. Gives back whether there was one.
    pub async fn wait_for_turn(&mut self) -> bool {
        match &mut self.turn {
            Some(turn) => turn.wait().await,
            None => false,
        }
    }

    /// The next one's turn has come.
    pub fn release(self, queues: &Queues, destination: &Destination) {
        drop(self.turn);
        queues.release(destination, self.queue);
    }
}

impl DedupTurn {
    /// A position behind the deliveries with the same dedup key. `state` is the state of its alert, if known.
    pub fn new(
        queue: &Arc<DestinationQueue>,
        dedup_key: &DedupKey,
        ticket: u64,
        state: Option<AlertState>,
    ) -> Self {
        let (done, next) = watch::channel(());
        Self {
            before: queue.join_line(dedup_key, ticket, state, next),
            queue: Arc::clone(queue),
            dedup_key: dedup_key.clone(),
            ticket,
            _done: done,
        }
    }

    /// Waits until the delivery before has ended, however it ended. Gives back whether there was one.
    pub async fn wait(&mut self) -> bool {
        let Some(mut before) = self.before.take() else {
            return false;
        };
        // An error means that the previous delivery has ended.
        while before.changed().await.is_ok() {}
        true
    }
}

impl Drop for DedupTurn {
    fn drop(&mut self) {
        self.queue.leave_line(&self.dedup_key, self.ticket);
    }
}
