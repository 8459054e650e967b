//! What a status means where the channel has no rule of its own, and how long to wait.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;

use crate::model::outcome::{Detail, Failure, Gate, Judgement, MessageRef, Reason, Scope, Verdict};
use crate::model::secret::Redactor;
use crate::model::wire::HttpReply;

/// How long a destination that condemned itself (webhook deleted, gone) is left alone.
pub const REFUSAL: Duration = Duration::from_secs(600);

/// The proxy's answer, not the destination's.
const PROXY_WANTS_CREDENTIALS: &str = "A proxy asks for a user name and password: give them in HTTP_PROXY, as http://user:password@host:port, and restart the server.";

/// The common table. `detail` are the provider's words, asked for only where something failed.
pub fn by_status(reply: &HttpReply, detail: impl Fn() -> Option<Detail>) -> Judgement {
    let failure = |reason| Failure::new(reason).with_detail(detail());
    match reply.status {
        200..=299 => Verdict::Delivered { message: None }.into(),
        408 | 425 => wait(reply, failure(Reason::TryLater)),
        429 => wait(reply, failure(Reason::RateLimited)),
        300..=399 => Verdict::Reject(failure(Reason::Redirected)).into(),
        401 => Verdict::Reject(failure(Reason::Unauthorized)).into(),
        403 => Verdict::Reject(failure(Reason::Forbidden)).into(),
        404 | 410 => Verdict::Reject(failure(Reason::UnknownDestination)).into(),
        407 => Verdict::Reject(failure(Reason::Rejected).with_hint(PROXY_WANTS_CREDENTIALS)).into(),
        413 => Verdict::Reject(failure(Reason::TooLarge)).into(),
        400..=499 => Verdict::Reject(failure(Reason::Rejected)).into(),
        500..=599 => Verdict::Retry {
            failure: failure(Reason::ServerError),
            after: reply_retry_after(reply),
        }
        .into(),
        // It has answered, with a status that HTTP does not have for it.
        _ => Verdict::Ambiguous(failure(Reason::MalformedReply)).into(),
    }
}

/// The same, with a channel's own advice where it has one for the reason.
pub fn with_hints(
    mut judgement: Judgement,
    hint: impl Fn(Reason) -> Option<&'static str>,
) -> Judgement {
    if let Verdict::Retry { failure, .. } | Verdict::Reject(failure) = &mut judgement.verdict
        && failure.hint.is_none()
    {
        failure.hint = hint(failure.reason).map(Into::into);
    }
    judgement
}

/// Not now: the message is tried again, and nothing else leaves for this destination before.
fn wait(reply: &HttpReply, failure: Failure) -> Judgement {
    paused(failure, reply_retry_after(reply), Scope::Destination)
}

/// A retry that closes the gate.
pub fn paused(failure: Failure, after: Option<Duration>, scope: Scope) -> Judgement {
    Judgement {
        verdict: Verdict::Retry { failure, after },
        gate: Some(Gate::Pause { wait: after, scope }),
    }
}

/// `message` is the provider's name for it. Providers' names are short words: anything else is no name, but may be an
/// echo of what was sent.
pub fn delivered(message: Option<&str>, redactor: &Redactor) -> Verdict {
    let is_name = |name: &&str| {
        (1..=MAX_NAME_BYTES).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic())
            && !redactor.finds(name)
    };
    Verdict::Delivered {
        message: message
            .filter(is_name)
            .map(|name| MessageRef(name.to_owned())),
    }
}

/// Twilio's have 34, Discord's 20.
const MAX_NAME_BYTES: usize = 128;

/// `Slack: no_service`: who said it, and what.
pub fn words(provider: &str, text: &str, redactor: &Redactor) -> Option<Detail> {
    let detail = Detail::new(text, redactor)?;
    // The provider's name is ours, and the rest is clean.
    let words = format!("{provider}: {}", detail.as_str());
    Detail::new(&words, &Redactor::default())
}

/// A provider's code and sentence, as far as it has said them; else the whole body.
pub fn said(
    provider: &str,
    code: Option<u64>,
    sentence: Option<&str>,
    reply: &HttpReply,
    redactor: &Redactor,
) -> Option<Detail> {
    let Some(sentence) = sentence else {
        return words(provider, &reply.text(), redactor);
    };
    match code {
        Some(code) => words(&format!("{provider} {code}"), sentence, redactor),
        None => words(provider, sentence, redactor),
    }
}

/// The reply's `Retry-After`; of several the longest.
pub fn reply_retry_after(reply: &HttpReply) -> Option<Duration> {
    reply
        .headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| retry_after(value.to_str().ok()?, reply.received))
        .max()
}

/// Seconds (whole or decimal) or an HTTP date; in the past: now. Negative, empty or garbage: `None`.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if value
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return seconds(value.parse().ok()?);
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// A wait of so many seconds, if it can be one.
pub fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_messages_name_is_a_short_word_that_holds_no_secret() {
        let redactor = Redactor::new(["s3cr3t-token"]);
        let long = "x".repeat(129);
        for (given, kept) in [
            ("SM0123", true),
            ("1234567890123456789", true),
            ("", false),
            ("two words", false),
            ("line\nbreak", false),
            ("m\u{fc}ll", false),
            ("id-s3cr3t-token", false),
            (long.as_str(), false),
        ] {
            let message = kept.then(|| MessageRef(given.to_owned()));
            let expected = Verdict::Delivered { message };
            assert_eq!(delivered(Some(given), &redactor), expected, "{given:?}");
        }
    }

    #[test]
    fn retry_after_is_read_in_every_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480);
        for (value, wait) in [
            ("1", Some(1_000)),
            ("0", Some(0)),
            ("0.5", Some(500)),
            (" 2 ", Some(2_000)),
            ("999999999", Some(999_999_999_000)),
            ("Wed, 21 Oct 2015 07:28:05 GMT", Some(5_000)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("-1", None),
            ("", None),
            ("soon", None),
            (".", None),
            ("1e3", None),
            ("99999999999999999999999999", None),
        ] {
            assert_eq!(
                retry_after(value, now),
                wait.map(Duration::from_millis),
                "{value:?}"
            );
        }
    }
}
