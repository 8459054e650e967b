//! Text functions: length in the providers' units, splitting without loss, and safe quotation.

mod clean;
mod markup;
mod page;
mod quote;
mod split;

use regex::{Regex, RegexBuilder};

pub use self::clean::{
    ascii, first_characters, is_blank_line, is_invisible, is_plain_line, one_line, one_line_head,
    printable, without_controls,
};
pub use self::markup::{Fences, Markup};
pub use self::page::without_page;
pub use self::quote::{shown, shown_value};
pub use self::split::{
    MAX_PARTS, Split, cut, cut_markup, shorten, split, split_after, truncate, with_ending,
    with_recent_splits,
};

/// Replaces hidden text: a secret, an address.
pub const MASK: &str = "***";

/// Compiles a regular expression of the configuration with a size limit. Its search time is linear in the text.
pub fn bounded_regex(expression: &str) -> Option<Regex> {
    const MAX_BYTES: usize = 1024 * 1024;
    let builder = &mut RegexBuilder::new(expression);
    builder.size_limit(MAX_BYTES).build().ok()
}

/// Returns the text's beginning, at most `bytes` long.
pub fn head(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The unit of a provider's limit. If the provider documents no unit, this crate uses [`Unit::Utf16`], which is never
/// less than code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    CodePoints,
    Utf16,
    /// UTF-16 code units after [`with_entities`].
    Utf16Escaped,
    Bytes,
    /// Bytes inside a JSON string, for providers that measure the whole body. Never less than bytes.
    JsonBytes,
}

impl Unit {
    pub fn of(self, text: &str) -> usize {
        match self {
            Unit::CodePoints => text.chars().count(),
            Unit::Utf16 => text.encode_utf16().count(),
            Unit::Utf16Escaped => text.chars().map(escaped_length).sum(),
            Unit::Bytes => text.len(),
            Unit::JsonBytes => text.bytes().map(json_length).sum(),
        }
    }

    /// Whether a text's length in this unit never exceeds its bytes.
    const fn is_at_most_bytes(self) -> bool {
        !matches!(self, Unit::Utf16Escaped | Unit::JsonBytes)
    }
}

/// Returns the length of a byte in serde_json's output.
const fn json_length(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..=0x1f => "\\u0000".len(),
        _ => 1,
    }
}

fn escaped_length(character: char) -> usize {
    match character {
        '&' => "&amp;".len(),
        '<' | '>' => "&lt;".len(),
        other => other.len_utf16(),
    }
}

/// Replaces `&`, `<` and `>` by entities. These characters have a meaning between HTML tags and in Slack's text.
pub fn with_entities(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// The maximum length of a text and its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub length: usize,
    pub unit: Unit,
}

impl Limit {
    pub const fn new(length: usize, unit: Unit) -> Self {
        Self { length, unit }
    }

    pub const fn code_points(length: usize) -> Self {
        Self::new(length, Unit::CodePoints)
    }

    pub const fn utf16(length: usize) -> Self {
        Self::new(length, Unit::Utf16)
    }

    pub const fn json_bytes(length: usize) -> Self {
        Self::new(length, Unit::JsonBytes)
    }
}

/// Formats bytes as hexadecimal digits.
pub fn hex<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> String {
    let bytes = bytes.into_iter();
    let mut text = String::with_capacity(2 * bytes.size_hint().0);
    let digit = |nibble: u8| match nibble {
        0..=9 => char::from(b'0' + nibble),
        _ => char::from(b'a' + nibble - 10),
    };
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0xf));
    }
    text
}

/// The maximum length in bytes of a misspelt name.
const MAX_MISSPELT_BYTES: usize = 128;

/// Returns the candidate that `word` probably means.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_MISSPELT_BYTES {
        return None;
    }
    let folded = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let likeness = strsim::jaro_winkler(&folded, &candidate.to_ascii_lowercase());
            (likeness, candidate)
        })
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Returns `; did you mean headers?` for the end of a message about an unknown word. Empty without a similar
/// candidate.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or(String::new(), |meant| format!("; did you mean {meant}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: &str = "👨\u{200d}👩\u{200d}👧\u{200d}👦";

    #[test]
    fn units_count_as_the_providers_do() {
        for (text, code_points, utf16, bytes) in
            [("é", 1, 1, 2), ("😀", 1, 2, 4), (FAMILY, 7, 11, 25)]
        {
            assert_eq!(Unit::CodePoints.of(text), code_points);
            assert_eq!(Unit::Utf16.of(text), utf16);
            assert_eq!(Unit::Bytes.of(text), bytes);
        }
    }

    #[test]
    fn bytes_in_json_are_those_that_are_written() {
        let every: String = (0..0x250).filter_map(char::from_u32).collect();
        for text in [
            "",
            "plain",
            "\"q\" \\ \n\t\r\u{8}\u{c}\0",
            "é😀",
            every.as_str(),
        ] {
            let written = serde_json::to_string(text).unwrap().len() - 2;
            assert_eq!(Unit::JsonBytes.of(text), written, "{text:?}");
        }
    }

    #[test]
    fn a_suggestion_is_the_nearest_name_or_none() {
        let names = ["slack", "discord", "http", "sms", "whatsapp"];
        for (word, suggestion) in [
            ("slak", Some("slack")),
            ("Discord", Some("discord")),
            ("whatsap", Some("whatsapp")),
            ("carrier pigeon", None),
            (&format!("slack{}", "k".repeat(124)), None),
        ] {
            assert_eq!(nearest(word, names), suggestion, "{word}");
        }
    }

    #[test]
    fn a_word_is_shown_on_one_line_and_short() {
        let long = "x".repeat(1_000_000);
        for (word, expected) in [
            ("slack", "slack"),
            ("a\nb\u{202e}", "a b"),
            (&long, &format!("{}…", "x".repeat(63))),
            ("", ""),
        ] {
            assert_eq!(shown(word), expected);
        }
    }
}
