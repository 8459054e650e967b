//! How much of everything there may be at once in this process, and how callers share it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::pacing::Caller;
use crate::panics::lock;

/// What accepted deliveries hold: messages with their headers and addresses, configurations, notifications, warnings, reports.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Rows of tables that wait until they become deliveries.
pub const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;
/// Calls that wait for their answer; each holds a thread of the engine.
pub const MAX_WAITING_CALLS: usize = 64;

/// A caller that uses no more than this part of a limit, one of so many, finds room even where others use all of it.
const SHARE: usize = 4;
/// How often whoever waits for room looks for it at least.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Counts of the process. Each request is held against its own settings' figures.
#[derive(Default)]
pub struct Bounds {
    all: Usage,
    /// By caller, of those that use something.
    callers: Mutex<HashMap<Caller, Weak<Usage>>>,
    waiting_calls: AtomicUsize,
    /// Room was given back.
    freed: Notify,
}

/// What the process uses, or one caller.
#[derive(Default)]
pub struct Usage {
    in_flight: AtomicUsize,
    /// Of these, deliveries that a digest will tell of.
    held: AtomicUsize,
    bytes: AtomicUsize,
    waiting_bytes: AtomicUsize,
}

/// There is no room: nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    InFlight,
    Bytes,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    pub deliveries: usize,
    pub bytes: usize,
}

impl Need {
    /// What is known of every request before it is planned.
    pub const LEAST: Self = Self {
        deliveries: 1,
        bytes: 0,
    };
}

impl Usage {
    /// Whether at least half of what it holds in flight is held for digests.
    fn holds_much(&self) -> bool {
        let held = self.held.load(Ordering::Relaxed);
        held > 0 && held >= self.in_flight.load(Ordering::Relaxed).div_ceil(2)
    }

    /// Whether it is below one `part`th of both limits.
    fn is_below(&self, part: usize, max_in_flight: usize) -> bool {
        self.in_flight.load(Ordering::Relaxed) < max_in_flight.div_ceil(part)
            && self.bytes.load(Ordering::Relaxed) < MAX_BYTES / part
    }
}

impl Bounds {
    pub fn in_flight(&self) -> usize {
        self.all.in_flight.load(Ordering::Relaxed)
    }

    /// What a caller uses.
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

    /// Room for deliveries of these sizes, one place each, and for what they share until the last has ended; or for none
    /// of it.
    pub fn reserve(
        self: &Arc<Self>,
        own: &Arc<Usage>,
        sizes: &[usize],
        shared: usize,
        max_in_flight: usize,
    ) -> Result<Vec<Place>, Full> {
        let total = sizes.iter().sum::<usize>().saturating_add(shared);
        let places = (&self.all.in_flight, &own.in_flight);
        add_within_share(places, sizes.len(), max_in_flight).map_err(|()| Full::InFlight)?;
        let bytes = (&self.all.bytes, &own.bytes);
        if add_within_share(bytes, total, MAX_BYTES).is_err() {
            subtract(places, sizes.len());
            return Err(Full::Bytes);
        }
        Ok(self.places(own, sizes, shared))
    }

    /// [`Self::reserve`] for deliveries that were accepted once, whatever else there is.
    pub fn reserve_accepted(
        self: &Arc<Self>,
        own: &Arc<Usage>,
        sizes: &[usize],
        shared: usize,
    ) -> Vec<Place> {
        let total = sizes.iter().sum::<usize>().saturating_add(shared);
        for usage in [&self.all, own] {
            usage.in_flight.fetch_add(sizes.len(), Ordering::Relaxed);
            usage.bytes.fetch_add(total, Ordering::Relaxed);
        }
        self.places(own, sizes, shared)
    }

    /// Waits for room. `relieve` is called where there is none: what is held for digests may give way.
    pub async fn wait_for_room(
        self: &Arc<Self>,
        own: &Arc<Usage>,
        need: Need,
        max_in_flight: usize,
        relieve: impl Fn(),
    ) -> Vec<Place> {
        let sizes = vec![0; need.deliveries];
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Ok(places) = self.reserve(own, &sizes, need.bytes, max_in_flight) {
                return places;
            }
            relieve();
            let _ = timeout(LOOK_EVERY, freed).await;
        }
    }

    /// Of what is counted already.
    fn places(self: &Arc<Self>, own: &Arc<Usage>, sizes: &[usize], shared: usize) -> Vec<Place> {
        let shared = Arc::new(self.counted_room(own, shared, |usage| &usage.bytes));
        let place = |bytes: &usize| Place {
            bytes: *bytes,
            shared: Arc::clone(&shared),
            is_held: false,
        };
        sizes.iter().map(place).collect()
    }

    /// Room for bytes that are no delivery's.
    pub fn room(self: &Arc<Self>, own: &Arc<Usage>, bytes: usize) -> Result<Room, Full> {
        let counts = (&self.all.bytes, &own.bytes);
        add_within_share(counts, bytes, MAX_BYTES).map_err(|()| Full::Bytes)?;
        Ok(self.counted_room(own, bytes, |usage| &usage.bytes))
    }

    /// Room for rows that wait until they become deliveries.
    pub fn waiting_room(self: &Arc<Self>, own: &Arc<Usage>, bytes: usize) -> Result<Room, Full> {
        let counts = (&self.all.waiting_bytes, &own.waiting_bytes);
        add_within_share(counts, bytes, MAX_WAITING_BYTES).map_err(|()| Full::Bytes)?;
        Ok(self.counted_room(own, bytes, |usage| &usage.waiting_bytes))
    }

    fn counted_room(
        self: &Arc<Self>,
        usage: &Arc<Usage>,
        bytes: usize,
        count: fn(&Usage) -> &AtomicUsize,
    ) -> Room {
        Room {
            bounds: Arc::clone(self),
            usage: Arc::clone(usage),
            count,
            bytes,
        }
    }

    /// Whether there is so much room, for all or in a caller's share, that deliveries of former processes are welcome too.
    pub fn has_much_room(&self, caller: &Caller, max_in_flight: usize) -> bool {
        self.all.is_below(2, max_in_flight)
            || (self.usage(caller).is_below(2 * SHARE, max_in_flight)
                && self.in_flight() < max_in_flight.saturating_mul(2))
    }

    /// Whether deliveries that digests will tell of take much of a caller's room, or of that of all.
    pub fn hold_much(&self, own: &Usage, max_in_flight: usize) -> bool {
        own.holds_much() || self.all.held.load(Ordering::Relaxed) >= max_in_flight.div_ceil(2)
    }

    /// A place among the calls that wait; none is left: answer at once.
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
    let is_share = used.saturating_add(more) <= limit.div_ceil(SHARE);
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

/// One delivery's place among those in flight.
pub struct Place {
    bytes: usize,
    /// Of all deliveries of its request, given back with the last of them.
    shared: Arc<Room>,
    is_held: bool,
}

impl Place {
    /// What is held in this place has no bytes of its own any more.
    pub fn give_back_bytes(&mut self) {
        let Room { bounds, usage, .. } = &*self.shared;
        subtract((&bounds.all.bytes, &usage.bytes), self.bytes);
        self.bytes = 0;
    }

    /// Counts the delivery among those that a digest will tell of, or no longer.
    pub fn set_held(&mut self, is_held: bool) {
        if std::mem::replace(&mut self.is_held, is_held) == is_held {
            return;
        }
        for usage in [&self.shared.bounds.all, &*self.shared.usage] {
            match is_held {
                true => usage.held.fetch_add(1, Ordering::Relaxed),
                false => usage.held.fetch_sub(1, Ordering::Relaxed),
            };
        }
    }

    /// What the delivery's caller uses.
    pub fn usage(&self) -> Arc<Usage> {
        Arc::clone(&self.shared.usage)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.set_held(false);
        self.give_back_bytes();
        let Room { bounds, usage, .. } = &*self.shared;
        subtract((&bounds.all.in_flight, &usage.in_flight), 1);
        bounds.freed.notify_waiters();
    }
}

/// Bytes within a limit.
pub struct Room {
    bounds: Arc<Bounds>,
    usage: Arc<Usage>,
    count: fn(&Usage) -> &AtomicUsize,
    bytes: usize,
}

impl Room {
    /// Gives some of it back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        let count = self.count;
        subtract((count(&self.bounds.all), count(&self.usage)), bytes);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shrink(self.bytes);
        self.bounds.freed.notify_waiters();
    }
}

/// A call that waits for its answer.
pub struct WaitingCall(Arc<Bounds>);

impl Drop for WaitingCall {
    fn drop(&mut self) {
        self.0.waiting_calls.fetch_sub(1, Ordering::Relaxed);
    }
}
