//! Runs plans: all deliveries at once. Each runs to its end, also if the call that asked for it ends.
//!
//! `submit` accepts a request. It may be known (`submit::idempotency`), needs capacity (`limits`), may be stored
//! (`progress::store`), and becomes a [`Task`]. Each of its deliveries becomes one [`state::Delivery`]. It passes
//! `submit::throttle`, or is queued for a `digest`. Then `run` moves it from state to state: it waits for its `turn` in
//! the destination's `queue`, `follow_up` compares it with the last notification, each `attempt` sends a message,
//! `retry` decides the next step, and `lookup` asks the provider for a message that must not be sent twice. It reports
//! by `progress`. The `services` are common to all deliveries.

mod attempt;
mod backoff;
mod connection;
mod digest;
mod follow_up;
mod last_notifications;
mod limits;
mod lookup;
mod progress;
mod queue;
mod retry;
mod run;
mod services;
mod state;
mod submit;
#[cfg(test)]
mod tests;
mod turn;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::limits::capacity::{
    ByteReservation, CapacityError, InFlightPermit, MAX_BYTES, Need, WaitingCall,
};
pub use self::limits::pacing::{Caller, Pacing};
pub use self::progress::store::{
    PERSIST_TIMEOUT, PersistError, Persistence, StoredTask, config_of, forget_row, store_rows,
};
pub use self::progress::task::Task;
use self::services::Services;
use self::submit::idempotency::Idempotency;
pub use self::submit::idempotency::Submission;
pub use self::submit::throttle::ThrottleBatch;
use self::submit::throttle::windows::ThrottleWindows;
pub use self::submit::{CapacityPolicy, RecoveredRequest, SubmitError, SubmitRequest};
use crate::observe::{Gauges, Sink};
use crate::transport::Transport;

/// Takes plans and runs them on the runtime that it is called on.
#[derive(Clone)]
pub struct Dispatcher(Arc<Inner>);

struct Inner {
    services: Arc<Services>,
    idempotency: Idempotency,
    throttle_windows: ThrottleWindows,
    /// The deliveries whose call has returned.
    pending: AtomicUsize,
}

impl Dispatcher {
    pub fn new(transport: Arc<dyn Transport>, sink: Sink) -> Self {
        Self(Arc::new(Inner {
            services: Arc::new(Services::new(transport, sink)),
            idempotency: Idempotency::default(),
            throttle_windows: ThrottleWindows::default(),
            pending: AtomicUsize::default(),
        }))
    }

    /// Returns the receiver of events.
    pub fn sink(&self) -> &Sink {
        &self.0.services.sink
    }

    /// Returns a batch for notifications that arrive together. The first ones are sent one by one, and one digest
    /// replaces the others.
    pub fn batch(&self) -> Arc<ThrottleBatch> {
        Arc::new(ThrottleBatch::new(self.clone()))
    }

    /// Returns whether enough capacity is free to recover deliveries.
    pub fn has_much_capacity(&self, caller: &Caller, max_in_flight: usize) -> bool {
        let capacity = &self.0.services.capacity;
        capacity.is_plentiful(caller, max_in_flight)
    }

    /// Returns whether a delivery waits for an older one that is in no queue of this process, and some capacity is
    /// free.
    pub fn waits_for_older(&self, max_in_flight: usize) -> bool {
        let services = &self.0.services;
        let waiting = services.waiting_for_older.load(Ordering::Relaxed);
        waiting > 0 && services.capacity.in_flight() < max_in_flight.saturating_mul(2)
    }

    /// A permit to wait in the call; `None`: respond at once.
    pub fn waiting_call(&self) -> Option<WaitingCall> {
        self.0.services.capacity.waiting_call()
    }

    /// Capacity for rows that wait until they become deliveries.
    pub fn reserve_waiting_bytes(
        &self,
        caller: &Caller,
        bytes: usize,
    ) -> Result<ByteReservation, CapacityError> {
        let capacity = &self.0.services.capacity;
        capacity.reserve_waiting_bytes(&capacity.usage(caller), bytes)
    }

    /// Waits for the capacity that a request needs, and reserves it. Digests that hold much of it are sent early.
    pub async fn wait_for_capacity(
        &self,
        caller: &Caller,
        need: Need,
        max_in_flight: usize,
        batch: &ThrottleBatch,
    ) -> Vec<InFlightPermit> {
        let capacity = &self.0.services.capacity;
        let own = capacity.usage(caller);
        let relieve = || self.relieve(&own, max_in_flight, Some(batch));
        capacity.wait_for(&own, need, max_in_flight, relieve).await
    }

    /// The call got its response; deliveries in flight are pending from now on.
    pub fn answered(&self, task: &Arc<Task>) {
        if !task.has_ended() {
            let (dispatcher, task) = (self.clone(), Arc::clone(task));
            tokio::spawn(async move { dispatcher.follow(&[task]).await });
        }
    }

    /// Waits for the end of requests whose call has returned.
    pub async fn follow(&self, tasks: &[Arc<Task>]) {
        let pending = &self.0.pending;
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
            in_flight: self.0.services.capacity.in_flight(),
            pending: self.0.pending.load(Ordering::Relaxed),
            paused_destinations: self.0.services.queues.paused(),
            ..Gauges::default()
        }
    }
}
