//! Default meanings of HTTP status codes, and the wait before the next attempt.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};

use super::rich::host_in;
use crate::model::outcome::{
    AttemptResult, Classification, Detail, Failure, MessageRef, PauseScope, QueueDirective, Reason,
};
use crate::model::wire::{HttpReply, HttpRequest, Outbound, Reply};
use crate::secret::Redactor;
use crate::text::without_page;

/// How long the dispatcher pauses a destination that reported itself unusable (webhook deleted, gone).
pub const REFUSAL: Duration = Duration::from_secs(600);

/// The proxy sent this reply, not the destination.
const PROXY_WANTS_CREDENTIALS: &str = "A proxy asks for a user name and password: give them in HTTP_PROXY, as http://user:password@host:port, and restart the server.";

/// A login page or a start page replies with this status and accepts no notification.
const PAGE: &str = "answered 2xx with a web page (text/html), and counts as delivered; check that the URL is the receiver's own";

/// Classifies a reply for a channel that sends HTTP requests. A 2xx with an unreadable body is not a refusal: the
/// unread part may contain the expected text.
pub fn http(
    sent: &Outbound,
    reply: &Reply,
    classify: impl FnOnce(&HttpRequest, &HttpReply) -> Classification,
) -> Classification {
    let (Outbound::Http(sent), Reply::Http(reply)) = (sent, reply) else {
        return unexpected();
    };
    let mut classification = classify(sent, reply);
    let stays = matches!(
        classification.result,
        AttemptResult::Delivered { .. } | AttemptResult::Ambiguous(_)
    );
    if (200..=299).contains(&reply.status) && !reply.complete && !stays {
        classification.result = AttemptResult::Delivered {
            message: None,
            warning: None,
        };
    }
    classification
}

/// Classifies a reply in another protocol than the message's.
pub fn unexpected() -> Classification {
    AttemptResult::Reject(Failure::new(Reason::Internal)).into()
}

/// Classifies a reply by the common table. `detail` returns the provider's words. The function calls `detail` and
/// `redactor` only after a failure.
pub fn by_status<'r>(
    reply: &HttpReply,
    redactor: impl FnOnce() -> &'r Redactor,
    detail: impl Fn() -> Option<Detail>,
) -> Classification {
    let failure = |reason| Failure::new(reason).with_detail(detail());
    match reply.status {
        200..=299 => AttemptResult::Delivered {
            message: None,
            warning: answers_with_page(reply).then_some(PAGE),
        }
        .into(),
        408 | 425 => wait(reply, failure(Reason::TryLater)),
        429 => wait(reply, failure(Reason::RateLimited)),
        300..=399 => {
            let detail = leads_to(reply, redactor()).or_else(&detail);
            AttemptResult::Reject(Failure::new(Reason::Redirected).with_detail(detail)).into()
        }
        401 => AttemptResult::Reject(failure(Reason::Unauthorized)).into(),
        403 => AttemptResult::Reject(failure(Reason::Forbidden)).into(),
        404 | 410 => AttemptResult::Reject(failure(Reason::UnknownDestination)).into(),
        407 => AttemptResult::Reject(failure(Reason::Rejected).with_hint(PROXY_WANTS_CREDENTIALS))
            .into(),
        413 => AttemptResult::Reject(failure(Reason::TooLarge)).into(),
        400..=499 => AttemptResult::Reject(failure(Reason::Rejected)).into(),
        500..=599 => AttemptResult::Retry {
            failure: failure(Reason::ServerError),
            after: reply_retry_after(reply),
        }
        .into(),
        // The provider replied, but HTTP does not define this status for a final reply.
        _ => AttemptResult::Ambiguous(failure(Reason::MalformedReply)).into(),
    }
}

fn answers_with_page(reply: &HttpReply) -> bool {
    let content_type = reply.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let is_html = content_type
        .trim()
        .to_ascii_lowercase()
        .starts_with("text/html");
    let text = reply.text();
    let is_markup = text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with('<');
    // Slack sends text/html with every text, and so does PHP by default.
    is_markup && (is_html || matches!(without_page(&text), Cow::Owned(_)))
}

/// Returns the host that a redirect leads to. The path, query, user and password may contain secrets, so the result
/// omits them.
fn leads_to(reply: &HttpReply, redactor: &Redactor) -> Option<Detail> {
    let location = reply.header(LOCATION.as_str())?.trim();
    let words = match location.split_once("//") {
        Some((scheme, rest)) if SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) => {
            // The redactor needs the original spelling to find a secret. It gets only the host: the start of the
            // address may equal the destination's own, which is a secret.
            let host = redactor.redact(host_in(rest)?);
            format!("{}//{host}", scheme.to_ascii_lowercase())
        }
        _ if location.contains(':') && !location.starts_with('/') => return None,
        _ => "another path of the same host".to_owned(),
    };
    let words = format!("the redirect leads to {words}");
    Detail::new(&words, &Redactor::default())
}

const SCHEMES: [&str; 3] = ["https:", "http:", ""];

/// Classifies like [`by_status`] and adds the channel's own hint for the reason.
pub fn with_hints(
    mut classification: Classification,
    hint: impl Fn(Reason) -> Option<&'static str>,
) -> Classification {
    if let AttemptResult::Retry { failure, .. } | AttemptResult::Reject(failure) =
        &mut classification.result
        && failure.hint.is_none()
    {
        failure.hint = hint(failure.reason).map(Into::into);
    }
    classification
}

/// Retries the message later and sends nothing else to this destination before.
fn wait(reply: &HttpReply, failure: Failure) -> Classification {
    paused(failure, reply_retry_after(reply), PauseScope::Destination)
}

/// Returns a retry that pauses the queue.
pub fn paused(failure: Failure, after: Option<Duration>, scope: PauseScope) -> Classification {
    Classification {
        result: AttemptResult::Retry { failure, after },
        queue: Some(QueueDirective::Pause { wait: after, scope }),
    }
}

/// Returns a delivery with the provider's name for the message.
pub fn delivered(message: Option<&str>, redactor: &Redactor) -> AttemptResult {
    AttemptResult::Delivered {
        message: message_ref(message, redactor),
        warning: None,
    }
}

/// Returns the provider's name for a message. Providers' names are short words; a longer name may be an echo of the
/// message.
pub fn message_ref(name: Option<&str>, redactor: &Redactor) -> Option<MessageRef> {
    let is_name = |name: &&str| {
        (1..=MAX_NAME_BYTES).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic())
            && !redactor.finds(name)
    };
    name.filter(is_name).map(|name| MessageRef(name.to_owned()))
}

/// Twilio's names have 34 bytes, Discord's 20.
const MAX_NAME_BYTES: usize = 128;

/// Puts the provider's name before its words: `Slack: no_service`.
pub fn with_provider_words(provider: &str, text: &str, redactor: &Redactor) -> Option<Detail> {
    let detail = Detail::new(text, redactor)?;
    // The provider's name is a constant, and `detail` is already redacted.
    let words = format!("{provider}: {}", detail.as_str());
    Detail::new(&words, &Redactor::default())
}

/// Returns the provider's code and sentence where the reply has them, else the whole body.
pub fn provider_detail(
    provider: &str,
    code: Option<u64>,
    sentence: Option<&str>,
    reply: &HttpReply,
    redactor: &Redactor,
) -> Option<Detail> {
    let Some(sentence) = sentence else {
        return with_provider_words(provider, &reply.text(), redactor);
    };
    match code {
        Some(code) => with_provider_words(&format!("{provider} {code}"), sentence, redactor),
        None => with_provider_words(provider, sentence, redactor),
    }
}

/// Returns the reply's `Retry-After`; the longest of several.
pub fn reply_retry_after(reply: &HttpReply) -> Option<Duration> {
    reply
        .headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| retry_after(value.to_str().ok()?, reply.received))
        .max()
}

/// Parses seconds (whole or decimal) or an HTTP date. A date in the past means now. Negative, empty or malformed
/// values are `None`.
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

/// Converts seconds to a duration if the number is valid.
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
            let warning = None;
            let expected = AttemptResult::Delivered { message, warning };
            assert_eq!(delivered(Some(given), &redactor), expected, "{given:?}");
        }
    }

    fn replied(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &'static str,
    ) -> HttpReply {
        let headers = headers.iter().map(|(name, value)| {
            let value = http::HeaderValue::from_static(value);
            (http::HeaderName::from_static(name), value)
        });
        HttpReply {
            status,
            headers: headers.collect(),
            body: body.into(),
            complete: true,
            received: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn of_the_address_that_a_redirect_leads_to_its_host_is_shown() {
        let redactor = Redactor::new(["s3cr3t-token"]);
        for (location, shown) in [
            (
                "https://me:pass@login.example.com/s/s3cr3t-token?next=s3cr3t-token#f",
                "the redirect leads to https://login.example.com",
            ),
            (
                "http://db1.internal:8080/",
                "the redirect leads to http://db1.internal:8080",
            ),
            ("https://[::1]:8443/x", "words"),
            (
                "//login.example.com/x",
                "the redirect leads to //login.example.com",
            ),
            (
                "/login?next=https://s3cr3t-token/",
                "the redirect leads to another path of the same host",
            ),
            (
                "login",
                "the redirect leads to another path of the same host",
            ),
            (
                "https://s3cr3t-token.example/",
                "the redirect leads to https://***.example",
            ),
            // These locations have no host to show, so the detail is the provider's own words.
            ("mailto:s3cr3t-token@example.com", "words"),
            ("s3cr3t-token://example.com", "words"),
            ("https:///s3cr3t-token", "words"),
        ] {
            for status in [301, 302, 303, 307, 308] {
                let reply = replied(status, &[("location", location)], "");
                let classification = by_status(&reply, || &redactor, || Some("words".into()));
                let AttemptResult::Reject(failure) = classification.result else {
                    panic!("{classification:?}")
                };
                assert_eq!(failure.reason, Reason::Redirected);
                let detail = failure.detail.unwrap();
                assert_eq!(detail.as_str(), shown, "{location}");
            }
        }
        let classification = by_status(&replied(304, &[], ""), || &redactor, || None);
        assert_eq!(
            classification.result,
            AttemptResult::Reject(Failure::new(Reason::Redirected))
        );
    }

    #[test]
    fn a_web_page_in_place_of_a_reply_is_warned_of() {
        const HTML: &str = "Text/HTML; charset=utf-8";
        let none = Redactor::default();
        for (content_type, body, is_page) in [
            (HTML, "<!DOCTYPE html><title>Log in</title>", true),
            ("text/plain", "\u{feff}\n<html>", true),
            ("application/json", "<!-- x --><html>", true),
            (HTML, "<p>Welcome", true),
            (HTML, "ok", false),
            (HTML, "", false),
            (HTML, r#"{"html": "<html>"}"#, false),
            ("application/xml", "<ok/>", false),
        ] {
            let reply = replied(200, &[("content-type", content_type)], body);
            let classification = by_status(&reply, || &none, || None);
            let AttemptResult::Delivered { warning, .. } = classification.result else {
                panic!("{classification:?}")
            };
            assert_eq!(warning.is_some(), is_page, "{content_type} {body}");
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
