//! Copies a write trigger's rows from Python dicts.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

use super::slice::GilSlice;
use notifier_core::json::Json;
use notifier_core::model::row::{Row, TableRows};

/// Copies all tables. A value of another type counts as an empty list. Lets other Python threads run between rows, but not
/// within one, so that a dict does not change while it is read.
pub fn read(table_batches: &Bound<'_, PyAny>) -> Vec<TableRows> {
    let Ok(batches) = table_batches.cast::<PyList>() else {
        return Vec::new();
    };
    let mut slice = GilSlice::begin();
    let tables = batches.iter();
    tables
        .filter_map(|batch| table(&batch, &mut slice))
        .collect()
}

fn table(batch: &Bound<'_, PyAny>, slice: &mut GilSlice) -> Option<TableRows> {
    let batch = batch.cast::<PyDict>().ok()?;
    let py = batch.py();
    let table = batch.get_item(intern!(py, "table_name")).ok()??;
    let rows = batch.get_item(intern!(py, "rows")).ok()??;
    let rows = rows.cast::<PyList>().ok()?;
    let table = table.extract().ok()?;
    let mut read = Vec::with_capacity(rows.len());
    for found in rows {
        read.extend(row(&found));
        slice.yield_if_due(py);
    }
    Some(TableRows { table, rows: read })
}

fn row(row: &Bound<'_, PyAny>) -> Option<Row> {
    let found = row.cast::<PyDict>().ok()?;
    let mut row = Row {
        columns: Vec::with_capacity(found.len()),
        time: None,
    };
    for (name, value) in found {
        let Ok(name) = name.cast::<PyString>() else {
            continue;
        };
        let name = name.to_string_lossy();
        if name == "time"
            && let Ok(time) = value.extract()
        {
            row.time = Some(time);
        } else if let Some(value) = column(&value) {
            row.columns.push((name.into_owned(), value));
        }
    }
    Some(row)
}

/// The value of a column: a string, a number, a boolean, or the `str()` of another type. `None`: null.
fn column(value: &Bound<'_, PyAny>) -> Option<Json> {
    if let Ok(text) = value.cast::<PyString>() {
        return Some(Json::String(text.to_string_lossy().into_owned()));
    }
    if value.is_none() {
        return None;
    }
    if let Ok(value) = value.cast::<PyBool>() {
        return Some(Json::Bool(value.is_true()));
    }
    if let Ok(float) = value.cast::<PyFloat>() {
        // JSON has no NaN and no infinity.
        let number = serde_json::Number::from_f64(float.value());
        return Some(match number {
            Some(number) => Json::Number(number.to_string()),
            None => Json::String(float.value().to_string()),
        });
    }
    let text = value.str().ok()?.to_string_lossy().into_owned();
    Some(match value.is_instance_of::<PyInt>() {
        true => Json::Number(text),
        false => Json::String(text),
    })
}
