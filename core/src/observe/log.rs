//! Queues log lines until a call can pass them to the engine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::event::{Event, LogLevel};
use super::history::{OnWritten, Recorder};
use super::line::LogLine;
use crate::model::notification::Notification;
use crate::model::report::HistoryRow;
use crate::panics::lock;

/// Takes lines after the call has returned. Never blocks: deliveries log from the runtime's workers.
pub trait LogReceiver: Send + Sync {
    fn push(&self, line: LogLine);
}

/// The lines of one request: collected while its call is under way, then passed on as they come.
pub struct TaskLog {
    task_id: Option<String>,
    /// Lines below are not written.
    least: LogLevel,
    recorder: Option<Box<Recorder>>,
    lines: Mutex<LogBuffer>,
}

enum LogBuffer {
    Collected {
        /// The opening line is due: see [`TaskLog::line`].
        is_opening_due: bool,
        lines: Vec<LogLine>,
    },
    Late(Arc<dyn LogReceiver>),
    /// The last delivery has ended: no more lines follow.
    Closed,
}

/// The maximum number of lines. The engine keeps 10,000 rows for all plugins, so more lines of one call would only
/// displace each other.
const MAX_COLLECTED: usize = 10_000;

impl TaskLog {
    pub fn new(task_id: Option<String>) -> Self {
        Self {
            task_id,
            least: LogLevel::Info,
            recorder: None,
            lines: Mutex::new(LogBuffer::Collected {
                is_opening_due: false,
                lines: Vec::new(),
            }),
        }
    }

    /// With a history of the deliveries.
    pub fn recording(mut self, recorder: Option<Recorder>) -> Self {
        self.recorder = recorder.map(Box::new);
        self
    }

    /// A log that drops lines below `least`, for many requests at once.
    pub const fn from_level(mut self, least: LogLevel) -> Self {
        self.least = least;
        self
    }

    /// The history of another notification that this one's settings are for.
    pub fn recorder_of(&self, notification: &Notification) -> Option<Recorder> {
        let recorder = self.recorder.as_ref()?;
        Some(recorder.of(notification))
    }

    /// The event's row of the history; `None`: it has none, or there is no history.
    pub(super) fn history_row(&self, event: &Event<'_>) -> Option<HistoryRow> {
        let recorder = self.recorder.as_ref()?;
        recorder.row(self.task_id.as_ref()?, event)
    }

    /// Lines a row up for the database; `written` is called once it need not be stored any more.
    pub(super) fn record(&self, row: HistoryRow, written: Option<OnWritten>) {
        if let Some(recorder) = &self.recorder {
            recorder.record(row, written);
        }
    }

    /// Returns the event's line, if it is due now. The line that opens a request with one delivery is deferred. It is
    /// written only if the call ends without another line, or before the delivery ends. The line of the end says more,
    /// and each line costs a server 0.25 ms.
    pub(super) fn line(&self, event: &Event<'_>) -> Option<LogLine> {
        if let Event::Accepted { deliveries: 1 } = event
            && let LogBuffer::Collected { is_opening_due, .. } = &mut *self.lock()
        {
            *is_opening_due = true;
            return None;
        }
        event.line(self.task_id.as_deref())
    }

    fn opening(&self) -> Option<LogLine> {
        let line = Event::Accepted { deliveries: 1 }.line(self.task_id.as_deref());
        line.filter(|line| line.level >= self.least)
    }

    /// Writes a line.
    pub(super) fn write(&self, line: LogLine) {
        if line.level >= self.least {
            self.push(line);
        }
    }

    /// Writes a line of another task.
    pub fn push(&self, line: LogLine) {
        match &mut *self.lock() {
            LogBuffer::Collected { lines, .. } if lines.len() < MAX_COLLECTED => lines.push(line),
            LogBuffer::Collected { .. } | LogBuffer::Closed => {}
            LogBuffer::Late(late) => late.push(line),
        }
    }

    /// The lines so far; those to come go to `late`.
    pub fn hand_over(&self, late: Arc<dyn LogReceiver>) -> Vec<LogLine> {
        match std::mem::replace(&mut *self.lock(), LogBuffer::Late(late)) {
            LogBuffer::Collected {
                is_opening_due,
                lines,
            } => {
                let opening = is_opening_due.then(|| self.opening()).flatten();
                opening.into_iter().chain(lines).collect()
            }
            LogBuffer::Late(_) | LogBuffer::Closed => Vec::new(),
        }
    }

    /// The lines so far, where none will come later.
    pub fn take(&self) -> Vec<LogLine> {
        match std::mem::replace(&mut *self.lock(), LogBuffer::Closed) {
            LogBuffer::Collected {
                is_opening_due: true,
                lines,
            } if lines.is_empty() => self.opening().into_iter().collect(),
            LogBuffer::Collected { lines, .. } => lines,
            LogBuffer::Late(_) | LogBuffer::Closed => Vec::new(),
        }
    }

    /// Releases the engine's logger when no more lines follow.
    pub fn close(&self) {
        let mut lines = self.lock();
        if matches!(*lines, LogBuffer::Late(_)) {
            *lines = LogBuffer::Closed;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LogBuffer> {
        lock(&self.lines)
    }
}

/// Receives the lines of recovered deliveries, which belong to no call. They wait for the next call.
#[derive(Default)]
pub struct LogPort {
    state: Mutex<Port>,
}

#[derive(Default)]
struct Port {
    late: Option<Arc<dyn LogReceiver>>,
    waiting: VecDeque<LogLine>,
}

impl LogPort {
    /// Sends later lines to `late`, and returns the waiting lines.
    pub fn connect(&self, late: Arc<dyn LogReceiver>) -> Vec<LogLine> {
        let mut port = lock(&self.state);
        port.late = Some(late);
        port.waiting.drain(..).collect()
    }
}

impl LogReceiver for LogPort {
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
