//! TOML as a tree in which every key and value has a position. Error messages never contain a TOML library's text.

use std::cell::Cell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::report::ProblemReport;
use crate::model::problem::FilePosition;
use crate::text::{printable, truncate};

/// A value with its position.
pub struct Node {
    pub value: Value,
    pub position: FilePosition,
}

pub enum Value {
    String(String),
    Integer(i64),
    /// The number as the file writes it.
    Float(String),
    Boolean(bool),
    /// A date or a time as the file writes it.
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
}

/// A table with its members in the order of the file.
#[derive(Default)]
pub struct Table(Vec<TableEntry>);

pub struct TableEntry {
    pub key: String,
    /// The position of the key.
    pub position: FilePosition,
    pub node: Node,
}

impl Node {
    /// Returns the type's name for messages, such as `a string` or `a table`.
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::String(_) => "a string",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Boolean(_) => "a boolean",
            Value::Datetime(_) => "a date or time",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub const fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// Returns a scalar as the text of an argument.
    pub fn scalar(&self) -> Option<String> {
        Some(match &self.value {
            Value::String(text) | Value::Float(text) | Value::Datetime(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(value) => value.to_string(),
            Value::Array(_) | Value::Table(_) => return None,
        })
    }

    /// Returns the elements of an array, or a single value as a slice of one.
    pub fn one_or_several(&self) -> &[Node] {
        match &self.value {
            Value::Array(nodes) => nodes,
            _ => std::slice::from_ref(self),
        }
    }
}

impl Table {
    pub fn iter(&self) -> std::slice::Iter<'_, TableEntry> {
        self.0.iter()
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        let member = self.iter().find(|member| member.key == key);
        member.map(|member| &member.node)
    }

    pub const fn len(&self) -> usize {
        self.0.len()
    }
}

/// Returns a file's bytes as text without a byte order mark.
pub fn decode<'a>(bytes: &'a [u8], report: &mut ProblemReport) -> Option<&'a str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let good = String::from_utf8_lossy(good);
            let message = match bytes {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "this is UTF-16; save the file as UTF-8",
                _ => "this is no UTF-8; save the file as UTF-8",
            };
            report.error(LineIndex::new(&good).position(good.len()), "", message);
            return None;
        }
    };
    Some(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Parses TOML and reports all syntax errors.
pub fn parse(text: &str, report: &mut ProblemReport) -> Option<Table> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let lines = LineIndex::new(text);
    for error in &errors {
        let at = error.span().map_or(text.len(), |span| span.start);
        report.error(lines.position(at), "", &explain(error.message(), text, at));
    }
    errors.is_empty().then(|| {
        let reader = TomlReader { text, lines };
        reader.table(document.into_inner())
    })
}

struct TomlReader<'a> {
    text: &'a str,
    lines: LineIndex<'a>,
}

impl TomlReader<'_> {
    fn table(&self, table: DeTable<'_>) -> Table {
        let members = table.into_iter().map(|(key, value)| TableEntry {
            position: self.lines.position(key.span().start),
            key: key.into_inner().into_owned(),
            node: self.node(value),
        });
        Table(members.collect())
    }

    fn node(&self, value: Spanned<DeValue<'_>>) -> Node {
        let span = value.span();
        let position = self.lines.position(span.start);
        let value = match value.into_inner() {
            DeValue::String(text) => Value::String(self.string(text.into_owned(), &span)),
            DeValue::Integer(number) => self.integer(&number, &span),
            DeValue::Float(_) => Value::Float(self.written(&span).to_owned()),
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Datetime(_) => Value::Datetime(self.written(&span).to_owned()),
            DeValue::Array(nodes) => {
                Value::Array(nodes.into_iter().map(|node| self.node(node)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node { value, position }
    }

    /// Returns a string with every line break as one character, on every system.
    fn string(&self, text: String, span: &Range<usize>) -> String {
        match self.written(span).contains("\r\n") {
            true => text.replace("\r\n", "\n"),
            false => text,
        }
    }

    /// Returns an integer. Keeps the written text of an integer that is out of range.
    fn integer(&self, number: &toml::de::DeInteger<'_>, span: &Range<usize>) -> Value {
        match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Float(self.written(span).to_owned()),
        }
    }

    fn written(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }
}

/// The positions at which lines begin.
struct LineIndex<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// The last position and its byte offset, so that a lookup does not count a long line from its beginning each time.
    last: Cell<(usize, FilePosition)>,
}

impl<'a> LineIndex<'a> {
    fn new(text: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            text,
            starts: std::iter::once(0)
                .chain(breaks.map(|(at, _)| at + 1))
                .collect(),
            last: Cell::default(),
        }
    }

    /// Returns the position of a byte offset. Lines and columns count from 1; columns count characters.
    fn position(&self, at: usize) -> FilePosition {
        let (known, position) = self.last.get();
        let start_of = |line: usize| self.starts.get(line).copied();
        // Most lookups concern the line of the last position or the next line.
        let is_in = |line: usize| {
            let begins = line.checked_sub(1).and_then(start_of);
            begins.is_some_and(|start| start <= at) && start_of(line).is_none_or(|next| at < next)
        };
        let near = [position.line, position.line + 1]
            .into_iter()
            .find(|line| is_in(*line));
        let line = near.unwrap_or_else(|| self.starts.partition_point(|start| *start <= at));
        let start = line.checked_sub(1).and_then(start_of);
        let (from, column) = match position.line == line && known <= at {
            true => (known, position.column),
            false => (start.unwrap_or(0), 1),
        };
        let before = self.text.get(from..at).unwrap_or_default();
        let position = FilePosition {
            line,
            column: column + before.chars().count(),
        };
        self.last.set((at, position));
        position
    }
}

/// Explains a TOML syntax error. The library's message selects one of the plugin's sentences.
fn explain(message: &str, text: &str, at: usize) -> String {
    const KINDS: &[(&str, &str)] = &[
        (
            "must be quoted",
            "a value without quotes; strings stand in double quotes",
        ),
        ("duplicate key", "this key stands twice"),
        (
            "key with no value",
            "this key has no value; write key = \"value\"",
        ),
        ("unclosed array", "this array is not closed; ] is missing"),
        (
            "unclosed inline table",
            "this table is not closed; } is missing",
        ),
        (
            "unclosed table",
            "this table's name is not closed; ] is missing",
        ),
        (
            "basic string",
            "this string is not closed, or has an escape that TOML does not know; a backslash is written \\\\",
        ),
        ("literal string", "this string is not closed; ' is missing"),
        (
            "quoted",
            "a value without quotes; strings stand in double quotes",
        ),
        (
            "cannot extend",
            "this key has a value already, and cannot be a table as well",
        ),
        (
            "newline",
            "a line break is missing or stands where none may",
        ),
    ];
    let known = KINDS.iter().find(|(part, _)| message.contains(part));
    let message = known.map_or("this is not TOML", |(_, message)| message);
    match text
        .get(at..)
        .and_then(|rest| rest.split_whitespace().next())
    {
        // Quote only names and punctuation: a value may be a secret.
        Some(found) if !found.contains(['"', '\'']) && known.is_none() => {
            let found: String = found.chars().take_while(|c| !c.is_alphanumeric()).collect();
            match found.as_str() {
                "" => message.to_owned(),
                found => format!(
                    "{message}: {} is not expected here",
                    truncate(&printable(found), 16)
                ),
            }
        }
        Some(_) => message.to_owned(),
        None => format!("{message}; the file ends here"),
    }
}
