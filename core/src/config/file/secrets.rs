//! Where secrets come from: `{ env = "NAME" }` and `{ file = "PATH" }`, only here and never in a request.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::tree::{Node, Table, Value};
use crate::model::problem::FilePosition;
use crate::secret::Secret;
use crate::time_limit::files::{self, FileError, FileStamp};

/// A secret file is at most so long.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// The one setting that is a matcher.
pub const ROW_FILTER: &str = "row_filter";

/// How long all files that a configuration names may take. A call waits for them.
const ALL_FILES_LIMIT: Duration = Duration::from_secs(2);

/// What the file may look at, and what it has looked at.
pub struct Sources<'a> {
    /// What paths are relative to: the file's own directory.
    directory: &'a Path,
    /// The variables that it names, as they were when the interpreter was held; `None` where one is not set.
    environment: &'a BTreeMap<String, Option<Secret>>,
    /// Whether secrets are looked up; without, the file is checked as if they were in order.
    look_up: bool,
    /// Files that were read, or would have been.
    pub files: Files,
    /// Where the values that were read come from, by the place that names it.
    pub origins: BTreeMap<FilePosition, String>,
    /// Whether one of them did not answer in time.
    pub no_answer: bool,
    /// What was left out of values that were looked up.
    warnings: Vec<String>,
    /// What is left of the time for all of them.
    time: Duration,
}

/// Files, and how they were just before they were read.
pub type Files = BTreeMap<PathBuf, Option<FileStamp>>;

/// A value that may be a secret's.
pub enum SecretText {
    Known(String),
    /// Not looked up.
    Unknown,
}

impl SecretText {
    /// The value; `None` where it was not looked up.
    pub fn known(self) -> Option<String> {
        match self {
            SecretText::Known(text) => Some(text),
            SecretText::Unknown => None,
        }
    }
}

/// Where a secret is.
enum SecretSource<'a> {
    Variable(&'a str),
    File(&'a str),
}

impl<'a> Sources<'a> {
    pub const fn new(
        directory: &'a Path,
        environment: &'a BTreeMap<String, Option<Secret>>,
        look_up: bool,
    ) -> Self {
        Self {
            directory,
            environment,
            look_up,
            files: Files::new(),
            origins: BTreeMap::new(),
            no_answer: false,
            warnings: Vec::new(),
            time: ALL_FILES_LIMIT,
        }
    }

    /// Whether a node is a string or a secret form.
    pub fn is_text(node: &Node) -> bool {
        node.as_str().is_some() || node.as_table().and_then(form).is_some()
    }

    /// A string, or what the secret form stands for; `None` where the node is neither.
    pub fn text(&mut self, node: &Node) -> Option<Result<SecretText, String>> {
        if let Value::String(text) = &node.value {
            return Some(Ok(SecretText::Known(text.clone())));
        }
        let secret = match form(node.as_table()?)? {
            SecretSource::Variable(name) => self.variable(name, node.place),
            SecretSource::File(path) => self.file(path, node.place),
        };
        Some(secret)
    }

    /// The warnings since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn variable(&mut self, name: &str, place: FilePosition) -> Result<SecretText, String> {
        if !self.look_up {
            return Ok(SecretText::Unknown);
        }
        let value = self.environment.get(name).and_then(Option::as_ref);
        let value = value.map(|value| value.expose().trim()).map(trimmed);
        match value.filter(|(value, _)| !value.is_empty()) {
            Some((value, left_out)) => {
                let origin = format!("the environment variable {name}");
                let warning = left_out.map(|message| format!("{origin} {message}"));
                self.warnings.extend(warning);
                self.origins.insert(place, origin);
                Ok(SecretText::Known(value.to_owned()))
            }
            None => Err(format!(
                "the environment variable {name} is not set where the server runs"
            )),
        }
    }

    fn file(&mut self, path: &str, place: FilePosition) -> Result<SecretText, String> {
        let Some(bytes) = self.read(path, place)? else {
            return Ok(SecretText::Unknown);
        };
        let text = String::from_utf8(bytes).map_err(|error| match error.as_bytes() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                format!("the file {path} is UTF-16; save it as UTF-8")
            }
            _ => format!("the file {path} is no UTF-8"),
        })?;
        let (text, left_out) = trimmed(&text);
        self.warnings
            .extend(left_out.map(|message| format!("the file {path} {message}")));
        match text.is_empty() {
            true => Err(format!("the file {path} is empty")),
            false => Ok(SecretText::Known(text.to_owned())),
        }
    }

    /// The bytes of a PEM file; `None` where it is not looked at.
    pub fn pem(&mut self, path: &str, place: FilePosition) -> Result<Option<Vec<u8>>, String> {
        let Some(bytes) = self.read(path, place)? else {
            return Ok(None);
        };
        let Some(rest) = bytes.strip_prefix(BYTE_ORDER_MARK.as_bytes()) else {
            return Ok(Some(bytes));
        };
        self.warnings.push(format!("the file {path} {HAS_MARK}"));
        Ok(Some(rest.to_owned()))
    }

    /// The bytes of a file that is named at this place; `None` where it is not looked at.
    fn read(&mut self, path: &str, place: FilePosition) -> Result<Option<Vec<u8>>, String> {
        let absolute = self.directory.join(path);
        if !self.look_up {
            self.files.entry(absolute).or_insert(None);
            return Ok(None);
        }
        let started = Instant::now();
        let reading = files::read(&absolute, MAX_FILE_BYTES, files::LIMIT.min(self.time));
        self.time = self.time.saturating_sub(started.elapsed());
        self.files.entry(absolute).or_insert(reading.stamp);
        self.no_answer |= matches!(reading.bytes, Err(FileError::TimeLimit));
        let bytes = reading.bytes.map_err(|error| match error {
            FileError::TooLong => format!("the file {path} is longer than {MAX_FILE_BYTES} bytes"),
            error => format!("the file {path} {}", error.sentence()),
        })?;
        self.origins.insert(place, format!("the file {path}"));
        Ok(Some(bytes))
    }
}

const BYTE_ORDER_MARK: &str = "\u{feff}";
const HAS_MARK: &str = "begins with a byte order mark, which is left out";

/// A secret without what an editor puts before it and behind it, and what was left out beyond one line break.
fn trimmed(text: &str) -> (&str, Option<&'static str>) {
    let (line, has_mark) = match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(line) => (line, true),
        None => (text, false),
    };
    let secret = line.trim_end_matches(['\r', '\n']);
    let has_several = !matches!(line.strip_prefix(secret), Some("" | "\n" | "\r\n" | "\r"));
    let left_out = match (has_mark, has_several) {
        (false, false) => None,
        (true, false) => Some(HAS_MARK),
        (false, true) => Some("ends with several line breaks, which are left out"),
        (true, true) => Some(
            "begins with a byte order mark and ends with several line breaks, which are left out",
        ),
    };
    (secret, left_out)
}

/// A table with the one key `env` or `file`, and a string.
fn form(table: &Table) -> Option<SecretSource<'_>> {
    let mut members = table.iter();
    let (member, None) = (members.next()?, members.next()) else {
        return None;
    };
    match (member.key.as_str(), member.node.as_str()?) {
        ("env", name) => Some(SecretSource::Variable(name)),
        ("file", path) => Some(SecretSource::File(path)),
        _ => None,
    }
}

/// The environment's variables that a file names. A matcher names none: `{ env = "live" }` is a field there.
pub fn variables(file: &Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for section in ["settings", "receivers"] {
        let members = file.get(section).and_then(Node::as_table);
        let members = members.into_iter().flat_map(Table::iter);
        for member in members.filter(|member| member.key != ROW_FILTER) {
            collect(&member.node, &mut names);
        }
    }
    names
}

fn collect(node: &Node, names: &mut BTreeSet<String>) {
    match &node.value {
        Value::Table(table) => match form(table) {
            Some(SecretSource::Variable(name)) => {
                names.insert(name.to_owned());
            }
            Some(SecretSource::File(_)) => {}
            None => table.iter().for_each(|member| collect(&member.node, names)),
        },
        Value::Array(nodes) => nodes.iter().for_each(|node| collect(node, names)),
        _ => {}
    }
}
