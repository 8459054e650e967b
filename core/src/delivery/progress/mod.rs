//! Where a delivery reports: to its task, which answers the call, and to the store, from which another process may recover it.

pub mod store;
pub mod task;

use std::sync::Arc;

use tokio::time::Instant;

use self::store::{EndNote, StoreEntry};
use self::task::Task;
use super::services::Services;
use crate::model::outcome::{Failure, Outcome};
use crate::model::report::DeliveryReport;
use crate::observe::Event;
use crate::panics::catch_panic;
use crate::store::StoreError;

/// One delivery's side of its task and of the store.
pub struct Progress {
    pub task: Arc<Task>,
    /// Its place in the request.
    pub index: usize,
    /// None: it is not stored.
    pub entry: Option<Box<StoreEntry>>,
}

impl Progress {
    /// An attempt is under way, or may begin at any moment.
    pub fn attempting(&self) {
        self.task.active(self.index);
    }

    /// No attempt will begin before `due`.
    pub fn waiting_until(&self, due: Instant) {
        self.task.waiting(self.index, Some(due));
    }

    /// It waits for something that no call waits for.
    pub fn waiting(&self) {
        self.task.waiting(self.index, None);
    }

    /// The delivery goes on: why it has not worked so far.
    pub fn pending(&self, failure: Failure) {
        self.task.pending(self.index, failure);
    }

    /// The status of the last attempt's reply.
    pub fn answered(&self, status: Option<u16>) {
        self.update(|report| report.http_status = status);
    }

    pub fn update(&self, change: impl FnOnce(&mut DeliveryReport)) {
        self.task.update(self.index, change);
    }

    /// This process does not run it any more. Its report stays as it is.
    pub fn leave(&self) {
        self.task.leave(self.index);
    }

    /// Ends the delivery: counts and logs that, and asks the store to note it.
    pub fn end(
        &self,
        services: &Services,
        sender: &str,
        destination: &str,
        outcome: Outcome,
    ) -> Option<EndNote> {
        // Whatever becomes of the line, the delivery ends.
        let _ = catch_panic(|| self.emit_end(services, sender, destination, &outcome));
        // Who waits for the end finds the log line there.
        self.end_quietly(outcome)
    }

    /// Ends the delivery, and asks the store to note it.
    pub fn end_quietly(&self, outcome: Outcome) -> Option<EndNote> {
        let Some(entry) = &self.entry else {
            self.task.end(self.index, outcome);
            return None;
        };
        let store = |report, row: Option<_>| {
            let written = row.as_ref().map(|_| entry.forget_row());
            (entry.end(report, row), written)
        };
        self.task.end_stored(self.index, outcome, store)
    }

    /// Waits until the store has the end.
    pub async fn wait_until_noted(&self, services: &Services, note: EndNote) {
        let Some(entry) = &self.entry else { return };
        let failed = |error: &StoreError| {
            let report = self.task.report(self.index);
            let destination = report.as_ref().map(|report| {
                let label = report.destination.as_deref();
                label.unwrap_or(&report.sender)
            });
            let event = Event::NotKept {
                destination: destination.unwrap_or_default(),
                what: &format!("its end was not noted: {error} {}", error.hint()),
            };
            services.sink.emit(&self.task.log, &event);
        };
        entry.noted(note, failed).await;
    }

    fn emit_end(&self, services: &Services, sender: &str, destination: &str, outcome: &Outcome) {
        let Some(report) = self.task.report(self.index) else {
            return;
        };
        let event = Event::Ended {
            sender,
            destination,
            outcome,
            http_status: report.http_status,
            attempts: report.attempts,
            elapsed: self.task.accepted.elapsed(),
        };
        services.sink.emit(&self.task.log, &event);
    }
}
