//! `influxdb3_local`, the engine's object of a call: cache, log and writes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;

use super::slice::GilSlice;
use notifier_core::observe::{Event, LogLevel, LogLine, TaskLog};
use notifier_core::plugin::Notifier;
use notifier_core::text::{printable, truncate};

/// The key of the trigger's ID in the trigger's cache.
const TRIGGER_ID_KEY: &str = "influxdb3-notifier trigger";

/// The ID of the calling trigger, unique in the process. `None`: the engine has no cache, or the cache fails.
pub fn trigger_id(influxdb3_local: &Bound<'_, PyAny>) -> Option<u64> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let py = influxdb3_local.py();
    let cache = influxdb3_local.getattr(intern!(py, "cache")).ok()?;
    let key = intern!(py, TRIGGER_ID_KEY);
    let id = cache
        .call_method1(intern!(py, "get"), (key, py.None(), false))
        .ok()?;
    if let Ok(id) = id.extract() {
        return Some(id);
    }
    // The first calls of a trigger may run at the same time. Then the last ID stays in the cache.
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    cache
        .call_method1(intern!(py, "put"), (key, id, py.None(), false))
        .ok()?;
    Some(id)
}

/// Writes lines to the engine's log. Ignores exceptions: a failed log line must not fail the call.
pub fn write(influxdb3_local: &Bound<'_, PyAny>, lines: &[LogLine]) {
    for line in lines {
        let _ = write_line(influxdb3_local, line);
    }
}

/// Writes one line to a log. The exception that it returns may be an interrupt.
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

/// A line of line protocol. The engine calls `build`, as on its `LineBuilder`.
#[pyclass(frozen)]
struct ProtocolLine(String);

#[pymethods]
impl ProtocolLine {
    fn build(&self) -> &str {
        &self.0
    }
}

/// Writes queued history rows to the trigger's database, for at most `time`. The engine allows writes only on the call's
/// thread and during the call. After a failed write the history is turned off, with one log line.
pub fn write_history(
    influxdb3_local: &Bound<'_, PyAny>,
    notifier: &Notifier,
    config: &str,
    time: Duration,
) {
    let (deadline, mut slice) = (Instant::now() + time, GilSlice::begin());
    let (py, history) = (influxdb3_local.py(), notifier.history());
    while let Some(row) = history.next(config) {
        let line = Bound::new(py, ProtocolLine(row.line().to_owned()));
        let written = line.and_then(|line| {
            // True: the engine does not wait for the write-ahead log.
            influxdb3_local.call_method1(intern!(py, "write_sync"), (line, true))
        });
        if let Err(error) = written {
            history.turn_off(config, row);
            let why = truncate(&printable(&error.to_string()), MAX_ERROR_CHARACTERS);
            let log = TaskLog::new(None);
            let off = Event::HistoryOff { why: &why };
            notifier.sink().emit(&log, &off);
            write(influxdb3_local, &log.take());
            return;
        }
        row.done();
        slice.yield_if_due(py);
        if Instant::now() >= deadline {
            return;
        }
    }
}

/// The length of an engine's error text in a log line.
const MAX_ERROR_CHARACTERS: usize = 300;
