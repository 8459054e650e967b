//! The capacity of the process: deliveries in flight, bytes and waiting calls, and how callers share them.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::delivery::limits::pacing::Caller;
use crate::panics::lock;

/// Memory of accepted deliveries: messages with their headers and addresses, configurations, notifications, warnings,
/// reports.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Rows of tables that wait until they become deliveries.
pub const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Calls that wait for their answer; each holds a thread of the engine.
pub const MAX_WAITING_CALLS: usize = 64;

/// A caller that uses at most 1/`CALLER_SHARE_DIVISOR` of a limit gets capacity even if others use all of it.
const CALLER_SHARE_DIVISOR: usize = 4;
/// The longest time between two looks for capacity.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Counts of the process. Each request is held against its own settings' figures.
#[derive(Default)]
pub struct Capacity {
    all: Usage,
    /// The use by caller. Contains only callers that use something.
    callers: Mutex<HashMap<Caller, Weak<Usage>>>,
    waiting_calls: AtomicUsize,
    /// Notifies of released capacity.
    freed: Notify,
}

/// The usage of the process or of one caller.
#[derive(Default)]
pub struct Usage {
    in_flight: AtomicUsize,
    /// The deliveries in flight that are queued for a digest.
    held: AtomicUsize,
    bytes: AtomicUsize,
    waiting_bytes: AtomicUsize,
}

/// The limits have no free capacity, and nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapacityError {
    InFlight,
    Bytes,
}

/// The capacity that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    pub deliveries: usize,
    pub bytes: usize,
}

impl Need {
    /// The minimum need of every request before it is planned.
    pub const LEAST: Self = Self {
        deliveries: 1,
        bytes: 0,
    };
}

impl Usage {
    /// Returns whether at least half of its deliveries in flight are queued for digests.
    fn is_mostly_held(&self) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        held > 0 && held >= self.in_flight.load(Ordering::Relaxed).div_ceil(2)
    }

    /// Returns whether the use is below one `part`th of both limits.
    fn is_below(&self, part: usize, max_in_flight: usize) -> bool {
        self.in_flight.load(Ordering::Relaxed) < max_in_flight.div_ceil(part)
            && self.bytes.load(Ordering::Relaxed) < MAX_BYTES / part
    }
}

impl Capacity {
    pub fn in_flight(&self) -> usize {
        self.all.in_flight.load(Ordering::Relaxed)
    }

    /// The usage of a caller.
    pub fn usage(&self, caller: &Caller) -> Arc<Usage> {
        let mut callers = lock(&self.callers);
        if let Some(usage) = callers.get(caller).and_then(Weak::upgrade) {
            return usage;
        }
        callers.retain(|_, usage| usage.strong_count() > 0);
        let usage = Arc::default();
        callers.insert(caller.clone(), Arc::downgrade(&usage));
        usage
    }

    /// Reserves capacity for deliveries of these sizes, one permit each. Reserves their shared bytes until the last has
    /// ended. Reserves all or nothing.
    pub fn reserve(
        self: &Arc<Self>,
        own: &Arc<Usage>,
        sizes: &[usize],
        shared: usize,
        max_in_flight: usize,
    ) -> Result<Vec<InFlightPermit>, CapacityError> {
        let total = sizes.iter().sum::<usize>().saturating_add(shared);
        let permits = (&self.all.in_flight, &own.in_flight);
        add_within_share(permits, sizes.len(), max_in_flight)
            .map_err(|()| CapacityError::InFlight)?;
        let bytes = (&self.all.bytes, &own.bytes);
        if add_within_share(bytes, total, MAX_BYTES).is_err() {
            subtract(permits, sizes.len());
            return Err(CapacityError::Bytes);
        }
        Ok(self.permits(own, sizes, shared))
    }

    /// Reserves capacity beyond the limits, for deliveries that were accepted already.
    pub fn reserve_accepted(
        self: &Arc<Self>,
        own: &Arc<Usage>,
        sizes: &[usize],
        shared: usize,
    ) -> Vec<InFlightPermit> {
        let total = sizes.iter().sum::<usize>().saturating_add(shared);
        for usage in [&self.all, own] {
            usage.in_flight.fetch_add(sizes.len(), Ordering::Relaxed);
            usage.bytes.fetch_add(total, Ordering::Relaxed);
        }
        self.permits(own, sizes, shared)
    }

    /// Waits for capacity. If there is none, calls `relieve`, which can send digests early.
    pub async fn wait_for(
        self: &Arc<Self>,
        own: &Arc<Usage>,
        need: Need,
        max_in_flight: usize,
        relieve: impl Fn(),
    ) -> Vec<InFlightPermit> {
        let sizes = vec![0; need.deliveries];
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Ok(permits) = self.reserve(own, &sizes, need.bytes, max_in_flight) {
                return permits;
            }
            relieve();
            let _ = timeout(LOOK_EVERY, freed).await;
        }
    }

    /// The permits of the counted usage.
    fn permits(
        self: &Arc<Self>,
        own: &Arc<Usage>,
        sizes: &[usize],
        shared: usize,
    ) -> Vec<InFlightPermit> {
        let shared = Arc::new(self.counted(own, shared, |usage| &usage.bytes));
        let permit = |bytes: &usize| InFlightPermit {
            bytes: *bytes,
            shared: Arc::clone(&shared),
            is_held: false,
        };
        sizes.iter().map(permit).collect()
    }

    /// Reserves bytes that belong to no delivery.
    pub fn reserve_bytes(
        self: &Arc<Self>,
        own: &Arc<Usage>,
        bytes: usize,
    ) -> Result<ByteReservation, CapacityError> {
        let counts = (&self.all.bytes, &own.bytes);
        add_within_share(counts, bytes, MAX_BYTES).map_err(|()| CapacityError::Bytes)?;
        Ok(self.counted(own, bytes, |usage| &usage.bytes))
    }

    /// Reserves bytes of rows that wait until they become deliveries.
    pub fn reserve_waiting_bytes(
        self: &Arc<Self>,
        own: &Arc<Usage>,
        bytes: usize,
    ) -> Result<ByteReservation, CapacityError> {
        let counts = (&self.all.waiting_bytes, &own.waiting_bytes);
        add_within_share(counts, bytes, MAX_WAITING_BYTES).map_err(|()| CapacityError::Bytes)?;
        Ok(self.counted(own, bytes, |usage| &usage.waiting_bytes))
    }

    fn counted(
        self: &Arc<Self>,
        usage: &Arc<Usage>,
        bytes: usize,
        count: fn(&Usage) -> &AtomicUsize,
    ) -> ByteReservation {
        ByteReservation {
            capacity: Arc::clone(self),
            usage: Arc::clone(usage),
            count,
            bytes,
        }
    }

    /// Returns whether enough capacity is free, in total and in the caller's share, to recover deliveries.
    pub fn is_plentiful(&self, caller: &Caller, max_in_flight: usize) -> bool {
        self.all.is_below(2, max_in_flight)
            || (self
                .usage(caller)
                .is_below(2 * CALLER_SHARE_DIVISOR, max_in_flight)
                && self.in_flight() < max_in_flight.saturating_mul(2))
    }

    /// Returns whether deliveries queued for digests use much of the caller's capacity or of the total.
    pub fn is_mostly_held(&self, own: &Usage, max_in_flight: usize) -> bool {
        own.is_mostly_held() || self.all.held.load(Ordering::Relaxed) >= max_in_flight.div_ceil(2)
    }

    /// A permit among the calls that wait; none is left: answer at once.
    pub fn waiting_call(self: &Arc<Self>) -> Option<WaitingCall> {
        add_within(&self.waiting_calls, 1, MAX_WAITING_CALLS).ok()?;
        Some(WaitingCall(Arc::clone(self)))
    }
}

/// Adds if the sum of all stays within the limit, or the caller's within its share of it. Then all may have twice the limit.
fn add_within_share(
    (all, own): (&AtomicUsize, &AtomicUsize),
    more: usize,
    limit: usize,
) -> Result<(), ()> {
    let used = own.fetch_add(more, Ordering::Relaxed);
    let is_share = used.saturating_add(more) <= limit.div_ceil(CALLER_SHARE_DIVISOR);
    let limit = match is_share {
        true => limit.saturating_mul(2),
        false => limit,
    };
    add_within(all, more, limit).inspect_err(|()| {
        own.fetch_sub(more, Ordering::Relaxed);
    })
}

fn subtract((all, own): (&AtomicUsize, &AtomicUsize), count: usize) {
    all.fetch_sub(count, Ordering::Relaxed);
    own.fetch_sub(count, Ordering::Relaxed);
}

/// Adds if the sum stays within the limit.
fn add_within(count: &AtomicUsize, more: usize, limit: usize) -> Result<(), ()> {
    let add = |now: usize| now.checked_add(more).filter(|sum| *sum <= limit);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
        .map(drop)
        .map_err(drop)
}

/// One delivery's permit among those in flight.
pub struct InFlightPermit {
    bytes: usize,
    /// The shared bytes of the request, released with its last delivery.
    shared: Arc<ByteReservation>,
    is_held: bool,
}

impl InFlightPermit {
    /// Frees the bytes of a delivery that joined a digest.
    pub fn give_back_bytes(&mut self) {
        let ByteReservation {
            capacity, usage, ..
        } = &*self.shared;
        subtract((&capacity.all.bytes, &usage.bytes), self.bytes);
        self.bytes = 0;
    }

    /// Sets whether the delivery counts as queued for a digest.
    pub fn set_held(&mut self, is_held: bool) {
        if std::mem::replace(&mut self.is_held, is_held) == is_held {
            return;
        }
        for usage in [&self.shared.capacity.all, &*self.shared.usage] {
            match is_held {
                true => usage.held.fetch_add(1, Ordering::Relaxed),
                false => usage.held.fetch_sub(1, Ordering::Relaxed),
            };
        }
    }

    /// The usage of the delivery's caller.
    pub fn usage(&self) -> Arc<Usage> {
        Arc::clone(&self.shared.usage)
    }
}

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        self.set_held(false);
        self.give_back_bytes();
        let ByteReservation {
            capacity, usage, ..
        } = &*self.shared;
        subtract((&capacity.all.in_flight, &usage.in_flight), 1);
        capacity.freed.notify_waiters();
    }
}

/// Bytes within a limit.
pub struct ByteReservation {
    capacity: Arc<Capacity>,
    usage: Arc<Usage>,
    count: fn(&Usage) -> &AtomicUsize,
    bytes: usize,
}

impl ByteReservation {
    /// Gives some of it back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        let count = self.count;
        subtract((count(&self.capacity.all), count(&self.usage)), bytes);
    }
}

impl Drop for ByteReservation {
    fn drop(&mut self) {
        self.shrink(self.bytes);
        self.capacity.freed.notify_waiters();
    }
}

/// A call that waits for its answer.
pub struct WaitingCall(Arc<Capacity>);

impl Drop for WaitingCall {
    fn drop(&mut self) {
        self.0.waiting_calls.fetch_sub(1, Ordering::Relaxed);
    }
}
