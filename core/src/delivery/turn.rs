//! A delivery's turn: in its destination's queue, and among the deliveries with its dedup key.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::progress::store::StoreEntry;
use super::queue::{DedupTurn, DestinationQueue, QueuePosition};
use super::state::Delivery;
use crate::model::notification::AlertState;

/// The wait before the store is asked again for older deliveries.
const LEAST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// The time limit for the lookup of messages that another process may have sent.
const LOOK_FOR: Duration = Duration::from_secs(60);

impl Delivery {
    /// Returns a position behind the earlier deliveries.
    pub fn line_up(&self) -> QueuePosition {
        self.line_up_as(self.planned.state())
    }

    /// Returns a position for a delivery with this state of its alert.
    pub fn line_up_as(&self, state: Option<AlertState>) -> QueuePosition {
        let queue = self.services.queues.get(self.planned.channel.destination());
        let ticket = queue.ticket();
        let turn = self.turn(&queue, ticket, state);
        QueuePosition {
            queue,
            ticket,
            turn,
        }
    }

    fn turn(
        &self,
        queue: &Arc<DestinationQueue>,
        ticket: u64,
        state: Option<AlertState>,
    ) -> Option<Box<DedupTurn>> {
        let dedup_key = self.planned.dedup_key.as_ref()?;
        Some(Box::new(DedupTurn::new(queue, dedup_key, ticket, state)))
    }

    /// Waits for its turn among the deliveries with its key, and sets the deadline. A late delivery still gets one
    /// attempt: a `resolved` must follow a slow `firing`, and a delivery from a digest queue was not late itself.
    pub async fn wait_for_turn(&mut self, position: &mut QueuePosition) {
        if self.planned.attempting().is_some() {
            // A message that another process may have sent is looked up, however late it is.
            self.deadline = self.deadline.max(Instant::now() + LOOK_FOR);
        }
        if position.turn.is_some() {
            let had_to_wait = position.wait_for_turn().await;
            let is_behind = |entry: &StoreEntry| entry.is_behind || had_to_wait;
            if self.progress.entry.as_deref().is_some_and(is_behind) {
                // Boxed, because few deliveries ask the store.
                Box::pin(self.wait_for_older(position)).await;
            }
        }
        let now = Instant::now();
        if now >= self.deadline {
            self.deadline = now + self.policy.attempt_timeout;
        }
    }

    /// Waits until the store has no older delivery of the same key: it may be another process's, or have been claimed after
    /// this one lined up. Meanwhile its place in the line is free: an older one may come by.
    async fn wait_for_older(&self, position: &mut QueuePosition) {
        let mut pause = LEAST_PAUSE;
        while let Some(entry) = &self.progress.entry
            && entry.has_older().await
            && Instant::now() < self.deadline
        {
            position.turn = None;
            let waiting = &self.services.waiting_for_older;
            waiting.fetch_add(1, Ordering::Relaxed);
            sleep_until((Instant::now() + pause).min(self.deadline)).await;
            waiting.fetch_sub(1, Ordering::Relaxed);
            pause = (pause * 2).min(LONGEST_PAUSE);
            position.turn = self.turn(&position.queue, position.ticket, self.planned.state());
            position.wait_for_turn().await;
        }
    }

    /// The waits between its attempts.
    pub fn backoff(&self) -> Backoff {
        Backoff {
            initial: self.policy.initial_backoff,
            max: self.policy.max_backoff,
            least: self.planned.channel.capabilities().limits.least_backoff,
        }
    }
}
