//! Classifies Discord's replies.

use std::time::Duration;

use serde_json::Value;

use crate::channels::shared::classify;
use crate::model::outcome::{
    AttemptResult, Classification, Detail, Failure, PauseScope, QueueDirective, Reason,
};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

/// Classifies a reply. `is_discord` means that the host is Discord's own.
pub fn classify(reply: &HttpReply, is_discord: bool, redactor: &Redactor) -> Classification {
    let error = ErrorBody::read(reply);
    let detail = || error.detail(reply, redactor);
    let mut classification = match (error.code.and_then(meaning), reply.status) {
        (_, 200..=299) => {
            let by_status = classify::by_status(reply, || redactor, detail);
            with_id(by_status, reply, redactor)
        }
        // The rest of the reply is about edits, and the next message is a new one.
        (Some(Meaning::Stale), 400..=499) => {
            let failure = Failure::new(Reason::Rejected).with_detail(detail());
            return AttemptResult::Stale(failure).into();
        }
        (_, 429) | (Some(Meaning::Transient(Reason::RateLimited)), 400..=599) => {
            rate_limited(&error, reply, is_discord, detail())
        }
        (Some(Meaning::Permanent(reason)), 400..=599) => {
            AttemptResult::Reject(Failure::new(reason).with_detail(detail())).into()
        }
        (Some(Meaning::Transient(reason)), 400..=599) => AttemptResult::Retry {
            failure: Failure::new(reason).with_detail(detail()),
            after: classify::reply_retry_after(reply),
        }
        .into(),
        _ => classify::by_status(reply, || redactor, detail),
    };
    if classification.queue.is_none() {
        classification.queue = if error.condemns(reply.status) {
            Some(QueueDirective::Disable {
                wait: classify::REFUSAL,
            })
        } else {
            bucket_empty(reply)
        };
    }
    classification
}

fn rate_limited(
    error: &ErrorBody,
    reply: &HttpReply,
    is_discord: bool,
    detail: Option<Detail>,
) -> Classification {
    let failure = Failure::new(Reason::RateLimited).with_detail(detail);
    let header = classify::reply_retry_after(reply);
    if is_discord && !error.names_a_wait {
        let after = header.unwrap_or(BLOCK);
        return classify::paused(failure.with_hint(BLOCKED), Some(after), PauseScope::Account);
    }
    let scope = match is_discord && error.global {
        true => PauseScope::Account,
        false => PauseScope::Destination,
    };
    let after = error.retry_after.and_then(classify::seconds).or(header);
    classify::paused(failure, after, scope)
}

/// Returns a delivery with the id in the reply.
fn with_id(
    mut by_status: Classification,
    reply: &HttpReply,
    redactor: &Redactor,
) -> Classification {
    if let AttemptResult::Delivered { message, .. } = &mut by_status.result {
        let json = reply.json();
        let id = json.as_ref().and_then(|json| json.get("id")?.as_str());
        *message = classify::message_ref(id, redactor);
    }
    by_status
}

/// Pauses the queue after `X-RateLimit-Remaining: 0`, because Discord would limit the next request.
fn bucket_empty(reply: &HttpReply) -> Option<QueueDirective> {
    if reply.header("x-ratelimit-remaining")?.trim() != "0" {
        return None;
    }
    let wait: f64 = reply
        .header("x-ratelimit-reset-after")?
        .trim()
        .parse()
        .ok()?;
    Some(QueueDirective::Pause {
        wait: Some(classify::seconds(wait)?.min(LONGEST_RESET)),
        scope: PauseScope::Destination,
    })
}

/// No rate limit of Discord lasts longer. A hostile header must not pause a destination for years.
const LONGEST_RESET: Duration = Duration::from_secs(3600);

/// The pause after a 429 without a wait. Discord always names a wait. A 429 without one comes from Cloudflare, in
/// front of Discord, which blocks this server's address (discord-api-docs, issue 5810). Discord counts refusals over
/// ten minutes <https://docs.discord.com/developers/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans>.
const BLOCK: Duration = Duration::from_secs(600);
const BLOCKED: &str = "Discord blocks this server's address for a while, for too many requests that it refused: see which webhooks fail, and remove them.";

/// The error object `{code, message, errors, retry_after, global}`.
#[derive(Default)]
struct ErrorBody {
    code: Option<u64>,
    message: Option<String>,
    /// The first field in `errors`, with its error.
    field: Option<String>,
    retry_after: Option<f64>,
    /// Whether `retry_after` is present, even if it is not a number.
    names_a_wait: bool,
    global: bool,
}

impl ErrorBody {
    fn read(reply: &HttpReply) -> Self {
        if reply.status < 400 {
            return Self::default();
        }
        let Some(json) = reply.json() else {
            return Self::default();
        };
        Self {
            code: json.get("code").and_then(Value::as_u64),
            message: json
                .get("message")
                .and_then(Value::as_str)
                .map(str::to_owned),
            field: json
                .get("errors")
                .and_then(|errors| first_error(errors, "", 0)),
            retry_after: json.get("retry_after").and_then(Value::as_f64),
            names_a_wait: json.get("retry_after").is_some(),
            global: json.get("global") == Some(&Value::Bool(true)),
        }
    }

    fn detail(&self, reply: &HttpReply, redactor: &Redactor) -> Option<Detail> {
        let sentence = self.message.as_ref().map(|message| match &self.field {
            Some(field) => format!("{message} ({field})"),
            None => message.clone(),
        });
        // Discord sends 0 if it has no code.
        let code = self.code.filter(|code| *code > 0);
        classify::provider_detail("Discord", code, sentence.as_deref(), reply, redactor)
    }

    /// Whether the webhook itself is unusable. Each further request would only count against this host's address
    /// (docs: rate limits, invalid requests). A refused message does not disable the webhook.
    fn condemns(&self, status: u16) -> bool {
        match (status, self.code) {
            (401 | 403 | 404, None | Some(0)) => true,
            (401 | 403 | 404, Some(code)) => {
                matches!(code, 10003 | 10015 | 50001 | 50013 | 50027)
            }
            _ => false,
        }
    }
}

/// Returns `content: Must be 2000 or fewer in length.` for `{"content":{"_errors":[{"message":…}]}}`.
fn first_error(errors: &Value, path: &str, depth: usize) -> Option<String> {
    if let Some(list) = errors.get("_errors").and_then(Value::as_array) {
        let message = list.first()?.get("message")?.as_str()?;
        return Some(format!("{path}: {message}"));
    }
    if depth > 8 {
        return None;
    }
    errors.as_object()?.iter().find_map(|(key, inner)| {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        first_error(inner, &path, depth + 1)
    })
}

enum Meaning {
    Permanent(Reason),
    Transient(Reason),
    /// The message to edit no longer exists or cannot be changed.
    Stale,
}

/// Returns the meaning of an error code. It ignores the status, which Discord documents for few codes
/// <https://docs.discord.com/developers/topics/opcodes-and-status-codes#json>.
fn meaning(code: u64) -> Option<Meaning> {
    use Meaning::{Permanent, Stale, Transient};
    Some(match code {
        // Unknown message; too many edits of a message older than an hour; another webhook's message; an archived
        // thread.
        10008 | 30046 | 50005 | 50083 => Stale,
        10003 | 10015 => Permanent(Reason::UnknownDestination),
        50027 => Permanent(Reason::Unauthorized),
        50001 | 50013 | 160005 | 200000 | 240000 | 40333 => Permanent(Reason::Forbidden),
        50006 | 50035 | 50109 | 220001..=220003 => Permanent(Reason::Rejected),
        20016 | 20028 | 20029 => Transient(Reason::RateLimited),
        40004 | 130000 => Transient(Reason::ServerError),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
