//! Rows that wait to be accepted. Rows of one trigger are accepted in the order of its calls; triggers do not wait for
//! each other.

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

/// How often it is looked whether all rows are stored.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The batches of all triggers.
#[derive(Default)]
pub struct Lanes {
    /// By trigger, of those that have a task of theirs at work.
    lanes: Mutex<HashMap<Caller, VecDeque<RowBatch>>>,
    waiting: Arc<WaitingCounts>,
}

impl Lanes {
    pub fn count(&self, rows: usize, has_outbox: bool, room: ByteReservation) -> WaitingRows {
        WaitingRows::new(&self.waiting, rows, has_outbox, room)
    }

    /// Puts a batch behind those of the same trigger. Waits for nothing.
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

    /// The next batch of a trigger. Without one the trigger's task ends.
    fn next(&self, caller: &Caller) -> Option<RowBatch> {
        let mut lanes = self.lock();
        let batch = lanes.get_mut(caller)?.pop_front();
        if batch.is_none() {
            lanes.remove(caller);
        }
        batch
    }

    /// Rows that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.rows.load(Ordering::Relaxed)
    }

    /// Waits until all rows for an outbox are stored, at most for `limit`.
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
