//! Counts rows that wait to become deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::delivery::ByteReservation;

/// The counts of all triggers.
#[derive(Default)]
pub struct WaitingCounts {
    pub rows: AtomicUsize,
    /// The waiting rows that go to an outbox.
    pub to_store: AtomicUsize,
}

/// The waiting rows of a batch, with their count and their reserved bytes.
pub struct WaitingRows {
    waiting: Arc<WaitingCounts>,
    room: ByteReservation,
    rows: usize,
    to_store: usize,
}

impl WaitingRows {
    pub fn new(
        waiting: &Arc<WaitingCounts>,
        rows: usize,
        has_outbox: bool,
        room: ByteReservation,
    ) -> Self {
        let to_store = if has_outbox { rows } else { 0 };
        waiting.rows.fetch_add(rows, Ordering::Relaxed);
        waiting.to_store.fetch_add(to_store, Ordering::Relaxed);
        Self {
            waiting: Arc::clone(waiting),
            room,
            rows,
            to_store,
        }
    }

    /// Removes a row of this size from the counts.
    pub fn done(&mut self, bytes: usize) {
        self.room.shrink(bytes);
        self.subtract(1);
    }

    fn subtract(&mut self, rows: usize) {
        let rows = rows.min(self.rows);
        let to_store = rows.min(self.to_store);
        self.rows -= rows;
        self.to_store -= to_store;
        self.waiting.rows.fetch_sub(rows, Ordering::Relaxed);
        self.waiting.to_store.fetch_sub(to_store, Ordering::Relaxed);
    }
}

impl Drop for WaitingRows {
    fn drop(&mut self) {
        self.subtract(self.rows);
    }
}
