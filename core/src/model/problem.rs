//! A problem that a user must correct.

use std::fmt;

use serde::Serialize;

/// An unusable value in a request, an argument, the configuration file, a command line or a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The code for programs, such as `invalid_field`. The response's member `error.code`.
    pub code: &'static str,
    /// The description, without secrets.
    pub message: String,
    #[serde(flatten)]
    pub location: Location,
    /// The correction. Empty if the message contains it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// The location of a problem. Unknown parts are omitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The path of members or keys, such as `receivers.oncall.slack.webhook_url`, or an argument's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Box<str>>,
    /// The position in the configuration file.
    #[serde(flatten)]
    pub position: Option<FilePosition>,
    /// The source of the value, if the configuration file only names it: `the file secrets/slack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<str>>,
}

/// A line and a column, both from 1. The column counts characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FilePosition {
    pub line: usize,
    pub column: usize,
}

impl Location {
    /// Returns the location of a path. An empty path means the whole.
    pub fn path(path: impl Into<Box<str>>) -> Self {
        Self {
            path: Some(path.into()).filter(|path| !path.is_empty()),
            ..Self::default()
        }
    }

    /// Returns a location in the configuration file.
    pub fn in_file(position: FilePosition, path: impl Into<Box<str>>) -> Self {
        Self {
            position: Some(position),
            ..Self::path(path)
        }
    }
}

impl fmt::Display for Problem {
    /// Formats the known parts: `line 3, column 9: receivers.oncall.slack: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Location {
            path,
            position,
            source,
        } = &self.location;
        if let Some(FilePosition { line, column }) = position {
            write!(f, "line {line}, column {column}: ")?;
        }
        for part in [path, source].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.message)
    }
}
