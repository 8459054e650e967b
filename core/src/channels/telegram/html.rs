//! Telegram's HTML, and texts without mentions or links.

use crate::channels::shared::rich::{self, FittedField};
use crate::text::{Limit, shorten, with_entities};

/// "1-4096 characters after entities parsing". The server counts code points (tdlib: `utf8_length`).
pub const TEXT_LIMIT: Limit = Limit::code_points(4_096);

const VALUE_LIMIT: Limit = Limit::code_points(500);

/// HTML and the number of its visible code points (section "HTML style").
pub struct Html {
    pub html: String,
    pub length: usize,
}

impl Html {
    pub fn text(text: &str) -> Self {
        Self {
            html: with_entities(text),
            length: TEXT_LIMIT.unit.of(text),
        }
    }

    pub fn tag(name: &str, text: &str) -> Self {
        let inner = Self::text(text);
        Self {
            html: format!("<{name}>{}</{name}>", inner.html),
            ..inner
        }
    }

    pub fn link(link: &str) -> Self {
        let inner = Self::text(&rich::link_words(link));
        let address = with_entities(link).replace('"', "&quot;");
        Self {
            html: format!("<a href=\"{address}\">{}</a>", inner.html),
            ..inner
        }
    }

    pub fn then(self, text: &str) -> Self {
        self.and(Self::text(text))
    }

    pub fn and(mut self, other: Self) -> Self {
        self.html.push_str(&other.html);
        self.length += other.length;
        self
    }
}

/// Returns a field with its name in bold and its value as code.
pub fn field(name: String, value: &str) -> FittedField<Html> {
    let mut is_cut = false;
    let value = shorten(value, VALUE_LIMIT, "…", &mut is_cut);
    let field = Html::tag("b", &format!("{name}:"))
        .then(" ")
        .and(Html::tag("code", &value));
    FittedField {
        length: field.length + "\n".len(),
        field,
        is_cut,
    }
}

/// Prevents mentions, hashtags and commands. Inserts an invisible word joiner after an `@`, `#` or `/` that begins a
/// word.
pub fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    for character in text.chars() {
        literal.push(character);
        let begins = match character {
            '@' | '#' => true,
            '/' => before.is_whitespace(),
            _ => false,
        };
        if begins {
            literal.push(WORD_JOINER);
        }
        before = character;
    }
    literal
}

const WORD_JOINER: char = '\u{2060}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_a_mention_a_hashtag_or_a_command_is_broken_and_nothing_else() {
        for (text, broken) in [
            ("db1", "db1"),
            ("@admin", "@\u{2060}admin"),
            ("#1 of a@b", "#\u{2060}1 of a@\u{2060}b"),
            ("/stop and/or /", "/\u{2060}stop and/or /\u{2060}"),
            ("https://a/b", "https://a/b"),
        ] {
            assert_eq!(literal(text), broken, "{text}");
        }
    }
}
