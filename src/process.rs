//! The notifier of this process, and what all who call it have in common. A forked child has none.

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

/// Stores on servers that this module can use, beside files.
pub const BACKENDS: Backends = Backends(&[&JetStream]);

/// What lives as long as the process.
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

/// How long the end of the interpreter waits for rows that are to be stored.
const STORE_WITHIN: Duration = Duration::from_secs(1);

/// Stores the rows that wait for an outbox: what was accepted is stored. Then no log line may be on its way when the
/// interpreter ends. Where there is an engine this is never called: it ends otherwise.
#[pyfunction]
pub fn stop(py: Python<'_>) {
    // A forked child has no such thread.
    let process = PROCESS.get().and_then(Option::as_ref);
    if let Some(process) = process.filter(|process| process.id == std::process::id()) {
        py.detach(|| {
            process.notifier.store_waiting_rows(STORE_WITHIN);
            process.log.stop();
        });
    }
}

/// The process's notifier, unless the call cannot have it: the threads of one that was forked stayed behind, and whatever
/// they held is held for ever.
pub fn current_process() -> Result<&'static Process, Box<Response>> {
    let process = PROCESS.get_or_init(Process::start).as_ref();
    let process = process.ok_or_else(|| Box::new(cannot_start()))?;
    match process.id == std::process::id() {
        true => Ok(process),
        false => Err(Box::new(forked())),
    }
}

/// A call that brings arguments alone, and the environment as it is while the interpreter is held.
pub fn call(arguments: BTreeMap<String, String>) -> Call {
    Call {
        arguments,
        environment: Environment::read(),
        ..Call::default()
    }
}

/// Does something without the interpreter, with the variables that it turns out to need.
pub fn with_variables<T: Send>(
    py: Python<'_>,
    process: &Process,
    mut call: Call,
    work: impl Fn(&Call) -> Result<T, NeedsVariables> + Sync,
) -> Result<T, Box<Response>> {
    let mut names = process
        .notifier
        .variables(&call.arguments, &call.environment);
    // A file that was changed may name others: twice is enough, and a third change in that time is no reason to go on.
    for _ in 0..3 {
        call.named = Environment::named(&names);
        // A panic must come out here, not behind the interpreter's lock.
        match py.detach(|| catch_panic(|| work(&call))) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(NeedsVariables(more))) => names.extend(more),
            Err(place) => return Err(Box::new(internal_error(&place))),
        }
    }
    Err(Box::new(config_changes()))
}

/// Answers a call, with what its configuration file wants of the environment. `render` has not the interpreter.
pub fn respond<T: Send>(py: Python<'_>, call: Call, render: fn(Response) -> T) -> T {
    let answer = current_process().and_then(|process| {
        with_variables(py, process, call, |call| {
            process.notifier.process_request(call).map(render)
        })
    });
    answer.unwrap_or_else(|response| render(*response))
}

/// Lines of deliveries that a former process has left go where this call's go.
pub fn connect(influxdb3_local: &Bound<'_, PyAny>, port: Option<&LogPort>) {
    if let Some((port, process)) = port.zip(current_process().ok()) {
        let late = process.log.late(influxdb3_local.clone().unbind());
        engine::write(influxdb3_local, &port.connect(late));
    }
}

/// Writes the call's lines, and sees to it that later ones find their way.
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
                let late = process.log.late(influxdb3_local.clone().unbind());
                let lines = task.log.hand_over(late);
                py.detach(|| process.notifier.handed_over(task));
                lines
            };
            engine::write(influxdb3_local, &lines);
        }
    }
}

/// Waits until all of a task has ended, or so long; gives its state. Without the interpreter.
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

pub fn internal_error(place: &str) -> Response {
    let error = Problem {
        code: "internal",
        message: format!("An error of the notifier's own, at {place}."),
        location: Location::default(),
        hint: "Please report it, with this line.".to_owned(),
    };
    refused(500, &error)
}

/// An answer to a call that reaches no notifier: there is nothing that counts it.
pub fn refused(status: u16, problem: &Problem) -> Response {
    plugin::refused(&Sink::default(), status, None, problem)
}
