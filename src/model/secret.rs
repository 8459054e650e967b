//! Secrets, and how they are kept out of what others wrote.

use std::fmt;
use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;

use super::text::hex;

/// What stands where a secret was.
pub const MASK: &str = "***";

/// A value that must never show: a token, a webhook's URL, a telephone number.
///
/// `Debug` prints [`MASK`]; there is no `Display`. The memory is wiped when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The value itself, for the wire and for nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// 32 hexadecimal digits that stand for a value, the same after a restart, and say nothing of it.
pub fn digest(value: &str) -> String {
    hex(Sha256::digest(value.as_bytes()).iter().take(16))
}

/// The first four digits of [`digest`]: enough to tell destinations apart in logs.
pub fn fingerprint(value: &str) -> String {
    digest(value).chars().take(4).collect()
}

/// `+15005550006` as `+15***06`: enough to recognise a number that one knows.
pub fn mask_number(number: &str) -> String {
    let bare = number.rsplit(':').next().unwrap_or(number);
    let characters: Vec<char> = bare.chars().collect();
    match (characters.get(..2), characters.len()) {
        (Some(head), length) if length >= 8 => {
            let tail = characters.get(length - 2..).unwrap_or_default();
            format!(
                "{}{MASK}{}",
                head.iter().collect::<String>(),
                tail.iter().collect::<String>()
            )
        }
        _ => MASK.to_owned(),
    }
}

/// The secrets of one destination, to be taken out of texts that come from outside (a provider may echo what it was sent).
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    /// Longest first, so that a part never spoils the whole.
    needles: Arc<[Secret]>,
}

/// Shorter strings are left alone: they occur in ordinary words.
const SHORTEST_NEEDLE: usize = 4;

impl Redactor {
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut needles: Vec<String> = Vec::new();
        for secret in secrets {
            let secret = secret.as_ref();
            needles.push(secret.to_owned());
            needles.push(utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string());
            // Where it reads otherwise.
            if secret.contains('%') {
                needles.push(percent_decode_str(secret).decode_utf8_lossy().into_owned());
            }
            // As it stands inside a JSON string.
            if secret.contains(['\\', '"', '/']) {
                needles.push(
                    secret
                        .replace('\\', "\\\\")
                        .replace('"', "\\\"")
                        .replace('/', "\\/"),
                );
            }
        }
        needles.retain(|needle| needle.len() >= SHORTEST_NEEDLE);
        needles.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        needles.dedup();
        Self {
            needles: needles.into_iter().map(Secret::new).collect(),
        }
    }

    /// `text` with every secret replaced by [`MASK`].
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for needle in self.needles.iter() {
            if text.contains(needle.expose()) {
                text = text.replace(needle.expose(), MASK);
            }
        }
        text
    }
}

/// What in a URL is secret: all but scheme, host and port. Plain words of a path (`services`, `api`) are not.
pub fn secrets_of_url(url: &Url) -> Vec<String> {
    let mut secrets = vec![url.as_str().to_owned()];
    let path_and_query = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    if path_and_query.len() > 1 {
        secrets.push(path_and_query);
    }
    if url.path().len() > 1 {
        secrets.push(url.path().to_owned());
    }
    secrets.extend(url.query().map(str::to_owned));
    let segments = url.path_segments().into_iter().flatten().map(str::to_owned);
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    secrets.extend(segments.chain(values).filter(|part| !is_plain_word(part)));
    secrets.extend(url.password().map(str::to_owned));
    if !url.username().is_empty() {
        secrets.push(url.username().to_owned());
    }
    secrets
}

fn is_plain_word(part: &str) -> bool {
    part.len() < 12 && part.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        assert_eq!(format!("{:?}", Secret::new("xoxb-1")), MASK);
        assert!(!format!("{:?}", Redactor::new(["hunter2"])).contains("hunter2"));
    }

    #[test]
    fn a_digest_is_the_first_half_of_sha_256() {
        assert_eq!(digest("abc"), "ba7816bf8f01cfea414140de5dae2223");
        assert_eq!(fingerprint("abc"), "ba78");
    }

    #[test]
    fn numbers_are_masked_but_recognisable() {
        for (number, masked) in [
            ("+15005550006", "+1***06"),
            ("whatsapp:+15005550006", "+1***06"),
            ("12345", "***"),
            ("", "***"),
        ] {
            assert_eq!(mask_number(number), masked, "{number}");
        }
    }

    #[test]
    fn every_spelling_of_a_secret_is_taken_out() {
        let redactor = Redactor::new(["T0/B0/s3cr+t"]);
        for echo in [
            "no such hook T0/B0/s3cr+t here",
            "no such hook T0%2FB0%2Fs3cr%2Bt here",
            r"no such hook T0\/B0\/s3cr+t here",
        ] {
            assert_eq!(redactor.redact(echo), "no such hook *** here", "{echo}");
        }
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
