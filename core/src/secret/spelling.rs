//! The spellings in which a secret may come back: escaped for a URL, for JSON or for HTML, in base64, wrapped, interspersed with
//! what nobody sees. Each is read into a plain form in which secrets can be looked for, and which knows where it comes from.

use std::ops::Range;

use crate::text::is_invisible;

/// Shorter beginnings of a secret, and shorter runs of letters that could be base64, may stand there by chance.
const SHORTEST_PIECE: usize = 8;
/// Escapes within escapes that are seen through.
const MAX_ROUNDS: usize = 3;
/// Readings of one text; only one that is made to has more.
const MAX_READINGS: usize = 24;
/// `%2F`; `\/`, `\n`, `\u002f`, `\x2f`; `&amp;`, `&#47;`, `&#x2f;`.
const ESCAPE_SIGNS: [char; 3] = ['%', '\\', '&'];

/// A text without what may stand between the characters of a secret, and where in the original each byte comes from.
pub struct Plain {
    text: String,
    origins: Vec<Range<usize>>,
}

impl Plain {
    /// Where in the original the needle stands, or the beginning of it: who quotes long things cuts them off.
    pub fn find(&self, needle: &str) -> impl Iterator<Item = Range<usize>> {
        let end = (SHORTEST_PIECE..needle.len()).find(|at| needle.is_char_boundary(*at));
        let head = needle.get(..end.unwrap_or(needle.len()));
        let heads = head.map(|head| self.text.match_indices(head));
        heads.into_iter().flatten().filter_map(|(start, _)| {
            let rest = self.text.as_bytes().get(start..)?.iter();
            let length = rest
                .zip(needle.as_bytes())
                .take_while(|(a, b)| a == b)
                .count();
            let first = self.origins.get(start)?;
            let last = self.origins.get(start + length - 1)?;
            Some(first.start..last.end)
        })
    }
}

/// A character, and the bytes of the original that it stands for.
type Placed = (char, Range<usize>);

fn placed(text: &str) -> Vec<Placed> {
    let characters = text.char_indices();
    characters
        .map(|(at, character)| (character, at..at + character.len_utf8()))
        .collect()
}

/// Every way to read a text, in plain form.
pub fn all(text: &str) -> Vec<Plain> {
    let readings = unescapings(placed(text));
    let mut all: Vec<Plain> = readings.iter().map(|placed| plain(placed)).collect();
    // Base64 needs no escapes of its own: it stands in the text as it is, or as all of it is meant.
    let ends = [
        readings.first(),
        readings.last().filter(|_| readings.len() > 1),
    ];
    all.extend(
        ends.into_iter()
            .flatten()
            .flat_map(|placed| out_of_base64(placed)),
    );
    all
}

/// A secret in plain form, as it is and as it is meant.
pub fn needles(secret: &str) -> Vec<String> {
    let mut needles: Vec<String> = if has_escapes(secret) {
        let readings = unescapings(placed(secret));
        readings.iter().map(|placed| plain(placed).text).collect()
    } else {
        vec![secret.chars().filter(|c| !is_passed_over(*c)).collect()]
    };
    if !secret.is_ascii() {
        // As it stands in what base64 was resolved to: a character a byte.
        let bytes = secret.bytes().map(char::from);
        needles.push(bytes.filter(|c| !is_passed_over(*c)).collect());
    }
    needles
}

/// The text as it is, with the escapes of each kind resolved, with those in the result resolved, and so on; none twice. Kinds are
/// kept apart, since what is an escape of one kind may be meant as it stands in another.
fn unescapings(placed: Vec<Placed>) -> Vec<Vec<Placed>> {
    let mut all = vec![placed];
    let mut done = 0;
    for _ in 0..MAX_ROUNDS {
        let mut more: Vec<Vec<Placed>> = Vec::new();
        for text in all.iter().skip(done) {
            for sign in ESCAPE_SIGNS {
                if !text.iter().any(|(character, _)| *character == sign) {
                    continue;
                }
                let resolved = unescaped(text, sign);
                let is_new = !all.contains(&resolved) && !more.contains(&resolved);
                if is_new && resolved.len() < text.len() {
                    more.push(resolved);
                }
            }
        }
        done = all.len();
        all.append(&mut more);
        all.truncate(MAX_READINGS);
    }
    all
}

fn has_escapes(text: &str) -> bool {
    text.contains(ESCAPE_SIGNS)
}

/// Without what is passed over.
fn plain(placed: &[Placed]) -> Plain {
    let mut text = String::with_capacity(placed.len());
    let mut origins = Vec::with_capacity(placed.len());
    for (character, origin) in placed {
        if !is_passed_over(*character) {
            text.push(*character);
            origins.resize(text.len(), origin.clone());
        }
    }
    Plain { text, origins }
}

/// White space, which wraps long lines; `+`, which is a space in forms and the head of a telephone number; and characters
/// that nobody sees.
fn is_passed_over(character: char) -> bool {
    character.is_whitespace() || character == '+' || is_invisible(character)
}

/// One layer of the escapes that begin with `sign` resolved.
fn unescaped(placed: &[Placed], sign: char) -> Vec<Placed> {
    let mut result = Vec::with_capacity(placed.len());
    let mut rest = placed;
    while let Some(((character, _), tail)) = rest.split_first() {
        let escape = match character {
            '%' if sign == '%' => percent(rest),
            '\\' if sign == '\\' => backslash(tail),
            '&' if sign == '&' => entity(tail),
            _ => None,
        };
        match escape {
            Some((characters, length)) => {
                let origin = origin_of(rest, length);
                result.extend(characters.chars().map(|c| (c, origin.clone())));
                rest = rest.get(length..).unwrap_or_default();
            }
            None => {
                result.extend(rest.first().cloned());
                rest = tail;
            }
        }
    }
    result
}

fn origin_of(placed: &[Placed], length: usize) -> Range<usize> {
    let start = placed.first().map_or(0, |(_, origin)| origin.start);
    let last = placed.get(length.saturating_sub(1));
    start..last.map_or(start, |(_, origin)| origin.end)
}

/// A character (several bytes may make one), and how many characters its escape takes.
fn percent(placed: &[Placed]) -> Option<(String, usize)> {
    let mut bytes = Vec::new();
    for escape in placed.chunks(3).take(4) {
        let [('%', _), digits @ ..] = escape else {
            break;
        };
        bytes.push(u8::try_from(number(digits, 2, 16)?).ok()?);
        let is_whole = std::str::from_utf8(&bytes);
        if let Ok(character) = is_whole {
            return Some((character.to_owned(), bytes.len() * 3));
        }
    }
    None
}

/// What follows a backslash, and how many characters it takes with the backslash.
fn backslash(tail: &[Placed]) -> Option<(String, usize)> {
    let ((kind, _), digits) = tail.split_first()?;
    let character = match kind {
        'u' => return utf16(digits),
        'x' => {
            let character = char::from_u32(number(digits, 2, 16)?)?;
            return Some((character.to_string(), 4));
        }
        'n' | 'r' => '\n',
        't' | 'b' | 'f' => ' ',
        other => *other,
    };
    Some((character.to_string(), 2))
}

/// `\u002f`, or the two halves of a character beyond.
fn utf16(digits: &[Placed]) -> Option<(String, usize)> {
    let unit = |digits: &[Placed]| u16::try_from(number(digits, 4, 16)?).ok();
    let first = unit(digits)?;
    if let Ok(character) = String::from_utf16(&[first]) {
        return Some((character, 6));
    }
    let [('\\', _), ('u', _), second @ ..] = digits.get(4..)? else {
        return None;
    };
    let character = String::from_utf16(&[first, unit(second)?]).ok()?;
    Some((character, 12))
}

/// What follows an ampersand, and how many characters it takes with the ampersand.
fn entity(tail: &[Placed]) -> Option<(String, usize)> {
    const LONGEST: usize = 9;
    let end = tail.iter().take(LONGEST).position(|(c, _)| *c == ';')?;
    let name: String = tail.get(..end)?.iter().map(|(c, _)| c).collect();
    let character = match name.as_str() {
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
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some((character.to_string(), end + 2))
}

/// The number that the first `length` characters write.
fn number(placed: &[Placed], length: usize, radix: u32) -> Option<u32> {
    let digits = placed.get(..length)?;
    let digit = |number: u32, (c, _): &Placed| Some(number * radix + c.to_digit(radix)?);
    digits.iter().try_fold(0, digit)
}

/// What the base64 in a text stands for, in both alphabets: a character a byte, once for each place in a group of four at which
/// it may begin.
fn out_of_base64(placed: &[Placed]) -> Vec<Plain> {
    // Long ones are broken into lines.
    let unbroken = placed
        .iter()
        .filter(|(c, _)| !matches!(c, '\r' | '\n') && !is_invisible(*c));
    let digits: Vec<Digit<'_>> = unbroken
        .map(|(character, origin)| (base64_digit(*character), origin))
        .collect();
    let runs = digits.split(|(digit, _)| digit.is_none());
    let runs: Vec<&[Digit<'_>]> = runs.filter(|run| may_be_base64(run)).collect();
    if runs.is_empty() {
        return Vec::new();
    }
    (0..4)
        .map(|from| {
            let runs = runs.iter().filter_map(|run| run.get(from..));
            plain(&runs.flat_map(bytes_of_base64).collect::<Vec<_>>())
        })
        .collect()
}

/// A digit of base64, or none, and where it stands.
type Digit<'a> = (Option<u32>, &'a Range<usize>);

/// Long enough, and no mere word, which has small letters only after its first.
fn may_be_base64(run: &[Digit<'_>]) -> bool {
    let is_small = |digit: &Digit<'_>| matches!(digit.0, Some(26..=51));
    run.len() >= SHORTEST_PIECE && !run.iter().skip(1).all(is_small)
}

fn bytes_of_base64(digits: &[Digit<'_>]) -> Vec<Placed> {
    let mut bytes = Vec::with_capacity(digits.len());
    for (place, pair) in digits.windows(2).enumerate() {
        let [(Some(first), from), (Some(second), to)] = pair else {
            continue;
        };
        // Four digits are three bytes: each pair but the last in a group completes one.
        let held = first << 6 | second;
        let byte = match place % 4 {
            0 => held >> 4,
            1 => held >> 2,
            2 => held,
            _ => continue,
        };
        let byte = char::from(u8::try_from(byte & 0xff).unwrap_or_default());
        bytes.push((byte, from.start..to.end));
    }
    bytes
}

/// In the standard alphabet or in that for URLs.
fn base64_digit(character: char) -> Option<u32> {
    Some(match character {
        'A'..='Z' => u32::from(character) - u32::from('A'),
        'a'..='z' => u32::from(character) - u32::from('a') + 26,
        '0'..='9' => u32::from(character) - u32::from('0') + 52,
        '+' | '-' => 62,
        '/' | '_' => 63,
        _ => return None,
    })
}
