//! A JSON tree that stores the text of numbers, reports duplicate keys, and knows the path of each value.

mod read;

use std::fmt;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

pub use self::read::{JsonError, Parsed, parse};
use crate::text::shown;

/// Maximum depth of nested objects and arrays.
pub const MAX_DEPTH: usize = 64;

#[derive(Clone, Default, PartialEq)]
pub enum Json {
    #[default]
    Null,
    Bool(bool),
    /// The number as written, because a double could lose digits.
    Number(String),
    String(String),
    Array(Vec<Json>),
    /// The members in the order of the text. Each key occurs once, with its last value.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Returns the type for messages: `a string`, `an object`.
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

    /// Whether the value means an absent field: `null` or `""`.
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

    /// Returns the text of a string, a number or a boolean.
    pub fn as_word(&self) -> Option<&str> {
        match self {
            Json::String(text) | Json::Number(text) => Some(text),
            Json::Bool(true) => Some("true"),
            Json::Bool(false) => Some("false"),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&[(String, Json)]> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Returns a member of an object.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.as_object()?
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    /// Returns the approximate memory size in bytes.
    pub fn size(&self) -> usize {
        let within = match self {
            Json::Null | Json::Bool(_) => 0,
            Json::Number(text) | Json::String(text) => text.len(),
            Json::Array(items) => items.iter().map(Json::size).sum(),
            Json::Object(members) => size_of_members(members),
        };
        size_of::<Self>() + within
    }

    /// Writes the canonical form to `sink`, with members sorted by key. Texts with the same meaning have the same
    /// form.
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

/// Returns [`Json::size`] of an object's members.
pub fn size_of_members(members: &[(String, Json)]) -> usize {
    let size = |(name, value): &(String, Json)| size_of::<String>() + name.len() + value.size();
    members.iter().map(size).sum()
}

/// Writes [`Json::canonical`] of an object with these members.
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
    /// Shows only the structure, because all values of a request may be secrets.
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

/// Writes the length first, so that no text can imitate a structure.
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

/// The path of a value in a tree: `senders_config.slack[1].slack_webhook_url`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    pub fn root() -> Self {
        Self::default()
    }

    pub fn key(&self, key: &str) -> Self {
        // The caller chooses the key. A long or strange key must not make the message unreadable.
        let key = shown(key);
        let dot = if self.0.is_empty() { "" } else { "." };
        Self([self.as_str(), dot, key.as_ref()].concat())
    }

    pub fn index(&self, index: usize) -> Self {
        Self(format!("{self}[{index}]"))
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
