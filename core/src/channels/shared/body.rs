//! The bodies of requests.

use crate::secret::MASK;

/// Compact JSON, non-ASCII unescaped.
pub fn json(payload: &impl serde::Serialize) -> Vec<u8> {
    // Only a map with keys that are no strings fails; payloads have none.
    let mut body = serde_json::to_vec(payload).unwrap_or_default();
    // Ten thousand may wait for minutes.
    body.shrink_to_fit();
    body
}

/// What a dry run shows of a JSON body: the value of this member, which is a secret, masked.
pub fn without_member(body: &[u8], name: &str, value: &serde_json::Value) -> String {
    let member = |value: &serde_json::Value| format!("\"{name}\":{value}");
    String::from_utf8_lossy(body).replacen(&member(value), &member(&MASK.into()), 1)
}
