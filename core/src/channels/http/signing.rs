//! Webhook signatures by Standard Webhooks 1.0.0
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use sha2::Sha256;

use crate::channels::spec::decode_base64;
use crate::model::wire::HttpRequest;
use crate::secret::{MASK, digest};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

const PREFIX: &str = "whsec_";
/// "Between 24 bytes and 64 bytes" (section on symmetric signatures).
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The signing keys of one destination. It has several while its receiver changes the key.
pub struct Signer {
    keys: Vec<Hmac<Sha256>>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Signer {
    pub const fn new(keys: Vec<Hmac<Sha256>>) -> Self {
        Self { keys }
    }

    /// Signs the current body with the time `now`. Replaces the signature of an earlier attempt.
    pub fn sign(&self, request: &mut HttpRequest, id: &HeaderValue, now: Timestamp) {
        let id = usable(id);
        let seconds = now.as_second().to_string();
        let head = format!("{id}.{seconds}.");
        let signatures = self.keys.iter().map(|key| {
            let signature = key.clone().chain_update(&head).chain_update(&request.body);
            let signature = BASE64_STANDARD.encode(signature.finalize().into_bytes());
            format!("v1,{signature}")
        });
        let signatures = signatures.collect::<Vec<_>>().join(" ");
        for (name, value) in [(ID, id), (TIMESTAMP, seconds), (SIGNATURE, signatures)] {
            // The value contains only printable ASCII.
            if let Ok(value) = HeaderValue::try_from(value) {
                request.headers.insert(name, value);
            }
        }
    }
}

/// Returns a message's id for signing. An id with a full stop has an ambiguous end, so its digest replaces it.
fn usable(id: &HeaderValue) -> String {
    match id.to_str() {
        Ok(id) if !id.is_empty() && !id.contains('.') => id.to_owned(),
        _ => digest(&String::from_utf8_lossy(id.as_bytes())),
    }
}

/// Parses a key in the format of Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes. The error continues a
/// sentence after the field's name and does not quote the key.
///
/// Supabase writes `v1,` before it (<https://supabase.com/docs/guides/auth/auth-hooks>). Others omit the prefix or use
/// URL-safe base64. The reference libraries read base64 with and without the prefix
/// (<https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/javascript/src/index.ts>).
pub fn key(secret: &str) -> Result<Hmac<Sha256>, String> {
    let secret = secret.trim();
    let unversioned = secret.strip_prefix("v1,").unwrap_or(secret);
    if ["whsk_", "whpk_", "v1a,"]
        .iter()
        .any(|prefix| unversioned.starts_with(prefix))
    {
        return Err(
            "is an ed25519 key, which is not supported; give a symmetric one, whsec_…".to_owned(),
        );
    }
    let bytes = match unversioned.strip_prefix(PREFIX) {
        Some(encoded) => {
            decode_base64(encoded).ok_or_else(|| format!("must be base64 after {PREFIX}"))?
        }
        None => unprefixed(unversioned)?,
    };
    if !KEY_BYTES.contains(&bytes.len()) {
        return Err(format!(
            "must be {PREFIX} and base64 of 24 to 64 bytes, found {} bytes",
            bytes.len()
        ));
    }
    // HMAC accepts keys of every length.
    Hmac::new_from_slice(&bytes).map_err(|_| "cannot be used".to_owned())
}

/// Decodes a key without prefix. Random bytes in base64 contain upper and lower case letters, except for one in ten
/// million keys of 24 bytes. The user may mean hexadecimal digits and words literally.
fn unprefixed(secret: &str) -> Result<Vec<u8>, String> {
    let has = |is: fn(&u8) -> bool| secret.as_bytes().iter().any(is);
    let has_both_cases = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let bytes = decode_base64(secret).filter(|_| has_both_cases);
    bytes.ok_or_else(|| {
        format!(
            "must be {PREFIX} and base64 of 24 to 64 bytes; without {PREFIX} it is unclear whether this is base64. Write \
             {PREFIX} before base64; encode hexadecimal digits or a text first"
        )
    })
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn a_key_is_taken_or_refused_with_what_is_wrong_and_without_being_quoted() {
        let bytes = |length| b"Kk".iter().copied().cycle().take(length);
        let of = |length: usize| {
            let bytes: Vec<u8> = bytes(length).collect();
            format!("whsec_{}", BASE64_STANDARD.encode(bytes))
        };
        for (secret, expected) in [
            (of(24), ""),
            (of(32), ""),
            (of(64), ""),
            (format!(" {}\n", of(25).trim_end_matches('=')), ""),
            (format!("v1,{}", of(24)), ""),
            (of(23), "24 to 64 bytes, found 23 bytes"),
            (of(65), "24 to 64 bytes, found 65 bytes"),
            ("whsec_".to_owned(), "found 0 bytes"),
            ("whsec_$$$".to_owned(), "must be base64 after whsec_"),
            ("v1,whsec_$$$".to_owned(), "must be base64 after whsec_"),
            (of(32).replace("whsec_", ""), ""),
            (of(32).replace("whsec_", "v1,"), ""),
            (of(23).replace("whsec_", ""), "found 23 bytes"),
            (of(32).replace("whsec_", "whsk_"), "ed25519"),
            (of(32).replace("whsec_", "v1,whsk_"), "ed25519"),
            (of(32).replace("whsec_", "v1a,whsec_"), "ed25519"),
            (of(32).replace("whsec_", "v2,whsec_"), "must be whsec_ and"),
            (of(32).replace("whsec_", "WHSEC_"), "must be whsec_ and"),
            (
                "0123456789abcdef".repeat(4),
                "unclear whether this is base64",
            ),
            (
                "0123456789ABCDEF".repeat(4),
                "unclear whether this is base64",
            ),
            ("correcthorsebatterystaple1234567".to_owned(), "unclear"),
            (
                "Correct horse battery staple, and more".to_owned(),
                "unclear",
            ),
            (
                "whsec_ab+/ab-_ab+/ab-_ab+/ab-_ab+/ab-_".to_owned(),
                "must be base64",
            ),
            ("v1,".to_owned(), "must be whsec_ and"),
            (String::new(), "must be whsec_ and"),
        ] {
            match key(&secret) {
                Ok(_) => assert_eq!(expected, "", "{secret}"),
                Err(message) => {
                    assert!(
                        !expected.is_empty() && message.contains(expected),
                        "{secret}: {message}"
                    );
                    assert!(
                        !message.contains("S2tL") && !message.contains("$$$"),
                        "{message}"
                    );
                }
            }
        }
    }

    #[test]
    fn one_key_in_every_spelling_signs_the_same() {
        let bytes: Vec<u8> = [251, 255, 191, 73, 105, 12].repeat(6);
        let standard = BASE64_STANDARD.encode(&bytes);
        assert!(standard.contains('+') && standard.contains('/'));
        let url_safe = BASE64_URL_SAFE_NO_PAD.encode(&bytes);
        let signature = |secret: &str| key(secret).unwrap().finalize().into_bytes();
        let expected = signature(&format!("whsec_{standard}"));
        for encoded in [standard, url_safe] {
            for prefix in ["whsec_", "v1,whsec_", "v1,", ""] {
                assert_eq!(
                    signature(&format!("{prefix}{encoded}")),
                    expected,
                    "{prefix}"
                );
            }
        }
    }

    #[test]
    fn a_name_that_cannot_be_signed_is_replaced_by_its_digest() {
        for (id, kept) in [
            ("4f6c", true),
            ("order-17", true),
            ("a.b", false),
            ("", false),
            ("ü", false),
        ] {
            let value = HeaderValue::from_bytes(id.as_bytes()).unwrap();
            let used = usable(&value);
            assert_eq!(used == id, kept, "{id}");
            assert!(kept || used.len() == 32, "{used}");
        }
    }
}
