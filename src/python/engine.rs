//! `influxdb3_local`, the engine's side of a call.

use pyo3::intern;
use pyo3::prelude::*;

use crate::observe::{LogLevel, LogLine};

/// Hands lines to the engine's logger. What it raises is dropped: a log line is no reason to fail an answer.
pub fn write(influxdb3_local: &Bound<'_, PyAny>, lines: &[LogLine]) {
    let py = influxdb3_local.py();
    for line in lines {
        let method = match line.level {
            LogLevel::Info => intern!(py, "info"),
            LogLevel::Warn => intern!(py, "warn"),
            LogLevel::Error => intern!(py, "error"),
        };
        let _ = influxdb3_local.call_method1(method, (line.text.as_str(),));
    }
}
