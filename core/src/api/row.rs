//! Converts a row of a table to a request.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::members;
use super::request::Request;
use crate::json::{Json, canonical_object};
use crate::model::notification::Notification;
use crate::model::plan::Fingerprint;
use crate::model::read_options::ReadOptions;
use crate::model::row::{Columns, Row};
use crate::text::{Limit, Unit, cut};
use crate::warnings::Warnings;

/// The maximum length of a value. Longer values are cut; the table still has the whole value.
pub const MAX_VALUE_BYTES: usize = 64 * 1024;

/// Converts a row to a request. Omits invalid values with a warning in the request. A row without a text uses all its
/// fields as the text; with a `template` it needs no text.
pub fn read(
    table: &Arc<str>,
    row: &Row,
    columns: &Columns,
    template: Option<&str>,
    options: &ReadOptions,
) -> Request {
    let mut reader = RowReader {
        row,
        warnings: Warnings::default(),
    };
    let fields = reader.fields(columns);
    let text = reader.notification_text(table, &columns.text, &fields, template.is_some());
    let title = reader.text(columns.title.as_deref());
    let level = reader.text(columns.level.as_deref());
    let status = reader.text(columns.status.as_deref());
    let link = reader.text(columns.link.as_deref());
    // Not cut: two keys that differ only at the end are different.
    let dedup_key = reader.word(columns.dedup_key.as_deref());
    let receivers = reader.word(columns.receivers.as_deref());
    let mut warnings = reader.warnings;
    let time = row.time.map(|time| Timestamp::from_nanosecond(time.into()));
    let notification = Notification {
        group: None,
        sent_levels: Vec::new(),
        is_templated: false,
        text: Json::String(text),
        title: title.map(Cow::into_owned),
        level: level.and_then(|level| members::level(&level, &options.levels, &mut warnings)),
        level_in_text: None,
        status: status.and_then(|status| members::status(&status, &mut warnings)),
        fields,
        link: link.and_then(|link| members::link(&link, &mut warnings)),
        timestamp: time.and_then(Result::ok),
        dedup_key: dedup_key.map(|key| members::dedup_key(key, &mut warnings)),
        table: Some(Arc::clone(table)),
    };
    let table_name = Json::String(table.to_string());
    Request {
        notification: members::with_extracted(notification, options),
        senders: None,
        receivers: receivers.map_or_else(Vec::new, names),
        dry_run: false,
        template: template.map(str::to_owned),
        data: Some(Arc::new(Json::Object(vec![(
            "table".to_owned(),
            table_name,
        )]))),
        idempotency_key: None,
        fingerprint: fingerprint(table, row, template),
        unknown: Vec::new(),
        alert: None,
        warnings,
    }
}

struct RowReader<'a> {
    row: &'a Row,
    warnings: Warnings,
}

impl<'a> RowReader<'a> {
    /// Returns the columns without a special meaning.
    fn fields(&mut self, columns: &Columns) -> Vec<(String, Json)> {
        let row = self.row.columns.iter();
        let fields = row.filter(|(name, _)| !columns.has(name));
        fields
            .map(|(name, value)| {
                let value = match value {
                    Json::String(text) => Json::String(self.bounded(name, text).into_owned()),
                    value => value.clone(),
                };
                (name.clone(), value)
            })
            .collect()
    }

    fn notification_text(
        &mut self,
        table: &str,
        column: &str,
        fields: &[(String, Json)],
        has_template: bool,
    ) -> String {
        match self.row.get(column) {
            Some(Json::String(text)) if !text.trim().is_empty() => {
                return self.bounded(column, text).into_owned();
            }
            Some(value @ (Json::Number(_) | Json::Bool(_))) => {
                let kind = value.kind();
                self.warnings.push(|| {
                    format!("{column}: must be a string, found {kind}; taken as it is written")
                });
                return value.as_word().unwrap_or_default().to_owned();
            }
            // The template renders the text.
            _ if has_template => {}
            Some(_) => self
                .warnings
                .push(|| format!("{column}: is blank; the row's fields are the text")),
            None => self
                .warnings
                .push(|| format!("{column}: the row has no such column; its fields are the text")),
        }
        let fields = fields
            .iter()
            .map(|(name, value)| format!(" {name}={}", value.as_word().unwrap_or_default()));
        format!("{table}:{}", fields.collect::<String>())
    }

    /// Returns a column's value as text, cut to the maximum length.
    fn text(&mut self, column: Option<&str>) -> Option<Cow<'a, str>> {
        let word = self.word(column)?;
        Some(self.bounded(column.unwrap_or_default(), word))
    }

    /// Returns a column's value as text, unless it is empty.
    fn word(&self, column: Option<&str>) -> Option<&'a str> {
        let word = self.row.get(column?)?.as_word();
        word.filter(|word| !word.is_empty())
    }

    fn bounded<'t>(&mut self, column: &str, text: &'t str) -> Cow<'t, str> {
        if text.len() <= MAX_VALUE_BYTES {
            return Cow::Borrowed(text);
        }
        self.warnings.push(|| {
            format!("{column}: is longer than {MAX_VALUE_BYTES} bytes, and was cut there")
        });
        cut(text, Limit::new(MAX_VALUE_BYTES, Unit::Bytes), "…")
    }
}

/// Returns the names of a list without duplicates.
fn names(list: &str) -> Vec<String> {
    let mut known = HashSet::new();
    list.split([' ', ','])
        .filter(|name| !name.is_empty() && known.insert(*name))
        .map(str::to_owned)
        .collect()
}

/// Returns a fingerprint that is equal for equal rows of a table.
fn fingerprint(table: &str, row: &Row, template: Option<&str>) -> Fingerprint {
    let mut hash = Sha256::new();
    canonical_object(&row.columns, &mut |part| hash.update(part));
    for part in [table, template.unwrap_or_default()] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.update(row.time.unwrap_or_default().to_le_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[(&str, &str)], time: i64) -> Row {
        let text = |text: &str| Json::String(text.to_owned());
        let columns = columns.iter();
        Row {
            columns: columns
                .map(|(name, value)| ((*name).to_owned(), text(value)))
                .collect(),
            time: Some(time),
        }
    }

    #[test]
    fn columns_fill_the_notification_and_empty_ones_are_ignored() {
        let columns = Columns {
            text: "message".to_owned(),
            level: Some("severity".to_owned()),
            title: Some("title".to_owned()),
            receivers: Some("to".to_owned()),
            ..Columns::default()
        };
        let row = row(
            &[
                ("message", "hi"),
                ("severity", "crit"),
                ("title", ""),
                ("to", "b, a b"),
                ("host", "db"),
            ],
            1,
        );
        let request = read(&"t".into(), &row, &columns, None, &ReadOptions::default());
        let notification = &request.notification;
        assert_eq!(notification.text.as_str(), Some("hi"));
        assert_eq!(
            notification
                .level
                .map(crate::model::notification::Level::word),
            Some("critical")
        );
        assert_eq!(notification.title, None);
        assert_eq!(
            notification.fields,
            [("host".to_owned(), Json::String("db".to_owned()))]
        );
        assert_eq!(
            notification.timestamp.map(Timestamp::as_nanosecond),
            Some(1)
        );
        assert_eq!(request.receivers, ["b", "a"]);
        assert!(request.warnings.is_empty());
    }

    #[test]
    fn equal_rows_alone_have_one_fingerprint() {
        let of = |table, columns: &[(&str, &str)], time, template| {
            fingerprint(table, &row(columns, time), template)
        };
        let first = of("t", &[("a", "1"), ("b", "2")], 1, None);
        assert_eq!(first, of("t", &[("b", "2"), ("a", "1")], 1, None));
        for other in [
            of("u", &[("a", "1"), ("b", "2")], 1, None),
            of("t", &[("a", "1"), ("b", "3")], 1, None),
            of("t", &[("a", "1"), ("b", "2")], 2, None),
            of("t", &[("a", "1"), ("b", "2")], 1, Some("x")),
        ] {
            assert_ne!(first, other);
        }
    }
}
