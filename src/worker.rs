//! What a worker calls: a process outside the database that delivers what an outbox holds.

use std::collections::BTreeMap;
use std::time::Duration;

use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use super::engine;
use super::process::{call, connect, current_process, with_variables};
use notifier_core::plugin::{Body, ClaimReport};

/// Takes over what belongs to nobody, for a process outside the database; gives back how much, or why it could not.
#[pyfunction]
pub fn work<'py>(
    py: Python<'py>,
    log: &Bound<'py, PyAny>,
    arguments: BTreeMap<String, String>,
    claimed_config_path: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let worked = current_process().and_then(|process| {
        with_variables(py, process, call(arguments), |call| {
            process.notifier.work(call, claimed_config_path)
        })
    });
    let (taken, trouble) = match worked {
        Ok(ClaimReport {
            lines,
            port,
            taken,
            trouble,
        }) => {
            engine::write(log, &lines);
            connect(log, port.as_deref());
            let trouble = trouble.map(|trouble| NotWorked {
                message: trouble.error.message,
                hint: trouble.error.hint,
                passes: trouble.passes,
            });
            (taken, trouble)
        }
        Err(response) => match response.body {
            Body::Error(answer) => {
                let trouble = NotWorked {
                    message: answer.message,
                    hint: answer.error.hint,
                    passes: false,
                };
                (0, Some(trouble))
            }
            _ => (0, None),
        },
    };
    Ok(pythonize(py, &ClaimRoundReport { taken, trouble })?)
}

/// What came of one round.
#[derive(Serialize)]
struct ClaimRoundReport {
    /// Requests that were taken over.
    taken: usize,
    trouble: Option<NotWorked>,
}

/// Why nothing was taken over.
#[derive(Serialize)]
struct NotWorked {
    message: String,
    hint: String,
    /// Whether it may be otherwise at the next time.
    passes: bool,
}

/// Takes over nothing more, waits for what is in flight, at most so many seconds, and lets others have the rest; gives back
/// how many deliveries that are.
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
