//! The operator's view of an outbox, for the command line only: it blocks on disk and network.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pythonize::pythonize;
use serde::Serialize;

use notifier_core::api::response::DeliveryEntry;
use notifier_core::config::report::ProblemReport;
use notifier_core::config::{Environment, OutboxLocation};
use notifier_core::model::problem::Problem;
use notifier_core::offline::{CommandInput, LoadedConfig};
use notifier_core::panics::lock;
use notifier_core::store::operator::{self, ListedDelivery, Operator, StoredState};
use notifier_core::store::sqlite::operator::SqliteOperator;
use notifier_core::store::{self, OutboxServers};

use super::process::BACKENDS;

create_exception!(
    _native,
    OutboxError,
    PyException,
    "An outbox cannot be used: (message, hint)."
);

/// An existing outbox.
#[pyclass(frozen)]
pub struct Outbox {
    operator: Mutex<Box<dyn Operator>>,
}

/// A filter for the deliveries of an outbox.
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
            // To ignore an unknown state would widen the filter.
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

/// A delivery in the output of `outbox list --format json`.
#[derive(Serialize)]
struct OutboxRow<'a> {
    id: String,
    state: &'static str,
    /// Milliseconds since 1970.
    accepted: i64,
    deadline: Option<i64>,
    ended: Option<i64>,
    /// Whether a running process owns it.
    owned: bool,
    /// Whether the outbox stores its destination encrypted.
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
    #[pyo3(signature = (location, config=None))]
    fn open(py: Python<'_>, location: PathBuf, config: Option<PathBuf>) -> PyResult<Self> {
        let operator: Box<dyn Operator> = match location.to_string_lossy() {
            servers if servers.contains("://") => {
                let servers = server_settings(py, &servers, config)?;
                let open = || BACKENDS.of(&servers)?.operator(&servers);
                py.detach(open).map_err(raise)?
            }
            _ => Box::new(
                py.detach(|| SqliteOperator::open(&location))
                    .map_err(raise)?,
            ),
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

    /// The request as JSON, without its destinations; None: the task does not exist.
    fn request_json(&self, py: Python<'_>, task: &str) -> PyResult<Option<String>> {
        self.with(py, |operator| operator.request_json(task))
    }

    /// Redrives dead letters. Returns the number of deliveries.
    fn retry(&self, py: Python<'_>, delivery_filter: &PyDeliveryFilter) -> PyResult<usize> {
        self.with(py, |operator| operator.retry(&delivery_filter.0))
    }

    /// Drops deliveries. Returns the number of deliveries.
    fn drop(&self, py: Python<'_>, delivery_filter: &PyDeliveryFilter) -> PyResult<usize> {
        self.with(py, |operator| operator.drop(&delivery_filter.0))
    }

    /// Statistics of the whole outbox, as a dict.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let stats = self.with(py, |operator| operator.stats())?;
        Ok(pythonize(py, &stats)?)
    }
}

impl Outbox {
    /// Runs an operation without the interpreter's lock.
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        operation: impl FnOnce(&mut dyn Operator) -> Result<T, store::StoreError> + Send,
    ) -> PyResult<T> {
        let result = py.detach(|| {
            let mut operator = lock(&self.operator);
            operation(&mut **operator)
        });
        result.map_err(raise)
    }
}

/// The connection settings of NATS servers: the configuration file's, or the defaults.
fn server_settings(
    py: Python<'_>,
    servers: &str,
    config: Option<PathBuf>,
) -> PyResult<OutboxServers> {
    let shown = config.as_ref().map(|path| path.display().to_string());
    let input = CommandInput {
        path: config,
        arguments: BTreeMap::new(),
        environment: Environment::read(),
        look_up: true,
    };
    let unusable = |report: ProblemReport| {
        let file = shown.clone().unwrap_or_default();
        let first = report.errors.first().map(Problem::to_string);
        OutboxError::new_err((
            format!(
                "The configuration file {file} cannot be used: {}.",
                first.unwrap_or_default()
            ),
            "Run influxdb3-notifier check --resolve FILE to see all its errors.",
        ))
    };
    let mut config = py.detach(|| LoadedConfig::open(input)).map_err(unusable)?;
    config.named = Environment::named(&config.variables);
    let location = py.detach(|| config.outbox(servers)).map_err(unusable)?;
    match location {
        Ok(OutboxLocation::Servers(_, servers)) => Ok(*servers),
        Ok(OutboxLocation::File(_)) => Err(OutboxError::new_err((
            "The outbox is not on NATS servers.",
            "",
        ))),
        Err(error) => Err(OutboxError::new_err((error.message, error.hint))),
    }
}

fn raise(error: store::StoreError) -> PyErr {
    OutboxError::new_err((error.to_string(), error.hint()))
}
