//! The names of a notification's values. `match`, `alert_key` and `group_by` use the same names.

use std::fmt;

use crate::text::nearest;

/// The name of a notification's value. Conditions are evaluated and shown in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    Level,
    Status,
    Title,
    Text,
    /// The table whose row caused the notification.
    Table,
    /// The check that caused the notification.
    Check,
    Field(String),
}

/// Every name except fields.
pub const NAMES: [(&str, Name); 6] = [
    ("level", Name::Level),
    ("status", Name::Status),
    ("title", Name::Title),
    ("text", Name::Text),
    ("table", Name::Table),
    ("check", Name::Check),
];

/// The prefix of a field's name.
const FIELD: &str = "fields.";

impl Name {
    /// Parses a name. The error explains the problem and suggests a name.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((_, name)) = NAMES.iter().find(|(word, _)| *word == text) {
            return Ok(name.clone());
        }
        match text.strip_prefix(FIELD) {
            Some("") => Err("a field needs a name behind fields.".to_owned()),
            Some(field) => Ok(Self::Field(field.to_owned())),
            None => Err(unknown(text)),
        }
    }
}

/// Describes an unknown name. Many users first try a field's name without a prefix.
fn unknown(text: &str) -> String {
    let words = NAMES.iter().map(|(word, _)| *word);
    match nearest(text, words.clone()) {
        Some(meant) => format!("unknown name; did you mean {meant}?"),
        None => format!(
            "unknown name; there are {} and fields.NAME; did you mean fields.{text}?",
            words.collect::<Vec<_>>().join(", ")
        ),
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Field(field) = self {
            return write!(f, "{FIELD}{field}");
        }
        let known = NAMES.iter().find(|(_, name)| name == self);
        f.write_str(known.map_or("", |(word, _)| word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_six_or_that_of_a_field() {
        for (word, name) in NAMES {
            assert_eq!(Name::parse(word), Ok(name.clone()));
            assert_eq!(name.to_string(), word);
        }
        for field in ["host", "a.b", "level", " "] {
            let name = Name::parse(&format!("fields.{field}")).unwrap();
            assert_eq!(name, Name::Field(field.to_owned()));
            assert_eq!(name.to_string(), format!("fields.{field}"));
        }
    }

    #[test]
    fn another_name_is_an_error_with_a_suggestion() {
        for (text, words) in [
            ("levl", "did you mean level?"),
            ("Level", "did you mean level?"),
            ("host", "did you mean fields.host?"),
            ("", "did you mean fields.?"),
            ("fields.", "a field needs a name"),
        ] {
            let error = Name::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
