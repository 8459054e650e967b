//! Deliveries that end without being tried.

use std::sync::Arc;

use crate::channels;
use crate::delivery::progress::Progress;
use crate::delivery::progress::task::Task;
use crate::delivery::services::Services;
use crate::model::outcome::{Failure, Outcome};
use crate::observe::{Event, LineLimiter, LogLevel, MAX_LINES, Outputs};

/// Maximum number of last errors from one request in the status view.
const MAX_ERRORS: usize = 5;

/// Deliveries of one request that end without being tried: one request may have ten thousand.
pub struct Untried<'a> {
    services: &'a Arc<Services>,
    task: &'a Arc<Task>,
    lines: LineLimiter,
    /// The label for the errors of the status view.
    errors: LineLimiter,
    has_failed: bool,
}

impl<'a> Untried<'a> {
    pub const fn new(services: &'a Arc<Services>, task: &'a Arc<Task>) -> Self {
        Self {
            services,
            task,
            lines: LineLimiter::new(MAX_LINES),
            errors: LineLimiter::new(MAX_ERRORS),
            has_failed: false,
        }
    }

    /// Ends a delivery that cannot even be tried.
    pub fn reject(&mut self, progress: Progress, sender: &str, failure: Failure) {
        self.has_failed = true;
        // The name is the caller's: only ours become labels.
        let label = channels::find(sender).map_or("unknown", |spec| spec.key);
        let outputs = match self.lines.admit() {
            true if self.errors.admit() => Outputs::All,
            true => Outputs::AllButStatus,
            false => Outputs::Metrics,
        };
        let (sink, outcome) = (&self.services.sink, Outcome::Failed(failure));
        let note = progress.end_as(sink, outputs, outcome, |report| Event::NotTried {
            report,
            label,
        });
        if let Some(note) = note {
            let services = Arc::clone(self.services);
            tokio::spawn(async move { progress.wait_until_noted(&services, note).await });
        }
    }

    /// Reports a delivery that ended when its request was accepted.
    pub fn ended(&self, index: usize) {
        self.emit(index, self.lines.admit());
    }

    /// Reports the decision of the alert state. Another task has the later notifications. Only metrics count an event
    /// that changes nothing.
    pub fn decided(&self, index: usize, outcome: &Outcome) {
        match outcome {
            Outcome::Pending(_) => self.task.leave(index),
            outcome => self.emit(index, !outcome.is_unchanged() && self.lines.admit()),
        }
    }

    fn emit(&self, index: usize, is_shown: bool) {
        let outputs = match is_shown {
            true => Outputs::All,
            false => Outputs::Metrics,
        };
        if let Some(report) = self.task.report(index) {
            let (sink, log) = (&self.services.sink, &self.task.log);
            sink.emit_to(outputs, log, &Event::Ended(&report), |_| None);
        }
    }

    /// Logs the number of deliveries without a line.
    pub fn sum_up(&self) {
        let lines = self.lines.left_out();
        if lines > 0 {
            let left_out = Event::LeftOut {
                level: match self.has_failed {
                    true => LogLevel::Error,
                    false => LogLevel::Info,
                },
                lines,
                noun: "deliveries were not tried; the answer has an entry for each",
            };
            self.services.sink.emit(&self.task.log, &left_out);
        }
    }
}
