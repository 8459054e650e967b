//! Reads the members of a request's object in turn.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::members;
use super::problems::{error, missing, wrong_type};
use crate::json::{Json, Path};
use crate::model::notification::{Level, LevelMap, Notification};
use crate::model::problem::{Location, Problem};
use crate::text::{did_you_mean, shown};
use crate::warnings::{MAX_WARNINGS, Warnings};

const KNOWN: &[&str] = &[
    "notification_text",
    "senders_config",
    "title",
    "level",
    "status",
    "fields",
    "link",
    "timestamp",
    "dedup_key",
    "receivers",
    "template",
    "data",
    "idempotency_key",
    "dry_run",
];

/// Reads the members of a request in turn.
pub(super) struct MemberReader {
    /// The members by their index in [`KNOWN`].
    members: [Option<Json>; KNOWN.len()],
    pub(super) unknown: Vec<String>,
    pub(super) warnings: Warnings,
}

impl MemberReader {
    pub(super) fn new(members: Vec<(String, Json)>, warnings: Warnings) -> Self {
        let mut reader = Self {
            members: [const { None }; KNOWN.len()],
            unknown: Vec::new(),
            warnings,
        };
        for (name, value) in members {
            match reader.slot(&name) {
                Some(slot) => *slot = Some(value),
                None => reader.add_unknown(name),
            }
        }
        reader
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<Json>> {
        let mut slots = KNOWN.iter().zip(&mut self.members);
        slots
            .find(|(known, _)| **known == name)
            .map(|(_, slot)| slot)
    }

    fn add_unknown(&mut self, name: String) {
        self.warnings.push(|| {
            let meant = did_you_mean(&name, KNOWN.iter().copied());
            format!("{}: unknown field, ignored{meant}", shown(&name))
        });
        if self.unknown.len() < MAX_WARNINGS {
            self.unknown.push(name);
        }
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        self.slot(name)?.take()
    }

    /// Returns a member unless it is `null` or `""`.
    fn present(&mut self, name: &str) -> Option<Json> {
        self.take(name).filter(|value| !value.is_absent())
    }

    pub(super) fn notification_text(&mut self) -> Result<Json, Problem> {
        self.take("notification_text")
            .ok_or_else(|| missing("notification_text", &self.unknown))
    }

    pub(super) fn senders(&mut self) -> Result<Option<Vec<(String, Json)>>, Problem> {
        match self.take("senders_config") {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Object(senders)) => Ok(Some(senders)),
            Some(other) => Err(wrong_type("senders_config", "an object of senders", &other)),
        }
    }

    pub(super) fn receivers(&mut self) -> Result<Vec<String>, Problem> {
        let items = match self.present("receivers") {
            None => return Ok(Vec::new()),
            Some(Json::Array(items)) => items,
            Some(other) => return Err(wrong_type("receivers", "a list of names", &other)),
        };
        let mut names = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Json::String(name) if !name.trim().is_empty() => names.push(name),
                other => {
                    let path = Path::root().key("receivers").index(index);
                    return Err(wrong_type(path.as_str(), "a name", &other));
                }
            }
        }
        let mut known = HashSet::with_capacity(names.len());
        names.retain(|name| known.insert(name.clone()));
        Ok(names)
    }

    pub(super) fn dry_run(&mut self) -> Result<bool, Problem> {
        match self.present("dry_run") {
            None => Ok(false),
            Some(Json::Bool(dry_run)) => Ok(dry_run),
            // An error is better than sending a message that was meant as a test.
            Some(other) => Err(wrong_type("dry_run", "true or false", &other)),
        }
    }

    pub(super) fn idempotency_key(
        &mut self,
        headers: &BTreeMap<String, String>,
    ) -> Result<Option<String>, Problem> {
        let header = headers.get("idempotency-key").map(|value| value.trim());
        let header = header.filter(|value| !value.is_empty());
        let field = match self.present("idempotency_key") {
            None => None,
            Some(Json::String(key)) => Some(key),
            Some(other) => return Err(wrong_type("idempotency_key", "a string", &other)),
        };
        if let (Some(header), Some(field)) = (header, &field)
            && header != field
        {
            return Err(Problem {
                location: Location::path("idempotency_key"),
                ..error(
                    "idempotency_conflict",
                    "The header Idempotency-Key and the field idempotency_key differ.",
                    "Give the key in one place.",
                )
            });
        }
        match header.map(str::to_owned).or(field) {
            Some(key) if key.len() > MAX_KEY_BYTES => Err(Problem {
                location: Location::path("idempotency_key"),
                ..error(
                    "invalid_field",
                    &format!("The idempotency key is longer than {MAX_KEY_BYTES} bytes."),
                    "Use a UUID.",
                )
            }),
            key => Ok(key),
        }
    }

    /// Reads the notification with its optional members. Omits invalid members with a warning.
    pub(super) fn notification(&mut self, text: Json, levels: &LevelMap) -> Notification {
        Notification {
            text,
            group: None,
            sent_levels: Vec::new(),
            is_templated: false,
            title: self.text("title"),
            level: self.level(levels),
            level_in_text: None,
            status: self.read("status", members::status).flatten(),
            fields: self.fields(),
            link: self.read("link", members::link).flatten(),
            timestamp: self.read("timestamp", members::timestamp).flatten(),
            dedup_key: self.read("dedup_key", members::dedup_key),
            table: None,
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.present(name)? {
            Json::String(text) => Some(text),
            other => {
                self.warn_type(name, "a string", &other);
                None
            }
        }
    }

    /// Reads a member with a text and parses it.
    fn read<T>(&mut self, name: &str, read: impl FnOnce(&str, &mut Warnings) -> T) -> Option<T> {
        let text = self.text(name)?;
        Some(read(&text, &mut self.warnings))
    }

    fn level(&mut self, levels: &LevelMap) -> Option<Level> {
        let found = self.present("level")?;
        match found.as_word() {
            Some(word) => members::level(word, levels, &mut self.warnings),
            None => Some(members::unknown_level(found.kind(), &mut self.warnings)),
        }
    }

    fn fields(&mut self) -> Vec<(String, Json)> {
        let mut fields = match self.present("fields") {
            None => return Vec::new(),
            Some(Json::Object(fields)) => fields,
            Some(other) => {
                self.warn_type("fields", "an object", &other);
                return Vec::new();
            }
        };
        fields.retain(|(name, value)| match value {
            Json::Null => false,
            Json::String(_) | Json::Number(_) | Json::Bool(_) => true,
            other => {
                self.warnings.push(|| {
                    let path = Path::root().key("fields").key(name);
                    let expected = "a string, a number or a boolean";
                    of_wrong_type(path.as_str(), expected, other)
                });
                false
            }
        });
        fields
    }

    pub(super) fn data(&mut self) -> Option<Arc<Json>> {
        match self.present("data")? {
            data @ Json::Object(_) => Some(Arc::new(data)),
            other => {
                self.warn_type("data", "an object", &other);
                None
            }
        }
    }

    fn warn_type(&mut self, name: &str, expected: &str, found: &Json) {
        self.warnings.push(|| of_wrong_type(name, expected, found));
    }
}

fn of_wrong_type(name: &str, expected: &str, found: &Json) -> String {
    let found = found.kind();
    format!("{name}: must be {expected}, found {found}; left out")
}

const MAX_KEY_BYTES: usize = 1024;
