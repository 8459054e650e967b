//! Classifies an ntfy server's replies <https://github.com/binwiederhier/ntfy/blob/main/server/errors.go>.

use std::time::Duration;

use serde_json::Value;

use crate::channels::shared::classify::with_hints;
use crate::channels::shared::json_reply::{JsonReply, ProviderError};
use crate::model::outcome::{Classification, PauseScope, Reason};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

/// Each visitor may send sixty requests at once, and one more every five seconds (server:
/// `visitor-request-limit-replenish`).
const NEXT_REQUEST: Duration = Duration::from_secs(5);
/// The server allows one more failed login each minute (server: `DefaultVisitorAuthFailureLimitReplenish`). Topics
/// expire one by one.
const MINUTE: Duration = Duration::from_secs(60);
const FULL: &str = "The server has as many topics as it allows: use a topic that exists, or raise global-topic-limit there.";
const WRONG_LOGINS: &str = "Too many wrong logins came from this address: check the ntfy_token of every destination on this server.";
const NOT_NTFY: &str = "ntfy_url must lead to an ntfy server: what answered is none.";

fn hint(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::Unauthorized => {
            "Make a new access token in the ntfy account, and give it as ntfy_token."
        }
        Reason::Forbidden => {
            "The topic is protected: give the ntfy_token of a user who may write to it."
        }
        Reason::UnknownDestination => {
            "ntfy_url must be the server's address, such as https://ntfy.sh."
        }
        _ => return None,
    })
}

pub fn classify(reply: &HttpReply, redactor: &Redactor) -> Classification {
    let json_reply = JsonReply::read("ntfy", reply, redactor, error);
    match (
        reply.status,
        json_reply.text("id"),
        json_reply.number("code"),
    ) {
        (200..=299, Some(id), _) => json_reply.delivered(Some(id)),
        (200..=299, None, _) => json_reply.reject_with_hint(Reason::Rejected, NOT_NTFY),
        // The day's limits of bandwidth and messages.
        (429, _, Some(42_905 | 42_908)) => json_reply.reject(Reason::QuotaExhausted),
        (429, _, code) => {
            let (least, hint) = match code {
                Some(42_904) => (MINUTE, Some(FULL)),
                Some(42_909) => (MINUTE, Some(WRONG_LOGINS)),
                _ => (NEXT_REQUEST, None),
            };
            let after = json_reply.retry_after().unwrap_or(least);
            let paused = json_reply.paused(Some(after), PauseScope::Account);
            with_hints(paused, |_| hint)
        }
        _ => json_reply.by_status(hint),
    }
}

/// Reads the error of `{"code": 42901, "http": 429, "error": "limit reached"}`.
fn error(json: &Value) -> ProviderError<'_> {
    ProviderError {
        code: json.get("code").and_then(Value::as_u64),
        ..ProviderError::of(json.get("error").and_then(Value::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::QueueDirective;

    #[test]
    fn a_limit_is_waited_for_as_long_as_the_server_needs() {
        for (code, seconds) in [(42_901, 5), (42_904, 60), (42_909, 60), (0, 5)] {
            let reply = HttpReply {
                status: 429,
                headers: http::HeaderMap::new(),
                body: format!(r#"{{"code": {code}, "http": 429, "error": "limit reached"}}"#)
                    .into(),
                complete: true,
                received: std::time::SystemTime::UNIX_EPOCH,
            };
            let wait = Some(Duration::from_secs(seconds));
            let scope = PauseScope::Account;
            assert_eq!(
                classify(&reply, &Redactor::default()).queue,
                Some(QueueDirective::Pause { wait, scope }),
                "{code}"
            );
        }
    }
}
