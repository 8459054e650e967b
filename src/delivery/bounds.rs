//! How much of everything there may be at once in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What accepted deliveries hold: messages with their headers and addresses, configurations, notifications, warnings, reports.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Calls that wait for their answer; each holds a thread of the engine.
pub const MAX_WAITING_CALLS: usize = 64;

/// Counts of the process. Each request is held against its own settings' figures.
#[derive(Default)]
pub struct Bounds {
    in_flight: AtomicUsize,
    bytes: AtomicUsize,
    waiting_calls: AtomicUsize,
}

/// There is no room: nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    InFlight,
    Bytes,
}

impl Bounds {
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Room for deliveries of these sizes, one place each, and for what they share until the last has ended; or for none
    /// of it.
    pub fn reserve(
        self: &Arc<Self>,
        sizes: &[usize],
        shared: usize,
        max_in_flight: usize,
    ) -> Result<Vec<Place>, Full> {
        let total = sizes.iter().sum::<usize>().saturating_add(shared);
        add_within(&self.in_flight, sizes.len(), max_in_flight).map_err(|()| Full::InFlight)?;
        if add_within(&self.bytes, total, MAX_BYTES).is_err() {
            self.in_flight.fetch_sub(sizes.len(), Ordering::Relaxed);
            return Err(Full::Bytes);
        }
        Ok(self.places(sizes, shared))
    }

    /// [`Self::reserve`] for deliveries that were accepted once, whatever else there is.
    pub fn reserve_accepted(self: &Arc<Self>, sizes: &[usize], shared: usize) -> Vec<Place> {
        let total = sizes.iter().sum::<usize>().saturating_add(shared);
        self.in_flight.fetch_add(sizes.len(), Ordering::Relaxed);
        self.bytes.fetch_add(total, Ordering::Relaxed);
        self.places(sizes, shared)
    }

    /// Of what is counted already.
    fn places(self: &Arc<Self>, sizes: &[usize], shared: usize) -> Vec<Place> {
        let bytes = |bytes| Room {
            bounds: Arc::clone(self),
            bytes,
        };
        let shared = Arc::new(bytes(shared));
        let place = |size: &usize| Place {
            own: bytes(*size),
            _shared: Arc::clone(&shared),
        };
        sizes.iter().map(place).collect()
    }

    /// Room for bytes that are no delivery's.
    pub fn room(self: &Arc<Self>, bytes: usize) -> Result<Room, Full> {
        add_within(&self.bytes, bytes, MAX_BYTES).map_err(|()| Full::Bytes)?;
        let bounds = Arc::clone(self);
        Ok(Room { bounds, bytes })
    }

    /// Whether at least half of all room is free.
    pub fn has_much_room(&self, max_in_flight: usize) -> bool {
        self.in_flight() < max_in_flight.div_ceil(2)
            && self.bytes.load(Ordering::Relaxed) < MAX_BYTES / 2
    }

    /// A place among the calls that wait; none is left: answer at once.
    pub fn waiting_call(self: &Arc<Self>) -> Option<WaitingCall> {
        add_within(&self.waiting_calls, 1, MAX_WAITING_CALLS).ok()?;
        Some(WaitingCall(Arc::clone(self)))
    }
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
    own: Room,
    /// Of all deliveries of its request, given back with the last of them.
    _shared: Arc<Room>,
}

impl Place {
    /// What is held in this place has no bytes of its own any more.
    pub fn give_back_bytes(&mut self) {
        self.own.give_back();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.own.bounds.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes within [`MAX_BYTES`].
pub struct Room {
    bounds: Arc<Bounds>,
    bytes: usize,
}

impl Room {
    fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.bounds.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// A call that waits for its answer.
pub struct WaitingCall(Arc<Bounds>);

impl Drop for WaitingCall {
    fn drop(&mut self) {
        self.0.waiting_calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_gets_room_for_all_its_deliveries_or_for_none() {
        let bounds = Arc::new(Bounds::default());
        let first = bounds.reserve(&[10; 6], 0, 10).unwrap();
        assert_eq!(bounds.reserve(&[10; 5], 0, 10).err(), Some(Full::InFlight));
        assert_eq!(bounds.reserve(&[MAX_BYTES], 0, 10).err(), Some(Full::Bytes));
        assert_eq!(bounds.reserve(&[0], MAX_BYTES, 10).err(), Some(Full::Bytes));
        assert_eq!(bounds.in_flight(), 6);
        drop(first);
        assert_eq!(bounds.in_flight(), 0);
        assert!(bounds.reserve(&[MAX_BYTES], 0, 10).is_ok());
    }

    #[test]
    fn what_deliveries_share_is_counted_once_until_the_last_has_ended() {
        let bounds = Arc::new(Bounds::default());
        let mut places = bounds.reserve(&[1, 2, 3], 100, 10).unwrap();
        let held = || bounds.bytes.load(Ordering::Relaxed);
        assert_eq!(held(), 106);
        places.pop();
        assert_eq!(held(), 103);
        places.iter_mut().for_each(Place::give_back_bytes);
        assert_eq!(held(), 100);
        places.pop();
        assert_eq!((held(), bounds.in_flight()), (100, 1));
        places.pop();
        assert_eq!((held(), bounds.in_flight()), (0, 0));
        let accepted = bounds.reserve_accepted(&[MAX_BYTES, MAX_BYTES], 1);
        assert_eq!(held(), 2 * MAX_BYTES + 1);
        drop(accepted);
        assert_eq!(held(), 0);
    }
}
