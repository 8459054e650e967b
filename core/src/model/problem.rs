//! A problem that a user must correct.

use std::fmt;

use serde::Serialize;

/// Something that cannot be used: in a request, an argument, the configuration file, a command line or a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// For programs, such as `invalid_field`. The member `error.code` of an answer.
    pub code: &'static str,
    /// The problem. Holds no secret.
    pub message: String,
    #[serde(flatten)]
    pub location: Location,
    /// The correction. Empty if the message has it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// The location of a problem. Unknown parts are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Location {
    /// The members or keys that lead there, such as `receivers.oncall.slack.webhook_url`, or the name of an argument.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<Box<str>>,
    /// In the configuration file.
    #[serde(flatten)]
    pub place: Option<FilePosition>,
    /// Where the value comes from, if the configuration file only names it: `the file secrets/slack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<str>>,
}

/// Line and column count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FilePosition {
    pub line: usize,
    pub column: usize,
}

impl Location {
    /// An empty path is the whole.
    pub fn path(path: impl Into<Box<str>>) -> Self {
        Self {
            path: Some(path.into()).filter(|path| !path.is_empty()),
            ..Self::default()
        }
    }

    /// In the configuration file.
    pub fn in_file(place: FilePosition, path: impl Into<Box<str>>) -> Self {
        Self {
            place: Some(place),
            ..Self::path(path)
        }
    }
}

impl fmt::Display for Problem {
    /// `line 3, column 9: receivers.oncall.slack: …`, as far as these are known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Location {
            path,
            place,
            source,
        } = &self.location;
        if let Some(FilePosition { line, column }) = place {
            write!(f, "line {line}, column {column}: ")?;
        }
        for part in [path, source].into_iter().flatten() {
            write!(f, "{part}: ")?;
        }
        f.write_str(&self.message)
    }
}
