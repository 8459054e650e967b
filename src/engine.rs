//! `influxdb3_local`, the engine's side of a call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;

use super::slice::Slice;
use notifier_core::observe::{Event, LogLevel, LogLine, TaskLog};
use notifier_core::plugin::Notifier;
use notifier_core::text::{printable, truncate};

/// The trigger's own cache has the mark under this name, for as long as there is the trigger.
const MARK: &str = "influxdb3-notifier trigger";

/// The mark of the trigger that calls, which no other trigger of the process has. `None`: the engine has no cache, or the
/// cache does not work.
pub fn trigger_mark(influxdb3_local: &Bound<'_, PyAny>) -> Option<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let py = influxdb3_local.py();
    let cache = influxdb3_local.getattr(intern!(py, "cache")).ok()?;
    let key = intern!(py, MARK);
    let mark = cache
        .call_method1(intern!(py, "get"), (key, py.None(), false))
        .ok()?;
    if let Ok(mark) = mark.extract() {
        return Some(mark);
    }
    // The first calls of a trigger may come at once: then the last one's mark stays.
    let mark = NEXT.fetch_add(1, Ordering::Relaxed);
    cache
        .call_method1(intern!(py, "put"), (key, mark, py.None(), false))
        .ok()?;
    Some(mark)
}

/// Hands lines to the engine's logger. What it raises is dropped: a log line is no reason to fail an answer.
pub fn write(influxdb3_local: &Bound<'_, PyAny>, lines: &[LogLine]) {
    for line in lines {
        let _ = write_line(influxdb3_local, line);
    }
}

/// Hands one line to a logger; what it raises may be an interrupt.
pub fn write_line(influxdb3_local: &Bound<'_, PyAny>, line: &LogLine) -> PyResult<()> {
    let py = influxdb3_local.py();
    let method = match line.level {
        LogLevel::Info => intern!(py, "info"),
        LogLevel::Warn => intern!(py, "warn"),
        LogLevel::Error => intern!(py, "error"),
    };
    influxdb3_local
        .call_method1(method, (line.text.as_str(),))
        .map(drop)
}

/// A line of line protocol, in the form that the engine takes.
#[pyclass(frozen)]
struct ProtocolLine(String);

#[pymethods]
impl ProtocolLine {
    /// The line.
    fn build(&self) -> &str {
        &self.0
    }
}

/// Writes rows of the history to the trigger's database, for so long. Only the thread of the call may, and only while it
/// lasts. Where the database takes none, no further ones are made; the log says so once.
pub fn write_history(
    influxdb3_local: &Bound<'_, PyAny>,
    notifier: &Notifier,
    config: &str,
    time: Duration,
) {
    let (until, mut slice) = (Instant::now() + time, Slice::begin());
    let (py, history) = (influxdb3_local.py(), notifier.history());
    while let Some(row) = history.next(config) {
        let line = Bound::new(py, ProtocolLine(row.line().to_owned()));
        let written = line.and_then(|line| {
            // Without waiting for the write-ahead log.
            influxdb3_local.call_method1(intern!(py, "write_sync"), (line, true))
        });
        if let Err(error) = written {
            history.turn_off(config, row);
            let why = truncate(&printable(&error.to_string()), MAX_CHARACTERS);
            let log = TaskLog::new(None);
            let off = Event::HistoryOff { why: &why };
            notifier.sink().emit(&log, &off);
            write(influxdb3_local, &log.take());
            return;
        }
        row.done();
        slice.pause(py);
        if Instant::now() >= until {
            return;
        }
    }
}

/// Of what the engine says.
const MAX_CHARACTERS: usize = 300;
