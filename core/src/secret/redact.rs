//! Removes secrets in all encodings from others' texts.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use super::encodings::{self, DecodedText};
use super::{MASK, Secret};
use crate::text::head;

/// The secrets of one destination, to remove from incoming texts. A provider may return them as sent, escaped for a
/// URL, JSON or HTML, in base64, wrapped, or shortened.
#[derive(Default)]
pub struct Redactor {
    secrets: Vec<Secret>,
}

/// The minimum length of a search string. Shorter strings occur in ordinary words.
const MIN_NEEDLE_BYTES: usize = 4;
/// The minimum length of a shortened secret, because a provider may shorten a long quotation. A shorter beginning may
/// be a coincidence.
const MIN_BEGINNING_BYTES: usize = 8;
/// The maximum length of a search string. Errors never show more of a reply, so the beginning of a longer secret is
/// enough.
const MAX_NEEDLE_BYTES: usize = 4 * 1024;
/// The maximum number of secrets. No real destination has more, and the search would be slow. Replies of a destination
/// with more secrets are not shown.
const MAX_SECRETS: usize = 500;

impl Redactor {
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let secrets = secrets.into_iter();
        Self {
            secrets: secrets
                .map(|secret| Secret::new(head(secret.as_ref(), MAX_NEEDLE_BYTES)))
                .collect(),
        }
    }

    /// Whether a text contains a secret in any encoding.
    pub fn finds(&self, text: &str) -> bool {
        // Providers' names for messages have this form. Every escape, and nearly every piece of base64, contains one
        // of the other characters.
        let is_number = |byte: u8| byte.is_ascii_hexdigit() || byte.is_ascii_uppercase();
        match text.bytes().all(is_number) {
            true => self.secrets.iter().any(|secret| {
                secret.expose().len() >= MIN_NEEDLE_BYTES && text.contains(secret.expose())
            }),
            false => self.redact(text) != text,
        }
    }

    /// Returns `text` with every secret replaced by [`MASK`].
    pub fn redact(&self, text: &str) -> String {
        if self.secrets.is_empty() || text.is_empty() {
            return text.to_owned();
        }
        match Needles::of(&self.secrets) {
            Some(needles) => masked(text, needles.ranges(text)),
            None => MASK.to_owned(),
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.secrets).finish()
    }
}

/// All search strings for one pass over a text.
struct Needles {
    /// Matches the heads, in the order of `needles`.
    heads: AhoCorasick,
    /// The needles of each head.
    needles: Vec<Vec<Needle>>,
}

#[derive(PartialEq)]
struct Needle {
    text: Secret,
    is_base64: bool,
}

/// The needles of the last destinations, the latest first. A set takes 12 KB and 30 µs. That is too much memory for
/// ten thousand destinations, and too slow for every reply of a repeatedly failing destination.
static LAST: Mutex<VecDeque<(Vec<Secret>, Arc<Needles>)>> = Mutex::new(VecDeque::new());
const MAX_LAST: usize = 8;

impl Needles {
    /// Returns the needles of these secrets, from the cache if possible.
    fn of(secrets: &[Secret]) -> Option<Arc<Self>> {
        let lock = || LAST.lock().unwrap_or_else(PoisonError::into_inner);
        let take = |last: &mut VecDeque<(Vec<Secret>, Arc<Self>)>| {
            let index = last.iter().position(|(known, _)| known == secrets)?;
            last.remove(index)
        };
        let known = take(&mut lock());
        let needles = match known {
            Some(known) => known,
            None => (secrets.to_vec(), Arc::new(Self::new(secrets)?)),
        };
        let found = Arc::clone(&needles.1);
        let mut last = lock();
        last.truncate(MAX_LAST - 1);
        last.push_front(needles);
        Some(found)
    }

    fn new(secrets: &[Secret]) -> Option<Self> {
        if secrets.len() > MAX_SECRETS {
            return None;
        }
        let mut by_head: BTreeMap<String, Vec<Needle>> = BTreeMap::new();
        for secret in secrets.iter().map(Secret::expose) {
            let plain = encodings::plain(secret).into_iter();
            let plain = plain.map(|text| (text, false));
            let base64 = encodings::base64(secret).map(|text| (text, true));
            for (text, is_base64) in plain.chain(base64) {
                if text.len() >= MIN_NEEDLE_BYTES {
                    let head = head(&text, MIN_BEGINNING_BYTES).to_owned();
                    let text = Secret::new(text);
                    let (needle, known) =
                        (Needle { text, is_base64 }, by_head.entry(head).or_default());
                    if !known.contains(&needle) {
                        known.push(needle);
                    }
                }
            }
        }
        // An automaton searches only few texts, so a fast construction is most important.
        let heads = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::NoncontiguousNFA))
            .dense_depth(1)
            .prefilter(false)
            .build(by_head.keys())
            .ok()?;
        Some(Self {
            heads,
            needles: by_head.into_values().collect(),
        })
    }

    /// Returns the ranges of the needles or their beginnings.
    fn ranges(&self, text: &str) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        for reading in encodings::readings(text) {
            for found in self.heads.find_overlapping_iter(&reading.text) {
                let needles = self.needles.get(found.pattern().as_usize());
                for needle in needles.into_iter().flatten() {
                    let range = needle.range(&reading, found.start());
                    ranges.extend(reading.origin(&range));
                }
            }
        }
        ranges
    }
}

impl Needle {
    /// Returns the range of the needle's matching part. In base64, a digit on each side may contain a part of the
    /// secret.
    fn range(&self, reading: &DecodedText, start: usize) -> Range<usize> {
        let text = reading.text.as_bytes();
        let rest = text.get(start..).unwrap_or_default().iter();
        let needle = self.text.expose().as_bytes();
        let end = start + rest.zip(needle).take_while(|(a, b)| a == b).count();
        let is_digit = |at: usize| {
            let byte = text.get(at).copied();
            usize::from(self.is_base64 && byte.is_some_and(encodings::is_base64_digit))
        };
        let before = start.checked_sub(1).map_or(0, is_digit);
        start - before..end + is_digit(end)
    }
}

/// Masks these ranges. Overlapping ranges become one.
fn masked(text: &str, mut ranges: Vec<Range<usize>>) -> String {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut clean = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        if range.start >= end {
            clean.push_str(text.get(end..range.start).unwrap_or_default());
            clean.push_str(MASK);
        }
        end = end.max(range.end);
    }
    clean.push_str(text.get(end..).unwrap_or_default());
    clean
}

/// Returns the secret parts of a URL: all except scheme, host and port. Returns them as written and decoded, because
/// receivers decode a URL first. Plain words of a path (`services`, `api`) are not secret.
pub fn secrets_of_url(url: &Url) -> Vec<Cow<'_, str>> {
    let after_host = url.as_str().get(url[..Position::BeforePath].len()..);
    let wholes = [
        Some(url.as_str()),
        after_host,
        Some(url.path()),
        url.query(),
    ];
    let segments = url.path_segments().into_iter().flatten();
    let segments = segments.filter(|part| !is_plain_word(part));
    let userinfo = [Some(url.username()), url.password()];
    let parts = wholes.into_iter().chain(userinfo).flatten().chain(segments);
    let parts = parts.flat_map(|part| [Cow::Borrowed(part), decoded(part)]);
    let values = url.query_pairs().map(|(_, value)| value);
    parts
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
    fn every_encoding_of_a_secret_is_masked() {
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
            percent,
            json.replace('/', "\\/"),
            json.replace('/', "\\/").replace('\\', "\\\\"),
            json,
            ascii.replace('\\', "\\\\\\\\"),
            ascii,
            utf8_percent_encode(&SECRET.replace('+', " "), NON_ALPHANUMERIC).to_string(),
            form_urlencoded::byte_serialize(SECRET.as_bytes()).collect(),
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
                // The rest contains at most the first and last group of the secret, and text outside it.
                let (head, tail) = clean.split_once(MASK).expect(&clean);
                assert!(head.len() <= before.len() * 8 / 6 + 1, "{clean}");
                assert!(tail.len() <= " and more".len() * 8 / 6 + 2, "{clean}");
            }
        }
    }

    #[test]
    fn a_secret_with_an_escape_like_beginning_is_masked() {
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
    fn a_truncated_secret_is_masked() {
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
    fn of_a_destination_with_too_many_secrets_nothing_is_shown() {
        let many = |count: usize| Redactor::new((0..count).map(|n| format!("secret-{n}")));
        assert_eq!(many(500).redact("secret-7 and more"), "*** and more");
        assert_eq!(many(501).redact("anything"), MASK);
    }

    #[test]
    fn many_destinations_mask_their_own_secrets() {
        let secret = |number: usize| format!("s3cret-{number:03}-token");
        for round in 0..3 {
            for number in 0..2 * MAX_LAST {
                let redactor = Redactor::new([secret(number)]);
                let echo = format!("{} {}", secret(number), secret(number + 100));
                let clean = redactor.redact(&echo);
                assert_eq!(clean, format!("*** {}", secret(number + 100)), "{round}");
            }
        }
        assert!(LAST.lock().unwrap().len() <= MAX_LAST);
    }

    #[test]
    fn of_a_long_secret_the_beginning_is_found() {
        let secret = "sécret-".repeat(10_000);
        let redactor = Redactor::new([&secret]);
        for length in [800, 3_000] {
            let echo: String = secret.chars().take(length).collect();
            assert_eq!(redactor.redact(&format!("no {echo}")), "no ***");
        }
        assert!(redactor.finds(&secret));
    }

    #[test]
    fn text_without_a_secret_is_unchanged() {
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
