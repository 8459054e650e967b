//! Classifies the replies of workflows.

use serde_json::Value;

use crate::channels::shared::classify::by_status;
use crate::channels::shared::json_reply::{JsonReply, ProviderError};
use crate::model::outcome::{Classification, Reason};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

const OLD_HOST: &str = "URLs of logic.azure.com lead to workflows of Teams no more (since 2025-11-30): open the workflow in the Workflows app of Teams and copy its new URL.";
const CUT_SHORT: &str =
    "teams_webhook_url was cut short: give the whole URL, with ?api-version=…&sp=…&sv=…&sig=….";
const WANTS_LOGIN: &str = "The workflow's trigger wants a Microsoft login, or the URL has no sig=…: let anyone trigger the workflow, and copy its new URL.";
const SWITCHED_OFF: &str =
    "Switch the workflow on again, at make.powerautomate.com or in the Workflows app of Teams.";
const NEW_URL: &str = "Open the workflow in the Workflows app of Teams and copy the URL of its trigger again, with sig=… at its end.";

fn hint(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Unauthorized | Reason::Forbidden | Reason::UnknownDestination => Some(NEW_URL),
        _ => None,
    }
}

/// Returns the meaning of a code of Azure Logic Apps or Power Automate. The codes come from their users' questions.
fn meaning(code: &str) -> Option<(Reason, &'static str)> {
    Some(match code {
        // "Could not execute workflow … with state 'Disabled'."
        _ if code.contains("NotEnabled") => (Reason::UnknownDestination, SWITCHED_OFF),
        "DirectApiAuthorizationRequired" | "MisMatchingOAuthClaims" => {
            (Reason::Unauthorized, WANTS_LOGIN)
        }
        // apprise, issue 1161: a shell cuts an unquoted URL at its first &.
        "MissingApiVersionParameter" => (Reason::Rejected, CUT_SHORT),
        _ => return None,
    })
}

/// Classifies a reply. `is_old` means that the URL's host is Azure Logic Apps'.
pub fn classify(reply: &HttpReply, is_old: bool, redactor: &Redactor) -> Classification {
    let json_reply = JsonReply::read("Teams", reply, redactor, error);
    let code = json_reply
        .get("error")
        .and_then(|error| error.get("code")?.as_str());
    let known = code.and_then(meaning);
    match (reply.status, known) {
        (400..=499, Some((reason, hint))) => json_reply.reject_with_hint(reason, hint),
        (200..=299, _) if is_undelivered(reply) => undelivered(reply, redactor, &json_reply),
        _ => json_reply
            .by_status(|reason| hint(reason).map(|hint| if is_old { OLD_HOST } else { hint })),
    }
}

/// Reads the error of `{"error": {"code": "…", "message": "…"}}`.
fn error(json: &Value) -> ProviderError<'_> {
    ProviderError::of(json.pointer("/error/message").and_then(Value::as_str))
}

/// Whether a 200 reports an unposted message: "Webhook message delivery failed with error: Microsoft Teams endpoint
/// returned HTTP error 429 with ContextId …"
/// (learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using, "rate limiting").
fn is_undelivered(reply: &HttpReply) -> bool {
    let text = reply.text().to_ascii_lowercase();
    text.contains("delivery failed") || text.contains("endpoint returned http error")
}

fn undelivered(
    reply: &HttpReply,
    redactor: &Redactor,
    json_reply: &JsonReply<'_>,
) -> Classification {
    let text = reply.text().to_ascii_lowercase();
    let (_, rest) = text.split_once("http error").unwrap_or_default();
    let digits = |c: char| c.is_ascii_digit();
    let status = rest.trim_start().split(|c| !digits(c)).next();
    let status = status.and_then(|digits| digits.parse().ok()).unwrap_or(400);
    match status {
        // The text contains Teams' own status, without its headers.
        413 | 429 | 500..=599 => {
            let teams_reply = HttpReply {
                status,
                ..reply.clone()
            };
            by_status(&teams_reply, || redactor, || json_reply.detail())
        }
        _ => json_reply.reject(Reason::Rejected),
    }
}
