//! Matchers select notifications. Routes, silences and the row filter use the same matchers.

pub mod json;
mod name;
mod pattern;

use std::collections::HashMap;
use std::fmt;

pub use self::name::{NAMES, Name};
pub use self::pattern::{Pattern, PatternText, Patterns};
use crate::json::Json;
use crate::model::extract::MAX_SEARCHED_BYTES;
use crate::model::notification::{AlertStatus, Level, Notification};

/// A set of conditions, which must all hold. An empty matcher matches everything.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    /// The conditions in the order of their names, with fields in the order of the file.
    conditions: Vec<(Name, Patterns)>,
}

/// The values of a notification that matchers use. They are collected once for all matchers.
#[derive(Clone, Debug)]
pub struct MatchInput<'a> {
    level: Option<&'static str>,
    status: Option<&'static str>,
    title: Option<&'a str>,
    text: Option<&'a str>,
    table: Option<&'a str>,
    fields: FieldIndex<'a>,
    /// The number of bytes of a value that a regular expression searches.
    searched_bytes: usize,
}

#[derive(Clone, Debug)]
enum FieldIndex<'a> {
    Few(&'a [(String, Json)]),
    Many(HashMap<&'a str, &'a Json>),
}

/// The number of fields up to which a linear search is used.
const MAX_LINEAR_FIELDS: usize = 16;

impl<'a> MatchInput<'a> {
    pub fn of(notification: &'a Notification) -> Self {
        let fields = &notification.fields;
        Self {
            level: notification.level_for_rules().map(Level::word),
            status: notification.status.map(AlertStatus::word),
            title: notification.title.as_deref(),
            text: notification.text.as_word(),
            table: notification.table.as_deref(),
            fields: match fields.len() <= MAX_LINEAR_FIELDS {
                true => FieldIndex::Few(fields),
                false => FieldIndex::Many(
                    fields
                        .iter()
                        .map(|(name, value)| (name.as_str(), value))
                        .collect(),
                ),
            },
            searched_bytes: MAX_SEARCHED_BYTES,
        }
    }

    /// The input of an alert, whose status its last event may not have.
    pub fn with_status(self, status: AlertStatus) -> Self {
        Self {
            status: Some(status.word()),
            ..self
        }
    }

    /// Limits the searched bytes for this number of regular expressions, which search a value one after the other.
    pub fn for_regexes(self, regexes: usize) -> Self {
        Self {
            searched_bytes: searched_bytes(regexes),
            ..self
        }
    }

    pub fn is_resolved(&self) -> bool {
        self.status == Some(AlertStatus::Resolved.word())
    }

    /// Returns the value of a name, or `None` for a name without a value.
    pub fn value(&self, name: &Name) -> Option<&'a str> {
        match name {
            Name::Level => self.level,
            Name::Status => self.status,
            Name::Title => self.title,
            Name::Text => self.text,
            Name::Table => self.table,
            // No notification comes from a check.
            Name::Check => None,
            Name::Field(field) => self.field(field),
        }
    }

    fn field(&self, name: &str) -> Option<&'a str> {
        let value = match &self.fields {
            FieldIndex::Few(fields) => {
                let field = fields.iter().find(|(known, _)| known == name);
                field.map(|(_, value)| value)
            }
            FieldIndex::Many(fields) => fields.get(name).copied(),
        };
        value.and_then(Json::as_word)
    }
}

impl Matcher {
    pub fn new(mut conditions: Vec<(Name, Patterns)>) -> Self {
        // A stable sort by kind keeps the order of the fields.
        conditions.sort_by_key(|(name, _)| match name {
            Name::Field(_) => NAMES.len(),
            name => NAMES
                .iter()
                .position(|(_, known)| known == name)
                .unwrap_or_default(),
        });
        Self { conditions }
    }

    pub fn conditions(&self) -> &[(Name, Patterns)] {
        &self.conditions
    }

    /// Returns whether the matcher has no condition.
    pub const fn is_for_all(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Returns whether the matcher has a condition for the name.
    pub fn has(&self, name: &Name) -> bool {
        self.conditions.iter().any(|(known, _)| known == name)
    }

    pub fn matches(&self, input: &MatchInput<'_>) -> bool {
        self.mismatch(input).is_none()
    }

    /// Returns the name of the first condition that does not hold.
    pub fn mismatch(&self, input: &MatchInput<'_>) -> Option<&Name> {
        let mut conditions = self.conditions.iter();
        let failed = conditions
            .find(|(name, patterns)| !patterns.fit(input.value(name), input.searched_bytes));
        failed.map(|(name, _)| name)
    }

    /// Returns the number of regular expressions.
    pub fn regexes(&self) -> usize {
        let conditions = self.conditions.iter();
        conditions.map(|(_, patterns)| patterns.regexes()).sum()
    }
}

/// Formats the conditions as the file writes them, each name separately: `level = "error", fields.host = "~^db"`.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, patterns)) in self.conditions.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{name} = {patterns}")?;
        }
        Ok(())
    }
}

/// The bytes that all expressions of a file may search for one notification, because its call waits for them.
pub const MAX_SEARCHED_IN_ALL: usize = 8 * 1024 * 1024;

/// Returns the number of bytes of a value that each of these expressions may search.
pub fn searched_bytes(regexes: usize) -> usize {
    let each = MAX_SEARCHED_IN_ALL / regexes.max(1);
    each.min(MAX_SEARCHED_BYTES)
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn equal(words: &[&str]) -> Patterns {
        let words = words.iter().map(|word| Pattern::Equal((*word).to_owned()));
        Patterns {
            any_of: words.collect(),
            none_of: Vec::new(),
        }
    }

    fn regex(text: &str) -> Patterns {
        Patterns {
            any_of: vec![Pattern::Regex(Regex::new(text).unwrap())],
            none_of: Vec::new(),
        }
    }

    fn not(patterns: Patterns) -> Patterns {
        Patterns {
            any_of: patterns.none_of,
            none_of: patterns.any_of,
        }
    }

    fn matcher(conditions: Vec<(&str, Patterns)>) -> Matcher {
        let conditions = conditions.into_iter();
        let conditions = conditions.map(|(name, patterns)| (Name::parse(name).unwrap(), patterns));
        Matcher::new(conditions.collect())
    }

    #[test]
    fn every_condition_must_hold() {
        let mut notification = Notification::plain(Json::String("[warn] disk".to_owned()));
        notification.status = Some(AlertStatus::Firing);
        notification.title = Some("Disk".to_owned());
        notification.fields = vec![
            ("host".to_owned(), Json::String("db1".to_owned())),
            ("cpu".to_owned(), Json::Number("97.0".to_owned())),
            ("up".to_owned(), Json::Bool(true)),
        ];
        for (conditions, expected) in [
            (vec![], true),
            (vec![("level", equal(&["warning"]))], true),
            (vec![("level", equal(&["error", "warning"]))], true),
            (vec![("level", regex("^(error|critical)$"))], false),
            (vec![("level", not(equal(&["warning"])))], false),
            (vec![("text", regex(r"\bdisk$"))], true),
            (vec![("text", regex("cpu"))], false),
            (vec![("text", equal(&["[warn] disk"]))], true),
            (vec![("text", equal(&["disk"]))], false),
            (vec![("title", equal(&["Disk"]))], true),
            (vec![("title", not(regex("isk")))], false),
            (vec![("table", equal(&["cpu"]))], false),
            (vec![("table", not(equal(&["cpu"])))], true),
            (vec![("check", not(equal(&["cpu"])))], true),
            (vec![("fields.host", regex("^db"))], true),
            (vec![("fields.host", equal(&["db"]))], false),
            (vec![("fields.cpu", equal(&["97.0"]))], true),
            (vec![("fields.up", equal(&["true"]))], true),
            (vec![("fields.rack", regex(""))], false),
            (vec![("fields.rack", not(equal(&["r7"])))], true),
            (
                vec![
                    ("level", equal(&["warning"])),
                    ("fields.host", equal(&["db2"])),
                ],
                false,
            ),
        ] {
            let matcher = matcher(conditions);
            let input = MatchInput::of(&notification);
            assert_eq!(matcher.matches(&input), expected, "{matcher}");
        }
        notification.table = Some("cpu".into());
        let of_cpu = matcher(vec![("table", equal(&["cpu"]))]);
        assert!(of_cpu.matches(&MatchInput::of(&notification)));
        let many = (0..100).map(|n| (format!("f{n}"), Json::Number(n.to_string())));
        notification.fields.extend(many);
        for (name, value, expected) in [
            ("fields.host", "db1", true),
            ("fields.f99", "99", true),
            ("fields.f99", "98", false),
        ] {
            let matcher = matcher(vec![(name, equal(&[value]))]);
            assert_eq!(matcher.matches(&MatchInput::of(&notification)), expected);
        }
        notification.status = None;
        let firing = matcher(vec![("status", equal(&["firing"]))]);
        let mismatch = firing.mismatch(&MatchInput::of(&notification)).cloned();
        assert_eq!(mismatch, Some(Name::Status));
    }

    #[test]
    fn conditions_are_judged_and_shown_in_the_order_of_their_names() {
        let matcher = matcher(vec![
            ("fields.z", equal(&["1"])),
            ("text", regex("^x")),
            ("fields.a", not(equal(&["2"]))),
            ("level", equal(&["error", "critical"])),
        ]);
        let shown =
            r#"level = ["error", "critical"], text = "~^x", fields.z = "1", fields.a = "!2""#;
        assert_eq!(matcher.to_string(), shown);
    }

    #[test]
    fn the_more_expressions_a_file_has_the_less_of_a_value_they_search() {
        let matcher = matcher(vec![("fields.host", regex("y"))]);
        assert_eq!(matcher.regexes(), 1);
        for (regexes, searched) in [
            (0, 16_384),
            (1, 16_384),
            (512, 16_384),
            (1_024, 8_192),
            (10_000, 838),
        ] {
            for (before, expected) in [(searched - 1, true), (searched, false)] {
                let mut notification = Notification::plain(Json::Null);
                let value = format!("{}y", "x".repeat(before));
                notification.fields = vec![("host".to_owned(), Json::String(value))];
                let subject = MatchInput::of(&notification).for_regexes(regexes);
                assert_eq!(matcher.matches(&subject), expected, "{regexes} {before}");
            }
        }
    }
}
