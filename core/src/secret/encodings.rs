//! The encodings in which a provider may return a secret: escaped for a URL, a form, JSON or HTML, in base64, wrapped,
//! or with invisible characters. The search decodes one layer of escapes in the text and encodes the secret in base64.

use std::ops::Range;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;

use crate::text::is_invisible;

/// Decodes the escape at a text's beginning. Returns the character and the length of the escape in bytes.
type Resolve = fn(&str) -> Option<(char, usize)>;

/// The types of escapes, each with a substring of every text that contains one.
const KINDS: [(&str, Resolve); 4] = [
    ("%", percent),
    (r"\", backslash),
    (r"\\", backslashes),
    ("&", entity),
];

/// A text without the characters that may separate a secret's characters. Each byte has its position in the original.
#[derive(Default)]
pub struct DecodedText {
    pub text: String,
    origins: Vec<Range<usize>>,
}

impl DecodedText {
    /// Returns the original's range of a decoded range.
    pub fn origin(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let first = self.origins.get(range.start)?;
        let last = self.origins.get(range.end.checked_sub(1)?)?;
        Some(first.start..last.end)
    }

    fn push(&mut self, character: char, origin: Range<usize>) {
        if !is_passed_over(character) {
            self.text.push(character);
            self.origins.resize(self.text.len(), origin);
        }
    }
}

/// Returns the text unchanged, and with the escapes of each type decoded. Each type is decoded separately, because an
/// escape of one type may be literal text in another.
pub fn readings(text: &str) -> impl Iterator<Item = DecodedText> {
    let kinds = KINDS.into_iter();
    let resolves = kinds.filter(|(sign, _)| text.contains(sign));
    let as_it_is: Resolve = |_| None;
    let all = std::iter::once(as_it_is).chain(resolves.map(|(_, resolve)| resolve));
    all.map(|resolve| reading(text, resolve))
}

fn reading(text: &str, resolve: Resolve) -> DecodedText {
    let mut reading = DecodedText::default();
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        let (character, length) = resolve(rest).unwrap_or((first, first.len_utf8()));
        reading.push(character, at..at + length);
        at += length;
    }
    reading
}

/// Whether the search skips the character. These are white space, which wraps long lines; `+`, which is a space in
/// forms and begins a telephone number; backslashes, which precede characters in JSON; and invisible characters.
fn is_passed_over(character: char) -> bool {
    character.is_whitespace() || matches!(character, '+' | '\\') || is_invisible(character)
}

/// Decodes `%2F`. Several bytes may make one character.
fn percent(text: &str) -> Option<(char, usize)> {
    let mut bytes = Vec::new();
    while bytes.len() < 4 {
        let digits = text.get(bytes.len() * 3..)?.strip_prefix('%')?.get(..2)?;
        bytes.push(u8::try_from(hexadecimal(digits)?).ok()?);
        if let Ok(character) = std::str::from_utf8(&bytes) {
            return Some((character.chars().next()?, bytes.len() * 3));
        }
    }
    None
}

/// Decodes `\/`, `\n`, `\u002f` and `\x2f`.
fn backslash(text: &str) -> Option<(char, usize)> {
    unescaped(text.strip_prefix('\\')?, 1)
}

/// Decodes escapes of JSON in JSON: `\\/`, `\\\\u002f`.
fn backslashes(text: &str) -> Option<(char, usize)> {
    let escape = text.trim_start_matches('\\');
    match text.len() - escape.len() {
        0 => None,
        backslashes => unescaped(escape, backslashes),
    }
}

/// Decodes the character after this number of backslashes.
fn unescaped(escape: &str, backslashes: usize) -> Option<(char, usize)> {
    let kind = escape.chars().next()?;
    let (character, length) = match kind {
        'u' => utf16(escape, backslashes)?,
        'x' => (char::from_u32(hexadecimal(escape.get(1..3)?)?)?, 3),
        'n' | 'r' | 't' | 'b' | 'f' => (' ', 1),
        other => (other, other.len_utf8()),
    };
    Some((character, backslashes + length))
}

/// Decodes `u002f`, or a surrogate pair with backslashes between its halves.
fn utf16(text: &str, backslashes: usize) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix('u')?.get(..4)?;
        u16::try_from(hexadecimal(digits)?).ok()
    };
    let second = 5 + backslashes;
    let units = std::iter::once(unit(0)?).chain(unit(second));
    let character = char::decode_utf16(units).next()?.ok()?;
    let before = (character.len_utf16() - 1) * second;
    Some((character, before + 5))
}

/// Decodes `&amp;`, `&#47;` and `&#x2f;`.
fn entity(text: &str) -> Option<(char, usize)> {
    const LONGEST: usize = 9;
    let name = text.strip_prefix('&')?;
    let end = name.bytes().take(LONGEST).position(|byte| byte == b';')?;
    let character = match name.get(..end)? {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "sol" => '/',
        "equals" => '=',
        other => {
            let digits = other.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(digits) => hexadecimal(digits)?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((character, end + 2))
}

/// Parses digits without a sign, which Rust's own parser would accept.
fn hexadecimal(digits: &str) -> Option<u32> {
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u32::from_str_radix(digits, 16).ok();
    number.filter(|_| are_digits)
}

/// Returns the forms of a secret in a [`DecodedText`].
pub fn plain(secret: &str) -> Vec<String> {
    let characters = secret.chars();
    let mut all = vec![without_passed_over(characters)];
    if !secret.is_ascii() {
        // A backslash escape for each byte.
        all.push(without_passed_over(secret.bytes().map(char::from)));
    }
    all
}

/// Returns the base64 forms of a secret in both alphabets, at each of the three positions in a group of three bytes.
/// Omits digits that also depend on neighbouring bytes.
pub fn base64(secret: &str) -> impl Iterator<Item = String> {
    (0..3).flat_map(|before| {
        let bytes = [vec![0; before], secret.as_bytes().to_vec()].concat();
        let encoded = BASE64_STANDARD_NO_PAD.encode(&bytes);
        let own = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        let standard = encoded.get(own).unwrap_or_default().to_owned();
        let for_urls = standard.replace('+', "-").replace('/', "_");
        let for_urls = Some(for_urls).filter(|for_urls| *for_urls != standard);
        [Some(without_passed_over(standard.chars())), for_urls]
            .into_iter()
            .flatten()
    })
}

pub fn is_base64_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'/' | b'_')
}

fn without_passed_over(characters: impl Iterator<Item = char>) -> String {
    characters.filter(|c| !is_passed_over(*c)).collect()
}
