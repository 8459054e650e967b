//! What the command line asks of a configuration file. Nothing is sent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use notifier_core::config::Environment;
use notifier_core::offline::{Check, CliError, CommandInput, LoadedConfig, moment};
use notifier_core::panics::catch_panic;

/// One of both, as the command line reads it.
#[derive(Serialize)]
struct CommandOutput<T> {
    refused: Option<CliError>,
    result: Option<T>,
}

impl<T> From<Result<T, CliError>> for CommandOutput<T> {
    fn from(result: Result<T, CliError>) -> Self {
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
        Ok::<Check, CliError>(opened.check())
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

/// Whether a word is a level, also by the `level_map` of a file.
#[pyfunction]
pub fn is_level(py: Python<'_>, word: String, path: Option<PathBuf>) -> PyResult<Bound<'_, PyAny>> {
    answer(py, path, BTreeMap::new(), false, move |opened| {
        opened.is_level(&word)
    })
}

/// Reads the environment while the interpreter is held, and files while it is not.
fn answer<T: Serialize + Send>(
    py: Python<'_>,
    path: Option<PathBuf>,
    arguments: BTreeMap<String, String>,
    look_up: bool,
    ask: impl FnOnce(&LoadedConfig) -> Result<T, CliError> + Send,
) -> PyResult<Bound<'_, PyAny>> {
    let given = CommandInput {
        path,
        arguments,
        environment: Environment::read(),
        look_up,
    };
    let opened = py.detach(|| catch_panic(|| LoadedConfig::open(given)));
    let answer = match opened.map_err(internal)? {
        Err(refused) => Err(refused),
        Ok(mut opened) => {
            opened.named = Environment::named(&opened.variables);
            py.detach(|| catch_panic(|| ask(&opened)))
                .map_err(internal)?
        }
    };
    Ok(pythonize(py, &CommandOutput::from(answer))?)
}

/// A panic, for the command line.
pub fn internal(place: String) -> PyErr {
    PyRuntimeError::new_err(format!("an error of the notifier's own, at {place}"))
}
