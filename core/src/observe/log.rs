//! Where log lines wait until somebody may hand them to the engine.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::event::{Event, LogLevel};
use super::history::{OnWritten, Recorder};
use super::line::LogLine;
use crate::model::notification::Notification;
use crate::model::report::{DeliveryReport, HistoryRow};
use crate::panics::lock;

/// Takes lines after the call has returned. Never blocks: deliveries log from the runtime's workers.
pub trait LateLog: Send + Sync {
    fn push(&self, line: LogLine);
}

/// Lets the first of many lines through, and counts the rest for a line that sums them up: one request, or one batch of rows,
/// must not push everybody's lines out of the engine's log.
pub struct LineLimiter {
    most: usize,
    seen: AtomicUsize,
}

/// Lines of one kind that one request or one batch writes.
pub const MAX_LINES: usize = 100;

impl LineLimiter {
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            seen: AtomicUsize::new(0),
        }
    }

    /// Whether the next line may be written.
    pub fn admit(&self) -> bool {
        self.seen.fetch_add(1, Ordering::Relaxed) < self.most
    }

    /// Lines that were not.
    pub fn left_out(&self) -> usize {
        self.seen.load(Ordering::Relaxed).saturating_sub(self.most)
    }
}

/// The lines of one request: collected while its call is under way, then passed on as they come.
pub struct TaskLog {
    task_id: Option<String>,
    /// Lines below are not written.
    least: LogLevel,
    recorder: Option<Box<Recorder>>,
    lines: Mutex<Lines>,
}

enum Lines {
    Collected(Vec<LogLine>),
    Late(Arc<dyn LateLog>),
    /// The last delivery has ended: nothing will come any more.
    Closed,
}

/// The engine keeps 10,000 rows for all its plugins: more from one call would only push out one another.
const MAX_COLLECTED: usize = 10_000;

impl TaskLog {
    pub fn new(task_id: Option<String>) -> Self {
        Self {
            task_id,
            least: LogLevel::Info,
            recorder: None,
            lines: Mutex::new(Lines::Collected(Vec::new())),
        }
    }

    /// With a history of the deliveries.
    pub fn recording(mut self, recorder: Option<Recorder>) -> Self {
        self.recorder = recorder.map(Box::new);
        self
    }

    /// Of many that come at once: none of them writes a line below this.
    pub const fn from_level(mut self, least: LogLevel) -> Self {
        self.least = least;
        self
    }

    /// The history of another notification that this one's settings are for.
    pub fn recorder_of(&self, notification: &Notification) -> Option<Recorder> {
        let recorder = self.recorder.as_ref()?;
        Some(recorder.of(notification))
    }

    pub const fn has_history(&self) -> bool {
        self.recorder.is_some()
    }

    /// The history's row of a delivery that has ended; none where there is no history.
    pub fn history_row(&self, report: &DeliveryReport) -> Option<HistoryRow> {
        let recorder = self.recorder.as_ref()?;
        Some(recorder.row(self.task_id.as_ref()?, report))
    }

    /// Lines a row up for the database; `written` is called once it need not be stored any more.
    pub fn record(&self, row: HistoryRow, written: Option<OnWritten>) {
        if let Some(recorder) = &self.recorder {
            recorder.record(row, written);
        }
    }

    /// Writes an event; gives back the line.
    pub fn log(&self, event: &Event<'_>) -> LogLine {
        let line = event.line(self.task_id.as_deref());
        if line.level >= self.least {
            self.push(line.clone());
        }
        line
    }

    /// Writes a line of another task that is told of here.
    pub fn push(&self, line: LogLine) {
        match &mut *self.lock() {
            Lines::Collected(lines) if lines.len() < MAX_COLLECTED => lines.push(line),
            Lines::Collected(_) | Lines::Closed => {}
            Lines::Late(late) => late.push(line),
        }
    }

    /// The lines so far; those to come go to `late`.
    pub fn hand_over(&self, late: Arc<dyn LateLog>) -> Vec<LogLine> {
        match std::mem::replace(&mut *self.lock(), Lines::Late(late)) {
            Lines::Collected(lines) => lines,
            Lines::Late(_) | Lines::Closed => Vec::new(),
        }
    }

    /// The lines so far, where none will come later.
    pub fn take(&self) -> Vec<LogLine> {
        match std::mem::replace(&mut *self.lock(), Lines::Closed) {
            Lines::Collected(lines) => lines,
            Lines::Late(_) | Lines::Closed => Vec::new(),
        }
    }

    /// Lets go of the engine's logger once nothing will be logged any more.
    pub fn close(&self) {
        let mut lines = self.lock();
        if matches!(*lines, Lines::Late(_)) {
            *lines = Lines::Closed;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lines> {
        lock(&self.lines)
    }
}

/// The way of lines of no call of this process: those of deliveries that were taken over. They wait until a call comes.
#[derive(Default)]
pub struct LogPort {
    state: Mutex<Port>,
}

#[derive(Default)]
struct Port {
    late: Option<Arc<dyn LateLog>>,
    waiting: VecDeque<LogLine>,
}

impl LogPort {
    /// From now on lines go to this one; those that wait are given back.
    pub fn connect(&self, late: Arc<dyn LateLog>) -> Vec<LogLine> {
        let mut port = lock(&self.state);
        port.late = Some(late);
        port.waiting.drain(..).collect()
    }
}

impl LateLog for LogPort {
    fn push(&self, line: LogLine) {
        let mut port = lock(&self.state);
        match &port.late {
            Some(late) => late.push(line),
            None => {
                if port.waiting.len() >= MAX_COLLECTED {
                    port.waiting.pop_front();
                }
                port.waiting.push_back(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_pass_and_the_rest_is_counted() {
        for (most, lines, passed, left_out) in
            [(0, 3, 0, 3), (2, 0, 0, 0), (2, 2, 2, 0), (2, 5, 2, 3)]
        {
            let limiter = LineLimiter::new(most);
            let admitted = (0..lines).filter(|_| limiter.admit()).count();
            assert_eq!((admitted, limiter.left_out()), (passed, left_out));
        }
    }
}
