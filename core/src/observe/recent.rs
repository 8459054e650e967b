//! The last errors, for the status view.

use std::collections::VecDeque;
use std::sync::Mutex;

use jiff::Timestamp;
use serde::Serialize;

use super::line::LogLine;
use crate::panics::lock;

/// The last errors of the process.
#[derive(Default)]
pub struct RecentErrors {
    errors: Mutex<VecDeque<RecentError>>,
}

/// A line of the log, and when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RecentError {
    /// `2026-11-25T02:41:58Z`, as `timestamp` in a request.
    pub time: String,
    pub line: String,
}

const MAX_ERRORS: usize = 20;

impl RecentErrors {
    pub(super) fn push(&self, line: LogLine) {
        let mut errors = lock(&self.errors);
        errors.truncate(MAX_ERRORS - 1);
        errors.push_front(RecentError {
            time: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            line: line.text,
        });
    }

    /// The latest first.
    pub fn all(&self) -> Vec<RecentError> {
        let errors = lock(&self.errors);
        errors.iter().cloned().collect()
    }
}
