//! Rows of tables, as a write trigger gets them, and which of their columns are what of a notification.

use crate::json::Json;

/// Rows of one table that were written together.
#[derive(Debug, Default)]
pub struct TableRows {
    pub table: String,
    pub rows: Vec<Row>,
}

/// One row: its tags and fields, which the engine does not tell apart.
#[derive(Debug, Default)]
pub struct Row {
    /// Strings, numbers and booleans, in the engine's order; null values are left out.
    pub columns: Vec<(String, Json)>,
    /// Nanoseconds since 1970.
    pub time: Option<i64>,
}

impl Row {
    /// A column's value.
    pub fn get(&self, column: &str) -> Option<&Json> {
        let mut columns = self.columns.iter();
        columns
            .find(|(name, _)| name == column)
            .map(|(_, value)| value)
    }

    /// Bytes that keeping it costs, roughly.
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

/// The columns that have a meaning; all others are fields of the notification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub text: String,
    pub level: Option<String>,
    pub title: Option<String>,
    pub status: Option<String>,
    pub dedup_key: Option<String>,
    pub link: Option<String>,
    /// Of names, separated by spaces or commas.
    pub receivers: Option<String>,
}

impl Columns {
    /// The named ones.
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

    /// Whether a column is more than a field.
    pub fn has(&self, column: &str) -> bool {
        self.text == column || self.named().any(|name| name == column)
    }
}
