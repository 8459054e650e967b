//! Distributes events to the outputs.

use std::sync::Arc;

use super::event::Event;
use super::history::OnWritten;
use super::log::TaskLog;
use super::metrics::Metrics;
use super::recent::RecentErrors;
use crate::model::report::HistoryRow;
use crate::panics::catch_panic;

/// Passes each event to the outputs that handle it: the metrics, the log, the last errors, the history. Each output has a
/// table of events: [`Metrics::count`], [`Event::line`], [`Event::is_shown_in_status`], `Recorder::row`.
#[derive(Clone, Default)]
pub struct Sink {
    pub metrics: Arc<Metrics>,
    pub errors: Arc<RecentErrors>,
}

/// The outputs that still accept one of many events. A request may have ten thousand of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outputs {
    All,
    AllButStatus,
    Metrics,
}

impl Sink {
    /// `log` has the event's line and its row of the history.
    pub fn emit(&self, log: &TaskLog, event: &Event<'_>) {
        self.emit_to(Outputs::All, log, event, |_| None);
    }

    /// Like [`Self::emit`], but only to some outputs, or while a store records the end of a delivery. `store` gets the
    /// event's history row, if there is one, before any call can write that to the database. So the store writes both
    /// in one transaction. A crash in between would lose the row, or write it again for a delivery that another process
    /// ends. `store` returns the function to call when the row is in the database.
    pub fn emit_to(
        &self,
        outputs: Outputs,
        log: &TaskLog,
        event: &Event<'_>,
        store: impl FnOnce(Option<&HistoryRow>) -> Option<OnWritten>,
    ) {
        self.metrics.count(event);
        // A panic loses only this line.
        let _ = catch_panic(|| self.write_line(outputs, log, event));
        let has_room = outputs != Outputs::Metrics;
        let row = has_room.then(|| log.history_row(event)).flatten();
        let written = store(row.as_ref());
        if let Some(row) = row {
            log.record(row, written);
        }
    }

    fn write_line(&self, outputs: Outputs, log: &TaskLog, event: &Event<'_>) {
        if outputs == Outputs::Metrics {
            return;
        }
        let Some(line) = log.line(event) else { return };
        if outputs == Outputs::All && event.is_shown_in_status() {
            self.errors.push(line.clone());
        }
        log.write(line);
    }
}
