//! Whom a rule is for: routes, silences and the row filter look at notifications with the same matchers.

use regex::Regex;

use crate::model::json::Json;
use crate::model::notification::{Level, Notification, Status};

/// All of it must fit; what is not named fits always.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    pub level: Option<Vec<Pattern>>,
    pub status: Option<Vec<Pattern>>,
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

impl Matcher {
    pub fn matches(&self, notification: &Notification) -> bool {
        let level = notification.level_for_rules().map(Level::word);
        let status = notification.status.map(Status::word);
        fits(self.level.as_deref(), level)
            && fits(self.status.as_deref(), status)
            && self.fields.iter().all(|(name, patterns)| {
                let field = notification.fields.iter().find(|(known, _)| known == name);
                fits(Some(patterns), field.and_then(|(_, value)| text(value)))
            })
    }
}

/// What is absent fits no pattern.
fn fits(patterns: Option<&[Pattern]>, value: Option<&str>) -> bool {
    let Some(patterns) = patterns else {
        return true;
    };
    value.is_some_and(|value| patterns.iter().any(|pattern| pattern.fits(value)))
}

fn text(value: &Json) -> Option<&str> {
    match value {
        Json::String(text) | Json::Number(text) => Some(text),
        Json::Bool(true) => Some("true"),
        Json::Bool(false) => Some("false"),
        _ => None,
    }
}

impl Pattern {
    fn fits(&self, value: &str) -> bool {
        match self {
            Pattern::Equal(text) => text == value,
            Pattern::Regex(regex) => regex.is_match(value),
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
        let field = |name, patterns| Matcher {
            fields: fields(name, patterns),
            ..Matcher::default()
        };
        for (matcher, expected) in [
            (Matcher::default(), true),
            (level(equal(&["warning"])), true),
            (level(equal(&["error", "warning"])), true),
            (level(regex("^(error|critical)$")), false),
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
            assert_eq!(matcher.matches(&notification), expected, "{matcher:?}");
        }
        notification.status = None;
        let firing = Matcher {
            status: Some(equal(&["firing"])),
            ..Matcher::default()
        };
        assert!(!firing.matches(&notification));
    }
}
