//! The problems of a configuration file, each with its position.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::problem::{FilePosition, Location, Problem};

/// Returns a problem of the file. The message says how to fix it.
pub fn problem(location: Location, message: impl Into<String>) -> Problem {
    Problem {
        code: "config_file",
        message: message.into(),
        location,
        hint: String::new(),
    }
}

/// Returns a problem of the file for the response to a request. It names the file, because the caller reads another
/// text: `line 31, column 8 of the configuration file: …`.
pub fn in_response(problem: &Problem) -> String {
    let FilePosition { line, column } = problem.location.position.unwrap_or_default();
    let message = &problem.message;
    format!("line {line}, column {column} of the configuration file: {message}")
}

/// All problems in the order of the file, with a maximum for each kind. Messages quote no value, because it may be a
/// secret.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProblemReport {
    pub errors: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

/// A file that is not TOML may have a problem on every line. The first problems are enough to start with.
const MAX_PROBLEMS: usize = 1_000;

impl ProblemReport {
    pub fn error(&mut self, position: FilePosition, path: &str, message: &str) {
        push(&mut self.errors, position, path, message);
    }

    pub fn warning(&mut self, position: FilePosition, path: &str, message: &str) {
        push(&mut self.warnings, position, path, message);
    }

    /// Names the sources of external values, by the positions in the file.
    pub fn name_sources(&mut self, sources: &BTreeMap<FilePosition, String>) {
        for problem in self.errors.iter_mut().chain(&mut self.warnings) {
            let position = problem.location.position.unwrap_or_default();
            let source = sources.get(&position);
            // Some messages already name the source.
            let source = source.filter(|source| !problem.message.starts_with(source.as_str()));
            problem.location.source = source.map(|source| source.as_str().into());
        }
    }

    pub fn sort(&mut self) {
        self.errors.sort_by_key(|problem| problem.location.position);
        self.warnings
            .sort_by_key(|problem| problem.location.position);
    }
}

impl From<Problem> for ProblemReport {
    fn from(error: Problem) -> Self {
        Self {
            errors: vec![error],
            warnings: Vec::new(),
        }
    }
}

fn push(problems: &mut Vec<Problem>, position: FilePosition, path: &str, message: &str) {
    if problems.len() < MAX_PROBLEMS {
        problems.push(problem(Location::in_file(position, path), message));
    }
}
