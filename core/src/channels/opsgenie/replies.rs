//! Classifies Opsgenie's replies.

use std::borrow::Cow;

use serde_json::Value;

use super::product::Product;
use crate::channels::shared::classify::retry_after;
use crate::channels::shared::json_reply::{JsonReply, ProviderError};
use crate::model::outcome::{Classification, PauseScope, Reason};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

pub fn classify(reply: &HttpReply, product: &Product, redactor: &Redactor) -> Classification {
    let json_reply = JsonReply::read(product.name, reply, redactor, error);
    match (reply.status, json_reply.text("requestId")) {
        (200..=299, Some(id)) => json_reply.delivered(Some(id)),
        (200..=299, None) => json_reply.reject(Reason::Rejected),
        (429, _) => {
            let period = reply.header("x-ratelimit-period-in-sec");
            let period = period.and_then(|text| retry_after(text, reply.received));
            json_reply.paused(json_reply.retry_after().or(period), PauseScope::Destination)
        }
        _ => json_reply.by_status(|reason| hint(reason, product)),
    }
}

const fn hint(reason: Reason, product: &Product) -> Option<&'static str> {
    Some(match reason {
        Reason::Unauthorized => product.wrong_key,
        Reason::Forbidden => "Let the API integration create and update alerts.",
        Reason::UnknownDestination => product.wrong_address,
        _ => return None,
    })
}

/// Reads the error of `{"message": "…", "errors": {"message": "…"}}`.
fn error(json: &Value) -> ProviderError<'_> {
    let message = json.get("message").and_then(Value::as_str);
    let errors = json.get("errors").and_then(Value::as_object);
    let errors = errors.into_iter().flatten();
    let errors =
        errors.filter_map(|(field, message)| Some(format!("{field}: {}", message.as_str()?)));
    let sentence = message.map(|message| {
        let all = [message.to_owned()].into_iter().chain(errors);
        Cow::Owned(all.collect::<Vec<_>>().join("; "))
    });
    ProviderError {
        code: None,
        sentence,
    }
}
