//! Converts line breaks to those of a card's text.
//!
//! "Use `\\r` or `\\n` for newlines in lists. Using `\\n\\n` in a list indents the next element. For newlines
//! elsewhere in the TextBlock use `\\n\\n`": a single newline joins two lines
//! <https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format>.

use std::borrow::Cow;

/// Makes every line outside lists a paragraph.
pub fn as_paragraphs(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return Cow::Borrowed(text);
    }
    let mut lines = text.split('\n');
    let mut before = lines.next().unwrap_or_default();
    let mut in_list = is_item(before);
    let mut paragraphs = before.to_owned();
    for line in lines {
        let goes_on = in_list && (is_item(line) || line.starts_with([' ', '\t']));
        let is_blank = before.trim().is_empty() || line.trim().is_empty();
        paragraphs.push_str(if goes_on || is_blank { "\n" } else { "\n\n" });
        paragraphs.push_str(line);
        in_list = is_item(line) || (goes_on && !is_blank);
        before = line;
    }
    Cow::Owned(paragraphs)
}

/// Completes the line break after a part's first line.
///
/// A cut may fall between the two line breaks of a paragraph. A part's number before a list item makes the item an
/// ordinary line. Only the first line can need this, so a part grows by at most [`ADDED_BYTES`].
pub fn after_cut(part: String) -> String {
    let Some((first, rest)) = part.split_once('\n') else {
        return part;
    };
    let next = rest.split('\n').next().unwrap_or_default();
    if is_item(first) || first.trim().is_empty() || next.trim().is_empty() {
        return part;
    }
    format!("{first}\n\n{rest}")
}

/// The maximum length that [`after_cut`] adds to a part, in bytes of JSON.
pub const ADDED_BYTES: usize = "\\n".len();

/// Whether a line begins a list item: `- `, `* `, `+ `, `1. `, `1) `.
fn is_item(line: &str) -> bool {
    let line = line.trim_start();
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_numbered = number.len() < line.len() && number.starts_with(['.', ')']);
    let rest = match is_numbered {
        true => number.get(1..),
        false => line.strip_prefix(['-', '*', '+']),
    };
    rest.is_some_and(|rest| rest.starts_with([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_outside_lists_is_a_paragraph() {
        for (text, paragraphs) in [
            ("one line", "one line"),
            ("one\ntwo\r\nthree", "one\n\ntwo\r\n\nthree"),
            ("one\r\n\r\ntwo", "one\r\n\r\ntwo"),
            ("one\n\ntwo\n\n\nthree", "one\n\ntwo\n\n\nthree"),
            ("one\n", "one\n"),
            (
                "hosts:\n- db1\n- db2\nand more",
                "hosts:\n\n- db1\n- db2\n\nand more",
            ),
            (
                "1. a\n2) b\n  goes on\n* c\n+ d",
                "1. a\n2) b\n  goes on\n* c\n+ d",
            ),
            ("1.5\n-5 %\n*b*", "1.5\n\n-5 %\n\n*b*"),
            ("  indented\n  as well", "  indented\n\n  as well"),
            ("- a\n\n  b\nc", "- a\n\n  b\n\nc"),
            ("", ""),
        ] {
            assert_eq!(as_paragraphs(text), paragraphs, "{text:?}");
            assert_eq!(as_paragraphs(paragraphs), paragraphs, "{text:?}");
        }
    }

    #[test]
    fn a_part_gets_at_most_one_line_break_more() {
        for (part, repaired) in [
            ("(2/2) \ntwo", "(2/2) \n\ntwo"),
            ("(2/2) - a\n- b\n- c", "(2/2) - a\n\n- b\n- c"),
            (
                "(2/2)   goes on\n  and on\n  and on",
                "(2/2)   goes on\n\n  and on\n  and on",
            ),
            ("(2/2) one\n\ntwo", "(2/2) one\n\ntwo"),
            ("(2/2) one\r\n\ntwo", "(2/2) one\r\n\ntwo"),
            ("(2/2) one", "(2/2) one"),
            ("(2/2) one\n", "(2/2) one\n"),
            ("- a\n- b", "- a\n- b"),
            ("", ""),
        ] {
            assert_eq!(after_cut(part.to_owned()), repaired, "{part:?}");
            assert!(repaired.len() <= part.len() + ADDED_BYTES, "{part:?}");
        }
    }
}
