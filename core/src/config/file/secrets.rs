//! Reads secrets from `{ env = "NAME" }` and `{ file = "PATH" }`. Only the configuration file supports these forms;
//! requests do not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::tree::{Node, Table, Value};
use crate::model::problem::FilePosition;
use crate::secret::Secret;
use crate::time_limit::files::{self, FileError, FileStamp};

/// The maximum size of a secret file.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// The only setting that is a matcher.
pub const ROW_FILTER: &str = "row_filter";

/// The time limit for reading all files that a configuration names. A call waits for them.
const ALL_FILES_LIMIT: Duration = Duration::from_secs(2);

/// The sources of external values, and the record of sources that were read.
pub struct Sources<'a> {
    /// The configuration file's directory, to which paths are relative.
    directory: &'a Path,
    /// The environment variables that the file names, as read while the caller held the interpreter. `None`: the
    /// variable is not set.
    environment: &'a BTreeMap<String, Option<Secret>>,
    /// Whether to read secrets. Without lookup, the loader assumes that every secret is valid.
    look_up: bool,
    /// The files that were read, or that a lookup would read.
    pub files: Files,
    /// The sources of the values that were read, by the position in the configuration file.
    pub origins: BTreeMap<FilePosition, String>,
    /// Whether one of the files did not respond in time.
    pub no_answer: bool,
    /// Warnings of characters that were removed from values.
    warnings: Vec<String>,
    /// The remaining time for all files.
    time: Duration,
}

/// Files, with their stamps just before they were read.
pub type Files = BTreeMap<PathBuf, Option<FileStamp>>;

/// A text that may be a secret.
pub enum SecretText {
    Known(String),
    /// The secret was not looked up.
    Unknown,
}

impl SecretText {
    /// Returns the value, or `None` for a secret that was not looked up.
    pub fn known(self) -> Option<String> {
        match self {
            SecretText::Known(text) => Some(text),
            SecretText::Unknown => None,
        }
    }
}

/// The source of a secret.
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

    /// Returns whether a node is a string or a secret form.
    pub fn is_text(node: &Node) -> bool {
        node.as_str().is_some() || node.as_table().and_then(form).is_some()
    }

    /// Returns a string, or the value of a secret form. Returns `None` for any other node.
    pub fn text(&mut self, node: &Node) -> Option<Result<SecretText, String>> {
        if let Value::String(text) = &node.value {
            return Some(Ok(SecretText::Known(text.clone())));
        }
        let secret = match form(node.as_table()?)? {
            SecretSource::Variable(name) => self.variable(name, node.position),
            SecretSource::File(path) => self.file(path, node.position),
        };
        Some(secret)
    }

    /// Returns the warnings since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    fn variable(&mut self, name: &str, position: FilePosition) -> Result<SecretText, String> {
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
                self.origins.insert(position, origin);
                Ok(SecretText::Known(value.to_owned()))
            }
            None => Err(format!(
                "the environment variable {name} is not set where the server runs"
            )),
        }
    }

    fn file(&mut self, path: &str, position: FilePosition) -> Result<SecretText, String> {
        let Some(bytes) = self.read(path, position)? else {
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

    /// Returns the bytes of a PEM file, or `None` without lookup.
    pub fn pem(&mut self, path: &str, position: FilePosition) -> Result<Option<Vec<u8>>, String> {
        let Some(bytes) = self.read(path, position)? else {
            return Ok(None);
        };
        let Some(rest) = bytes.strip_prefix(BYTE_ORDER_MARK.as_bytes()) else {
            return Ok(Some(bytes));
        };
        self.warnings.push(format!("the file {path} {HAS_MARK}"));
        Ok(Some(rest.to_owned()))
    }

    /// Returns the bytes of a file that this position names, or `None` without lookup.
    fn read(&mut self, path: &str, position: FilePosition) -> Result<Option<Vec<u8>>, String> {
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
        self.origins.insert(position, format!("the file {path}"));
        Ok(Some(bytes))
    }
}

const BYTE_ORDER_MARK: &str = "\u{feff}";
const HAS_MARK: &str = "begins with a byte order mark, which is left out";

/// Returns a secret without a byte order mark and line breaks. Also describes removed characters beyond one line break.
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

/// Reads a table with the single key `env` or `file` and a string value.
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

/// Returns the environment variables that a file names. Skips matchers: there, `{ env = "live" }` is a field.
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
