//! Classifies PagerDuty's replies.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use crate::channels::shared::json_reply::{JsonReply, ProviderError};
use crate::model::outcome::{Classification, PauseScope, Reason};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

/// The wait after a routing key's rate limit if the reply names none (docs: overview, rate limits).
const RATE_LIMIT_PAUSE: Duration = Duration::from_secs(30);

pub fn classify(reply: &HttpReply, redactor: &Redactor) -> Classification {
    let json_reply = JsonReply::read("PagerDuty", reply, redactor, error);
    match reply.status {
        200..=299 if json_reply.text("status") == Some("success") => {
            json_reply.delivered(json_reply.text("dedup_key"))
        }
        200..=299 => json_reply.reject(Reason::Rejected),
        400 if json_reply.get("errors").is_some_and(are_key_errors) => {
            json_reply.reject_with_hint(Reason::Unauthorized, KEY_HINT)
        }
        429 => {
            let after = json_reply.retry_after().unwrap_or(RATE_LIMIT_PAUSE);
            json_reply.paused(Some(after), PauseScope::Destination)
        }
        _ => json_reply.by_status(hint),
    }
}

/// Reads the error of `{"status": "…", "message": "…", "errors": ["…"]}`.
fn error(json: &Value) -> ProviderError<'_> {
    let message = json.get("message").and_then(Value::as_str);
    let sentence = message.map(|message| {
        let errors = json.get("errors").into_iter().flat_map(texts);
        let all: Vec<_> = [message].into_iter().chain(errors).collect();
        Cow::Owned(all.join("; "))
    });
    ProviderError {
        code: None,
        sentence,
    }
}

fn texts(errors: &Value) -> impl Iterator<Item = &str> {
    let errors = errors.as_array().into_iter().flatten();
    errors.filter_map(Value::as_str)
}

fn are_key_errors(errors: &Value) -> bool {
    let is_about = |error: &str| {
        error
            .to_lowercase()
            .replace('_', " ")
            .contains("routing key")
    };
    texts(errors).any(is_about)
}

const KEY_HINT: &str = "Give pagerduty_routing_key as the service's Events API v2 integration shows it; keys of the EU need base_url.";

fn hint(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Unauthorized | Reason::Forbidden => Some(KEY_HINT),
        Reason::UnknownDestination => {
            Some("base_url must be the API's address, such as https://events.eu.pagerduty.com.")
        }
        _ => None,
    }
}
