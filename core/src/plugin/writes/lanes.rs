//! Queues of rows that wait to become deliveries. The rows of one trigger are accepted in the order of its calls, and
//! no trigger waits for another.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::batch::RowBatch;
use super::waiting::{WaitingCounts, WaitingRows};
use crate::delivery::{ByteReservation, Caller};
use crate::panics::lock;

/// The interval at which to check whether all rows are stored.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The waiting batches of all triggers.
#[derive(Default)]
pub struct Lanes {
    /// The batches by trigger, for triggers with a running task.
    lanes: Mutex<HashMap<Caller, VecDeque<RowBatch>>>,
    waiting: Arc<WaitingCounts>,
}

impl Lanes {
    pub fn count(&self, rows: usize, has_outbox: bool, room: ByteReservation) -> WaitingRows {
        WaitingRows::new(&self.waiting, rows, has_outbox, room)
    }

    /// Appends a batch to its trigger's queue. Does not wait.
    pub fn push(self: &Arc<Self>, caller: Caller, batch: RowBatch, runtime: &Handle) {
        let mut lanes = self.lock();
        if let Some(lane) = lanes.get_mut(&caller) {
            lane.push_back(batch);
            return;
        }
        lanes.insert(caller.clone(), VecDeque::from([batch]));
        drop(lanes);
        let lanes = Arc::clone(self);
        runtime.spawn(async move { lanes.work(&caller).await });
    }

    async fn work(&self, caller: &Caller) {
        while let Some(batch) = self.next(caller) {
            let panicked = batch.report_panic();
            let accepted = AssertUnwindSafe(batch.accept()).catch_unwind().await;
            if accepted.is_err() {
                panicked();
            }
        }
    }

    /// Returns the next batch of a trigger. Without one, removes the queue, and the trigger's task ends.
    fn next(&self, caller: &Caller) -> Option<RowBatch> {
        let mut lanes = self.lock();
        let batch = lanes.get_mut(caller)?.pop_front();
        if batch.is_none() {
            lanes.remove(caller);
        }
        batch
    }

    /// Returns the number of waiting rows.
    pub fn waiting(&self) -> usize {
        self.waiting.rows.load(Ordering::Relaxed)
    }

    /// Waits until no row waits for an outbox, at most for `limit`.
    pub async fn stored(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.waiting.to_store.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Caller, VecDeque<RowBatch>>> {
        lock(&self.lanes)
    }
}
