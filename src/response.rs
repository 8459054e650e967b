//! A response in the form that the engine expects: `(body, status)` or `(body, status, headers)`.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use pythonize::pythonize;
use serde::Serialize;

use notifier_core::observe::{LogLine, LogPort};
use notifier_core::plugin::{Body, CallLog, Response};

/// A response, ready for conversion to Python.
pub struct PyResponse {
    status: u16,
    body: PythonBody,
    retry_after: Option<Duration>,
    pub config_log: Vec<LogLine>,
    pub log: CallLog,
    pub port: Option<Arc<LogPort>>,
}

enum PythonBody {
    /// Is converted to a dict.
    Dict(Body),
    /// A text with its content type. The engine does not change it.
    Text(String, &'static str),
}

/// A response with more deliveries is serialized without the interpreter's lock. To build a dict of ten thousand deliveries
/// would hold the lock for 0.1 s.
const MAX_DELIVERIES_IN_DICT: usize = 100;

/// The initial capacity per delivery: enough for most.
const BYTES_PER_DELIVERY: usize = 320;

impl PyResponse {
    pub fn new(response: Response) -> Self {
        let body = match response.body {
            Body::Metrics(text) => {
                PythonBody::Text(text, "text/plain; version=0.0.4; charset=utf-8")
            }
            Body::RequestResponse(answer) if answer.size() > MAX_DELIVERIES_IN_DICT => {
                PythonBody::Text(to_json(&answer, answer.size()), "application/json")
            }
            Body::Alerts(answer) if answer.size() > MAX_DELIVERIES_IN_DICT => {
                PythonBody::Text(to_json(&answer, answer.size()), "application/json")
            }
            Body::AlertsView(view) => PythonBody::Text(to_json(&view, 0), "application/json"),
            body => PythonBody::Dict(body),
        };
        Self {
            status: response.status,
            body,
            retry_after: response.retry_after,
            config_log: response.pending_log_lines,
            log: response.log,
            port: response.port,
        }
    }

    pub fn into_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        let headers = PyDict::new(py);
        let body = match self.body {
            PythonBody::Text(text, content_type) => {
                // The engine compares header names by case: with another spelling it would send the header twice.
                headers.set_item("Content-Type", content_type)?;
                PyString::new(py, &text).into_any()
            }
            PythonBody::Dict(body) => body_to_python(py, &body)?,
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

/// A body as a dict, or as text.
pub fn body_to_python<'py>(py: Python<'py>, body: &Body) -> PyResult<Bound<'py, PyAny>> {
    Ok(match body {
        Body::RequestResponse(answer) => pythonize(py, answer)?,
        Body::Alerts(answer) => pythonize(py, answer)?,
        Body::Error(error) => pythonize(py, error)?,
        Body::Status(view) => pythonize(py, view)?,
        Body::AlertsView(view) => pythonize(py, view)?,
        Body::Metrics(text) => PyString::new(py, text).into_any(),
    })
}

/// Serializes a response. Serialization cannot fail; the fallback has the member that callers of the official plugin read.
fn to_json(answer: &impl Serialize, entries: usize) -> String {
    // One allocation, because repeated growth fragments the heap.
    let mut text = Vec::with_capacity(BYTES_PER_DELIVERY * entries);
    let written = serde_json::to_writer(&mut text, answer).ok();
    let text = written.and_then(|()| String::from_utf8(text).ok());
    text.unwrap_or_else(|| r#"{"results":{}}"#.to_owned())
}
