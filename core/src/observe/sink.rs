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
    /// `log`: whose lines it is among.
    pub fn emit(&self, log: &TaskLog, event: &Event<'_>) {
        self.metrics.count(event);
        let line = log.log(event);
        if event.is_shown_in_status() {
            self.errors.push(line);
        }
    }
}
