//! Seals the destinations of requests, which are secrets, before they are stored.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};

use super::DeliveryId;
use crate::secret::Secret;

/// Seals with ChaCha20-Poly1305. Each seal has a random nonce. The delivery is bound in, so that no row can replace
/// another.
pub struct Seal {
    key: LessSafeKey,
}

/// Separates the derived key from other uses of the same `outbox_key`.
const PURPOSE: &[u8] = b"influxdb3-notifier outbox 1";
/// A shorter key can be guessed.
pub const MIN_KEY_BYTES: usize = 16;

impl Seal {
    /// `None` where the key is too short.
    pub fn new(outbox_key: &Secret) -> Option<Self> {
        let secret = outbox_key.expose().as_bytes();
        if secret.len() < MIN_KEY_BYTES {
            return None;
        }
        let derived = Salt::new(HKDF_SHA256, PURPOSE).extract(secret);
        let okm = derived.expand(&[b"aead"], &CHACHA20_POLY1305).ok()?;
        Some(Self {
            key: LessSafeKey::new(UnboundKey::from(okm)),
        })
    }

    /// Returns the nonce, the sealed text and its tag. `None`: the system has no random numbers.
    pub fn seal(&self, delivery: &DeliveryId, text: &Secret) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = text.expose().as_bytes().to_vec();
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                bound_to(delivery),
                &mut sealed,
            )
            .ok()?;
        Some([&nonce, sealed.as_slice(), tag.as_ref()].concat())
    }

    /// The sealed text; `None`: another key or delivery sealed it.
    pub fn open(&self, delivery: &DeliveryId, sealed: &[u8]) -> Option<Secret> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = self
            .key
            .open_in_place(nonce, bound_to(delivery), &mut text)
            .ok()?;
        Some(Secret::new(std::str::from_utf8(text).ok()?))
    }
}

fn bound_to(delivery: &DeliveryId) -> Aad<Vec<u8>> {
    Aad::from(format!("{}/{}", delivery.task, delivery.index).into_bytes())
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(task: &str, index: usize) -> DeliveryId {
        DeliveryId {
            task: task.to_owned(),
            index,
        }
    }

    #[test]
    fn a_sealed_value_opens_only_with_its_key_and_delivery() {
        let key = Secret::new("0123456789abcdef");
        let seal = Seal::new(&key).unwrap();
        let text =
            Secret::new(r#"{"slack_webhook_url": "https://hooks.slack.com/services/T/B/s3cret"}"#);
        let here = delivery("t", 0);
        let sealed = seal.seal(&here, &text).unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"s3cret"));
        assert_ne!(sealed, seal.seal(&here, &text).unwrap());
        assert_eq!(Seal::new(&key).unwrap().open(&here, &sealed), Some(text));
        for (name, opened) in [
            ("another place", seal.open(&delivery("t", 1), &sealed)),
            ("another task", seal.open(&delivery("u", 0), &sealed)),
            ("cut short", seal.open(&here, &sealed[..sealed.len() - 1])),
            ("nothing", seal.open(&here, &[])),
            (
                "another key",
                Seal::new(&Secret::new("0123456789abcdeF"))
                    .unwrap()
                    .open(&here, &sealed),
            ),
        ] {
            assert_eq!(opened, None, "{name}");
        }
    }

    #[test]
    fn a_key_that_can_be_guessed_is_none() {
        assert!(Seal::new(&Secret::new("0123456789abcde")).is_none());
    }
}
