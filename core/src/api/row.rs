//! A table's row as the request that it stands for.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::request::{self, Request};
use crate::json::Json;
use crate::model::problem::Problem;
use crate::model::read_options::ReadOptions;
use crate::model::row::{Columns, Row};
use crate::text::{Limit, Unit, cut};
use crate::warnings::Warnings;

/// Longer values are cut: the whole of them is in the table.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Reads a row of a table. What cannot be used of it is left out, with a warning of the request; a row without a text has
/// all its fields for one, and with a `template` needs none.
pub fn read(
    table: &str,
    row: &Row,
    columns: &Columns,
    template: Option<&str>,
    options: &ReadOptions,
) -> Result<Request, Problem> {
    let mut warnings = Warnings::default();
    let fields: Vec<_> = row
        .columns
        .iter()
        .filter(|(name, _)| !columns.has(name))
        .map(|(name, value)| (name.clone(), bounded(name, value, &mut warnings)))
        .collect();
    let mut members = Members(Vec::with_capacity(8));
    members.add(
        "notification_text",
        text(table, row, columns, template, &fields, &mut warnings),
    );
    for (member, column) in [
        ("title", &columns.title),
        ("level", &columns.level),
        ("status", &columns.status),
        ("link", &columns.link),
    ] {
        let value = column.as_deref().and_then(|column| {
            let value = bounded(column, row.get(column)?, &mut warnings);
            Some(Json::String(scalar(&value)))
        });
        if let Some(value) = value {
            members.add(member, value);
        }
    }
    // Whole: two that differ in their ends are two.
    let dedup_key = columns.dedup_key.as_deref();
    if let Some(key) = dedup_key.and_then(|column| row.get(column)) {
        members.add("dedup_key", Json::String(scalar(key)));
    }
    let receivers = columns
        .receivers
        .as_deref()
        .and_then(|column| row.get(column));
    if let Some(receivers) = receivers {
        let receivers = scalar(receivers);
        let names = receivers.split([' ', ',']).filter(|name| !name.is_empty());
        let names = names.map(|name| Json::String(name.to_owned()));
        members.add("receivers", Json::Array(names.collect()));
    }
    if let Some(time) = row
        .time
        .and_then(|time| Timestamp::from_nanosecond(time.into()).ok())
    {
        members.add("timestamp", Json::String(time.to_string()));
    }
    if let Some(template) = template {
        members.add("template", Json::String(template.to_owned()));
    }
    members.add("fields", Json::Object(fields));
    let table = ("table".to_owned(), Json::String(table.to_owned()));
    members.add("data", Json::Object(vec![table]));
    request::of_members(members.0, &BTreeMap::new(), options, warnings)
}

struct Members(Vec<(String, Json)>);

impl Members {
    fn add(&mut self, name: &str, value: Json) {
        self.0.push((name.to_owned(), value));
    }
}

fn text(
    table: &str,
    row: &Row,
    columns: &Columns,
    template: Option<&str>,
    fields: &[(String, Json)],
    warnings: &mut Warnings,
) -> Json {
    let column = columns.text.as_str();
    let found = row
        .get(column)
        .map(|value| bounded(column, value, warnings));
    match found {
        Some(Json::String(text)) if !text.trim().is_empty() => return Json::String(text),
        Some(other @ (Json::Number(_) | Json::Bool(_))) => {
            let kind = other.kind();
            warnings.push(|| {
                format!("{column}: must be a string, found {kind}; taken as it is written")
            });
            return Json::String(scalar(&other));
        }
        // The template makes the text.
        _ if template.is_some() => {}
        Some(_) => {
            warnings.push(|| format!("{column}: is blank; the row's fields are the text"));
        }
        None => warnings
            .push(|| format!("{column}: the row has no such column; its fields are the text")),
    }
    let fields = fields
        .iter()
        .map(|(name, value)| format!(" {name}={}", scalar(value)));
    Json::String(format!("{table}:{}", fields.collect::<String>()))
}

/// A value's text.
fn scalar(value: &Json) -> String {
    match value {
        Json::String(text) | Json::Number(text) => text.clone(),
        Json::Bool(value) => value.to_string(),
        _ => String::new(),
    }
}

/// A value that is not too long.
fn bounded(column: &str, value: &Json, warnings: &mut Warnings) -> Json {
    match value {
        Json::String(text) if text.len() > MAX_VALUE_BYTES => {
            warnings.push(|| {
                format!("{column}: is longer than {MAX_VALUE_BYTES} bytes, and was cut there")
            });
            let limit = Limit::new(MAX_VALUE_BYTES, Unit::Bytes);
            Json::String(cut(text, limit, "…").into_owned())
        }
        value => value.clone(),
    }
}
