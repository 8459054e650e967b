//! Copies a request trigger's arguments from Python objects.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList};

use notifier_core::api::request::{MAX_BODY_BYTES, too_large};
use notifier_core::model::problem::{Location, Problem};

/// The body as bytes. Accepts bytes, str, None and other sequences of bytes.
pub fn bytes(body: &Bound<'_, PyAny>) -> Result<Vec<u8>, Problem> {
    if body.is_none() {
        return Ok(Vec::new());
    }
    if let Ok(bytes) = body.cast::<PyBytes>() {
        let bytes = bytes.as_bytes();
        return match bytes.len() > MAX_BODY_BYTES {
            true => Err(too_large(bytes.len())),
            false => Ok(bytes.to_vec()),
        };
    }
    if let Ok(text) = body.extract::<String>() {
        return Ok(text.into_bytes());
    }
    if !body.is_instance_of::<PyList>()
        && let Ok(bytes) = body.extract::<Vec<u8>>()
    {
        return Ok(bytes);
    }
    let found = body
        .get_type()
        .name()
        .map_or_else(|_| "object".to_owned(), |name| name.to_string());
    Err(Problem {
        code: "invalid_body",
        message: format!("Invalid JSON in request body. It must be bytes, found {found}."),
        location: Location::default(),
        hint: "Pass the body as bytes, as the engine does.".to_owned(),
    })
}

/// The members of a dict as strings. Numbers are converted to text; other values and keys are ignored.
pub fn strings(mapping: &Bound<'_, PyAny>) -> BTreeMap<String, String> {
    let mut strings = BTreeMap::new();
    let Ok(mapping) = mapping.cast::<PyDict>() else {
        return strings;
    };
    for (key, value) in mapping {
        let Ok(key) = key.extract::<String>() else {
            continue;
        };
        let scalar = value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>();
        let text = match value.extract::<String>() {
            Ok(text) => text,
            // A bool is an int in Python.
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

pub fn lower_case(headers: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let lower = |(name, value): (String, String)| (name.to_ascii_lowercase(), value);
    headers.into_iter().map(lower).collect()
}
