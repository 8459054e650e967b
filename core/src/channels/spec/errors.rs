//! What can be wrong with a configuration.

use std::fmt;

use crate::json::Path;
use crate::model::outcome::{Detail, Failure, Reason};
use crate::secret::Redactor;

/// What is wrong with a configuration, and where. Quotes no value: it may be a secret.
#[derive(Debug)]
pub struct ConfigError {
    pub path: Path,
    pub what: String,
}

impl ConfigError {
    pub fn new(path: Path, what: impl Into<String>) -> Self {
        Self {
            path,
            what: what.into(),
        }
    }

    pub fn failure(&self) -> Failure {
        Failure::new(Reason::InvalidConfig)
            .with_detail(Detail::new(&self.what, &Redactor::default()))
    }
}

/// What is wrong with a configuration and can be done without.
#[derive(Debug, PartialEq, Eq)]
pub struct Warning {
    pub path: Path,
    pub what: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)
    }
}
