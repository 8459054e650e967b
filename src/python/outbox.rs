//! An operator's hand on an outbox, for the command line. Not for the engine: it waits for the disk with nobody's leave.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use crate::api::response::Entry;
use crate::outbox;
use crate::outbox::sqlite::operator::{Choice, Listed, Operator, State};

create_exception!(
    _native,
    OutboxError,
    PyException,
    "An outbox cannot be used: (what, hint)."
);

/// An outbox's file that is there.
#[pyclass(frozen)]
pub struct Outbox {
    operator: Mutex<Operator>,
}

/// A delivery, as `outbox list --format json` prints it.
#[derive(Serialize)]
struct Row {
    id: String,
    state: &'static str,
    /// Milliseconds since 1970.
    accepted: i64,
    deadline: Option<i64>,
    ended: Option<i64>,
    /// Whether a process that lives has it.
    owned: bool,
    /// Whether its destination is sealed in the file.
    sealed: bool,
    delivery: Entry,
}

impl From<Listed> for Row {
    fn from(listed: Listed) -> Self {
        Self {
            id: format!("{}/{}", listed.task, listed.report.index),
            state: listed.state.word(),
            accepted: listed.accepted,
            deadline: listed.deadline,
            ended: listed.ended,
            owned: listed.owned,
            sealed: listed.sealed,
            delivery: Entry::new(listed.report),
        }
    }
}

#[pymethods]
impl Outbox {
    #[new]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let operator = py.detach(|| Operator::open(&path)).map_err(raise)?;
        Ok(Self {
            operator: Mutex::new(operator),
        })
    }

    /// Deliveries as dicts, the oldest first.
    #[pyo3(signature = (limit, *, task=None, states=None, sender=None, receiver=None, reason=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn list<'py>(
        &self,
        py: Python<'py>,
        limit: usize,
        task: Option<(String, Option<usize>)>,
        states: Option<Vec<String>>,
        sender: Option<String>,
        receiver: Option<String>,
        reason: Option<String>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let choice = choice(task, states, sender, receiver, reason);
        let listed = self.with(py, |operator| operator.list(&choice, limit))?;
        let rows: Vec<Row> = listed.into_iter().map(Row::from).collect();
        Ok(pythonize(py, &rows)?)
    }

    /// What a request said, as JSON without its destinations; None: there is no such task.
    fn said(&self, py: Python<'_>, task: &str) -> PyResult<Option<String>> {
        self.with(py, |operator| operator.said(task))
    }

    /// Lets dead letters be delivered again; gives back how many.
    #[pyo3(signature = (*, task=None, states=None, sender=None, receiver=None, reason=None))]
    fn retry(
        &self,
        py: Python<'_>,
        task: Option<(String, Option<usize>)>,
        states: Option<Vec<String>>,
        sender: Option<String>,
        receiver: Option<String>,
        reason: Option<String>,
    ) -> PyResult<usize> {
        let choice = choice(task, states, sender, receiver, reason);
        self.with(py, |operator| operator.retry(&choice))
    }

    /// Ends deliveries without delivering them; gives back how many.
    #[pyo3(signature = (*, task=None, states=None, sender=None, receiver=None, reason=None))]
    fn drop(
        &self,
        py: Python<'_>,
        task: Option<(String, Option<usize>)>,
        states: Option<Vec<String>>,
        sender: Option<String>,
        receiver: Option<String>,
        reason: Option<String>,
    ) -> PyResult<usize> {
        let choice = choice(task, states, sender, receiver, reason);
        self.with(py, |operator| operator.drop(&choice))
    }

    /// Counts of the whole file, as a dict.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stats = self.with(py, Operator::stats)?;
        Ok(pythonize(py, &stats)?)
    }
}

impl Outbox {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Operator) -> Result<T, outbox::OutboxError> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| {
            let mut operator = self.operator.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut operator)
        });
        done.map_err(raise)
    }
}

fn choice(
    task: Option<(String, Option<usize>)>,
    states: Option<Vec<String>>,
    sender: Option<String>,
    receiver: Option<String>,
    reason: Option<String>,
) -> Choice {
    Choice {
        task,
        states: states
            .unwrap_or_default()
            .iter()
            .filter_map(|state| State::parse(state))
            .collect(),
        sender,
        receiver,
        reason,
    }
}

fn raise(error: outbox::OutboxError) -> PyErr {
    OutboxError::new_err((error.to_string(), error.hint()))
}
