//! Deliveries that end without being tried.

use std::sync::Arc;
use std::time::Duration;

use super::deliver::{end_task, wait_until_noted};
use super::durability::Kept;
use super::{Dispatcher, Task};
use crate::channels;
use crate::model::outcome::{Failure, Outcome};
use crate::model::plan::Sending;
use crate::observe::{Event, LineLimiter, LogLevel, MAX_LINES};

/// Deliveries of one request that end without being tried: one request may have ten thousand.
pub struct Untried<'a> {
    task: &'a Arc<Task>,
    lines: LineLimiter,
    /// For the errors of the status view.
    errors: LineLimiter,
    pub has_failed: bool,
}

/// Of the last errors that the status view shows, so many may be one request's.
const MAX_ERRORS: usize = 5;

impl<'a> Untried<'a> {
    pub const fn new(task: &'a Arc<Task>) -> Self {
        Self {
            task,
            lines: LineLimiter::new(MAX_LINES),
            errors: LineLimiter::new(MAX_ERRORS),
            has_failed: false,
        }
    }
}

impl Dispatcher {
    /// What cannot even be tried has ended.
    pub(super) fn reject(
        &self,
        untried: &Untried<'_>,
        index: usize,
        sender: &str,
        failure: Failure,
        path: Option<&str>,
        kept: Option<Box<Kept>>,
    ) {
        let task = untried.task;
        let outcome = Outcome::Failed(failure.clone());
        if untried.lines.admit() {
            let line = task.log.log(&Event::NotTried {
                sender,
                failure: &failure,
                path,
            });
            if untried.errors.admit() {
                self.engine.errors.push(line);
            }
        }
        // The name is the caller's: only ours become labels.
        let known = channels::find(sender).map_or("unknown", |spec| spec.key);
        self.engine.metrics.ended(known, &outcome, Duration::ZERO);
        let note = end_task(task, index, outcome, kept.as_deref());
        if let Some((kept, note)) = kept.zip(note) {
            let (engine, task) = (Arc::clone(&self.engine), Arc::clone(task));
            tokio::spawn(async move { wait_until_noted(&engine, &task, index, &kept, note).await });
        }
    }

    pub(super) fn ended_at_once(
        &self,
        untried: &Untried<'_>,
        index: usize,
        sender: &str,
        sending: &Sending,
        outcome: &Outcome,
    ) {
        self.engine.metrics.ended(sender, outcome, Duration::ZERO);
        if untried.lines.admit() {
            untried.task.log.log(&Event::Ended {
                destination: &sending.channel.destination().label,
                outcome,
                http_status: None,
                attempts: 0,
                elapsed: Duration::ZERO,
            });
        }
        untried.task.record(index);
    }
}

impl Untried<'_> {
    /// Says how many have no line of their own.
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
