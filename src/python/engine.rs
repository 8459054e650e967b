//! `influxdb3_local`, the engine's side of a call.

use pyo3::intern;
use pyo3::prelude::*;

use crate::observe::{LogLevel, LogLine};

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
