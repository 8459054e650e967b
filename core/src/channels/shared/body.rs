//! Request bodies.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::model::wire::Outbound;
use crate::secret::MASK;

/// The media type of forms.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Serializes to compact JSON and leaves non-ASCII characters unescaped.
pub fn json(payload: &impl serde::Serialize) -> Vec<u8> {
    // Serialization fails only for maps whose keys are not strings. Payloads have no such maps.
    let mut body = serde_json::to_vec(payload).unwrap_or_default();
    // Ten thousand bodies may wait for minutes.
    body.shrink_to_fit();
    body
}

/// Returns a message's body as a dry run shows it. Masks the members of its JSON, or the fields of its form, that
/// `secret` lists.
pub fn preview(out: &Outbound, secret: &[&str]) -> String {
    let body = out.body();
    if secret.is_empty() {
        return String::from_utf8_lossy(&body).into_owned();
    }
    if out.content_type() == FORM {
        return masked_form(&body, |name, _| {
            secret.contains(&name).then(|| MASK.to_owned())
        });
    }
    let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(&body) else {
        return MASK.to_owned();
    };
    for name in secret {
        members
            .entry(*name)
            .and_modify(|value| *value = MASK.into());
    }
    Value::Object(members).to_string()
}

/// Returns the form with each value replaced for which `mask` returns a replacement.
pub fn masked_form(form: &[u8], mask: impl Fn(&str, &str) -> Option<String>) -> String {
    let fields = form_urlencoded::parse(form).map(|(name, value)| {
        let shown = mask(&name, &value).map_or(value, Cow::Owned);
        (name, shown)
    });
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}
