//! An accepted request: the reports of its deliveries, and when its call may be answered.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model::observer::{DeliveryObserver, Renewal};
use crate::model::outcome::{Failure, Outcome};
use crate::model::report::DeliveryReport;
use crate::observe::TaskLog;

/// The maximum number of warnings from deliveries. More would not help.
const MAX_LATE_WARNINGS: usize = 20;

/// An accepted request.
pub struct Task {
    pub id: String,
    pub accepted: Instant,
    pub log: TaskLog,
    /// Learns how its deliveries end.
    observer: Option<Arc<dyn DeliveryObserver>>,
    /// Warnings from before anything was sent.
    warnings: Vec<String>,
    state: Mutex<TaskState>,
    /// Wakes the call, which waits on a thread of the engine.
    settled: Condvar,
    /// Wakes tasks of the runtime.
    changed: Notify,
}

struct TaskState {
    entries: Vec<ReportEntry>,
    ended: Option<Ended>,
    /// Warnings that deliveries added.
    warnings: Vec<String>,
    /// Entries that have not ended.
    unfinished: usize,
    /// The pending entries that may make an attempt at any moment.
    active: usize,
}

/// The summary of all outcomes. Every request with the same key reads it.
#[derive(Clone, Copy)]
struct Ended {
    at: Instant,
    has_delivered: bool,
    has_failed: bool,
}

impl Ended {
    fn now(entries: &[ReportEntry]) -> Self {
        let delivered =
            |entry: &ReportEntry| matches!(entry.report.outcome, Outcome::Delivered { .. });
        let failed = |entry: &ReportEntry| matches!(entry.report.outcome, Outcome::Failed(_));
        Self {
            at: Instant::now(),
            has_delivered: entries.iter().any(delivered),
            has_failed: !entries.is_empty() && entries.iter().all(failed),
        }
    }
}

impl TaskState {
    fn is_settled(&self, deadline: Instant) -> bool {
        let due_later = |entry: &ReportEntry| match entry.phase {
            DeliveryPhase::Active => false,
            DeliveryPhase::Waiting(due) => due.is_none_or(|due| due >= deadline),
            DeliveryPhase::Ended => true,
        };
        self.unfinished == 0 || (self.active == 0 && self.entries.iter().all(due_later))
    }
}

/// The state of one delivery.
struct ReportEntry {
    report: DeliveryReport,
    phase: DeliveryPhase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeliveryPhase {
    /// An attempt is under way, or may begin at any moment.
    Active,
    /// No attempt begins before this; `None`: it waits for something that no call waits for.
    Waiting(Option<Instant>),
    Ended,
}

impl Task {
    /// Creates a task from the current reports. A report with an outcome other than pending has ended.
    pub fn new(
        id: String,
        log: TaskLog,
        warnings: Vec<String>,
        reports: impl IntoIterator<Item = DeliveryReport>,
        observer: Option<Arc<dyn DeliveryObserver>>,
    ) -> Arc<Self> {
        Self::accepted_at(Instant::now(), id, log, warnings, reports, observer)
    }

    /// Creates the task of a request that another process delivers or has delivered. It never changes here.
    pub fn elsewhere(id: String, warnings: Vec<String>, reports: Vec<DeliveryReport>) -> Arc<Self> {
        let task = Self::new(id, TaskLog::new(None), warnings, reports, None);
        task.freeze();
        task
    }

    /// A request that was accepted at that moment, maybe by another process.
    pub fn accepted_at(
        accepted: Instant,
        id: String,
        log: TaskLog,
        warnings: Vec<String>,
        reports: impl IntoIterator<Item = DeliveryReport>,
        observer: Option<Arc<dyn DeliveryObserver>>,
    ) -> Arc<Self> {
        let entries: Vec<ReportEntry> = reports
            .into_iter()
            .map(|report| ReportEntry {
                phase: match report.outcome {
                    Outcome::Pending(_) => DeliveryPhase::Active,
                    _ => DeliveryPhase::Ended,
                },
                report,
            })
            .collect();
        let unfinished = entries
            .iter()
            .filter(|entry| entry.phase != DeliveryPhase::Ended)
            .count();
        Arc::new(Self {
            id,
            accepted,
            log,
            observer,
            warnings,
            state: Mutex::new(TaskState {
                ended: (unfinished == 0).then(|| Ended::now(&entries)),
                entries,
                warnings: Vec::new(),
                unfinished,
                active: unfinished,
            }),
            settled: Condvar::new(),
            changed: Notify::new(),
        })
    }

    /// Blocks until the time to respond: everything has ended, `deadline`, or no change can happen before `deadline`.
    ///
    /// This does not use the runtime: its timer would wake a worker and share its lock each time.
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
        self.unfinished() == 0
    }

    /// Deliveries that have not ended.
    pub fn unfinished(&self) -> usize {
        self.lock().unfinished
    }

    /// Returns when the last delivery ended, or `None` while one is in flight.
    pub fn ended_at(&self) -> Option<Instant> {
        self.lock().ended.map(|ended| ended.at)
    }

    /// Returns whether all deliveries ended, and at least one was delivered.
    pub fn has_delivered(&self) -> bool {
        self.lock().ended.is_some_and(|ended| ended.has_delivered)
    }

    /// Returns whether all deliveries ended, and all failed.
    pub fn has_failed(&self) -> bool {
        self.lock().ended.is_some_and(|ended| ended.has_failed)
    }

    /// Bytes that it takes in memory, roughly.
    pub fn size(&self) -> usize {
        let state = self.lock();
        let entries = state.entries.iter().map(|entry| entry.report.size());
        let late = state.warnings.iter().map(String::len);
        Self::size_without_reports(&self.id, &self.warnings) + entries.chain(late).sum::<usize>()
    }

    /// [`Self::size`] of a task with this id and these warnings, without its reports.
    pub fn size_without_reports(id: &str, warnings: &[String]) -> usize {
        let warnings = warnings.iter();
        let warnings = warnings.map(|warning| size_of::<String>() + warning.len());
        size_of::<Self>() + id.len() + warnings.sum::<usize>()
    }

    /// The warnings of the request.
    pub fn warnings(&self) -> Vec<String> {
        let state = self.lock();
        self.warnings
            .iter()
            .chain(&state.warnings)
            .cloned()
            .collect()
    }

    /// Adds a warning of a delivery; `false`: it is there already, or there are too many.
    pub fn warn(&self, warning: String) -> bool {
        let mut state = self.lock();
        let is_new = state.warnings.len() < MAX_LATE_WARNINGS && !state.warnings.contains(&warning);
        if is_new {
            state.warnings.push(warning);
        }
        is_new
    }

    /// Returns the current report of each delivery.
    pub fn reports(&self) -> Vec<DeliveryReport> {
        let now = Instant::now();
        let state = self.lock();
        let current = state.entries.iter().map(|entry| {
            let mut report = entry.report.clone();
            if entry.phase != DeliveryPhase::Ended {
                report.elapsed = now - self.accepted;
            }
            if let DeliveryPhase::Waiting(Some(due)) = entry.phase {
                report.next_attempt_in = Some(due.saturating_duration_since(now));
            }
            report
        });
        current.collect()
    }

    /// An attempt is under way, or may be at any moment.
    pub fn active(&self, index: usize) {
        self.enter(index, DeliveryPhase::Active);
    }

    /// No attempt begins before `due`; `None`: it waits for something that no call waits for.
    pub fn waiting(&self, index: usize, due: Option<Instant>) {
        self.enter(index, DeliveryPhase::Waiting(due));
    }

    /// Replaces the reports: another process delivers the request, or has delivered it. No call waits here any more.
    pub fn adopt(&self, reports: Vec<DeliveryReport>) {
        for report in reports {
            let index = report.index;
            self.update(index, |current| *current = report);
        }
        self.freeze();
    }

    /// Another process runs the open deliveries.
    fn freeze(&self) {
        let count = self.lock().entries.len();
        for index in 0..count {
            self.enter(index, DeliveryPhase::Ended);
        }
    }

    /// This process no longer runs the delivery. Its report stays unchanged.
    pub fn leave(&self, index: usize) {
        self.enter(index, DeliveryPhase::Ended);
    }

    /// Changes the report of a delivery.
    pub fn update(&self, index: usize, change: impl FnOnce(&mut DeliveryReport)) {
        if let Some(entry) = self.lock().entries.get_mut(index) {
            change(&mut entry.report);
        }
    }

    /// Records that the delivery is pending. `failure` is that of its last attempt.
    pub fn pending(&self, index: usize, failure: Failure) {
        self.update(index, |report| {
            report.outcome = Outcome::Pending(Some(failure))
        });
    }

    /// Returns the current report of one delivery.
    pub fn report(&self, index: usize) -> Option<DeliveryReport> {
        let state = self.lock();
        state.entries.get(index).map(|entry| entry.report.clone())
    }

    /// Sets a delivery's outcome and returns its last report. The delivery ends with `leave`.
    pub fn conclude(&self, index: usize, outcome: Outcome) -> Option<DeliveryReport> {
        let elapsed = self.accepted.elapsed();
        self.observe(index, &outcome);
        let mut state = self.lock();
        let report = &mut state.entries.get_mut(index)?.report;
        report.outcome = outcome;
        report.elapsed = elapsed;
        Some(report.clone())
    }

    /// Asks the observer for the present content of a delivery.
    pub fn renew(&self, index: usize) -> Option<Renewal> {
        self.observer.as_ref()?.renew(&self.id, index)
    }

    /// Tells the observer of the outcome before the call gets its response.
    fn observe(&self, index: usize, outcome: &Outcome) {
        if let Some(observer) = &self.observer {
            observer.ended(&self.id, index, outcome);
        }
    }

    fn enter(&self, index: usize, phase: DeliveryPhase) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(entry) = state.entries.get_mut(index) else {
            return;
        };
        let before = std::mem::replace(&mut entry.phase, phase);
        match (before, phase) {
            (DeliveryPhase::Ended, _) => {
                entry.phase = DeliveryPhase::Ended;
                return;
            }
            (DeliveryPhase::Active, DeliveryPhase::Active) => return,
            (DeliveryPhase::Active, _) => state.active -= 1,
            (DeliveryPhase::Waiting(_), DeliveryPhase::Active) => state.active += 1,
            (DeliveryPhase::Waiting(_), _) => {}
        }
        if phase == DeliveryPhase::Ended {
            state.unfinished -= 1;
            if state.unfinished == 0 {
                state.ended = Some(Ended::now(&state.entries));
            }
        }
        // Waiters check only when the task may have ended.
        if state.active == 0 {
            drop(guard);
            self.settled.notify_all();
            self.changed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, TaskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
