//! What Opsgenie's replies mean.

use std::borrow::Cow;

use serde_json::Value;

use super::product::Product;
use crate::channels::shared::classify::retry_after;
use crate::channels::shared::json_reply::{JsonReply, ProviderError};
use crate::model::outcome::{Classification, PauseScope, Reason};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

pub fn classify(reply: &HttpReply, product: &Product, redactor: &Redactor) -> Classification {
    let said = JsonReply::read(product.name, reply, redactor, error);
    match (reply.status, said.text("requestId")) {
        (200..=299, Some(id)) => said.delivered(Some(id)),
        (200..=299, None) => said.reject(Reason::Rejected),
        (429, _) => {
            let period = reply.header("x-ratelimit-period-in-sec");
            let period = period.and_then(|text| retry_after(text, reply.received));
            said.paused(said.retry_after().or(period), PauseScope::Destination)
        }
        _ => said.by_status(|reason| hint(reason, product)),
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

/// `{"message": "…", "errors": {"message": "…"}}`
fn error(json: &Value) -> ProviderError<'_> {
    let message = json.get("message").and_then(Value::as_str);
    let errors = json.get("errors").and_then(Value::as_object);
    let errors = errors.into_iter().flatten();
    let errors = errors.filter_map(|(field, what)| Some(format!("{field}: {}", what.as_str()?)));
    let sentence = message.map(|message| {
        let all = [message.to_owned()].into_iter().chain(errors);
        Cow::Owned(all.collect::<Vec<_>>().join("; "))
    });
    ProviderError {
        code: None,
        sentence,
    }
}
