//! The command `send`: processes a request as the endpoint does, and waits for its deliveries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pythonize::pythonize;

use super::offline::internal;
use super::{engine, process, response};
use notifier_core::observe::{LogLine, LogReceiver};
use notifier_core::panics::{catch_panic, lock};
use notifier_core::plugin::{Call, CallLog};

/// The interval between checks for signals and log lines.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Sends a request as the endpoint does, and waits until every delivery ends, at most `wait` seconds.
///
/// Returns the response body. Writes log lines to `log` immediately.
#[pyfunction]
pub fn send<'py>(
    py: Python<'py>,
    log: &Bound<'py, PyAny>,
    request: Vec<u8>,
    arguments: BTreeMap<String, String>,
    wait: Option<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let start = Instant::now();
    let call = Call {
        body: request,
        ..process::call(arguments)
    };
    let response = process::respond(py, call, |response| response);
    let write = |lines: &[LogLine]| {
        lines
            .iter()
            .try_for_each(|line| engine::write_line(log, line))
    };
    write(&response.pending_log_lines)?;
    let task = match response.log {
        CallLog::Closed(lines) => {
            write(&lines.take())?;
            return response::body_to_python(py, &response.body);
        }
        CallLog::Task(task) => task,
    };
    let lines = Arc::new(LineQueue::default());
    let log = &task.log;
    write(&match task.has_ended() {
        true => log.take(),
        false => log.hand_over(Arc::clone(&lines) as Arc<dyn LogReceiver>),
    })?;
    let limit = wait.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
    loop {
        let left = limit.map(|limit| limit.saturating_sub(start.elapsed()));
        let next = left.map_or(POLL_INTERVAL, |left| left.min(POLL_INTERVAL));
        let answer = py.detach(|| catch_panic(|| process::wait_ended(&task, next)));
        let answer = answer.map_err(internal)?;
        write(&lines.take())?;
        if task.has_ended() || left.is_some_and(|left| left.is_zero()) {
            let body = answer.map(|answer| pythonize(py, &answer)).transpose()?;
            let none = || py.None().into_bound(py);
            return Ok(body.unwrap_or_else(none));
        }
        py.check_signals()?;
    }
}

/// Log lines of other threads, for the thread that holds the interpreter's lock.
#[derive(Default)]
struct LineQueue(Mutex<Vec<LogLine>>);

impl LineQueue {
    fn take(&self) -> Vec<LogLine> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl LogReceiver for LineQueue {
    fn push(&self, line: LogLine) {
        let mut lines = lock(&self.0);
        lines.push(line);
    }
}
