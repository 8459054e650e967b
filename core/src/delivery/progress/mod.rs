//! A delivery's reports: to its task, which answers the call, and to the store, from which another process may recover
//! it.

pub mod store;
pub mod task;

use std::sync::Arc;

use tokio::time::Instant;

use self::store::{EndNote, StoreEntry};
use self::task::Task;
use super::services::Services;
use crate::model::observer::Renewal;
use crate::model::outcome::{Failure, Outcome};
use crate::model::report::{DeliveryReport, HistoryRow};
use crate::observe::{Event, Outputs, Sink};
use crate::store::StoreError;

/// The link from a delivery to its task and to the store.
pub struct Progress {
    pub task: Arc<Task>,
    /// Its index in the request.
    pub index: usize,
    /// None: it is not stored.
    pub entry: Option<Box<StoreEntry>>,
}

impl Progress {
    /// What to send in place of content that nobody has seen yet.
    pub fn renew(&self) -> Option<Renewal> {
        self.task.renew(self.index)
    }

    /// An attempt is under way, or may begin at any moment.
    pub fn attempting(&self) {
        self.task.active(self.index);
    }

    /// No attempt will begin before `due`.
    pub fn waiting_until(&self, due: Instant) {
        self.task.waiting(self.index, Some(due));
    }

    /// Marks the delivery as waiting for an event that no call awaits.
    pub fn waiting(&self) {
        self.task.waiting(self.index, None);
    }

    /// The delivery is pending; `failure` is the last failure.
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

    /// This process no longer runs the delivery. Its report stays unchanged.
    pub fn leave(&self) {
        self.task.leave(self.index);
    }

    /// Ends the delivery, reports that, and asks the store to write it.
    pub fn end(&self, sink: &Sink, outcome: Outcome) -> Option<EndNote> {
        self.end_as(sink, Outputs::All, outcome, |report| Event::Ended(report))
    }

    /// The same, where the end is another event or one of many.
    pub fn end_as(
        &self,
        sink: &Sink,
        outputs: Outputs,
        outcome: Outcome,
        event: impl FnOnce(&DeliveryReport) -> Event<'_>,
    ) -> Option<EndNote> {
        let report = self.task.conclude(self.index, outcome)?;
        let mut note = None;
        let store = |row: Option<&HistoryRow>| {
            let entry = self.entry.as_ref()?;
            note = Some(entry.end(report.clone(), row.cloned()));
            row.map(|_| entry.forget_row())
        };
        sink.emit_to(outputs, &self.task.log, &event(&report), store);
        // The log line and the history row are written before the task counts as ended.
        self.task.leave(self.index);
        note
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
            let event = Event::StoreFailed {
                destination: destination.unwrap_or_default(),
                message: &format!("its end was not noted: {error} {}", error.hint()),
            };
            services.sink.emit(&self.task.log, &event);
        };
        entry.noted(note, failed).await;
    }
}
