//! The functions of a worker, a process outside the database that delivers the requests of an outbox.

use std::collections::BTreeMap;
use std::time::Duration;

use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use super::engine;
use super::process::{call, connect, current_process, with_variables};
use notifier_core::plugin::{Body, ClaimReport};

/// Claims requests without an owner. Returns the number of requests and the error, if there is one.
#[pyfunction]
pub fn work<'py>(
    py: Python<'py>,
    log: &Bound<'py, PyAny>,
    arguments: BTreeMap<String, String>,
    claimed_config_path: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let report = current_process().and_then(|process| {
        with_variables(py, process, call(arguments), |call| {
            process.notifier.work(call, claimed_config_path)
        })
    });
    let (claimed, error) = match report {
        Ok(ClaimReport {
            lines,
            port,
            claimed,
            error,
        }) => {
            engine::write(log, &lines);
            connect(log, port.as_deref());
            let error = error.map(|error| WorkError {
                message: error.error.message,
                hint: error.error.hint,
                retryable: error.is_retryable,
            });
            (claimed, error)
        }
        Err(response) => match response.body {
            Body::Error(answer) => {
                let error = WorkError {
                    message: answer.message,
                    hint: answer.error.hint,
                    retryable: false,
                };
                (0, Some(error))
            }
            _ => (0, None),
        },
    };
    Ok(pythonize(py, &WorkReport { claimed, error })?)
}

/// The result of one claim, for Python.
#[derive(Serialize)]
struct WorkReport {
    /// The number of claimed requests.
    claimed: usize,
    error: Option<WorkError>,
}

/// Why no request was claimed.
#[derive(Serialize)]
struct WorkError {
    message: String,
    hint: String,
    /// Whether a later claim may succeed without a change.
    retryable: bool,
}

/// Stops claiming, waits at most `seconds` for deliveries in flight, and releases the rest. Returns the number of released
/// deliveries.
#[pyfunction]
pub fn stop_work(py: Python<'_>, seconds: f64) -> usize {
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    py.detach(|| current_process().map_or(0, |process| process.notifier.stop_work(limit)))
}

/// The process's metrics, as Prometheus text.
#[pyfunction]
pub fn metrics(py: Python<'_>) -> String {
    py.detach(|| {
        current_process().map_or_else(|_| String::new(), |process| process.notifier.metrics_text())
    })
}
