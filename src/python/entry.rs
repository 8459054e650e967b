//! What Python calls. Nothing here lets a panic or an exception through.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString, PyTuple};
use pythonize::pythonize;
use serde::Serialize;

use super::engine;
use super::{log::LogThread, rows};
use crate::api::request::RequestError;
use crate::api::response::Answer;
use crate::delivery::{Task, config_of};
use crate::notifier::{
    self, Body, Call, CallLog, NeedsVariables, Notifier, PLUGIN_APIS, Response, Scheduled, Worked,
};
use crate::observe::{LogLine, LogPort};
use crate::panics::guarded;
use crate::settings::{Environment, Named};

/// The notifier of this process. A forked child has none: its threads stayed behind.
struct Process {
    id: u32,
    notifier: Notifier,
    log: LogThread,
}

static PROCESS: OnceLock<Option<Process>> = OnceLock::new();

/// Answers a request of the engine. Never raises.
///
/// Gives `(body, status)` or `(body, status, headers)`; the body is a dict, or a str that the engine passes on as it is.
#[pyfunction]
pub fn process_request<'py>(
    py: Python<'py>,
    plugin_api: &Bound<'py, PyAny>,
    influxdb3_local: &Bound<'py, PyAny>,
    query_parameters: &Bound<'py, PyAny>,
    request_headers: &Bound<'py, PyAny>,
    request_body: &Bound<'py, PyAny>,
    args: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyTuple>> {
    let answer = guarded(|| {
        answer(
            py,
            plugin_api,
            query_parameters,
            request_headers,
            request_body,
            args,
        )
    });
    let answer = answer.unwrap_or_else(|place| Rendered::new(internal_error(&place)));
    engine::write(influxdb3_local, &answer.news);
    connect(influxdb3_local, answer.port.as_deref());
    hand_over(py, influxdb3_local, &answer.log);
    write_history(influxdb3_local, args, HISTORY_IN_A_CALL);
    answer.into_python(py)
}

/// Makes notifications of the rows that were written to a table. Never raises; what is to be said is in the log.
#[pyfunction]
pub fn process_writes(
    py: Python<'_>,
    plugin_api: &Bound<'_, PyAny>,
    influxdb3_local: &Bound<'_, PyAny>,
    table_batches: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
) {
    let done = guarded(|| {
        fits(plugin_api)?;
        let process = here()?;
        let tables = Mutex::new(rows::read(table_batches));
        let late = process.log.late(influxdb3_local.clone().unbind());
        with_variables(py, process, call(args), |call| {
            process.notifier.process_writes(call, &tables, &late)
        })
    });
    leave(py, influxdb3_local, done);
    write_history(influxdb3_local, args, HISTORY_IN_A_CALL);
}

/// Goes on with what former processes have left in the outbox. Never raises; what is to be said is in the log.
#[pyfunction]
pub fn process_scheduled_call(
    py: Python<'_>,
    plugin_api: &Bound<'_, PyAny>,
    influxdb3_local: &Bound<'_, PyAny>,
    call_time: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
) {
    // Nothing depends on when it was to be.
    let _ = call_time;
    let done = guarded(|| {
        fits(plugin_api)?;
        let process = here()?;
        with_variables(py, process, call(args), |call| {
            process.notifier.process_scheduled_call(call)
        })
    });
    leave(py, influxdb3_local, done);
    write_history(influxdb3_local, args, HISTORY_IN_A_SCHEDULED_CALL);
}

/// How long an answer, and the writers of a table, wait for the history.
const HISTORY_IN_A_CALL: Duration = Duration::from_millis(10);
/// Nobody waits for a scheduled call.
const HISTORY_IN_A_SCHEDULED_CALL: Duration = Duration::from_secs(1);

/// Writes what deliveries have left for the history, where they ended under the same configuration file.
fn write_history(influxdb3_local: &Bound<'_, PyAny>, args: &Bound<'_, PyAny>, time: Duration) {
    if let Some(process) = process() {
        let config = config_of(&strings(args));
        engine::write_history(influxdb3_local, process.notifier.history(), &config, time);
    }
}

/// A call that is no request.
fn call(args: &Bound<'_, PyAny>) -> Call {
    Call {
        arguments: strings(args),
        environment: Environment::read(),
        ..Call::default()
    }
}

/// Writes the lines of a call that answers nothing.
fn leave(
    py: Python<'_>,
    influxdb3_local: &Bound<'_, PyAny>,
    done: Result<Result<Scheduled, Box<Response>>, String>,
) {
    let done = done.unwrap_or_else(|place| Err(Box::new(internal_error(&place))));
    match done {
        Ok(Scheduled { lines, port }) => {
            engine::write(influxdb3_local, &lines);
            connect(influxdb3_local, port.as_deref());
        }
        Err(response) => hand_over(py, influxdb3_local, &response.log),
    }
}

/// Takes over what belongs to nobody, for a process outside the database; gives back how much, or why it could not.
#[pyfunction]
pub fn work<'py>(
    py: Python<'py>,
    log: &Bound<'py, PyAny>,
    arguments: BTreeMap<String, String>,
    stands_for: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let worked = here().and_then(|process| {
        let call = Call {
            arguments,
            environment: Environment::read(),
            ..Call::default()
        };
        with_variables(py, process, call, |call| {
            process.notifier.work(call, stands_for)
        })
    });
    let (taken, trouble) = match worked {
        Ok(Worked {
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
    Ok(pythonize(py, &Round { taken, trouble })?)
}

/// What came of one round.
#[derive(Serialize)]
struct Round {
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
    py.detach(|| process().map_or(0, |process| process.notifier.stop_work(limit)))
}

/// The process's metrics, as Prometheus text.
#[pyfunction]
pub fn metrics(py: Python<'_>) -> String {
    py.detach(|| process().map_or_else(String::new, |process| process.notifier.metrics_text()))
}

/// No log line may be on its way when the interpreter ends. Where there is an engine this is never called: it ends otherwise.
#[pyfunction]
pub fn stop_logging(py: Python<'_>) {
    // A forked child has no such thread.
    let process = PROCESS.get().and_then(Option::as_ref);
    if let Some(process) = process.filter(|process| process.id == std::process::id()) {
        py.detach(|| process.log.stop());
    }
}

/// Whether this wheel works with the plugin file that calls.
fn fits(plugin_api: &Bound<'_, PyAny>) -> Result<(), Box<Response>> {
    let plugin_api: Option<i64> = plugin_api.extract().ok();
    match plugin_api.is_some_and(|number| PLUGIN_APIS.contains(&number)) {
        true => Ok(()),
        false => Err(Box::new(wheel_incompatible())),
    }
}

/// The process's notifier, unless the call cannot have it.
fn here() -> Result<&'static Process, Box<Response>> {
    let process = process().ok_or_else(|| Box::new(cannot_start()))?;
    if process.id != std::process::id() {
        return Err(Box::new(forked()));
    }
    Ok(process)
}

/// Does something without the interpreter, with the variables that it turns out to need.
fn with_variables<T: Send>(
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
        match py.detach(|| guarded(|| work(&call))) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(NeedsVariables(more))) => names.extend(more),
            Err(place) => return Err(Box::new(internal_error(&place))),
        }
    }
    Err(Box::new(config_changes()))
}

fn answer(
    py: Python<'_>,
    plugin_api: &Bound<'_, PyAny>,
    query_parameters: &Bound<'_, PyAny>,
    request_headers: &Bound<'_, PyAny>,
    request_body: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
) -> Rendered {
    if let Err(response) = fits(plugin_api) {
        return Rendered::new(*response);
    }
    let body = match bytes(request_body) {
        Ok(body) => body,
        Err(error) => return Rendered::new(notifier::refused(400, None, error)),
    };
    let call = Call {
        arguments: strings(args),
        environment: Environment::read(),
        named: Named::new(),
        query: strings(query_parameters),
        headers: lower_case(strings(request_headers)),
        body,
    };
    respond(py, call, Rendered::new)
}

/// Answers a call, with what its configuration file wants of the environment. `render` has not the interpreter.
pub fn respond<T: Send>(py: Python<'_>, call: Call, render: fn(Response) -> T) -> T {
    let answer = here().and_then(|process| {
        with_variables(py, process, call, |call| {
            process.notifier.process_request(call).map(render)
        })
    });
    answer.unwrap_or_else(|response| render(*response))
}

/// Lines of deliveries that a former process has left go where this call's go.
fn connect(influxdb3_local: &Bound<'_, PyAny>, port: Option<&LogPort>) {
    if let Some((port, process)) = port.zip(process()) {
        let late = process.log.late(influxdb3_local.clone().unbind());
        engine::write(influxdb3_local, &port.connect(late));
    }
}

/// Waits until all of a task has ended, or so long; gives its state. Without the interpreter.
pub fn wait_ended(task: &Task, limit: Duration) -> Option<Answer> {
    process().map(|process| process.notifier.wait_ended(task, limit))
}

fn process() -> Option<&'static Process> {
    let start = || {
        let notifier = Notifier::new().ok()?;
        let log = LogThread::start(Arc::clone(notifier.metrics())).ok()?;
        Some(Process {
            id: std::process::id(),
            notifier,
            log,
        })
    };
    PROCESS.get_or_init(start).as_ref()
}

/// Writes the call's lines, and sees to it that later ones find their way.
fn hand_over(py: Python<'_>, influxdb3_local: &Bound<'_, PyAny>, log: &CallLog) {
    match log {
        CallLog::Closed(log) => engine::write(influxdb3_local, &log.take()),
        CallLog::Task(task) => {
            let Some(process) = process() else { return };
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

/// A response on its way to Python.
struct Rendered {
    status: u16,
    body: RenderedBody,
    retry_after: Option<Duration>,
    news: Vec<LogLine>,
    log: CallLog,
    port: Option<Arc<LogPort>>,
}

enum RenderedBody {
    /// Becomes a dict.
    Value(Body),
    /// With its content type. The engine passes it on as it is.
    Text(String, &'static str),
}

/// Answers of more deliveries are written as text, while others use the interpreter: a dict of ten thousand would hold it
/// for a tenth of a second.
const MAX_DELIVERIES_OF_A_DICT: usize = 100;

impl Rendered {
    fn new(response: Response) -> Self {
        let body = match response.body {
            Body::Metrics(text) => {
                RenderedBody::Text(text, "text/plain; version=0.0.4; charset=utf-8")
            }
            Body::Answer(answer) if answer.size() > MAX_DELIVERIES_OF_A_DICT => {
                RenderedBody::Text(json(&answer), "application/json")
            }
            body => RenderedBody::Value(body),
        };
        Self {
            status: response.status,
            body,
            retry_after: response.retry_after,
            news: response.news,
            log: response.log,
            port: response.port,
        }
    }

    fn into_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        let headers = PyDict::new(py);
        let body = match self.body {
            RenderedBody::Text(text, content_type) => {
                // Another spelling of the name would make a second header.
                headers.set_item("Content-Type", content_type)?;
                PyString::new(py, &text).into_any()
            }
            RenderedBody::Value(Body::Answer(answer)) => pythonize(py, &answer)?,
            RenderedBody::Value(Body::Error(error)) => pythonize(py, &error)?,
            RenderedBody::Value(Body::Status(view)) => pythonize(py, &view)?,
            RenderedBody::Value(Body::Metrics(text)) => PyString::new(py, &text).into_any(),
        };
        if let Some(wait) = self.retry_after {
            headers.set_item("Retry-After", wait.as_secs().to_string())?;
        }
        match headers.is_empty() {
            true => (body, self.status).into_pyobject(py),
            false => (body, self.status, headers).into_pyobject(py),
        }
    }
}

/// Nothing in an answer can fail to be written; were it so, callers would still find what they read.
fn json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).unwrap_or_else(|_| r#"{"results":{}}"#.to_owned())
}

/// The body as bytes, whatever the engine or a test passes.
fn bytes(body: &Bound<'_, PyAny>) -> Result<Vec<u8>, RequestError> {
    if body.is_none() {
        return Ok(Vec::new());
    }
    if let Ok(bytes) = body.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    if let Ok(text) = body.extract::<String>() {
        return Ok(text.into_bytes());
    }
    if !body.is_instance_of::<pyo3::types::PyList>()
        && let Ok(bytes) = body.extract::<Vec<u8>>()
    {
        return Ok(bytes);
    }
    let found = body
        .get_type()
        .name()
        .map_or_else(|_| "object".to_owned(), |name| name.to_string());
    Err(RequestError {
        code: "invalid_body",
        message: format!("Invalid JSON in request body. It must be bytes, found {found}."),
        path: None,
        hint: "The engine passes the body as bytes; so must whoever calls the plugin.".to_owned(),
    })
}

/// The members of a dict whose keys and values are strings; other scalars by their text, all else left out.
fn strings(mapping: &Bound<'_, PyAny>) -> BTreeMap<String, String> {
    let mut strings = BTreeMap::new();
    let Ok(mapping) = mapping.cast::<PyDict>() else {
        return strings;
    };
    for (key, value) in mapping {
        let Ok(key) = key.extract::<String>() else {
            continue;
        };
        let scalar = value.is_instance_of::<pyo3::types::PyInt>()
            || value.is_instance_of::<pyo3::types::PyFloat>();
        let text = match value.extract::<String>() {
            Ok(text) => text,
            // True is an int to Python.
            Err(_) if scalar => match value.str() {
                Ok(text) => text.to_string(),
                Err(_) => continue,
            },
            Err(_) => continue,
        };
        strings.insert(key, text);
    }
    strings
}

fn lower_case(headers: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let lower = |(name, value): (String, String)| (name.to_ascii_lowercase(), value);
    headers.into_iter().map(lower).collect()
}

fn unusable(code: &'static str, message: &str, hint: String) -> Response {
    let error = RequestError {
        code,
        message: message.to_owned(),
        path: None,
        hint,
    };
    notifier::refused(503, None, error)
}

fn wheel_incompatible() -> Response {
    unusable(
        "wheel_incompatible",
        "The installed influxdb3-notifier package does not fit this notifier_plugin.py: nothing was sent.",
        format!(
            "Write the file of this package, {version}, with: influxdb3-notifier install-plugin --force PLUGIN_DIR. \
             Or install the package that the file names as WHEEL_VERSION, with: influxdb3 install package \
             'influxdb3-notifier==X.Y.Z', and restart the server.",
            version = env!("CARGO_PKG_VERSION")
        ),
    )
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

fn internal_error(place: &str) -> Response {
    let error = RequestError {
        code: "internal",
        message: format!("An error of the notifier's own, at {place}."),
        path: None,
        hint: "Please report it, with this line.".to_owned(),
    };
    notifier::refused(500, None, error)
}
