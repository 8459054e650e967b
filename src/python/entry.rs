//! What Python calls. Nothing here lets a panic or an exception through.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use serde::Serialize;

use super::engine;
use super::log::LogThread;
use crate::api::request::RequestError;
use crate::notifier::{self, Body, Call, CallLog, Notifier, PLUGIN_APIS, Response};
use crate::settings::Environment;

/// The notifier of this process. A forked child has none: its threads stayed behind.
struct Process {
    id: u32,
    notifier: Notifier,
    log: LogThread,
}

static PROCESS: OnceLock<Option<Process>> = OnceLock::new();

/// Answers a request of the engine. Never raises.
///
/// Gives `(body, status, headers)`; the body is a str, which the engine passes on as it is.
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
    hand_over(py, influxdb3_local, &answer.log);
    answer.into_python(py)
}

fn answer(
    py: Python<'_>,
    plugin_api: &Bound<'_, PyAny>,
    query_parameters: &Bound<'_, PyAny>,
    request_headers: &Bound<'_, PyAny>,
    request_body: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
) -> Rendered {
    let plugin_api: Option<i64> = plugin_api.extract().ok();
    if !plugin_api.is_some_and(|number| PLUGIN_APIS.contains(&number)) {
        return Rendered::new(wheel_incompatible());
    }
    let body = match bytes(request_body) {
        Ok(body) => body,
        Err(error) => return Rendered::new(notifier::refused(400, None, error)),
    };
    let call = Call {
        arguments: strings(args),
        environment: Environment::read(),
        query: strings(query_parameters),
        headers: lower_case(strings(request_headers)),
        body,
    };
    let Some(process) = process() else {
        return Rendered::new(cannot_start());
    };
    if process.id != std::process::id() {
        return Rendered::new(forked());
    }
    // A panic must come out here, not behind the interpreter's lock.
    let answer = || guarded(|| Rendered::new(process.notifier.process_request(&call)));
    py.detach(answer)
        .unwrap_or_else(|place| Rendered::new(internal_error(&place)))
}

fn process() -> Option<&'static Process> {
    let start = || {
        let notifier = Notifier::new().ok()?;
        let log = LogThread::start(std::sync::Arc::clone(notifier.metrics())).ok()?;
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

/// A response as text: others may use the interpreter while it is written, and the engine need not read a dict again.
struct Rendered {
    status: u16,
    body: String,
    content_type: &'static str,
    retry_after: Option<Duration>,
    log: CallLog,
}

impl Rendered {
    fn new(response: Response) -> Self {
        let (body, content_type) = match response.body {
            Body::Answer(answer) => (json(&answer), "application/json"),
            Body::Error(error) => (json(&error), "application/json"),
            Body::Status(view) => (json(&view), "application/json"),
            Body::Metrics(text) => (text, "text/plain; version=0.0.4; charset=utf-8"),
        };
        Self {
            status: response.status,
            body,
            content_type,
            retry_after: response.retry_after,
            log: response.log,
        }
    }

    fn into_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        let headers = PyDict::new(py);
        // Another spelling of the name would make a second header.
        headers.set_item("Content-Type", self.content_type)?;
        if let Some(wait) = self.retry_after {
            headers.set_item("Retry-After", wait.as_secs().to_string())?;
        }
        (self.body, self.status, headers).into_pyobject(py)
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
            "Take the notifier_plugin.py of version {version}, or run: influxdb3 install package \
             'influxdb3-notifier==X.Y.Z' with the plugin file's version and restart the server.",
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

thread_local! {
    static PANICKED_AT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `f`; of a panic only the place is known, since its message may hold anything.
fn guarded<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|_| {
        let place = PANICKED_AT.with_borrow_mut(Option::take);
        place.unwrap_or_else(|| "an unknown place".to_owned())
    })
}

/// The panic hook of this library's own copy of the standard library: it notes the place, and prints nothing else.
pub fn say_where_it_panicked() {
    std::panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map(|place| format!("{}:{}", place.file(), place.line()));
        let place = place.unwrap_or_else(|| "an unknown place".to_owned());
        eprintln!("influxdb3-notifier: internal error at {place}");
        PANICKED_AT.with_borrow_mut(|last| *last = Some(place));
    }));
}
