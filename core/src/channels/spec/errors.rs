//! Errors and warnings about a configuration.

use std::fmt;

use crate::json::Path;
use crate::model::outcome::Reason;
use crate::model::problem::{Location, Problem};

/// Returns an error about a configuration and its path. The error quotes no value, because the value may be a secret.
pub fn invalid(path: &Path, message: impl Into<String>) -> Problem {
    Problem {
        code: Reason::InvalidConfig.code(),
        message: message.into(),
        location: Location::path(path.as_str()),
        hint: String::new(),
    }
}

/// A problem in a configuration that does not prevent the message.
#[derive(Debug, PartialEq, Eq)]
pub struct Warning {
    pub path: Path,
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}
