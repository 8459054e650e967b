//! Runs plans: every delivery at once, each to its end, whatever becomes of the call that asked for it.
//!
//! A request is let in by `intake` (`idempotency` knows it from before, `bounds` has room for it, `durability` keeps it) and
//! becomes a [`Task`]. Each of its deliveries is first `arriving`: it passes `throttle`, or is held for a `digest`. Then it is a
//! `run`, which `deliver` takes to its end: its turn comes by `queue`, `last_sent` says whether it is news, `retry` sends its
//! messages, and `lookup` finds out what became of one that may not be repeated (`claims` knows which message is whose). What
//! all of them share is the `engine`. `pacing` has nothing to do with them: it says how long a call may wait.

mod arriving;
mod attempt;
mod backoff;
mod bounds;
mod claims;
mod connections;
mod deliver;
mod digest;
mod durability;
mod engine;
mod idempotency;
mod intake;
mod last_sent;
mod lookup;
mod pacing;
mod queue;
mod retry;
mod run;
mod task;
#[cfg(test)]
mod tests;
mod throttle;
mod untried;

use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use self::bounds::{Full, MAX_BYTES, Need, Place, Room, WaitingCall};
pub use self::durability::{
    KEEP_WITHIN, Keeping, KeptTask, NotKept, config_of, forget_row, store_rows,
};
use self::engine::Engine;
pub use self::idempotency::Admission;
pub use self::intake::{Acceptance, NotAccepted, RoomPolicy, TakenOver};
pub use self::pacing::{Caller, Pacing};
pub use self::task::Task;
pub use self::throttle::Batch;
use crate::observe::{Gauges, Metrics, RecentErrors};
use crate::transport::Transport;

/// Takes plans and runs them on the runtime that it is called on.
#[derive(Clone)]
pub struct Dispatcher {
    engine: Arc<Engine>,
}

impl Dispatcher {
    pub fn new(
        transport: Arc<dyn Transport>,
        metrics: Arc<Metrics>,
        errors: Arc<RecentErrors>,
    ) -> Self {
        Self {
            engine: Arc::new(Engine::new(transport, metrics, errors)),
        }
    }

    /// For notifications that come together: so many of them are sent one by one, and of the rest tells a digest.
    pub fn batch(&self) -> Arc<Batch> {
        Arc::new(Batch::new(Arc::clone(&self.engine)))
    }

    /// Whether there is so much room that deliveries of former processes are welcome too.
    pub fn has_much_room(&self, caller: &Caller, max_in_flight: usize) -> bool {
        self.engine.bounds.has_much_room(caller, max_in_flight)
    }

    /// Whether a delivery waits for an older one that no queue of this process has, and there is some room left.
    pub fn waits_for_older(&self, max_in_flight: usize) -> bool {
        let waiting = self.engine.waiting_for_older.load(Ordering::Relaxed);
        waiting > 0 && self.engine.bounds.in_flight() < max_in_flight.saturating_mul(2)
    }

    /// A place among the calls that wait; `None`: answer at once with what is known.
    pub fn waiting_call(&self) -> Option<WaitingCall> {
        self.engine.bounds.waiting_call()
    }

    /// Room for rows that wait until they become deliveries.
    pub fn waiting_room(&self, caller: &Caller, bytes: usize) -> Result<Room, Full> {
        let bounds = &self.engine.bounds;
        bounds.waiting_room(&bounds.usage(caller), bytes)
    }

    /// Waits until a request that needs so much finds room, and keeps that for it. Digests that hold much of it go at once.
    pub async fn wait_for_room(
        &self,
        caller: &Caller,
        need: Need,
        max_in_flight: usize,
        batch: &Batch,
    ) -> Vec<Place> {
        let bounds = &self.engine.bounds;
        let own = bounds.usage(caller);
        let relieve = || self.engine.relieve(&own, max_in_flight, Some(batch));
        bounds
            .wait_for_room(&own, need, max_in_flight, relieve)
            .await
    }

    /// The call was answered; from now on what goes on is pending.
    pub fn answered(&self, task: &Arc<Task>) {
        if !task.has_ended() {
            let (dispatcher, task) = (self.clone(), Arc::clone(task));
            tokio::spawn(async move { dispatcher.follow(&[task]).await });
        }
    }

    /// Waits for the end of requests whose call was answered.
    pub async fn follow(&self, tasks: &[Arc<Task>]) {
        let pending = &self.engine.pending;
        let open: Vec<_> = tasks.iter().map(|task| task.unfinished()).collect();
        pending.fetch_add(open.iter().sum(), Ordering::Relaxed);
        for (task, open) in tasks.iter().zip(open) {
            task.ended().await;
            pending.fetch_sub(open, Ordering::Relaxed);
            task.log.close();
        }
    }

    pub fn gauges(&self) -> Gauges {
        Gauges {
            in_flight: self.engine.bounds.in_flight(),
            pending: self.engine.pending.load(Ordering::Relaxed),
            paused_destinations: self.engine.queues.paused(),
            outbox_depth: 0,
            waiting_rows: 0,
            dropped_history_rows: 0,
            abandoned_template_threads: 0,
            abandoned_file_threads: 0,
        }
    }
}
