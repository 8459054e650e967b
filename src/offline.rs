//! The commands that read a configuration file and send nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use notifier_core::config::Environment;
use notifier_core::config::report::ProblemReport;
use notifier_core::offline::{Check, CommandInput, LoadedConfig, moment};
use notifier_core::panics::catch_panic;

/// A result or an error, for the command line.
#[derive(Serialize)]
struct CommandOutcome<T> {
    error: Option<ProblemReport>,
    result: Option<T>,
}

impl<T> From<Result<T, ProblemReport>> for CommandOutcome<T> {
    fn from(result: Result<T, ProblemReport>) -> Self {
        match result {
            Ok(result) => Self {
                error: None,
                result: Some(result),
            },
            Err(error) => Self {
                error: Some(error),
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
    run(py, Some(path), arguments, resolve, |config| {
        Ok::<Check, ProblemReport>(config.check())
    })
}

/// The receivers that would get the notification of a request, and why.
#[pyfunction]
pub fn routes(
    py: Python<'_>,
    path: PathBuf,
    request: Vec<u8>,
    arguments: BTreeMap<String, String>,
    resolve: bool,
    at: Option<String>,
) -> PyResult<Bound<'_, PyAny>> {
    run(py, Some(path), arguments, resolve, move |config| {
        config.routes(&request, moment(at.as_deref())?)
    })
}

/// The messages that each destination would get.
#[pyfunction]
pub fn render(
    py: Python<'_>,
    path: Option<PathBuf>,
    request: Vec<u8>,
    arguments: BTreeMap<String, String>,
    resolve: bool,
    at: Option<String>,
) -> PyResult<Bound<'_, PyAny>> {
    run(py, path, arguments, resolve, move |config| {
        config.render(&request, moment(at.as_deref())?)
    })
}

/// The check of every template of a file, and its rendered text.
#[pyfunction]
pub fn check_templates(
    py: Python<'_>,
    path: PathBuf,
    request: Option<Vec<u8>>,
    at: Option<String>,
) -> PyResult<Bound<'_, PyAny>> {
    run(py, Some(path), BTreeMap::new(), false, move |config| {
        config.templates(request.as_deref(), moment(at.as_deref())?)
    })
}

/// Whether a word is a level or an alias, including the `level_map` of a file.
#[pyfunction]
pub fn is_level(py: Python<'_>, word: String, path: Option<PathBuf>) -> PyResult<Bound<'_, PyAny>> {
    run(py, path, BTreeMap::new(), false, move |config| {
        config.is_level(&word)
    })
}

/// Runs a command on a configuration file. Reads the environment while it holds the interpreter's lock, and files without it.
fn run<T: Serialize + Send>(
    py: Python<'_>,
    path: Option<PathBuf>,
    arguments: BTreeMap<String, String>,
    look_up: bool,
    command: impl FnOnce(&LoadedConfig) -> Result<T, ProblemReport> + Send,
) -> PyResult<Bound<'_, PyAny>> {
    let input = CommandInput {
        path,
        arguments,
        environment: Environment::read(),
        look_up,
    };
    let opened = py.detach(|| catch_panic(|| LoadedConfig::open(input)));
    let outcome = match opened.map_err(internal)? {
        Err(error) => Err(error),
        Ok(mut config) => {
            config.named = Environment::named(&config.variables);
            py.detach(|| catch_panic(|| command(&config)))
                .map_err(internal)?
        }
    };
    Ok(pythonize(py, &CommandOutcome::from(outcome))?)
}

/// The exception for a panic.
pub fn internal(location: String) -> PyErr {
    PyRuntimeError::new_err(format!(
        "internal error at {location}; please report it with this line"
    ))
}
