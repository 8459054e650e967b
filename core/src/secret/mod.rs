//! Secrets, and their removal from others' texts.

mod encodings;
mod redact;

use std::fmt;
use std::hash::{Hash, Hasher};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

pub use self::redact::{Redactor, secrets_of_url};

pub use crate::text::MASK;
use crate::text::hex;

/// A value that must never be shown: a token, a webhook's URL, a telephone number.
///
/// `Debug` prints [`MASK`], and there is no `Display`. Dropping the value wipes its memory.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// Returns the value, only for sending it.
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

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Returns 32 hexadecimal digits that identify a value without revealing it. They are the same after a restart.
pub fn digest(value: &str) -> String {
    hex(Sha256::digest(value.as_bytes()).iter().take(16))
}

/// Returns the first four digits of [`digest`], which distinguish destinations in logs.
pub fn fingerprint(value: &str) -> String {
    hex(Sha256::digest(value.as_bytes()).iter().take(2))
}

/// Masks `+15005550006` as `+15***06`, so that only a reader who knows the number recognises it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        assert_eq!(format!("{:?}", Secret::new("xoxb-1")), MASK);
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
}
