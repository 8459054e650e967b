//! What can be wrong with a configuration.

use std::fmt;

use crate::json::Path;
use crate::model::outcome::Reason;
use crate::model::problem::{Location, Problem};

/// What is wrong with a configuration, and where. Quotes no value: it may be a secret.
pub fn invalid(path: &Path, message: impl Into<String>) -> Problem {
    Problem {
        code: Reason::InvalidConfig.code(),
        message: message.into(),
        location: Location::path(path.as_str()),
        hint: String::new(),
    }
}

/// What is wrong with a configuration and can be done without.
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
