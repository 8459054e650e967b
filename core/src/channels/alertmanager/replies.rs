//! Classifies Alertmanager's replies.

use serde_json::Value;

use crate::channels::shared::json_reply::{JsonReply, ProviderError};
use crate::model::outcome::{Classification, Reason};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

const ADDRESS: &str = "alertmanager_url must be the address at which the Alertmanager's own pages are, without /api/v2.";

fn hint(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::Unauthorized | Reason::Forbidden => {
            "Give user name and password in alertmanager_url (https://user:password@host), or a client_certificate."
        }
        Reason::UnknownDestination => ADDRESS,
        _ => return None,
    })
}

pub fn classify(reply: &HttpReply, redactor: &Redactor) -> Classification {
    let json_reply = JsonReply::read("Alertmanager", reply, redactor, error);
    let is_page = || reply.text().trim_start().starts_with('<');
    match reply.status {
        // Alertmanager replies without a body; this reply is another server's web page.
        200..=299 if is_page() => json_reply.reject_with_hint(Reason::Rejected, ADDRESS),
        _ => json_reply.by_status(hint),
    }
}

/// Reads the error: a string, or an object with a message.
fn error(json: &Value) -> ProviderError<'_> {
    let sentence = json.as_str();
    ProviderError::of(sentence.or_else(|| json.get("message")?.as_str()))
}
