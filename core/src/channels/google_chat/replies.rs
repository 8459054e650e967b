//! Classifies Google Chat's replies.

use serde_json::Value;

use crate::channels::shared::json_reply::{JsonReply, ProviderError};
use crate::model::outcome::{Classification, PauseScope, Reason};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

const NOT_GOOGLE: &str =
    "google_chat_webhook_url must be the webhook's URL: what answered is not Google Chat.";
const NEW_WEBHOOK: &str = "The webhook was removed, or the space does not allow it: make a new one in the space, under Apps & integrations.";

fn hint(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Unauthorized | Reason::Forbidden | Reason::UnknownDestination => Some(NEW_WEBHOOK),
        _ => None,
    }
}

pub fn classify(reply: &HttpReply, redactor: &Redactor) -> Classification {
    let json_reply = JsonReply::read("Google Chat", reply, redactor, error);
    match (reply.status, json_reply.text("name")) {
        // The name is `spaces/{space}/messages/{message}`; the space belongs to the address.
        (200..=299, Some(name)) => json_reply.delivered(name.rsplit('/').next()),
        (200..=299, None) => json_reply.reject_with_hint(Reason::Rejected, NOT_GOOGLE),
        (429, _) => json_reply.paused(json_reply.retry_after(), PauseScope::Account),
        _ => json_reply.by_status(hint),
    }
}

/// Reads the error of `{"error": {"message": "…"}}`.
fn error(json: &Value) -> ProviderError<'_> {
    ProviderError::of(json.pointer("/error/message").and_then(Value::as_str))
}
