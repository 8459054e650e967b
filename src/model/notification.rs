//! What is said.

use std::borrow::Cow;

use super::json::Json;

/// One notification, as the request gave it.
#[derive(Clone, Debug)]
pub struct Notification {
    /// `notification_text`: any JSON value, since the `http` channel passes it on unchanged.
    pub text: Json,
    /// Deliveries with the same key to one destination go one after another.
    pub dedup_key: Option<String>,
}

impl Notification {
    /// The text for channels that send text: a string, or a number's or boolean's JSON text.
    /// `None` for `null`, arrays, objects and blank strings, which cannot be sent.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match &self.text {
            Json::String(text) if !text.trim().is_empty() => Some(Cow::Borrowed(text)),
            Json::Number(text) => Some(Cow::Borrowed(text)),
            Json::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            _ => None,
        }
    }
}
