//! Tests of rate limits, blocks and edits.

use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> HttpReply {
    let headers = headers.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    HttpReply {
        status,
        headers: HeaderMap::from_iter(headers),
        body: Bytes::from_static(body.as_bytes()),
        complete: true,
        received: SystemTime::UNIX_EPOCH,
    }
}

fn classified(
    is_discord: bool,
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &'static str,
) -> Classification {
    classify(
        &reply(status, headers, body),
        is_discord,
        &Redactor::default(),
    )
}

#[test]
fn a_rate_limit_that_only_the_code_tells_closes_the_gate_for_as_long_as_the_body_says() {
    let body = r#"{"code": 20028, "message": "limited", "retry_after": 2.5}"#;
    for status in [400, 403, 429, 503] {
        let Classification { result, queue } = classified(true, status, &[], body);
        let wait = Some(Duration::from_millis(2_500));
        let is_retry = matches!(result, AttemptResult::Retry { after, .. } if after == wait);
        assert!(is_retry, "{status}: {result:?}");
        let scope = PauseScope::Destination;
        assert_eq!(
            queue,
            Some(QueueDirective::Pause { wait, scope }),
            "{status}"
        );
    }
}

#[test]
fn a_block_of_this_servers_address_pauses_all_of_discord_for_long() {
    let limit = r#"{"message": "limited", "retry_after": 0, "global": false}"#;
    let blocked = r#"{"code": 0, "message": "You are being blocked from accessing our API"}"#;
    let page = "<html><title>Access denied | discord.com</title>";
    let header: &[_] = &[("retry-after", "3000")];
    let (host, own) = (PauseScope::Account, PauseScope::Destination);
    for (is_discord, headers, body, wait, scope) in [
        (true, &[][..], blocked, Some(600), host),
        (true, &[], page, Some(600), host),
        (true, &[], "", Some(600), host),
        (true, header, page, Some(3_000), host),
        (true, &[], limit, Some(0), own),
        (true, header, limit, Some(0), own),
        (false, &[], page, None, own),
        (false, header, page, Some(3_000), own),
    ] {
        let classification = classified(is_discord, 429, headers, body);
        let wait = wait.map(Duration::from_secs);
        assert_eq!(
            classification.queue,
            Some(QueueDirective::Pause { wait, scope }),
            "{is_discord} {body}"
        );
    }
}

#[test]
fn an_edit_that_cannot_be_made_is_stale_and_pauses_nothing() {
    let headers: &[_] = &[
        ("retry-after", "3000"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset-after", "3000"),
    ];
    for (status, body) in [
        (404, r#"{"code": 10008, "message": "Unknown Message"}"#),
        (
            429,
            r#"{"code": 30046, "message": "m", "retry_after": 3000.0, "global": false}"#,
        ),
        (403, r#"{"code": 50005, "message": "m"}"#),
        (400, r#"{"code": 50083, "message": "m"}"#),
    ] {
        let classification = classified(true, status, headers, body);
        let is_stale = matches!(classification.result, AttemptResult::Stale(_));
        assert!(
            is_stale && classification.queue.is_none(),
            "{body}: {classification:?}"
        );
    }
}
