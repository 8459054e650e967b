//! Whom a rule is for: routes, silences and the row filter look at notifications with the same matchers.

use std::collections::HashMap;

use regex::Regex;

use crate::json::Json;
use crate::model::extract::MAX_SEARCHED_BYTES;
use crate::model::notification::{Level, Notification, Status};
use crate::text::head;

/// All of it must fit; what is not named fits always.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    pub level: Option<Vec<Pattern>>,
    pub status: Option<Vec<Pattern>>,
    /// What people read, with the level that it may begin with.
    pub text: Option<Vec<Pattern>>,
    /// By the field's name.
    pub fields: Vec<(String, Vec<Pattern>)>,
}

/// One of several things that a value may be.
#[derive(Clone, Debug)]
pub enum Pattern {
    Equal(String),
    /// Found anywhere in the value.
    Regex(Regex),
}

/// What matchers look at in a notification, looked up once for all of them.
#[derive(Clone, Debug)]
pub struct MatchInput<'a> {
    level: Option<&'static str>,
    status: Option<&'static str>,
    text: Option<&'a str>,
    fields: Fields<'a>,
    /// Regular expressions are looked for in so much of a value.
    searched_bytes: usize,
}

#[derive(Clone, Debug)]
enum Fields<'a> {
    Few(&'a [(String, Json)]),
    Many(HashMap<&'a str, &'a Json>),
}

/// So few fields are looked through one by one.
const FEW: usize = 16;

impl<'a> MatchInput<'a> {
    pub fn of(notification: &'a Notification) -> Self {
        let fields = &notification.fields;
        Self {
            level: notification.level_for_rules().map(Level::word),
            status: notification.status.map(Status::word),
            text: notification.text.as_word(),
            fields: match fields.len() <= FEW {
                true => Fields::Few(fields),
                false => Fields::Many(
                    fields
                        .iter()
                        .map(|(name, value)| (name.as_str(), value))
                        .collect(),
                ),
            },
            searched_bytes: MAX_SEARCHED_BYTES,
        }
    }

    /// The same for so many regular expressions, which look at a value one after the other.
    pub fn for_regexes(self, regexes: usize) -> Self {
        Self {
            searched_bytes: searched_bytes(regexes),
            ..self
        }
    }

    pub fn is_resolved(&self) -> bool {
        self.status == Some(Status::Resolved.word())
    }

    fn field(&self, name: &str) -> Option<&'a str> {
        let value = match &self.fields {
            Fields::Few(fields) => {
                let field = fields.iter().find(|(known, _)| known == name);
                field.map(|(_, value)| value)
            }
            Fields::Many(fields) => fields.get(name).copied(),
        };
        value.and_then(Json::as_word)
    }
}

/// What a matcher names and a notification does not have so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch<'a> {
    Level,
    Status,
    Text,
    Field(&'a str),
}

impl Matcher {
    /// Whether it names nothing.
    pub const fn is_for_all(&self) -> bool {
        self.level.is_none()
            && self.status.is_none()
            && self.text.is_none()
            && self.fields.is_empty()
    }

    pub fn matches(&self, subject: &MatchInput<'_>) -> bool {
        self.misfit(subject).is_none()
    }

    /// The first that does not fit.
    pub fn misfit(&self, subject: &MatchInput<'_>) -> Option<Mismatch<'_>> {
        let most = subject.searched_bytes;
        if !fits(self.level.as_deref(), subject.level, most) {
            return Some(Mismatch::Level);
        }
        if !fits(self.status.as_deref(), subject.status, most) {
            return Some(Mismatch::Status);
        }
        if !fits(self.text.as_deref(), subject.text, most) {
            return Some(Mismatch::Text);
        }
        let mut fields = self.fields.iter();
        let misfit =
            fields.find(|(name, patterns)| !fits(Some(patterns), subject.field(name), most));
        misfit.map(|(name, _)| Mismatch::Field(name))
    }

    /// How many regular expressions it has.
    pub fn regexes(&self) -> usize {
        let fields = self.fields.iter().map(|(_, patterns)| patterns);
        let all = self
            .level
            .iter()
            .chain(&self.status)
            .chain(&self.text)
            .chain(fields);
        let is_regex = |pattern: &&Pattern| matches!(pattern, Pattern::Regex(_));
        all.flatten().filter(is_regex).count()
    }
}

/// What is absent fits no pattern.
fn fits(patterns: Option<&[Pattern]>, value: Option<&str>, searched_bytes: usize) -> bool {
    let Some(patterns) = patterns else {
        return true;
    };
    let fits = |value| {
        let mut patterns = patterns.iter();
        patterns.any(|pattern| pattern.fits(value, searched_bytes))
    };
    value.is_some_and(fits)
}

/// What all expressions of a file may search for one notification: its call waits for them.
pub const MAX_SEARCHED_IN_ALL: usize = 8 * 1024 * 1024;

/// How much of a value each of so many expressions searches.
pub fn searched_bytes(regexes: usize) -> usize {
    let each = MAX_SEARCHED_IN_ALL / regexes.max(1);
    each.min(MAX_SEARCHED_BYTES)
}

impl Pattern {
    fn fits(&self, value: &str, searched_bytes: usize) -> bool {
        match self {
            Pattern::Equal(text) => text == value,
            Pattern::Regex(regex) => regex.is_match(head(value, searched_bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(words: &[&str]) -> Vec<Pattern> {
        words
            .iter()
            .map(|word| Pattern::Equal((*word).to_owned()))
            .collect()
    }

    fn regex(text: &str) -> Vec<Pattern> {
        vec![Pattern::Regex(Regex::new(text).unwrap())]
    }

    #[test]
    fn everything_that_is_named_must_fit() {
        let mut notification = Notification::plain(Json::String("[warn] disk".to_owned()));
        notification.status = Some(Status::Firing);
        notification.fields = vec![
            ("host".to_owned(), Json::String("db1".to_owned())),
            ("cpu".to_owned(), Json::Number("97.0".to_owned())),
            ("up".to_owned(), Json::Bool(true)),
        ];
        let fields = |name: &str, patterns| vec![(name.to_owned(), patterns)];
        let level = |patterns| Matcher {
            level: Some(patterns),
            ..Matcher::default()
        };
        let text = |patterns| Matcher {
            text: Some(patterns),
            ..Matcher::default()
        };
        let field = |name, patterns| Matcher {
            fields: fields(name, patterns),
            ..Matcher::default()
        };
        for (matcher, expected) in [
            (Matcher::default(), true),
            (level(equal(&["warning"])), true),
            (level(equal(&["error", "warning"])), true),
            (level(regex("^(error|critical)$")), false),
            (text(regex(r"\bdisk$")), true),
            (text(regex("cpu")), false),
            (text(equal(&["[warn] disk"])), true),
            (text(equal(&["disk"])), false),
            (field("host", regex("^db")), true),
            (field("host", equal(&["db"])), false),
            (field("cpu", equal(&["97.0"])), true),
            (field("up", equal(&["true"])), true),
            (field("rack", regex("")), false),
            (
                Matcher {
                    level: Some(equal(&["warning"])),
                    fields: fields("host", equal(&["db2"])),
                    ..Matcher::default()
                },
                false,
            ),
        ] {
            let subject = MatchInput::of(&notification);
            assert_eq!(matcher.matches(&subject), expected, "{matcher:?}");
        }
        let many = (0..100).map(|n| (format!("f{n}"), Json::Number(n.to_string())));
        notification.fields.extend(many);
        for (name, value, expected) in [
            ("host", "db1", true),
            ("f99", "99", true),
            ("f99", "98", false),
        ] {
            let subject = MatchInput::of(&notification);
            assert_eq!(field(name, equal(&[value])).matches(&subject), expected);
        }
        notification.status = None;
        let firing = Matcher {
            status: Some(equal(&["firing"])),
            ..Matcher::default()
        };
        assert_eq!(
            firing.misfit(&MatchInput::of(&notification)),
            Some(Mismatch::Status)
        );
    }

    #[test]
    fn the_more_expressions_a_file_has_the_less_of_a_value_they_search() {
        let matcher = Matcher {
            fields: vec![("host".to_owned(), regex("y"))],
            ..Matcher::default()
        };
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
