//! A JSON tree of our own: it keeps the text of numbers, knows of duplicate keys, and says where in it something is.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::text::{printable, truncate};

/// Objects and arrays may stand in one another this deep.
pub const MAX_DEPTH: usize = 64;

#[derive(Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// As it was written: nothing is lost to a double.
    Number(String),
    String(String),
    Array(Vec<Json>),
    /// In the order of the text; each key once (the last value wins).
    Object(Vec<(String, Json)>),
}

impl Json {
    /// For messages: `a string`, `an object`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        }
    }

    /// `null` and `""` mean that a field is absent.
    pub fn is_absent(&self) -> bool {
        match self {
            Json::Null => true,
            Json::String(text) => text.is_empty(),
            _ => false,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&[(String, Json)]> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    /// A member of an object.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.as_object()?
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// Feeds `sink` a form that is the same for all texts that mean the same: members sorted by key.
    pub fn canonical(&self, sink: &mut impl FnMut(&[u8])) {
        match self {
            Json::Null => sink(b"n"),
            Json::Bool(value) => sink(if *value { b"t" } else { b"f" }),
            Json::Number(text) => canonical_text(b'#', text, sink),
            Json::String(text) => canonical_text(b'"', text, sink),
            Json::Array(items) => {
                sink(b"[");
                items.iter().for_each(|item| item.canonical(sink));
                sink(b"]");
            }
            Json::Object(members) => canonical_object(members, sink),
        }
    }
}

/// [`Json::canonical`] of an object with these members.
pub fn canonical_object<'a>(
    members: impl IntoIterator<Item = &'a (String, Json)>,
    sink: &mut impl FnMut(&[u8]),
) {
    let mut sorted: Vec<_> = members.into_iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sink(b"{");
    for (key, value) in sorted {
        canonical_text(b':', key, sink);
        value.canonical(sink);
    }
    sink(b"}");
}

impl fmt::Debug for Json {
    /// The shape alone: a request's values may all be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Array(items) => f.debug_list().entries(items).finish(),
            Json::Object(members) => f
                .debug_map()
                .entries(members.iter().map(|(key, value)| (key, value)))
                .finish(),
            value => f.write_str(value.kind()),
        }
    }
}

/// The length first, so that no text can pass for a structure.
fn canonical_text(tag: u8, text: &str, sink: &mut impl FnMut(&[u8])) {
    sink(&[tag]);
    sink(&text.len().to_le_bytes());
    sink(text.as_bytes());
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(text) => RawValue::from_string(text.clone())
                .map_err(serde::ser::Error::custom)?
                .serialize(serializer),
            Json::String(text) => serializer.serialize_str(text),
            Json::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Json::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in members {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// Where in a tree something stands: `senders_config.slack[1].slack_webhook_url`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    pub fn root() -> Self {
        Self::default()
    }

    pub fn key(&self, key: &str) -> Self {
        // A key is the caller's: a long or strange one must not spoil the message.
        let key = truncate(&printable(key), 64);
        match self.0.as_str() {
            "" => Self(key),
            head => Self(format!("{head}.{key}")),
        }
    }

    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no JSON that we take.
#[derive(Debug, PartialEq, Eq)]
pub struct JsonError {
    /// From 1, in characters.
    pub line: usize,
    pub column: usize,
    /// What was found and what was expected, without quoting the text.
    pub what: String,
}

/// A tree, and the places of keys that stood twice in one object.
#[derive(Debug)]
pub struct Parsed {
    pub json: Json,
    pub duplicates: Vec<Path>,
}

/// Parses a text. Lone surrogates in escapes must have been replaced before.
pub fn parse(text: &str) -> Result<Parsed, JsonError> {
    // One pass over the whole text finds every syntax error, without recursion.
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax_error(text, &error))?;
    let mut reader = Reader {
        text,
        duplicates: Vec::new(),
    };
    let json = reader.value(raw, 0, &Place::Root)?;
    Ok(Parsed {
        json,
        duplicates: reader.duplicates,
    })
}

struct Reader<'a> {
    text: &'a str,
    duplicates: Vec<Path>,
}

/// Where the reader is. A path is made of it only where there is something to say.
enum Place<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn path(&self) -> Path {
        match self {
            Place::Root => Path::root(),
            Place::Key(parent, key) => parent.path().key(key),
            Place::Index(parent, index) => parent.path().index(*index),
        }
    }
}

impl<'a> Reader<'a> {
    fn value(
        &mut self,
        raw: &'a RawValue,
        depth: usize,
        place: &Place<'_>,
    ) -> Result<Json, JsonError> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'{') => self.object(text, depth, place),
            Some(b'[') => self.array(text, depth, place),
            Some(b'"') => serde_json::from_str(text)
                .map(Json::String)
                .map_err(|_| self.error(text, "a string with an escape that means nothing")),
            Some(b't') => Ok(Json::Bool(true)),
            Some(b'f') => Ok(Json::Bool(false)),
            Some(b'n') => Ok(Json::Null),
            _ => match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Json::Number(text.to_owned())),
                _ => Err(self.error(text, "a number beyond the range of a double")),
            },
        }
    }

    fn object(
        &mut self,
        text: &'a str,
        depth: usize,
        place: &Place<'_>,
    ) -> Result<Json, JsonError> {
        self.check_depth(text, depth)?;
        let members = serde_json::Deserializer::from_str(text)
            .deserialize_map(Members)
            .map_err(|_| self.error(text, "an object with a key that means nothing"))?;
        let mut places: HashMap<String, usize> = HashMap::with_capacity(members.len());
        let mut object: Vec<(String, Json)> = Vec::with_capacity(members.len());
        for (key, raw) in members {
            let here = Place::Key(place, &key);
            let value = self.value(raw, depth + 1, &here)?;
            match places.get(&key).and_then(|place| object.get_mut(*place)) {
                Some(member) => {
                    member.1 = value;
                    self.duplicates.push(here.path());
                }
                None => {
                    places.insert(key.clone(), object.len());
                    object.push((key, value));
                }
            }
        }
        Ok(Json::Object(object))
    }

    fn array(&mut self, text: &'a str, depth: usize, place: &Place<'_>) -> Result<Json, JsonError> {
        self.check_depth(text, depth)?;
        let items: Vec<&RawValue> =
            serde_json::from_str(text).map_err(|_| self.error(text, "an array that is broken"))?;
        items
            .into_iter()
            .enumerate()
            .map(|(index, raw)| self.value(raw, depth + 1, &Place::Index(place, index)))
            .collect::<Result<_, _>>()
            .map(Json::Array)
    }

    fn check_depth(&self, text: &str, depth: usize) -> Result<(), JsonError> {
        if depth < MAX_DEPTH {
            return Ok(());
        }
        Err(self.error(text, "objects and arrays nested more than 64 deep"))
    }

    /// An error at the place of `part`, which is a part of the text.
    fn error(&self, part: &str, found: &str) -> JsonError {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let (line, column) = line_and_column(self.text, offset);
        JsonError {
            line,
            column,
            what: format!("found {found}"),
        }
    }
}

/// The members of an object as they stand, duplicates included.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

/// Line and column, from 1, of a byte offset.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let head = text.get(..offset).unwrap_or(text);
    let line = head.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = head.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// The library's message quotes the text, which holds secrets: only its place is used.
fn syntax_error(text: &str, error: &serde_json::Error) -> JsonError {
    if error.is_eof() {
        let (line, column) = line_and_column(text, text.len());
        return JsonError {
            line,
            column,
            what: "found the end of the body in the middle of a value; is something missing?"
                .to_owned(),
        };
    }
    let line = error.line().max(1);
    let text_of_line = text.split('\n').nth(line - 1).unwrap_or_default();
    let message = error.to_string();
    // The column counts bytes and points at, or just behind, what was not expected; before a control character.
    let is_control = message.starts_with("control character");
    let byte = error.column().max(1) - usize::from(!is_control);
    let mut before = text_of_line.as_bytes().get(..byte).unwrap_or_default();
    let is_escape = ["invalid escape", "invalid unicode", "unexpected end of hex"]
        .iter()
        .any(|start| message.starts_with(start));
    let what = if is_control {
        describe(Some(b'\0'))
    } else if is_escape {
        let backslash = before.iter().rposition(|byte| *byte == b'\\');
        before = before.get(..backslash.unwrap_or(byte)).unwrap_or_default();
        "an escape that JSON does not know; a backslash itself is written \\\\"
    } else {
        describe(text_of_line.as_bytes().get(byte).copied())
    };
    JsonError {
        line,
        column: String::from_utf8_lossy(before).chars().count() + 1,
        what: format!("found {what}"),
    }
}

fn describe(found: Option<u8>) -> &'static str {
    match found {
        None => "the end of the line where a value, a comma or a bracket was expected",
        Some(b'\'') => "a single quote; JSON strings stand in double quotes",
        Some(b'"') => {
            "a double quote where none was expected; is a comma, colon or backslash missing?"
        }
        Some(b'}' | b']') => {
            "a closing bracket where none was expected; is there a comma before it?"
        }
        Some(b'{' | b'[') => "an opening bracket where none was expected",
        Some(b',') => "a comma where none was expected",
        Some(b':') => "a colon where none was expected",
        Some(b'\\') => "a backslash where none was expected",
        Some(b'0'..=b'9' | b'.' | b'+' | b'-') => {
            "a number that is not written as JSON writes numbers"
        }
        Some(byte) if byte.is_ascii_alphabetic() => {
            "a word that JSON does not know; strings stand in double quotes, NaN and Infinity do not exist"
        }
        Some(byte) if byte.is_ascii_control() => {
            "a control character; inside a string a line break is written \\n"
        }
        Some(_) => "a character that JSON does not expect here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> JsonError {
        parse(text).map(|parsed| parsed.json).unwrap_err()
    }

    #[test]
    fn a_tree_keeps_order_numbers_and_the_last_of_equal_keys() {
        let text = r#"{"b":1.50,"a":[true,null,"x\u00e9"],"b":12345678901234567890123}"#;
        let parsed = parse(text).unwrap();
        assert_eq!(
            serde_json::to_string(&parsed.json).unwrap(),
            r#"{"b":12345678901234567890123,"a":[true,null,"xé"]}"#
        );
        assert_eq!(parsed.duplicates, [Path::root().key("b")]);
    }

    #[test]
    fn errors_name_the_place_and_what_was_found() {
        for (text, line, column, what) in [
            ("", 1, 1, "the end of the body"),
            ("{", 1, 2, "the end of the body"),
            ("{'a':1}", 1, 2, "a single quote"),
            ("{\n \"a\": 1,\n}", 3, 1, "a closing bracket"),
            ("{\"a\": NaN}", 1, 7, "a word"),
            ("[1e999]", 1, 2, "beyond the range"),
            ("[-1e999]", 1, 2, "beyond the range"),
            ("{\"a\":1} x", 1, 9, "a word"),
            ("[01]", 1, 3, "a number"),
            ("\"a\nb\"", 1, 3, "a control character"),
            ("{\"ä😀\": NaN}", 1, 8, "a word"),
            (r#"["\x41"]"#, 1, 3, "an escape"),
            (r#"["\u12"]"#, 1, 3, "an escape"),
            (r#"["a\u12x4"]"#, 1, 4, "an escape"),
        ] {
            let error = error(text);
            assert!(error.what.contains(what), "{text:?}: {error:?}");
            assert_eq!(
                (error.line, error.column),
                (line, column),
                "{text:?}: {error:?}"
            );
        }
    }

    #[test]
    fn depth_is_bounded_without_using_up_the_stack() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(error(&nested(MAX_DEPTH + 1)).what.contains("nested"));
        assert!(error(&nested(100_000)).what.contains("nested"));
        assert!(error(&"[".repeat(100_000)).what.contains("end of the body"));
    }

    #[test]
    fn equal_meanings_have_one_canonical_form() {
        let canonical = |text: &str| {
            let mut bytes = Vec::new();
            parse(text)
                .unwrap()
                .json
                .canonical(&mut |part| bytes.extend_from_slice(part));
            bytes
        };
        assert_eq!(
            canonical(r#"{"a":1,"b":["x"]}"#),
            canonical(r#" {"b" : ["x"], "a": 1}"#)
        );
        assert_ne!(canonical(r#"{"a":"1"}"#), canonical(r#"{"a":1}"#));
        assert_ne!(canonical(r#"["ab","c"]"#), canonical(r#"["a","bc"]"#));
    }
}
