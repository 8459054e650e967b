//! Taking secrets out of what others wrote, in whichever spelling they wrote them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::OnceLock;

use percent_encoding::percent_decode_str;
use url::{Position, Url};

use super::{MASK, Secret};
use crate::model::text::is_invisible;

/// The secrets of one destination, to be taken out of texts that come from outside: a provider may echo what it was sent, as
/// it is, escaped for a URL, for JSON or for HTML (or one in the other), in base64, wrapped, or cut off.
#[derive(Debug, Default)]
pub struct Redactor {
    secrets: Vec<Secret>,
    /// The secrets as they are looked for; made when a text is to be shown.
    needles: OnceLock<Vec<Secret>>,
}

/// Shorter strings are left alone: they occur in ordinary words.
const SHORTEST_NEEDLE: usize = 4;
/// Shorter beginnings of a secret, and shorter runs of letters that could be base64, may stand there by chance.
const SHORTEST_PIECE: usize = 8;
/// Escapes within escapes that are seen through.
const MAX_ROUNDS: usize = 3;

impl Redactor {
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let secrets = secrets.into_iter();
        Self {
            secrets: secrets.map(|secret| Secret::new(secret.as_ref())).collect(),
            needles: OnceLock::new(),
        }
    }

    /// Whether a text holds a secret, in whichever spelling.
    pub fn finds(&self, text: &str) -> bool {
        // Such are the names that providers give to messages: no escape and hardly a piece of base64 is without these.
        let is_number = |byte: u8| byte.is_ascii_hexdigit() || byte.is_ascii_uppercase();
        match text.bytes().all(is_number) {
            true => self.secrets.iter().any(|secret| {
                secret.expose().len() >= SHORTEST_NEEDLE && text.contains(secret.expose())
            }),
            false => self.redact(text) != text,
        }
    }

    /// `text` with every secret replaced by [`MASK`].
    pub fn redact(&self, text: &str) -> String {
        if self.secrets.is_empty() {
            return text.to_owned();
        }
        let needles = self.needles.get_or_init(|| needles(&self.secrets));
        let mut found: Vec<Range<usize>> = Vec::new();
        for plain in spellings(text) {
            for needle in needles.iter().map(Secret::expose) {
                found.extend(plain.find(needle));
            }
        }
        masked(text, found)
    }
}

/// The secrets in plain form, as they are and as they are meant.
fn needles(secrets: &[Secret]) -> Vec<Secret> {
    let mut needles: Vec<String> = Vec::with_capacity(secrets.len());
    for secret in secrets.iter().map(Secret::expose) {
        if has_escapes(secret.chars()) {
            let spelled = unescapings(placed(secret));
            needles.extend(spelled.iter().map(|placed| plain(placed).text));
        } else {
            needles.push(secret.chars().filter(|c| !is_passed_over(*c)).collect());
        }
        if !secret.is_ascii() {
            // As it stands in what base64 was resolved to: a character a byte.
            let bytes = secret.bytes().map(char::from);
            needles.push(bytes.filter(|c| !is_passed_over(*c)).collect());
        }
    }
    needles.retain(|needle| needle.len() >= SHORTEST_NEEDLE);
    needles.into_iter().map(Secret::new).collect()
}

/// The text with these places masked; those that overlap become one.
fn masked(text: &str, mut places: Vec<Range<usize>>) -> String {
    places.sort_unstable_by_key(|place| place.start);
    let mut clean = String::with_capacity(text.len());
    let mut end = 0;
    for place in places {
        if place.start >= end {
            clean.push_str(text.get(end..place.start).unwrap_or_default());
            clean.push_str(MASK);
        }
        end = end.max(place.end);
    }
    clean.push_str(text.get(end..).unwrap_or_default());
    clean
}

/// A text without what may stand between the characters of a secret, and where in the original each byte comes from.
struct Plain {
    text: String,
    origins: Vec<Range<usize>>,
}

impl Plain {
    /// Where in the original the needle stands, or the beginning of it: who quotes long things cuts them off.
    fn find(&self, needle: &str) -> impl Iterator<Item = Range<usize>> {
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
fn spellings(text: &str) -> Vec<Plain> {
    let readings = unescapings(placed(text));
    let mut all: Vec<Plain> = readings.iter().map(|placed| plain(placed)).collect();
    if let Some(meant) = readings.last() {
        all.extend(out_of_base64(meant));
    }
    all
}

/// The text as it is, with its escapes resolved, with escapes in these resolved, and so on.
fn unescapings(placed: Vec<Placed>) -> Vec<Vec<Placed>> {
    let mut all = vec![placed];
    for _ in 0..MAX_ROUNDS {
        let Some(last) = all
            .last()
            .filter(|last| has_escapes(last.iter().map(|(c, _)| *c)))
        else {
            break;
        };
        let resolved = unescaped(last);
        if resolved.len() == last.len() {
            break;
        }
        all.push(resolved);
    }
    all
}

fn has_escapes(mut characters: impl Iterator<Item = char>) -> bool {
    characters.any(|character| matches!(character, '%' | '\\' | '&'))
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

/// One layer of escapes resolved: `%2F`; `\/`, `\n`, `\u002f`, `\x2f`; `&amp;`, `&#47;`, `&#x2f;`.
fn unescaped(placed: &[Placed]) -> Vec<Placed> {
    let mut result = Vec::with_capacity(placed.len());
    let mut rest = placed;
    while let Some(((character, _), tail)) = rest.split_first() {
        let escape = match character {
            '%' => percent(rest),
            '\\' => backslash(tail),
            '&' => entity(tail),
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

/// What in a URL is secret: all but scheme, host and port. Plain words of a path (`services`, `api`) are not.
pub fn secrets_of_url(url: &Url) -> Vec<Cow<'_, str>> {
    let after_host = url.as_str().get(url[..Position::BeforePath].len()..);
    let wholes = [
        Some(url.as_str()),
        after_host,
        Some(url.path()),
        url.query(),
    ];
    let wholes = wholes.into_iter().flatten().map(Cow::Borrowed);
    let segments = url.path_segments().into_iter().flatten();
    let userinfo = [Some(url.username()), url.password()];
    let escaped = segments
        .filter(|part| !is_plain_word(part))
        .chain(userinfo.into_iter().flatten());
    // As it stands there, and as it is meant: who gets it decodes it first.
    let escaped = escaped.flat_map(|part| match decoded(part) {
        meant if meant == part => [Cow::Borrowed(part), Cow::Borrowed("")],
        meant => [Cow::Borrowed(part), meant],
    });
    let values = url.query_pairs().map(|(_, value)| value);
    wholes
        .chain(escaped)
        .chain(values.filter(|value| !is_plain_word(value)))
        .filter(|secret| !matches!(secret.as_ref(), "" | "/"))
        .collect()
}

fn decoded(part: &str) -> Cow<'_, str> {
    percent_decode_str(part).decode_utf8_lossy()
}

fn is_plain_word(part: &str) -> bool {
    part.len() < 12 && part.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    use super::*;

    const SECRET: &str = "T0/B+0/s3cr&t\"kéy";

    #[test]
    fn debug_never_shows_the_value() {
        assert!(!format!("{:?}", Redactor::new(["hunter2"])).contains("hunter2"));
    }

    #[test]
    fn every_spelling_of_a_secret_is_taken_out() {
        let redactor = Redactor::new([SECRET]);
        let percent = utf8_percent_encode(SECRET, NON_ALPHANUMERIC).to_string();
        let lower = percent.replace("%2F", "%2f").replace("%2B", "%2b");
        let json = serde_json::to_string(SECRET).unwrap();
        let json = json.trim_matches('"').to_owned();
        let ascii: String = SECRET
            .chars()
            .map(|c| format!("\\u{:04x}", u32::from(c)))
            .collect();
        let html = SECRET
            .replace('&', "&amp;")
            .replace('/', "&#x2F;")
            .replace('"', "&quot;");
        for echo in [
            SECRET.to_owned(),
            lower,
            utf8_percent_encode(&percent, NON_ALPHANUMERIC).to_string(),
            percent,
            json.replace('/', "\\/"),
            json.replace('&', "\\u0026").replace('/', "%2F"),
            json,
            ascii,
            html.replace('&', "&#38;"),
            html,
            SECRET.replace('+', " "),
            SECRET.chars().flat_map(|c| [c, '\u{200b}']).collect(),
            SECRET.replace("s3", "s\r\n 3"),
            SECRET.replace("s3", "s\u{0}3"),
        ] {
            let text = format!("no such hook {echo} here");
            let clean = redactor.redact(&text).replace('\u{200b}', "");
            assert_eq!(clean, "no such hook *** here", "{echo}");
        }
    }

    #[test]
    fn base64_that_holds_a_secret_shows_nothing_of_it() {
        let secret = "s3cret/+ÿtoken";
        let redactor = Redactor::new([secret]);
        for before in ["", "a", "ab", "abc"] {
            let text = format!("{before}{secret} and more");
            for encoded in [
                BASE64_STANDARD_NO_PAD.encode(&text),
                BASE64_URL_SAFE_NO_PAD.encode(&text),
            ] {
                let (first, second) = encoded.split_at(9);
                let wrapped = format!("{first}\n{second}");
                let clean = redactor.redact(&wrapped);
                // Around it stand at most the groups in which it begins and ends, and what is not its own.
                let (head, tail) = clean.split_once(MASK).expect(&clean);
                assert!(head.len() <= before.len() * 8 / 6 + 1, "{clean}");
                assert!(tail.len() <= " and more".len() * 8 / 6 + 2, "{clean}");
            }
        }
    }

    #[test]
    fn a_secret_whose_beginning_looks_like_an_escape_is_found() {
        let redactor = Redactor::new(["token-1234", "n3w-s3cret", "amp;x1y2z3"]);
        for (echo, clean) in [
            (r"C:\token-1234", r"C:\***"),
            (r"\n3w-s3cret", r"\***"),
            ("&amp;x1y2z3", "&***"),
            ("100%token-1234", "100%***"),
        ] {
            assert_eq!(redactor.redact(echo), clean);
        }
    }

    #[test]
    fn a_secret_that_is_cut_off_is_taken_out() {
        let redactor = Redactor::new(["/services/T012345/B012345/s3cret"]);
        for (echo, clean) in [
            ("none at /services/T012345/B0", "none at ***"),
            ("/services/T012345/B0... is none", "***... is none"),
            ("a é/services/T01234é", "a é***é"),
            ("I serve /servic", "I serve /servic"),
            ("I serve /service", "I serve ***"),
        ] {
            assert_eq!(redactor.redact(echo), clean);
        }
    }

    #[test]
    fn what_holds_no_secret_stays_as_it_is() {
        let redactor = Redactor::new(["s3cret-token", "abc"]);
        for text in [
            "",
            "abc",
            "100 % sure \\ & more; &nope; &#xD800; %zz %ff \\ud800 \\u12 &#99999999;",
            "%",
            "\\",
            "&",
            "😀é s3cret token?",
        ] {
            assert_eq!(redactor.redact(text), text);
        }
        assert_eq!(Redactor::default().redact("anything"), "anything");
    }

    #[test]
    fn a_url_gives_up_its_path_and_query_but_not_its_words() {
        let url = Url::parse("https://u5er:pa55word@hooks.example/services/T012345/x?key=abcd1234")
            .unwrap();
        let redactor = Redactor::new(secrets_of_url(&url));
        assert_eq!(
            redactor.redact("services T012345 abcd1234 pa55word u5er"),
            "services *** *** *** ***"
        );
    }
}
