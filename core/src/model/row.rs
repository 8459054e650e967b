//! Rows of tables from a write trigger, and the columns that are members of a notification.

use crate::json::Json;

/// Rows of one table from one write.
#[derive(Debug, Default)]
pub struct TableRows {
    pub table: String,
    pub rows: Vec<Row>,
}

/// One row with its tags and fields, which the engine does not distinguish.
#[derive(Debug, Default)]
pub struct Row {
    /// Strings, numbers and booleans in the engine's order. Null values are omitted.
    pub columns: Vec<(String, Json)>,
    /// Nanoseconds since 1970.
    pub time: Option<i64>,
}

impl Row {
    /// Returns a column's value.
    pub fn get(&self, column: &str) -> Option<&Json> {
        let mut columns = self.columns.iter();
        columns
            .find(|(name, _)| name == column)
            .map(|(_, value)| value)
    }

    /// Returns the approximate memory size in bytes.
    pub fn size(&self) -> usize {
        let size = |value: &Json| match value {
            Json::String(text) | Json::Number(text) => text.len(),
            _ => 0,
        };
        let columns = self.columns.iter();
        let columns =
            columns.map(|(name, value)| size_of::<(String, Json)>() + name.len() + size(value));
        size_of::<Self>() + columns.sum::<usize>()
    }
}

/// The columns with a meaning. All other columns are fields of the notification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub text: String,
    pub level: Option<String>,
    pub title: Option<String>,
    pub status: Option<String>,
    pub dedup_key: Option<String>,
    pub link: Option<String>,
    /// A column of receivers' names, separated by spaces or commas.
    pub receivers: Option<String>,
}

impl Columns {
    /// Returns the configured column names.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        let rest = [
            &self.level,
            &self.title,
            &self.status,
            &self.dedup_key,
            &self.link,
            &self.receivers,
        ];
        rest.into_iter().flatten().map(String::as_str)
    }

    /// Whether a column has a meaning besides a field.
    pub fn has(&self, column: &str) -> bool {
        self.text == column || self.named().any(|name| name == column)
    }
}
