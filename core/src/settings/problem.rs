//! What is wrong with the file: all of it, each with its place.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

/// Line and column count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// One thing to mend. Quotes no value: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(flatten)]
    pub place: Place,
    /// The keys that lead there, such as `receivers.oncall.slack.webhook_url`; empty for the file as a whole.
    pub path: String,
    /// Where the wrong value comes from, if it is not the file itself: `the file secrets/slack`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    pub what: String,
}

impl Problem {
    /// What is wrong, behind the source of the value.
    pub fn what_with_source(&self) -> String {
        match &self.source {
            Some(source) => format!("{source}: {}", self.what),
            None => self.what.clone(),
        }
    }
}

impl fmt::Display for Problem {
    /// `line 3, column 9: receivers.oncall.slack: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "line {line}, column {column}: ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.what_with_source())
    }
}

/// All that was found, in the order of the file; of each kind so many at most.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub errors: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

/// Who has more to mend begins with these: what is no TOML has a problem on every line.
const MAX_PROBLEMS: usize = 1_000;

impl Report {
    pub fn error(&mut self, place: Place, path: &str, what: &str) {
        push(&mut self.errors, place, path, what);
    }

    pub fn warning(&mut self, place: Place, path: &str, what: &str) {
        push(&mut self.warnings, place, path, what);
    }

    /// Names the sources of values that were read from elsewhere. By the places where the file names them.
    pub fn name_sources(&mut self, sources: &BTreeMap<Place, String>) {
        for problem in self.errors.iter_mut().chain(&mut self.warnings) {
            let source = sources.get(&problem.place);
            // Some say it themselves.
            let source = source.filter(|source| !problem.what.starts_with(source.as_str()));
            problem.source = source.cloned();
        }
    }

    pub fn sort(&mut self) {
        self.errors.sort_by_key(|problem| problem.place);
        self.warnings.sort_by_key(|problem| problem.place);
    }
}

fn push(problems: &mut Vec<Problem>, place: Place, path: &str, what: &str) {
    if problems.len() < MAX_PROBLEMS {
        problems.push(Problem {
            place,
            path: path.to_owned(),
            source: None,
            what: what.to_owned(),
        });
    }
}
