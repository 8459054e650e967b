//! All that is wrong with the configuration file, each with its place.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::problem::{FilePosition, Location, Problem};

/// A problem of the file. What to do about it stands in the message.
pub fn problem(location: Location, message: impl Into<String>) -> Problem {
    Problem {
        code: "config_file",
        message: message.into(),
        location,
        hint: String::new(),
    }
}

/// A problem of the file in the response to a request, whose reader has another text at hand:
/// `line 31, column 8 of the configuration file: …`.
pub fn in_response(problem: &Problem) -> String {
    let FilePosition { line, column } = problem.location.place.unwrap_or_default();
    let message = &problem.message;
    format!("line {line}, column {column} of the configuration file: {message}")
}

/// All that was found, in the order of the file; of each kind so many at most. Quotes no value: it may be a secret.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProblemReport {
    pub errors: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

/// Who has more to mend begins with these: what is no TOML has a problem on every line.
const MAX_PROBLEMS: usize = 1_000;

impl ProblemReport {
    pub fn error(&mut self, place: FilePosition, path: &str, message: &str) {
        push(&mut self.errors, place, path, message);
    }

    pub fn warning(&mut self, place: FilePosition, path: &str, message: &str) {
        push(&mut self.warnings, place, path, message);
    }

    /// Names the sources of values that were read from elsewhere. By the places where the file names them.
    pub fn name_sources(&mut self, sources: &BTreeMap<FilePosition, String>) {
        for problem in self.errors.iter_mut().chain(&mut self.warnings) {
            let place = problem.location.place.unwrap_or_default();
            let source = sources.get(&place);
            // Some say it themselves.
            let source = source.filter(|source| !problem.message.starts_with(source.as_str()));
            problem.location.source = source.map(|source| source.as_str().into());
        }
    }

    pub fn sort(&mut self) {
        self.errors.sort_by_key(|problem| problem.location.place);
        self.warnings.sort_by_key(|problem| problem.location.place);
    }
}

fn push(problems: &mut Vec<Problem>, place: FilePosition, path: &str, message: &str) {
    if problems.len() < MAX_PROBLEMS {
        problems.push(problem(Location::in_file(place, path), message));
    }
}
