//! What every channel must do, whatever it is: the registry is gone through, so a new one is tested as well.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::*;
use crate::model::json::{Json, Path};
use crate::model::notification::Notification;
use crate::model::outcome::{Gate, Judgement, Reason, Verdict};
use crate::model::wire::{HttpReply, Outbound, Reply};

/// A channel as the examples of its parameters configure it.
fn channel(spec: &ChannelSpec) -> Arc<dyn Channel> {
    let example = |parameter: &Parameter| {
        let value = Json::String(parameter.example.to_owned());
        (parameter.name.to_owned(), value)
    };
    let members: Vec<_> = spec.parameters.iter().map(example).collect();
    let mut warnings = Vec::new();
    let mut fields = Fields::new(
        spec.key,
        Origin::Request,
        spec.parameters,
        &members,
        Path::root(),
        &mut warnings,
    );
    (spec.parse)(&mut fields, &Operator::default())
        .unwrap_or_else(|error| panic!("{}: {}", spec.key, error.what))
}

fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &[u8]) -> Reply {
    let headers = headers.iter().map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    Reply::Http(HttpReply {
        status,
        headers: HeaderMap::from_iter(headers),
        body: Bytes::copy_from_slice(body),
        complete: true,
        received: std::time::SystemTime::UNIX_EPOCH,
    })
}

/// Bodies that say nothing that any provider says.
fn meaningless() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "nonsense",
        "null",
        "[]",
        "{}",
        "5",
        "\"text\"",
        r#"{"code": "text", "message": 5, "errors": [], "retry_after": "x", "global": 1}"#,
        r#"{"code": -1, "message": null, "retry_after": -1}"#,
        r#"{"code": 1e300, "retry_after": 1e308}"#,
        r#"{"code": 99999999999999999999999, "retry_after": null}"#,
        r#"{"errors": {"content": {"_errors": []}}}"#,
        r#"{"errors": {"_errors": [{"message": {}}]}}"#,
        r#"{"status": {}, "sid": [], "error_code": "x", "id": 5}"#,
        "<html><body>Bad gateway</body></html>",
        "\u{1b}]0;title\u{7}\u{1b}[2J\u{202e}",
    ]
    .iter()
    .map(|body| body.as_bytes().to_vec())
    .collect();
    bodies.push(vec![0xff, 0xfe, 0x00, 0xc3, 0x28]);
    bodies.push(vec![b'['; 64 * 1024]);
    bodies.push(br#"{"errors":"#.repeat(6_000));
    bodies.push(vec![b'x'; 64 * 1024]);
    bodies
}

const HEADERS: &[&[(&str, &str)]] = &[
    &[],
    &[("retry-after", "")],
    &[("retry-after", "-1")],
    &[("retry-after", "99999999999999999999")],
    &[("retry-after", "NaN")],
    &[
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset-after", "1e400"),
    ],
    &[
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset-after", "-5"),
    ],
];

/// DELIVERY's table as words: what the verdict is, and for what reason.
fn expected(spec: &ChannelSpec, status: u16) -> (&'static str, Option<Reason>) {
    let lost = spec.repeat == Repeat::Never;
    match status {
        200..=299 => ("delivered", None),
        300..=399 => ("reject", Some(Reason::Redirected)),
        401 => ("reject", Some(Reason::Unauthorized)),
        403 => ("reject", Some(Reason::Forbidden)),
        404 | 410 => ("reject", Some(Reason::UnknownDestination)),
        408 | 425 => ("retry", Some(Reason::TryLater)),
        413 => ("reject", Some(Reason::TooLarge)),
        429 => ("retry", Some(Reason::RateLimited)),
        400..=499 => ("reject", Some(Reason::Rejected)),
        500..=599 if lost => ("ambiguous", Some(Reason::LostReply)),
        500..=599 => ("retry", Some(Reason::ServerError)),
        _ if lost => ("ambiguous", Some(Reason::MalformedReply)),
        _ => ("retry", Some(Reason::MalformedReply)),
    }
}

fn words(judgement: &Judgement) -> (&'static str, Option<Reason>) {
    match &judgement.verdict {
        Verdict::Delivered { .. } => ("delivered", None),
        Verdict::Retry { failure, .. } => ("retry", Some(failure.reason)),
        Verdict::Ambiguous(failure) => ("ambiguous", Some(failure.reason)),
        Verdict::Reject(failure) => ("reject", Some(failure.reason)),
        Verdict::Stale => ("stale", None),
    }
}

#[test]
fn every_channel_has_a_rich_form_and_composes_the_same_bytes_each_time() {
    let plain = Notification::plain(Json::String("text".to_owned()));
    let rich = Notification {
        title: Some("title".to_owned()),
        ..plain.clone()
    };
    let bytes = |channel: &dyn Channel, notification| {
        let cx = Composing::new("key");
        let composition = channel.compose(notification, &cx).unwrap();
        let bodies = composition.messages.into_iter().map(|message| {
            let Outbound::Http(request) = message;
            String::from_utf8(request.body.to_vec()).unwrap()
        });
        bodies.collect::<Vec<_>>()
    };
    for spec in CHANNELS {
        let channel = channel(spec);
        let drawn = bytes(channel.as_ref(), &rich);
        assert_eq!(drawn, bytes(channel.as_ref(), &rich), "{}", spec.key);
        assert!(drawn.concat().contains("title"), "{}", spec.key);
        assert!(!bytes(channel.as_ref(), &plain).concat().contains("title"));
    }
}

#[test]
fn row_12_judge_is_total_over_every_status_and_hostile_bodies() {
    let bodies = meaningless();
    let every_status = || (100..=599).chain([0, 99, 600, 999, u16::MAX]);
    for spec in CHANNELS {
        let channel = channel(spec);
        let check = |status, headers, body: &[u8]| {
            let judgement = channel.judge(&reply(status, headers, body));
            // Slack's own host says `ok`, and nothing else is its success.
            let slack = spec.key == "slack" && (200..300).contains(&status);
            let expected = match slack {
                true => ("reject", Some(Reason::Rejected)),
                false => expected(spec, status),
            };
            let shown = String::from_utf8_lossy(body);
            let shown: String = shown.chars().take(60).collect();
            assert_eq!(words(&judgement), expected, "{} {status} {shown}", spec.key);
            check_gate(spec, status, &judgement);
        };
        for status in every_status() {
            HEADERS
                .iter()
                .for_each(|headers| check(status, headers, b""));
            for body in &bodies {
                // The long ones take long, and a few statuses of each kind will do.
                if body.len() < 1000 || status % 50 < 5 {
                    check(status, &[], body);
                }
            }
        }
    }
}

/// A 429 and its kin close the gate; a destination is refused only after it condemned itself.
fn check_gate(spec: &ChannelSpec, status: u16, judgement: &Judgement) {
    let gate = &judgement.gate;
    match status {
        408 | 425 | 429 => assert!(
            matches!(gate, Some(Gate::Pause { .. })),
            "{} {status}",
            spec.key
        ),
        401 | 403 | 404 if spec.key == "discord" => {
            assert!(matches!(gate, Some(Gate::Refuse { .. })), "{status}");
        }
        410 if spec.key == "http" => assert!(matches!(gate, Some(Gate::Refuse { .. }))),
        _ => assert!(
            !matches!(gate, Some(Gate::Refuse { .. })),
            "{} {status}",
            spec.key
        ),
    }
}

#[test]
fn a_body_that_was_lost_leaves_the_status_to_decide() {
    for spec in CHANNELS {
        let channel = channel(spec);
        for status in 200..=599 {
            let Reply::Http(mut lost) = reply(status, &[], b"");
            lost.complete = false;
            let judgement = channel.judge(&Reply::Http(lost));
            assert_eq!(
                words(&judgement),
                expected(spec, status),
                "{} {status}",
                spec.key
            );
        }
    }
}

#[test]
fn slacks_words_count_whatever_the_status_and_not_now_stands_whatever_the_word() {
    let slack = channel(find("slack").unwrap());
    let permanent = [
        ("no_service", Reason::UnknownDestination),
        ("no_service_id", Reason::UnknownDestination),
        ("no_active_hooks", Reason::UnknownDestination),
        ("no_team", Reason::UnknownDestination),
        ("team_disabled", Reason::UnknownDestination),
        ("channel_not_found", Reason::UnknownDestination),
        ("channel_is_archived", Reason::Archived),
        ("invalid_token", Reason::Unauthorized),
        ("action_prohibited", Reason::Forbidden),
        ("posting_to_general_channel_denied", Reason::Forbidden),
        ("invalid_payload", Reason::Rejected),
        ("no_text", Reason::Rejected),
        ("too_many_attachments", Reason::Rejected),
        ("user_not_found", Reason::Rejected),
        ("invalid_blocks", Reason::Rejected),
        ("invalid_attachments", Reason::Rejected),
        ("msg_blocks_too_long", Reason::Rejected),
    ];
    for (word, reason) in permanent {
        for status in [200, 400, 403, 404, 410, 500, 503] {
            let judgement = slack.judge(&reply(status, &[], word.as_bytes()));
            assert_eq!(
                words(&judgement),
                ("reject", Some(reason)),
                "{status} {word}"
            );
        }
        let judgement = slack.judge(&reply(429, &[], word.as_bytes()));
        assert_eq!(words(&judgement), ("retry", Some(Reason::RateLimited)));
    }
    for status in [200, 400, 500] {
        let judgement = slack.judge(&reply(status, &[], b"rollup_error"));
        assert_eq!(
            words(&judgement),
            ("retry", Some(Reason::ServerError)),
            "{status}"
        );
    }
    let judgement = slack.judge(&reply(200, &[], b" ok\n"));
    assert_eq!(words(&judgement), ("delivered", None));
}

#[test]
fn discords_codes_count_whatever_the_status_and_only_some_condemn_the_webhook() {
    use Reason::{Forbidden, RateLimited, Rejected, ServerError, Unauthorized, UnknownDestination};
    let discord = channel(find("discord").unwrap());
    for (code, verdict, reason, condemns) in [
        (10003, "reject", UnknownDestination, true),
        (10015, "reject", UnknownDestination, true),
        (50001, "reject", Forbidden, true),
        (50013, "reject", Forbidden, true),
        (50027, "reject", Unauthorized, true),
        (50006, "reject", Rejected, false),
        (50035, "reject", Rejected, false),
        (50109, "reject", Rejected, false),
        (160005, "reject", Forbidden, false),
        (200000, "reject", Forbidden, false),
        (240000, "reject", Forbidden, false),
        (220001, "reject", Rejected, false),
        (40333, "reject", Forbidden, false),
        (130000, "retry", ServerError, false),
        (40004, "retry", ServerError, false),
        (20016, "retry", RateLimited, false),
        (20028, "retry", RateLimited, false),
        (20029, "retry", RateLimited, false),
    ] {
        for status in [400, 401, 403, 404, 409, 500] {
            let body = format!(r#"{{"code": {code}, "message": "m"}}"#);
            let judgement = discord.judge(&reply(status, &[], body.as_bytes()));
            assert_eq!(
                words(&judgement),
                (verdict, Some(reason)),
                "{status} {code}"
            );
            let refused = matches!(judgement.gate, Some(Gate::Refuse { .. }));
            let expected = condemns && matches!(status, 401 | 403 | 404);
            assert_eq!(refused, expected, "{status} {code}");
        }
    }
}
