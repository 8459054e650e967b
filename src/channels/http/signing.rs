//! Signatures of webhooks, by Standard Webhooks 1.0.0
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use sha2::Sha256;

use crate::channels::spec::headers::LENIENT_BASE64;
use crate::model::secret::{MASK, digest};
use crate::model::wire::HttpRequest;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

const PREFIX: &str = "whsec_";
/// "Between 24 bytes and 64 bytes" (section on symmetric signatures).
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The keys of one destination, ready to sign: several while its receiver changes from one to the next.
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

    /// Signs the body as it stands, as sent at `now`; what an earlier attempt signed is replaced.
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
            // All of it is printable ASCII.
            if let Ok(value) = HeaderValue::try_from(value) {
                request.headers.insert(name, value);
            }
        }
    }
}

/// A message's name as it can be signed: a full stop would make it unclear where it ends.
fn usable(id: &HeaderValue) -> String {
    match id.to_str() {
        Ok(id) if !id.is_empty() && !id.contains('.') => id.to_owned(),
        _ => digest(&String::from_utf8_lossy(id.as_bytes())),
    }
}

/// `whsec_` and base64 of 24 to 64 bytes; else what is wrong (to be read after the field's name), without quoting it.
pub fn key(secret: &str) -> Result<Hmac<Sha256>, String> {
    let secret = secret.trim();
    if secret.starts_with("whsk_") || secret.starts_with("whpk_") {
        return Err(
            "is an ed25519 key, which is not supported; give a symmetric one, whsec_…".to_owned(),
        );
    }
    let encoded = secret
        .strip_prefix(PREFIX)
        .ok_or_else(|| format!("must begin with {PREFIX}"))?;
    let bytes = LENIENT_BASE64
        .decode(encoded)
        .map_err(|_| format!("must be base64 after {PREFIX}"))?;
    if !KEY_BYTES.contains(&bytes.len()) {
        return Err(format!(
            "must be base64 of 24 to 64 bytes after {PREFIX}, found {} bytes",
            bytes.len()
        ));
    }
    // HMAC takes keys of every length.
    Hmac::new_from_slice(&bytes).map_err(|_| "cannot be used".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_or_refused_with_what_is_wrong_and_without_being_quoted() {
        let of = |length: usize| format!("whsec_{}", BASE64_STANDARD.encode(vec![b'k'; length]));
        for (secret, expected) in [
            (of(24), ""),
            (of(32), ""),
            (of(64), ""),
            (format!(" {}\n", of(25).trim_end_matches('=')), ""),
            (of(23), "24 to 64 bytes after whsec_, found 23 bytes"),
            (of(65), "24 to 64 bytes after whsec_, found 65 bytes"),
            ("whsec_".to_owned(), "found 0 bytes"),
            ("whsec_$$$".to_owned(), "must be base64 after whsec_"),
            (of(32).replace("whsec_", ""), "must begin with whsec_"),
            (of(32).replace("whsec_", "whsk_"), "ed25519"),
            (String::new(), "must begin with whsec_"),
        ] {
            match key(&secret) {
                Ok(_) => assert_eq!(expected, "", "{secret}"),
                Err(what) => {
                    assert!(
                        !expected.is_empty() && what.contains(expected),
                        "{secret}: {what}"
                    );
                    assert!(!what.contains("a2tr") && !what.contains("$$$"), "{what}");
                }
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
