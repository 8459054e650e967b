//! The syntax of one value in a `match`: `"x"`, `"~re"`, `"!x"`, `"!~re"`, `"=…"`.

use std::fmt;

use regex::Regex;

use super::name::Name;
use crate::model::level::LevelMap;
use crate::model::notification::{AlertStatus, Level};
use crate::text::head;

/// The patterns that a value must match and must not match.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    /// A value must match one of these. Empty: any value matches, and so does an absent value.
    pub any_of: Vec<Pattern>,
    /// A value must match none of these. An absent value counts as the empty string.
    pub none_of: Vec<Pattern>,
}

/// A pattern to compare with a value.
#[derive(Clone, Debug)]
pub enum Pattern {
    Equal(String),
    /// Matches anywhere in the value.
    Regex(Regex),
}

/// One text of the file, split into its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatternText<'a> {
    /// Whether the text begins with `!`.
    pub is_negated: bool,
    /// Whether the rest follows `~` and is a regular expression.
    pub is_regex: bool,
    pub rest: &'a str,
}

impl<'a> PatternText<'a> {
    pub fn parse(text: &'a str) -> Self {
        let negated = text.strip_prefix('!');
        let text = negated.unwrap_or(text);
        let regex = text.strip_prefix('~');
        Self {
            is_negated: negated.is_some(),
            is_regex: regex.is_some(),
            // A text after `=` is literal, whatever its first character.
            rest: regex.unwrap_or_else(|| text.strip_prefix('=').unwrap_or(text)),
        }
    }
}

impl Patterns {
    pub fn push(&mut self, pattern: Pattern, is_negated: bool) {
        match is_negated {
            true => self.none_of.push(pattern),
            false => self.any_of.push(pattern),
        }
    }

    /// Returns whether a value matches. Regular expressions search at most `searched_bytes` of it.
    pub fn fit(&self, value: Option<&str>, searched_bytes: usize) -> bool {
        let fits = |patterns: &[Pattern], value: &str| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| pattern.fits(value, searched_bytes))
        };
        let has_one =
            self.any_of.is_empty() || value.is_some_and(|value| fits(&self.any_of, value));
        has_one && !fits(&self.none_of, value.unwrap_or_default())
    }

    /// Returns the patterns as the file writes them.
    pub fn texts(&self) -> Vec<String> {
        let wanted = self.any_of.iter().map(|pattern| pattern.text(false));
        let unwanted = self.none_of.iter().map(|pattern| pattern.text(true));
        wanted.chain(unwanted).collect()
    }

    /// Returns the number of regular expressions.
    pub fn regexes(&self) -> usize {
        let all = self.any_of.iter().chain(&self.none_of);
        all.filter(|pattern| matches!(pattern, Pattern::Regex(_)))
            .count()
    }
}

impl Pattern {
    /// Returns the pattern of a name's value, or what is wrong with its text. `regex` compiles an expression.
    pub fn of(
        name: &Name,
        text: PatternText<'_>,
        levels: &LevelMap,
        regex: impl FnOnce(&str) -> Option<Regex>,
    ) -> Result<Self, String> {
        if text.is_regex {
            let unreadable = "the regular expression after ~ cannot be read, or is too large";
            let regex = regex(text.rest).ok_or_else(|| unreadable.to_owned());
            return regex.map(Self::Regex);
        }
        let (word, known) = match name {
            Name::Level => (
                levels.parse(text.rest).map(Level::word),
                Level::ALL.map(Level::word).join(", "),
            ),
            Name::Status => (
                AlertStatus::parse(text.rest).map(AlertStatus::word),
                AlertStatus::ALL.map(AlertStatus::word).join(", "),
            ),
            _ => return Ok(Self::Equal(text.rest.to_owned())),
        };
        let word = word.ok_or_else(|| format!("must be one of {known}"))?;
        Ok(Self::Equal(word.to_owned()))
    }

    fn fits(&self, value: &str, searched_bytes: usize) -> bool {
        match self {
            Pattern::Equal(text) => text == value,
            Pattern::Regex(regex) => regex.is_match(head(value, searched_bytes)),
        }
    }

    /// Returns the pattern as the file writes it.
    fn text(&self, is_negated: bool) -> String {
        let not = if is_negated { "!" } else { "" };
        match self {
            Pattern::Regex(regex) => format!("{not}~{regex}"),
            // A second `!` is part of the text.
            Pattern::Equal(text) if text.starts_with(['~', '=', '!']) => format!("{not}={text}"),
            Pattern::Equal(text) => format!("{not}{text}"),
        }
    }
}

/// Formats the patterns as the file writes them: a string or a list.
impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.texts().as_slice() {
            [text] => write!(f, "{text:?}"),
            texts => write!(f, "{texts:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::bounded_regex;

    /// Parses the texts of a file as patterns.
    fn patterns(texts: &[&str]) -> Patterns {
        let mut patterns = Patterns::default();
        for text in texts {
            let text = PatternText::parse(text);
            let pattern = match text.is_regex {
                true => Pattern::Regex(bounded_regex(text.rest).unwrap()),
                false => Pattern::Equal(text.rest.to_owned()),
            };
            patterns.push(pattern, text.is_negated);
        }
        patterns
    }

    #[test]
    fn every_form_matches_as_written() {
        const ABSENT: Option<&str> = None;
        for (texts, fits, misfits) in [
            (
                &["db1"][..],
                &[Some("db1")][..],
                &[Some("db"), Some("DB1"), Some(""), ABSENT][..],
            ),
            (&[""], &[Some("")], &[Some("x"), ABSENT]),
            (&["a", "b"], &[Some("a"), Some("b")], &[Some("ab"), ABSENT]),
            (
                &["~^db"],
                &[Some("db1"), Some("db")],
                &[Some("a db"), Some(""), ABSENT],
            ),
            (&["~"], &[Some(""), Some("x")], &[ABSENT]),
            (&["~b+"], &[Some("abba")], &[Some("aa"), ABSENT]),
            (&["!db1"], &[Some("db2"), Some(""), ABSENT], &[Some("db1")]),
            (&["!"], &[Some("x")], &[Some(""), ABSENT]),
            (
                &["!~^db"],
                &[Some("web1"), Some(""), ABSENT],
                &[Some("db1")],
            ),
            (&["!~^$"], &[Some("x")], &[Some(""), ABSENT]),
            (&["!~"], &[], &[Some(""), Some("x"), ABSENT]),
            (&["=!x"], &[Some("!x")], &[Some("x"), ABSENT]),
            (&["=~x"], &[Some("~x")], &[Some("x"), ABSENT]),
            (&["==x"], &[Some("=x")], &[Some("x"), ABSENT]),
            (&["=x"], &[Some("x")], &[Some("=x"), ABSENT]),
            (&["="], &[Some("")], &[Some("="), ABSENT]),
            (&["!=x"], &[Some("=x"), ABSENT], &[Some("x")]),
            (&["!=~x"], &[Some("x"), ABSENT], &[Some("~x")]),
            (&["!!x"], &[Some("x"), ABSENT], &[Some("!x")]),
            (
                &["!a", "!b"],
                &[Some("c"), Some(""), ABSENT],
                &[Some("a"), Some("b")],
            ),
            (
                &["~^db", "web1", "!db3"],
                &[Some("db1"), Some("web1")],
                &[Some("db3"), Some("web2"), ABSENT],
            ),
        ] {
            let patterns = patterns(texts);
            for value in fits {
                assert!(patterns.fit(*value, usize::MAX), "{texts:?} {value:?}");
            }
            for value in misfits {
                assert!(!patterns.fit(*value, usize::MAX), "{texts:?} {value:?}");
            }
        }
    }

    #[test]
    fn patterns_are_shown_as_one_writes_them() {
        for (texts, shown) in [
            (&["a"][..], r#""a""#),
            (&["a", "~^b"], r#"["a", "~^b"]"#),
            (&["!a", "b"], r#"["b", "!a"]"#),
            (&["=!a"], r#""=!a""#),
            (&["=a"], r#""a""#),
            (&["!=~a"], r#""!=~a""#),
            (&["!~\\d"], r#""!~\\d""#),
        ] {
            assert_eq!(patterns(texts).to_string(), shown);
        }
    }

    proptest! {
        /// A text and its negation never both match. For a present value, exactly one matches.
        #[test]
        fn a_negation_is_the_opposite_for_every_value(text in "[!~=a-c]{0,4}", value in "[!~=a-c]{0,3}") {
            let plain = PatternText::parse(&text);
            prop_assume!(!plain.is_negated && (!plain.is_regex || bounded_regex(plain.rest).is_some()));
            let negated = format!("!{text}");
            let (plain, negated) = (patterns(&[&text]), patterns(&[&negated]));
            prop_assert_ne!(plain.fit(Some(&value), 64), negated.fit(Some(&value), 64));
            prop_assert_eq!(negated.fit(None, 64), negated.fit(Some(""), 64));
            prop_assert!(!plain.fit(None, 64));
        }

        /// Parsing a formatted pattern returns the same pattern.
        #[test]
        fn a_shown_pattern_parses_to_the_same_pattern(text in "[!~=a-c]{0,4}", value in "[!~=a-c]{0,3}") {
            let parsed = PatternText::parse(&text);
            prop_assume!(!parsed.is_regex || bounded_regex(parsed.rest).is_some());
            let one = patterns(&[&text]);
            let shown = one.to_string();
            let other = patterns(&[shown.trim_matches('"')]);
            prop_assert_eq!(one.fit(Some(&value), 64), other.fit(Some(&value), 64));
        }
    }
}
