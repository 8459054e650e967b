//! Classifies Twilio's replies by their codes <https://www.twilio.com/docs/api/errors>.

use serde_json::Value;

use crate::channels::shared::classify;
use crate::model::outcome::{AttemptResult, Classification, Detail, Failure, Reason};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

const ACCOUNT: &str = "The Twilio account is suspended or not yet active: look at its balance and status in the Twilio console.";
const ACCOUNT_SID: &str = "Twilio knows no such account at this address: check twilio_sid (AC…) and, for another region, twilio_base_url.";
const SERVICE: &str =
    "Give the SID of a messaging service of this account: MG and 32 hexadecimal digits.";
const CONTENT_SID: &str = "Give the content_sid of a content template of this account, as the Content Template Builder shows it.";
const VARIABLES: &str = "Compare content_variables with the content template: each name must be one of its variables, and no value may be empty.";
const NO_TEXT: &str = "Give a text, or content_sid.";
const SESSION_ONLY: &str = "Use a content template that WhatsApp has approved, of a type that may begin a conversation: not twilio/list-picker or twilio/location.";

/// Classifies a reply. `has_content` means that the message is a content template.
pub fn classify(reply: &HttpReply, has_content: bool, redactor: &Redactor) -> Classification {
    let json = reply.json().unwrap_or(Value::Null);
    let code = json.get("code").and_then(Value::as_u64);
    let detail = || detail(redactor, reply, &json, code);
    let failure = |reason| Failure::new(reason).with_detail(detail());
    match (reply.status, code) {
        (200..=299, _) => taken(&json, has_content, redactor).into(),
        // Twilio did not process the request in either case (docs: errors 20429, 20503).
        (429, _) => classify::by_status(reply, || redactor, detail),
        (503, Some(20503)) => AttemptResult::Retry {
            failure: failure(Reason::ServerError),
            after: classify::reply_retry_after(reply),
        }
        .into(),
        // A temporary refusal with any status: a full queue, maintenance (docs: errors 21611, 21730).
        (400..=599, Some(21611 | 21730)) => AttemptResult::Retry {
            failure: failure(Reason::TryLater),
            after: classify::reply_retry_after(reply),
        }
        .into(),
        // "Retrying may send the message again" (docs: error 20500).
        (500..=599, _) => AttemptResult::Ambiguous(failure(Reason::LostReply)).into(),
        (400..=499, Some(code)) => match refusal(code, has_content) {
            Some(refusal) => AttemptResult::Reject(refusal.with_detail(detail())).into(),
            None => classify::by_status(reply, || redactor, detail),
        },
        _ => classify::by_status(reply, || redactor, detail),
    }
}

fn detail(
    redactor: &Redactor,
    reply: &HttpReply,
    json: &Value,
    code: Option<u64>,
) -> Option<Detail> {
    match (code, json.get("message").and_then(Value::as_str)) {
        (Some(code), None) => classify::with_provider_words("Twilio", &code.to_string(), redactor),
        (code, message) => classify::provider_detail("Twilio", code, message, reply, redactor),
    }
}

/// Classifies a 2xx: Twilio accepted the message, unless the reply reports an immediate failure.
pub fn taken(json: &Value, has_content: bool, redactor: &Redactor) -> AttemptResult {
    let text = |key| json.get(key).and_then(Value::as_str);
    let Some(status @ ("failed" | "undelivered" | "canceled")) = text("status") else {
        return classify::delivered(text("sid"), redactor);
    };
    let code = json.get("error_code").and_then(Value::as_u64);
    let words = text("error_message").unwrap_or(status);
    let provider = match code {
        Some(code) => format!("Twilio {code}"),
        None => "Twilio".to_owned(),
    };
    let refusal = code.and_then(|code| refusal(code, has_content));
    let failure = refusal.unwrap_or(Failure::new(Reason::Rejected));
    AttemptResult::Reject(
        failure.with_detail(classify::with_provider_words(&provider, words, redactor)),
    )
}

/// Returns the reason of a code. Each code has its own page, such as <https://www.twilio.com/docs/api/errors/21656>.
fn refusal(code: u64, has_content: bool) -> Option<Failure> {
    let (reason, hint) = match code {
        10001 | 20005 => (Reason::Forbidden, Some(ACCOUNT)),
        20003 => (Reason::Unauthorized, None),
        20404 => (Reason::UnknownDestination, Some(ACCOUNT_SID)),
        21211 | 21614 => (Reason::InvalidNumber, None),
        21212 | 21603 | 21606 | 21659 | 21660 | 21703 | 63007 => {
            (Reason::InvalidSenderNumber, None)
        }
        21408 | 21612 => (Reason::UnreachableNumber, None),
        21602 | 21619 => (Reason::Rejected, Some(NO_TEXT)),
        21608 => (Reason::TrialAccount, None),
        21610 => (Reason::OptedOut, None),
        21617 | 21658 | 63021 => (Reason::TooLarge, None),
        21655 => (Reason::Rejected, Some(CONTENT_SID)),
        21654 | 21656 | 63028 => (Reason::Rejected, Some(VARIABLES)),
        21701 | 21705 => (Reason::InvalidSenderNumber, Some(SERVICE)),
        30007 | 30034 => (Reason::Forbidden, None),
        63016 => (Reason::OutsideWindow, has_content.then_some(SESSION_ONLY)),
        _ => return None,
    };
    let failure = Failure::new(reason);
    Some(match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    })
}
