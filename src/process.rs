//! The notifier of this process, and the common parts of all calls. A forked child cannot use it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pyo3::prelude::*;

use super::engine;
use super::log::LogThread;
use notifier_core::api::response::RequestResponse;
use notifier_core::config::Environment;
use notifier_core::delivery::Task;
use notifier_core::model::problem::{Location, Problem};
use notifier_core::observe::{LogPort, Sink};
use notifier_core::panics::catch_panic;
use notifier_core::plugin::{self, Call, CallLog, NeedsVariables, Notifier, Response};
use notifier_core::store::Backends;
use notifier_jetstream::JetStream;

/// The server-based outbox stores, besides SQLite files.
pub const BACKENDS: Backends = Backends(&[&JetStream]);

/// The state of this process.
pub struct Process {
    id: u32,
    pub notifier: Notifier,
    pub log: LogThread,
}

static PROCESS: OnceLock<Option<Process>> = OnceLock::new();

impl Process {
    fn start() -> Option<Self> {
        let notifier = Notifier::new(BACKENDS).ok()?;
        let log = LogThread::start(Arc::clone(&notifier.sink().metrics)).ok()?;
        Some(Self {
            id: std::process::id(),
            notifier,
            log,
        })
    }
}

/// The maximum wait at exit for accepted rows that are not in the outbox yet.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// Stores the accepted rows in the outbox, then stops the log thread, before the interpreter ends. An `atexit` handler, which
/// the database never runs.
#[pyfunction]
pub fn stop(py: Python<'_>) {
    // A forked child does not have the threads.
    let process = PROCESS.get().and_then(Option::as_ref);
    if let Some(process) = process.filter(|process| process.id == std::process::id()) {
        py.detach(|| {
            process.notifier.store_waiting_rows(STORE_TIMEOUT);
            process.log.stop();
        });
    }
}

/// The notifier of this process. An error in a forked child, which has neither its threads nor the locks that they held.
pub fn current_process() -> Result<&'static Process, Box<Response>> {
    let process = PROCESS.get_or_init(Process::start).as_ref();
    let process = process.ok_or_else(|| Box::new(cannot_start()))?;
    match process.id == std::process::id() {
        true => Ok(process),
        false => Err(Box::new(forked())),
    }
}

/// A call with arguments and the environment. The caller holds the interpreter's lock.
pub fn call(arguments: BTreeMap<String, String>) -> Call {
    Call {
        arguments,
        environment: Environment::read(),
        ..Call::default()
    }
}

/// Runs `work` without the interpreter's lock, and again with the environment variables that it reports as missing.
pub fn with_variables<T: Send>(
    py: Python<'_>,
    process: &Process,
    mut call: Call,
    work: impl Fn(&Call) -> Result<T, NeedsVariables> + Sync,
) -> Result<T, Box<Response>> {
    let mut names = process
        .notifier
        .variables(&call.arguments, &call.environment);
    // A changed configuration file may name other variables. The loop allows two changes during a call.
    for _ in 0..3 {
        call.named = Environment::named(&names);
        // `detach` must not see the panic.
        match py.detach(|| catch_panic(|| work(&call))) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(NeedsVariables(more))) => names.extend(more),
            Err(location) => return Err(Box::new(internal_error(&location))),
        }
    }
    Err(Box::new(config_changes()))
}

/// Processes a request with the environment variables of its configuration file. Calls `convert` without the interpreter's
/// lock.
pub fn respond<T: Send>(py: Python<'_>, call: Call, convert: fn(Response) -> T) -> T {
    let response = current_process().and_then(|process| {
        with_variables(py, process, call, |call| {
            process.notifier.process_request(call).map(convert)
        })
    });
    response.unwrap_or_else(|response| convert(*response))
}

/// Sends the log lines of recovered deliveries to this call's log.
pub fn connect(influxdb3_local: &Bound<'_, PyAny>, port: Option<&LogPort>) {
    if let Some((port, process)) = port.zip(current_process().ok()) {
        let late = process.log.deferred_log(influxdb3_local.clone().unbind());
        engine::write(influxdb3_local, &port.connect(late));
    }
}

/// Writes the call's log lines, and passes later lines to the log thread.
pub fn hand_over(py: Python<'_>, influxdb3_local: &Bound<'_, PyAny>, log: &CallLog) {
    match log {
        CallLog::Closed(log) => engine::write(influxdb3_local, &log.take()),
        CallLog::Task(task) => {
            let Ok(process) = current_process() else {
                return;
            };
            let lines = if task.has_ended() {
                task.log.take()
            } else {
                let late = process.log.deferred_log(influxdb3_local.clone().unbind());
                let lines = task.log.hand_over(late);
                py.detach(|| process.notifier.handed_over(task));
                lines
            };
            engine::write(influxdb3_local, &lines);
        }
    }
}

/// Waits until a task ends, at most `limit`, and returns its state. Call it without the interpreter's lock.
pub fn wait_ended(task: &Task, limit: Duration) -> Option<RequestResponse> {
    let process = current_process().ok()?;
    Some(process.notifier.wait_ended(task, limit))
}

pub fn unusable(code: &'static str, message: &str, hint: String) -> Response {
    let error = Problem {
        code,
        message: message.to_owned(),
        location: Location::default(),
        hint,
    };
    refused(503, &error)
}

fn forked() -> Response {
    unusable(
        "forked",
        "This process was forked from one that already notifies: nothing was sent.",
        "Send from the parent process, or load the package only after the fork.".to_owned(),
    )
}

fn config_changes() -> Response {
    unusable(
        "config_file",
        "The configuration file changes while it is read: nothing was sent.",
        "Try again.".to_owned(),
    )
}

fn cannot_start() -> Response {
    unusable(
        "cannot_start",
        "The notifier could not start its threads: nothing was sent.",
        "Check the server's limits of threads, memory and open files, then restart it.".to_owned(),
    )
}

pub fn internal_error(location: &str) -> Response {
    let error = Problem {
        code: "internal",
        message: format!("An internal error of the notifier, at {location}."),
        location: Location::default(),
        hint: "Please report it with this line.".to_owned(),
    };
    refused(500, &error)
}

/// An error response to a call that did not reach the notifier. No metric counts it.
pub fn refused(status: u16, problem: &Problem) -> Response {
    plugin::refused(&Sink::default(), status, None, problem)
}
