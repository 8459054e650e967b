//! What an operator can do with an outbox, for the command line. Not for the engine: it waits for the disk with nobody's leave.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use notifier_core::api::response::DeliveryEntry;
use notifier_core::config::{Environment, OutboxPlace};
use notifier_core::offline::{CliError, CommandInput, LoadedConfig};
use notifier_core::panics::lock;
use notifier_core::store::operator::{self, ListedDelivery, Operator, StoredState};
use notifier_core::store::sqlite::operator::SqliteOperator;
use notifier_core::store::{self, OutboxServers};

use super::process::BACKENDS;

create_exception!(
    _native,
    OutboxError,
    PyException,
    "An outbox cannot be used: (what, hint)."
);

/// An outbox that is there.
#[pyclass(frozen)]
pub struct Outbox {
    operator: Mutex<Box<dyn Operator>>,
}

/// Selects deliveries of an outbox.
#[pyclass(frozen, name = "DeliveryFilter")]
pub struct PyDeliveryFilter(operator::DeliveryFilter);

#[pymethods]
impl PyDeliveryFilter {
    #[new]
    #[pyo3(signature = (*, task=None, states=None, sender=None, receiver=None, reason=None))]
    fn new(
        task: Option<(String, Option<usize>)>,
        states: Option<Vec<String>>,
        sender: Option<String>,
        receiver: Option<String>,
        reason: Option<String>,
    ) -> PyResult<Self> {
        let states = states.unwrap_or_default();
        let states = states.into_iter().map(|word| {
            // One that is left out would be as if all were meant.
            StoredState::parse(&word).ok_or_else(|| PyValueError::new_err(word))
        });
        Ok(Self(operator::DeliveryFilter {
            task,
            states: states.collect::<PyResult<_>>()?,
            sender,
            receiver,
            reason,
        }))
    }
}

/// A delivery, as `outbox list --format json` prints it.
#[derive(Serialize)]
struct OutboxRow<'a> {
    id: String,
    state: &'static str,
    /// Milliseconds since 1970.
    accepted: i64,
    deadline: Option<i64>,
    ended: Option<i64>,
    /// Whether a process that lives has it.
    owned: bool,
    /// Whether its destination is sealed there.
    sealed: bool,
    delivery: DeliveryEntry<'a>,
}

impl<'a> From<&'a ListedDelivery> for OutboxRow<'a> {
    fn from(listed: &'a ListedDelivery) -> Self {
        Self {
            id: format!("{}/{}", listed.task, listed.report.index),
            state: listed.state.word(),
            accepted: listed.accepted,
            deadline: listed.deadline,
            ended: listed.ended,
            owned: listed.owned,
            sealed: listed.sealed,
            delivery: DeliveryEntry::new(&listed.report),
        }
    }
}

#[pymethods]
impl Outbox {
    #[new]
    #[pyo3(signature = (place, config=None))]
    fn open(py: Python<'_>, place: PathBuf, config: Option<PathBuf>) -> PyResult<Self> {
        let operator: Box<dyn Operator> = match place.to_string_lossy() {
            servers if servers.contains("://") => {
                let servers = reach(py, &servers, config)?;
                let open = || BACKENDS.of(&servers)?.operator(&servers);
                py.detach(open).map_err(raise)?
            }
            _ => Box::new(py.detach(|| SqliteOperator::open(&place)).map_err(raise)?),
        };
        Ok(Self {
            operator: Mutex::new(operator),
        })
    }

    /// Deliveries as dicts, the oldest first.
    fn list<'py>(
        &self,
        py: Python<'py>,
        delivery_filter: &PyDeliveryFilter,
        limit: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let listed = self.with(py, |operator| operator.list(&delivery_filter.0, limit))?;
        let rows: Vec<OutboxRow> = listed.iter().map(OutboxRow::from).collect();
        Ok(pythonize(py, &rows)?)
    }

    /// What a request said, as JSON without its destinations; None: there is no such task.
    fn request_json(&self, py: Python<'_>, task: &str) -> PyResult<Option<String>> {
        self.with(py, |operator| operator.request_json(task))
    }

    /// Lets dead letters be delivered again; gives back how many.
    fn retry(&self, py: Python<'_>, delivery_filter: &PyDeliveryFilter) -> PyResult<usize> {
        self.with(py, |operator| operator.retry(&delivery_filter.0))
    }

    /// Ends deliveries without delivering them; gives back how many.
    fn drop(&self, py: Python<'_>, delivery_filter: &PyDeliveryFilter) -> PyResult<usize> {
        self.with(py, |operator| operator.drop(&delivery_filter.0))
    }

    /// Counts of the whole outbox, as a dict.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stats = self.with(py, |operator| operator.stats())?;
        Ok(pythonize(py, &stats)?)
    }
}

impl Outbox {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut dyn Operator) -> Result<T, store::StoreError> + Send,
    ) -> PyResult<T> {
        let done = py.detach(|| {
            let mut operator = lock(&self.operator);
            work(&mut **operator)
        });
        done.map_err(raise)
    }
}

/// How servers are reached, with what a configuration file says of it.
fn reach(py: Python<'_>, servers: &str, config: Option<PathBuf>) -> PyResult<OutboxServers> {
    let shown = config.as_ref().map(|path| path.display().to_string());
    let given = CommandInput {
        path: config,
        arguments: BTreeMap::new(),
        environment: Environment::read(),
        look_up: true,
    };
    let unusable = |refused: CliError| {
        let file = shown.clone().unwrap_or_default();
        let what = match refused {
            CliError::Unreadable(what) => format!("The configuration file {file} {what}."),
            _ => format!("The configuration file {file} cannot be used."),
        };
        OutboxError::new_err((
            what,
            "influxdb3-notifier check --resolve FILE says what is wrong with it.",
        ))
    };
    let mut opened = py.detach(|| LoadedConfig::open(given)).map_err(unusable)?;
    opened.named = Environment::named(&opened.variables);
    let place = py.detach(|| opened.outbox(servers)).map_err(unusable)?;
    match place {
        Ok(OutboxPlace::Servers(_, servers)) => Ok(*servers),
        Ok(OutboxPlace::File(_)) => Err(OutboxError::new_err(("It is no NATS server.", ""))),
        Err(error) => Err(OutboxError::new_err((error.message, error.hint))),
    }
}

fn raise(error: store::StoreError) -> PyErr {
    OutboxError::new_err((error.to_string(), error.hint()))
}
