//! Dedup keys.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::text::hex;

/// A dedup key, shared by all deliveries of its notification.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DedupKey(Arc<str>);

impl DedupKey {
    /// The maximum length of a key. The SHA-256 of a longer text replaces it, because keys are often stored, compared
    /// and hashed.
    pub const MAX_BYTES: usize = 1024;

    /// Whether a text is too long for a key.
    pub const fn is_too_long(text: &str) -> bool {
        text.len() > Self::MAX_BYTES
    }
}

impl From<&str> for DedupKey {
    /// Every key is made here, whatever the text's source.
    fn from(text: &str) -> Self {
        match Self::is_too_long(text) {
            true => Self(hex(&Sha256::digest(text)).into()),
            false => Self(text.into()),
        }
    }
}

impl fmt::Display for DedupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Deref for DedupKey {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_dedup_key_is_its_digest_and_a_short_one_itself() {
        for (text, expected) in [
            (String::new(), String::new()),
            ("cpu db1".to_owned(), "cpu db1".to_owned()),
            ("x".repeat(1024), "x".repeat(1024)),
            (
                "x".repeat(1025),
                "c6d8e9905300876046729949cc95c2385221270d389176f7234fe7ac00c4e430".to_owned(),
            ),
        ] {
            assert_eq!(&*DedupKey::from(text.as_str()), expected);
        }
    }
}
