//! Deliveries that end without being tried.

use std::sync::Arc;
use std::time::Duration;

use crate::channels;
use crate::delivery::progress::Progress;
use crate::delivery::progress::task::Task;
use crate::delivery::services::Services;
use crate::model::outcome::{Failure, Outcome};
use crate::model::plan::PlannedSend;
use crate::observe::{Event, LineLimiter, LogLevel, MAX_LINES};

/// Of the last errors that the status view shows, so many may be one request's.
const MAX_ERRORS: usize = 5;

/// Deliveries of one request that end without being tried: one request may have ten thousand.
pub struct Untried<'a> {
    services: &'a Arc<Services>,
    task: &'a Arc<Task>,
    lines: LineLimiter,
    /// For the errors of the status view.
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
    pub fn reject(
        &mut self,
        progress: Progress,
        sender: &str,
        failure: Failure,
        path: Option<&str>,
    ) {
        self.has_failed = true;
        let event = Event::NotTried {
            sender,
            // The name is the caller's: only ours become labels.
            label: channels::find(sender).map_or("unknown", |spec| spec.key),
            failure: &failure,
            path,
        };
        let sink = &self.services.sink;
        match self.lines.admit() {
            true if self.errors.admit() => sink.emit(&self.task.log, &event),
            true => sink.emit_unshown(&self.task.log, &event),
            false => sink.count(&event),
        }
        let outcome = Outcome::Failed(failure);
        if let Some(note) = progress.end_quietly(outcome) {
            let services = Arc::clone(self.services);
            tokio::spawn(async move { progress.wait_until_noted(&services, note).await });
        }
    }

    /// Reports a delivery that ended when its request was accepted.
    pub fn ended(&self, index: usize, sender: &str, sending: &PlannedSend, outcome: &Outcome) {
        let event = Event::Ended {
            sender,
            destination: &sending.channel.destination().label,
            outcome,
            http_status: None,
            attempts: 0,
            elapsed: Duration::ZERO,
        };
        match self.lines.admit() {
            true => self.services.sink.emit(&self.task.log, &event),
            false => self.services.sink.count(&event),
        }
        self.task.record(index);
    }

    /// Logs how many have no line of their own.
    pub fn sum_up(&self) {
        let lines = self.lines.left_out();
        if lines > 0 {
            self.task.log.log(&Event::LeftOut {
                level: match self.has_failed {
                    true => LogLevel::Error,
                    false => LogLevel::Info,
                },
                lines,
                what: "deliveries were not tried; the answer has an entry for each",
            });
        }
    }
}
