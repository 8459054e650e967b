//! Where events go.

use std::sync::Arc;

use super::event::Event;
use super::log::TaskLog;
use super::metrics::Metrics;
use super::recent::RecentErrors;

/// Takes each event to every output that has a place for it: the log, the metrics, the last errors. The outputs choose:
/// [`Event::line`], [`Metrics::count`], [`Event::is_shown_in_status`].
#[derive(Clone, Default)]
pub struct Sink {
    pub metrics: Arc<Metrics>,
    pub errors: Arc<RecentErrors>,
}

impl Sink {
    /// Writes the event's line to `log`.
    pub fn emit(&self, log: &TaskLog, event: &Event<'_>) {
        self.metrics.count(event);
        let line = log.log(event);
        if event.is_shown_in_status() {
            self.errors.push(line);
        }
    }

    /// One of many: the status view has room for others.
    pub fn emit_unshown(&self, log: &TaskLog, event: &Event<'_>) {
        self.metrics.count(event);
        log.log(event);
    }

    /// One of very many: the log has room for others too.
    pub fn count(&self, event: &Event<'_>) {
        self.metrics.count(event);
    }
}
