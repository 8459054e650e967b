//! One accepted request: how far each of its deliveries is, and when its call may be answered.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model::outcome::{Failure, Outcome};
use crate::model::report::DeliveryReport;
use crate::observe::TaskLog;

/// A request that was taken charge of.
pub struct Task {
    pub id: String,
    pub accepted: Instant,
    pub log: TaskLog,
    pub warnings: Vec<String>,
    state: Mutex<State>,
    /// For the call, which waits on a thread of the engine's.
    settled: Condvar,
    /// For whoever waits on the runtime.
    changed: Notify,
}

struct State {
    entries: Vec<Entry>,
    /// Entries that have not ended.
    unfinished: usize,
    /// Of these, entries of which it is not known that they only wait.
    active: usize,
}

impl State {
    fn is_settled(&self, deadline: Instant) -> bool {
        let due_later = |entry: &Entry| match entry.progress {
            Progress::Active => false,
            Progress::Waiting(due) => due >= deadline,
            Progress::Ended => true,
        };
        self.unfinished == 0 || (self.active == 0 && self.entries.iter().all(due_later))
    }
}

/// One delivery.
struct Entry {
    report: DeliveryReport,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// An attempt is under way, or may begin at any moment.
    Active,
    /// Nothing will happen before this.
    Waiting(Instant),
    Ended,
}

impl Task {
    /// `reports` are the deliveries as they stand: those with an outcome other than pending have ended.
    pub fn new(
        id: String,
        log: TaskLog,
        warnings: Vec<String>,
        reports: Vec<DeliveryReport>,
    ) -> Arc<Self> {
        let entries: Vec<Entry> = reports
            .into_iter()
            .map(|report| Entry {
                progress: match report.outcome {
                    Outcome::Pending(_) => Progress::Active,
                    _ => Progress::Ended,
                },
                report,
            })
            .collect();
        let unfinished = entries
            .iter()
            .filter(|entry| entry.progress != Progress::Ended)
            .count();
        Arc::new(Self {
            id,
            accepted: Instant::now(),
            log,
            warnings,
            state: Mutex::new(State {
                entries,
                unfinished,
                active: unfinished,
            }),
            settled: Condvar::new(),
            changed: Notify::new(),
        })
    }

    /// Blocks until the moment to answer: everything has ended, `deadline`, or nothing will happen before `deadline`.
    ///
    /// Not on the runtime: its timer would wake a worker and share its lock, each time.
    pub fn wait_settled(&self, deadline: Instant) {
        let mut state = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || state.is_settled(deadline) {
                return;
            }
            let waited = self.settled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until every delivery has ended.
    pub async fn ended(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.has_ended() {
                return;
            }
            changed.await;
        }
    }

    pub fn has_ended(&self) -> bool {
        self.lock().unfinished == 0
    }

    /// Every delivery as it stands.
    pub fn reports(&self) -> Vec<DeliveryReport> {
        let now = Instant::now();
        let state = self.lock();
        let current = state.entries.iter().map(|entry| {
            let mut report = entry.report.clone();
            if entry.progress != Progress::Ended {
                report.elapsed = now - self.accepted;
            }
            if let Progress::Waiting(due) = entry.progress {
                report.next_attempt_in = Some(due.saturating_duration_since(now));
            }
            report
        });
        current.collect()
    }

    /// An attempt is under way, or may be at any moment.
    pub fn active(&self, index: usize) {
        self.progress(index, Progress::Active);
    }

    /// Nothing will happen before `due`.
    pub fn waiting(&self, index: usize, due: Instant) {
        self.progress(index, Progress::Waiting(due));
    }

    /// Writes what is newly known of a delivery.
    pub fn update(&self, index: usize, change: impl FnOnce(&mut DeliveryReport)) {
        if let Some(entry) = self.lock().entries.get_mut(index) {
            change(&mut entry.report);
        }
    }

    /// A delivery that goes on: why it has not worked so far.
    pub fn pending(&self, index: usize, failure: Failure) {
        self.update(index, |report| {
            report.outcome = Outcome::Pending(Some(failure))
        });
    }

    /// One delivery as it stands.
    pub fn report(&self, index: usize) -> Option<DeliveryReport> {
        let state = self.lock();
        state.entries.get(index).map(|entry| entry.report.clone())
    }

    /// A delivery's end.
    pub fn end(&self, index: usize, outcome: Outcome) {
        let elapsed = self.accepted.elapsed();
        self.update(index, |report| {
            report.outcome = outcome;
            report.elapsed = elapsed;
        });
        self.progress(index, Progress::Ended);
    }

    fn progress(&self, index: usize, progress: Progress) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(entry) = state.entries.get_mut(index) else {
            return;
        };
        let before = std::mem::replace(&mut entry.progress, progress);
        match (before, progress) {
            (Progress::Ended, _) => {
                entry.progress = Progress::Ended;
                return;
            }
            (Progress::Active, Progress::Active) => return,
            (Progress::Active, _) => state.active -= 1,
            (Progress::Waiting(_), Progress::Active) => state.active += 1,
            (Progress::Waiting(_), _) => {}
        }
        if progress == Progress::Ended {
            state.unfinished -= 1;
        }
        // Whoever waits for an answer looks only when there may be one.
        if state.active == 0 {
            drop(guard);
            self.settled.notify_all();
            self.changed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
