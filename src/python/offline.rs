//! What the command line calls. Nothing is sent but by [`send`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use super::{engine, entry};
use crate::notifier::{Body, Call, CallLog};
use crate::observe::{LateLog, LogLine};
use crate::offline::{Check, Given, Opened, Refused, moment};
use crate::panics::guarded;
use crate::settings::Environment;

/// One of both, as the command line reads it.
#[derive(Serialize)]
struct Said<T> {
    refused: Option<Refused>,
    result: Option<T>,
}

impl<T> From<Result<T, Refused>> for Said<T> {
    fn from(result: Result<T, Refused>) -> Self {
        match result {
            Ok(result) => Self {
                refused: None,
                result: Some(result),
            },
            Err(refused) => Self {
                refused: Some(refused),
                result: None,
            },
        }
    }
}

/// The whole report on a configuration file.
#[pyfunction]
pub fn check(
    py: Python<'_>,
    path: PathBuf,
    arguments: BTreeMap<String, String>,
    resolve: bool,
) -> PyResult<Bound<'_, PyAny>> {
    answer(py, Some(path), arguments, resolve, |opened| {
        Ok::<Check, Refused>(opened.check())
    })
}

/// Who would get the notification of a request, and why.
#[pyfunction]
pub fn routes(
    py: Python<'_>,
    path: PathBuf,
    request: Vec<u8>,
    arguments: BTreeMap<String, String>,
    resolve: bool,
    at: Option<String>,
) -> PyResult<Bound<'_, PyAny>> {
    answer(py, Some(path), arguments, resolve, move |opened| {
        opened.routes(&request, moment(at.as_deref())?)
    })
}

/// What each channel would be sent.
#[pyfunction]
pub fn render(
    py: Python<'_>,
    path: Option<PathBuf>,
    request: Vec<u8>,
    arguments: BTreeMap<String, String>,
    resolve: bool,
    at: Option<String>,
) -> PyResult<Bound<'_, PyAny>> {
    answer(py, path, arguments, resolve, move |opened| {
        opened.render(&request, moment(at.as_deref())?)
    })
}

/// Every template of a file, and what it makes.
#[pyfunction]
pub fn check_templates(
    py: Python<'_>,
    path: PathBuf,
    request: Option<Vec<u8>>,
    at: Option<String>,
) -> PyResult<Bound<'_, PyAny>> {
    answer(py, Some(path), BTreeMap::new(), false, move |opened| {
        opened.templates(request.as_deref(), moment(at.as_deref())?)
    })
}

/// Reads the environment while the interpreter is held, and files while it is not.
fn answer<T: Serialize + Send>(
    py: Python<'_>,
    path: Option<PathBuf>,
    arguments: BTreeMap<String, String>,
    look_up: bool,
    ask: impl FnOnce(&Opened) -> Result<T, Refused> + Send,
) -> PyResult<Bound<'_, PyAny>> {
    let given = Given {
        path,
        arguments,
        environment: Environment::read(),
        look_up,
    };
    let opened = py.detach(|| guarded(|| Opened::open(given)));
    let said = match opened.map_err(internal)? {
        Err(refused) => Err(refused),
        Ok(mut opened) => {
            opened.named = Environment::named(&opened.variables);
            py.detach(|| guarded(|| ask(&opened))).map_err(internal)?
        }
    };
    Ok(pythonize(py, &Said::from(said))?)
}

fn internal(place: String) -> PyErr {
    PyRuntimeError::new_err(format!("an error of the notifier's own, at {place}"))
}

/// How often it is looked for signals and log lines while deliveries are under way.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Sends a request as the endpoint would, and waits for the end of every delivery, or so many seconds.
///
/// Gives the answer. Log lines go to `log` as they come.
#[pyfunction]
pub fn send<'py>(
    py: Python<'py>,
    log: &Bound<'py, PyAny>,
    request: Vec<u8>,
    arguments: BTreeMap<String, String>,
    wait: Option<f64>,
) -> PyResult<Bound<'py, PyAny>> {
    let begun = Instant::now();
    let call = Call {
        arguments,
        environment: Environment::read(),
        body: request,
        ..Call::default()
    };
    let response = entry::respond(py, call, |response| response);
    let write = |lines: &[LogLine]| {
        lines
            .iter()
            .try_for_each(|line| engine::write_line(log, line))
    };
    write(&response.news)?;
    let task = match response.log {
        CallLog::Closed(lines) => {
            write(&lines.take())?;
            return Ok(match response.body {
                Body::Answer(answer) => pythonize(py, &answer)?,
                Body::Error(error) => pythonize(py, &error)?,
                Body::Status(view) => pythonize(py, &view)?,
                Body::Metrics(text) => pythonize(py, &text)?,
            });
        }
        CallLog::Task(task) => task,
    };
    let lines = Arc::new(Waiting::default());
    write(&task.log.hand_over(Arc::clone(&lines) as Arc<dyn LateLog>))?;
    let limit = wait.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default());
    loop {
        let left = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
        let next = left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY));
        let answer = py.detach(|| guarded(|| entry::wait_ended(&task, next)));
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

/// Lines that wait for the thread that may write them.
#[derive(Default)]
struct Waiting(Mutex<Vec<LogLine>>);

impl Waiting {
    fn take(&self) -> Vec<LogLine> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl LateLog for Waiting {
    fn push(&self, line: LogLine) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line);
    }
}
