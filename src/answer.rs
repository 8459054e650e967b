//! A response as the engine reads it: `(body, status)` or `(body, status, headers)`.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use pythonize::pythonize;

use notifier_core::api::response::RequestResponse;
use notifier_core::observe::{LogLine, LogPort};
use notifier_core::plugin::{Body, CallLog, Response};

/// A response on its way to Python.
pub struct PyResponse {
    status: u16,
    body: RenderedBody,
    retry_after: Option<Duration>,
    pub news: Vec<LogLine>,
    pub log: CallLog,
    pub port: Option<Arc<LogPort>>,
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

/// What most entries of a long answer take as text.
const BYTES_OF_AN_ENTRY: usize = 320;

impl PyResponse {
    pub fn new(response: Response) -> Self {
        let body = match response.body {
            Body::Metrics(text) => {
                RenderedBody::Text(text, "text/plain; version=0.0.4; charset=utf-8")
            }
            Body::RequestResponse(answer) if answer.size() > MAX_DELIVERIES_OF_A_DICT => {
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

    pub fn into_python(self, py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
        let headers = PyDict::new(py);
        let body = match self.body {
            RenderedBody::Text(text, content_type) => {
                // Another spelling of the name would make a second header.
                headers.set_item("Content-Type", content_type)?;
                PyString::new(py, &text).into_any()
            }
            RenderedBody::Value(body) => value(py, &body)?,
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

/// A body as a dict, or as the text that it is.
pub fn value<'py>(py: Python<'py>, body: &Body) -> PyResult<Bound<'py, PyAny>> {
    Ok(match body {
        Body::RequestResponse(answer) => pythonize(py, answer)?,
        Body::Error(error) => pythonize(py, error)?,
        Body::Status(view) => pythonize(py, view)?,
        Body::Metrics(text) => PyString::new(py, text).into_any(),
    })
}

/// Nothing in an answer can fail to be written; were it so, callers would still find what they read.
fn json(answer: &RequestResponse) -> String {
    // At once, since what grows leaves holes behind.
    let mut text = Vec::with_capacity(BYTES_OF_AN_ENTRY * answer.size());
    let written = serde_json::to_writer(&mut text, answer).ok();
    let text = written.and_then(|()| String::from_utf8(text).ok());
    text.unwrap_or_else(|| r#"{"results":{}}"#.to_owned())
}
