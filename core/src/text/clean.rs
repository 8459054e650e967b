//! Removes invisible characters, and characters that would disturb a display.

use std::borrow::Cow;

/// Returns one line without control characters. Line ends and runs of white space become one space.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if is_one_line(text) {
        return Cow::Borrowed(text);
    }
    let words = text.split(is_blank_or_control);
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    Cow::Owned(words.join(" "))
}

/// Returns the beginning of [`one_line`]: at least its first `characters`, if it has so many. Does not read the rest of a long
/// text.
pub fn one_line_head(text: &str, characters: usize) -> Cow<'_, str> {
    let head = first_characters(text.trim(), characters);
    match is_one_line(head) {
        true => Cow::Borrowed(head),
        false => one_line(text),
    }
}

/// Whether [`one_line`] of the text is empty.
pub fn is_blank_line(text: &str) -> bool {
    text.chars().all(is_blank_or_control)
}

fn is_one_line(text: &str) -> bool {
    let is_plain = |character: char| character == ' ' || !is_blank_or_control(character);
    text.chars().all(is_plain) && !text.contains("  ")
}

/// Returns at most the first `characters` of a text.
pub fn first_characters(text: &str, characters: usize) -> &str {
    let end = text.char_indices().nth(characters);
    let head = end.and_then(|(at, _)| text.get(..at));
    head.unwrap_or(text)
}

/// Removes outer white space and control characters except line ends and tabs.
pub fn without_controls(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let is_kept = |character: char| matches!(character, '\n' | '\t') || !character.is_control();
    if text.chars().all(is_kept) {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().filter(|c| is_kept(*c)).collect();
    Cow::Owned(kept.trim().to_owned())
}

fn is_blank_or_control(character: char) -> bool {
    character.is_whitespace() || character.is_control()
}

/// Returns one line that a terminal or a log viewer shows correctly. Removes control, formatting and private
/// characters, and folds runs of white space into one space.
pub fn printable(text: &str) -> Cow<'_, str> {
    // Nearly all texts are already plain.
    if is_plain_line(text) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_whitespace() {
            if !clean.ends_with(' ') {
                clean.push(' ');
            }
        } else if !is_invisible(character) {
            clean.push(character);
        }
    }
    Cow::Owned(clean)
}

/// Whether a text is printable ASCII without runs of spaces. Such a text needs no cleaning.
pub fn is_plain_line(text: &str) -> bool {
    let mut before = 0;
    text.bytes().all(|byte| {
        let is_run = byte == b' ' && before == b' ';
        before = byte;
        (b' '..=b'~').contains(&byte) && !is_run
    })
}

/// Whether a character is a control or hides or reorders text. This includes Unicode's default ignorable code points
/// (zero-width ones, fillers, variation selectors, tags), line separators, bidirectional controls and private use.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Returns `text` in ASCII with all other characters as `\u{…}`, so that every viewer shows the log line.
pub fn ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let escaped = text
        .chars()
        .map(|character| match character {
            '…' => "...".to_owned(),
            c if c.is_ascii() => c.to_string(),
            c => c.escape_unicode().to_string(),
        })
        .collect();
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAMILY: &str = "👨\u{200d}👩\u{200d}👧\u{200d}👦";

    #[test]
    fn printable_text_is_one_line_without_anything_invisible() {
        for (text, clean) in [
            ("plain text, as it is.", "plain text, as it is."),
            ("two  spaces", "two spaces"),
            ("a\nb\tc\u{7f}d\u{1b}[0m", "a b cd[0m"),
            ("h\u{f6}st\u{200b}-7", "h\u{f6}st-7"),
            ("", ""),
        ] {
            assert_eq!(printable(text), clean, "{text:?}");
        }
    }

    #[test]
    fn a_line_has_no_line_end_and_a_text_no_control() {
        for (text, line, kept) in [
            ("db1", "db1", "db1"),
            (" a\r\n\tb\u{2028}c  d\0 ", "a b c d", "a\n\tb\u{2028}c  d"),
            ("\u{1b}[31mred", "[31mred", "[31mred"),
            (" \n ", "", ""),
            (FAMILY, FAMILY, FAMILY),
        ] {
            assert_eq!(one_line(text), line, "{text:?}");
            assert_eq!(without_controls(text), kept, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_head_of_a_line_is_its_beginning(text in "[ab \n\u{7}\u{301}😀]{0,40}", characters in 0_usize..20) {
            let (line, head) = (one_line(&text), one_line_head(&text, characters));
            prop_assert!(line.starts_with(&*head), "{head:?}");
            let length = line.chars().count();
            prop_assert!(head.chars().count() >= length.min(characters), "{head:?}");
            prop_assert_eq!(is_blank_line(&text), line.is_empty());
        }
    }

    #[test]
    fn log_text_is_ascii() {
        assert_eq!(ascii("größe… 😀"), "gr\\u{f6}\\u{df}e... \\u{1f600}");
    }
}
