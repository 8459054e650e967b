//! Safe quotation of foreign text in a message.

use std::borrow::Cow;

use super::MASK;
use super::{is_plain_line, printable, truncate};

/// The maximum number of characters in a quotation.
const MAX_SHOWN_CHARS: usize = 64;
/// The maximum number of characters to read. Invisible characters are removed, so it is larger than [`MAX_SHOWN_CHARS`].
const MAX_READ_CHARS: usize = 4 * MAX_SHOWN_CHARS;
/// The maximum length of a word. A longer one is a token.
const MAX_WORD_CHARS: usize = 40;

/// Returns a foreign name for a message: one line of limited length. Removes URLs and addresses, which may contain
/// credentials.
pub fn shown(name: &str) -> Cow<'_, str> {
    without(name, may_hold_credentials)
}

/// Returns a foreign value for a message. Also removes paths on a host and tokens.
pub fn shown_value(value: &str) -> Cow<'_, str> {
    without(value, |word| {
        let has_letters = word.contains(|c: char| c.is_ascii_alphabetic());
        let is_path = word.contains('/') && word.contains('.') && has_letters;
        may_hold_credentials(word) || is_path || word.chars().count() > MAX_WORD_CHARS
    })
}

fn may_hold_credentials(word: &str) -> bool {
    let bytes = word.as_bytes();
    bytes.contains(&b'@') || bytes.windows(2).any(|pair| pair == b"//")
}

fn without(text: &str, is_hidden: impl Fn(&str) -> bool) -> Cow<'_, str> {
    // Nearly all texts are short and plain. A plain text without hidden parts has no hidden words.
    if text.len() <= MAX_SHOWN_CHARS && is_plain_line(text) && !is_hidden(text) {
        return Cow::Borrowed(text);
    }
    let end = text.char_indices().nth(MAX_READ_CHARS).map(|(at, _)| at);
    let head = end.and_then(|end| text.get(..end)).unwrap_or(text);
    let clean = printable(head);
    let words = clean.split(' ').map(|word| match is_hidden(word) {
        true => MASK,
        false => word,
    });
    Cow::Owned(truncate(
        &words.collect::<Vec<_>>().join(" "),
        MAX_SHOWN_CHARS,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_that_may_hold_a_credential_is_shown() {
        for (value, shown) in [
            ("kritical", "kritical"),
            ("very bad", "very bad"),
            (
                "2026-13-31T12:00:00.123456789+01:00",
                "2026-13-31T12:00:00.123456789+01:00",
            ),
            ("01/31/2026 10:00", "01/31/2026 10:00"),
            ("n/a", "n/a"),
            ("", ""),
            ("https://hooks.example/T0/s3cr3t", "***"),
            ("see https://user:pw@host/ now", "see *** now"),
            ("//host/x", "***"),
            ("hooks.slack.com/services/T0/B0/s3cr3t", "***"),
            ("me@example.com", "***"),
            ("a\nhttps://x\u{200b}/y", "a ***"),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x", "***"),
        ] {
            assert_eq!(shown_value(value), shown, "{value:?}");
        }
    }

    #[test]
    fn a_name_is_shown_unless_it_is_an_address() {
        let long = "n".repeat(100);
        for (name, expected) in [
            ("disk/var.used", "disk/var.used"),
            ("https://hooks.example/s3cr3t", "***"),
            ("https:\u{200b}//hooks.example/s3cr3t", "***"),
        ] {
            assert_eq!(shown(name), expected, "{name:?}");
        }
        assert_eq!(shown(&long).chars().count(), MAX_SHOWN_CHARS);
        assert!(shown(&"a ".repeat(1_000_000)).chars().count() <= MAX_SHOWN_CHARS);
    }
}
