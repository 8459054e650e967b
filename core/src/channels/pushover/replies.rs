//! Classifies Pushover's replies.

use std::borrow::Cow;

use serde_json::Value;

use crate::channels::shared::json_reply::{JsonReply, ProviderError};
use crate::model::outcome::{Classification, Reason};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

const TOKEN_HINT: &str = "Give pushover_token as the application's page at pushover.net shows it.";
const USER_HINT: &str = "Give pushover_user as the dashboard at pushover.net shows it, and see that a device of the user is active.";

pub fn classify(reply: &HttpReply, redactor: &Redactor) -> Classification {
    let json_reply = JsonReply::read("Pushover", reply, redactor, error);
    let is_invalid = |name| json_reply.text(name) == Some("invalid");
    match reply.status {
        200..=299 if json_reply.number("status") == Some(1) => {
            json_reply.delivered(json_reply.text("request"))
        }
        200..=299 => json_reply.reject(Reason::Rejected),
        // The month's messages are used up (section on limitations). The body then says that the token is invalid
        // <https://github.com/Tautulli/Tautulli/issues/396>. A retry does not help after a 4xx, and many 4xx block
        // this address.
        429 => json_reply.reject(Reason::QuotaExhausted),
        400..=499 if is_invalid("token") => {
            json_reply.reject_with_hint(Reason::Unauthorized, TOKEN_HINT)
        }
        400..=499 if is_invalid("user") => {
            json_reply.reject_with_hint(Reason::UnknownDestination, USER_HINT)
        }
        408 | 425 => json_reply.reject(Reason::Rejected),
        404 => json_reply.reject_with_hint(Reason::UnknownDestination, TOKEN_HINT),
        _ => json_reply.by_status(|_| None),
    }
}

/// Reads the error of `{"status": 0, "errors": ["…"]}`.
fn error(json: &Value) -> ProviderError<'_> {
    let errors = json.get("errors").and_then(Value::as_array);
    let errors = errors.into_iter().flatten().filter_map(Value::as_str);
    let sentence = errors.collect::<Vec<_>>().join("; ");
    ProviderError {
        code: None,
        sentence: (!sentence.is_empty()).then_some(Cow::Owned(sentence)),
    }
}
