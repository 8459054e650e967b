//! Requirements on every channel. The tests use the registry, so they include new channels. `tests/channels` tests the
//! providers' own error words and all statuses over HTTP.

mod capabilities;
mod groups;
mod texts;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::*;
use crate::json::Json;
use crate::model::notification::{AlertStatus, Level, Notification};
use crate::model::outcome::{AttemptResult, Classification, MessageRef, QueueDirective, Reason};
use crate::model::wire::{HttpReply, Mail, Outbound, Reply, ResendEffect, SmtpReply, SmtpStage};

/// Returns a channel with the examples of its parameters.
fn channel(spec: &'static ChannelSpec) -> Arc<dyn Channel> {
    configured(spec, example).unwrap()
}

type Channels = Vec<(&'static ChannelSpec, Arc<dyn Channel>)>;

/// Returns the channels with HTTP and the others, because HTTP statuses do not apply to mail servers.
fn by_protocol() -> (Channels, Channels) {
    let channels = CHANNELS.iter().map(|spec| (*spec, channel(spec)));
    channels.partition(|(spec, _)| spec.capabilities.protocol == Protocol::Http)
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

/// Returns bodies without any provider's words.
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
        r#"{"ok": "yes", "error_code": {}, "description": 1, "parameters": {"retry_after": "x", "migrate_to_chat_id": []}}"#,
        r#"{"error": {"code": [], "message": {}, "status": 1}}"#,
        r#"{"error": 1, "http": "x", "link": []}"#,
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
    &[("x-ratelimit-period-in-sec", "1e400")],
];

fn words(classification: &Classification) -> (&'static str, Option<Reason>) {
    let result = &classification.result;
    let word = match result {
        AttemptResult::Delivered { .. } => "delivered",
        AttemptResult::Retry { .. } => "retry",
        AttemptResult::Ambiguous(_) => "ambiguous",
        AttemptResult::Reject(_) => "reject",
        AttemptResult::Stale(_) => "stale",
        AttemptResult::Moved(_) => "moved",
    };
    (word, result.failure().map(|failure| failure.reason))
}

fn plain() -> Notification {
    Notification::plain(Json::String("text".to_owned()))
}

fn rich() -> Notification {
    Notification {
        title: Some("title".to_owned()),
        level: Some(Level::Critical),
        status: Some(AlertStatus::Resolved),
        fields: vec![("host".to_owned(), Json::String("db1".to_owned()))],
        link: Some("https://grafana.example.com/d/1".to_owned()),
        timestamp: Some("2026-11-25T02:41:58Z".parse().unwrap()),
        dedup_key: Some("cpu db1".into()),
        ..plain()
    }
}

fn composed(channel: &dyn Channel, notification: &Notification) -> Vec<Outbound> {
    let cx = ComposeContext {
        earlier: Some(MessageRef("1".to_owned())),
        ..ComposeContext::new("key")
    };
    channel.compose(notification, &cx).unwrap().parts
}

/// Returns the first message of a plain notification.
fn first(channel: &dyn Channel) -> Outbound {
    composed(channel, &plain()).remove(0)
}

fn bodies(channel: &dyn Channel, notification: &Notification) -> Vec<String> {
    let messages = composed(channel, notification).into_iter();
    let bodies = messages.map(|message| {
        let request = match message {
            Outbound::Http(request) => request,
            Outbound::Mail(mail) => {
                let Mail {
                    subject,
                    text,
                    html,
                    thread,
                    ..
                } = *mail;
                return format!("{subject} {text} {html:?} {thread:?}");
            }
        };
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        format!("{} {} {body}", request.method, request.url)
    });
    bodies.collect()
}

#[test]
fn every_channel_has_a_rich_form_and_composes_the_same_bytes_each_time() {
    let firing = Notification {
        status: Some(AlertStatus::Firing),
        ..rich()
    };
    for spec in CHANNELS {
        let channel = channel(spec);
        let drawn = bodies(channel.as_ref(), &firing);
        assert_eq!(drawn, bodies(channel.as_ref(), &firing), "{}", spec.key);
        for part in ["title", "db1"] {
            assert!(drawn.concat().contains(part), "{} lacks {part}", spec.key);
        }
        let plain = bodies(channel.as_ref(), &plain());
        assert!(!plain.concat().contains("title"), "{}", spec.key);
    }
}

#[test]
fn classify_is_total_over_every_status_and_hostile_bodies() {
    let bodies = meaningless();
    let every_status = || (100..=599).chain([0, 99, 600, 999, u16::MAX]);
    for (spec, channel) in by_protocol().0 {
        let sent = first(channel.as_ref());
        let classify =
            |status, headers, body: &[u8]| channel.classify(&sent, &reply(status, headers, body));
        for status in every_status() {
            let usual = classify(status, &[], b"");
            check_result(spec, status, &usual);
            for headers in HEADERS {
                check_result(spec, status, &classify(status, headers, b""));
            }
            for body in &bodies {
                // Long bodies are slow, so a few statuses of each class are enough.
                if body.len() >= 1000 && status % 50 >= 5 {
                    continue;
                }
                let classification = classify(status, &[], body);
                check_result(spec, status, &classification);
                if !(200..300).contains(&status) {
                    let shown: String = String::from_utf8_lossy(body).chars().take(60).collect();
                    let (got, usual) = (words(&classification), words(&usual));
                    assert_eq!(got, usual, "{} {status} {shown}", spec.key);
                }
            }
        }
    }
}

/// Checks the rules that no channel may change.
fn check_result(spec: &ChannelSpec, status: u16, classification: &Classification) {
    let place = format!("{} {status}: {classification:?}", spec.key);
    let lost = spec.capabilities.resend == ResendEffect::Forbidden;
    let (result, reason) = words(classification);
    match status {
        200..=299 => assert!(
            result == "delivered" || (result, reason) == ("reject", Some(Reason::Rejected)),
            "{place}"
        ),
        300..=399 => assert_eq!(
            (result, reason),
            ("reject", Some(Reason::Redirected)),
            "{place}"
        ),
        400..=499 => assert!(result == "reject" || result == "retry", "{place}"),
        500..=599 if lost => {
            assert_eq!(
                (result, reason),
                ("ambiguous", Some(Reason::LostReply)),
                "{place}"
            );
        }
        500..=599 => {
            assert_eq!(
                (result, reason),
                ("retry", Some(Reason::ServerError)),
                "{place}"
            );
        }
        // The provider replied, so it may have the message.
        _ => assert_eq!(
            (result, reason),
            ("ambiguous", Some(Reason::MalformedReply)),
            "{place}"
        ),
    }
    // A 4xx retry pauses the queue. The queue is disabled only after the destination reported itself unusable.
    let not_now = result == "retry" && (400..500).contains(&status);
    match classification.queue {
        Some(QueueDirective::Pause { .. }) => {}
        Some(QueueDirective::Disable { .. }) => {
            assert!(matches!(status, 401 | 403 | 404 | 410), "{place}")
        }
        None => assert!(!not_now, "{place}"),
    }
}

#[test]
fn classify_is_total_over_every_smtp_code_at_every_stage() {
    let stages = [
        SmtpStage::Greeting,
        SmtpStage::Hello,
        SmtpStage::StartTls,
        SmtpStage::Auth,
        SmtpStage::Sender,
        SmtpStage::Recipient,
        SmtpStage::Data,
        SmtpStage::Message,
    ];
    let texts = [
        "",
        "5.7.1 no",
        "2.0.0 Ok: queued as ",
        "\u{1b}]0;title\u{7}\r\nX: y",
    ];
    let codes = || (0..=999).chain([u16::MAX]);
    for (spec, channel) in by_protocol().1 {
        let sent = first(channel.as_ref());
        for (stage, code, text) in stages
            .iter()
            .flat_map(|stage| codes().flat_map(move |code| texts.map(|text| (*stage, code, text))))
        {
            let reply = SmtpReply {
                stage,
                code,
                text: text.to_owned(),
            };
            let classification = channel.classify(&sent, &Reply::Smtp(reply));
            let place = format!("{} {stage:?} {code} {text:?}: {classification:?}", spec.key);
            let result = words(&classification).0;
            match code {
                200..=299 if result == "delivered" => {
                    assert_eq!(stage, SmtpStage::Message, "{place}")
                }
                400..=499 => assert_eq!(result, "retry", "{place}"),
                500..=599 => assert!(matches!(result, "retry" | "reject"), "{place}"),
                _ if stage == SmtpStage::Message => assert_eq!(result, "ambiguous", "{place}"),
                _ => assert_eq!(result, "retry", "{place}"),
            }
            assert!(!place.contains("\u{1b}]"), "{place}");
        }
    }
}

#[test]
fn a_body_that_cannot_be_read_leaves_the_status_to_decide() {
    let mut bodies = meaningless();
    // Each of these is a failure if it is the whole body.
    let failures = [
        "no_service",
        r#"{"ok": false}"#,
        r#"{"status": 0, "errors": ["x"]}"#,
        "<html>",
    ];
    bodies.extend(failures.map(|body| body.as_bytes().to_vec()));
    bodies.retain(|body| body.len() < 1000);
    for (spec, channel) in by_protocol().0 {
        let sent = first(channel.as_ref());
        for status in 200..=599 {
            for body in &bodies {
                let Reply::Http(mut lost) = reply(status, &[], body) else {
                    unreachable!()
                };
                lost.complete = false;
                let classification = channel.classify(&sent, &Reply::Http(lost));
                if status < 300 {
                    assert_eq!(
                        words(&classification).0,
                        "delivered",
                        "{} {status}",
                        spec.key
                    );
                } else if body != b"no_service" {
                    check_result(spec, status, &classification);
                }
            }
        }
    }
}

#[test]
fn no_detail_holds_a_page_of_html() {
    let page =
        "<!DOCTYPE html><html><head><title>Access denied</title></head><body>Ray ID</body></html>";
    let quoted = serde_json::json!({
        "message": page, "error": page, "description": page, "errors": [page], "code": 0,
    });
    for (spec, channel) in by_protocol().0 {
        let sent = first(channel.as_ref());
        for body in [page.to_owned(), quoted.to_string()] {
            for status in [200, 302, 400, 403, 404, 429, 500, 503, 999] {
                let classification = channel.classify(&sent, &reply(status, &[], body.as_bytes()));
                let Some(failure) = classification.result.failure() else {
                    continue;
                };
                let detail = failure.detail.as_ref().map_or("", |detail| detail.as_str());
                assert!(!detail.contains('<'), "{} {status}: {detail}", spec.key);
            }
        }
    }
}

#[test]
fn every_required_parameter_is_missed_by_its_name_and_with_an_example() {
    for spec in CHANNELS {
        let required = spec.parameters.iter().filter(|one| one.required);
        for missing in required {
            let value = |one: &Parameter| example(one).filter(|_| one.name != missing.name);
            let error = configured(spec, value).unwrap_err();
            for part in [missing.name, "required", missing.example] {
                assert!(
                    error.message.contains(part),
                    "{}: {}",
                    spec.key,
                    error.message
                );
            }
            assert_eq!(
                error.location.path.as_deref().unwrap_or_default(),
                missing.name
            );
        }
    }
}

#[test]
fn a_value_has_the_form_that_its_parameter_declares() {
    for spec in CHANNELS {
        for formed in spec.parameters.iter().filter(|one| !one.operator_only) {
            let Some(form) = formed.form else {
                continue;
            };
            let with = |text: &str| {
                configured(spec, |one| match one.name == formed.name {
                    true => Some(text.to_owned()),
                    // Optional parameters may exclude each other.
                    false => one.required.then(|| one.example.to_owned()),
                })
            };
            assert!((form.fits)(formed.example), "{}", formed.name);
            assert!(with(formed.example).is_ok(), "{}", formed.name);
            let broken = "no\u{1}ne of these";
            assert!(!(form.fits)(broken), "{}", formed.name);
            let error = with(broken).unwrap_err();
            assert_eq!(
                error.location.path.as_deref().unwrap_or_default(),
                formed.name
            );
            for part in [formed.name, form.words, formed.example] {
                assert!(
                    error.message.contains(part),
                    "{}: {}",
                    spec.key,
                    error.message
                );
            }
        }
    }
}

#[test]
fn no_parameter_takes_a_line_break_or_a_nul() {
    for spec in CHANNELS {
        let texts = spec.parameters.iter().filter(|one| {
            // Excludes values that the reader drops with a warning, and values that no protocol line contains.
            one.kind == ParameterKind::Text && !one.operator_only && !one.secret_of_basic_auth()
        });
        for broken in texts {
            for between in ["\r\n", "\n", "\0"] {
                let value = |one: &Parameter| {
                    if one.name != broken.name {
                        return example(one);
                    }
                    let mut text = one.example.to_owned();
                    text.insert_str(text.len() / 2, between);
                    Some(text)
                };
                let Err(error) = configured(spec, value) else {
                    panic!("{}: {} took {between:?}", spec.key, broken.name);
                };
                assert_eq!(
                    error.location.path.as_deref().unwrap_or_default(),
                    broken.name
                );
                assert!(!error.message.contains(between), "{}", error.message);
            }
        }
    }
}

impl Parameter {
    /// Whether the parameter is part of basic authentication, whose encoding prevents injection.
    fn secret_of_basic_auth(&self) -> bool {
        matches!(
            self.name,
            "twilio_sid" | "twilio_token" | "email_password" | "email_username"
        )
    }
}

/// Returns a unique value in the format of the parameter's example.
fn marked(parameter: &Parameter) -> String {
    let example = parameter.example;
    let is_plain = |c: char| c.is_ascii_alphanumeric();
    let cut = example.rfind(|c| !is_plain(c)).map_or(0, |at| at + 1);
    let (head, tail) = example.split_at(cut);
    // The mark has the example's length, and letters only where the example has letters. Providers check lengths, and
    // numbers must remain numbers.
    let mut mark = "Qz7s3cr3tM4rk".chars().cycle();
    let marked: String = tail
        .chars()
        .map(|c| match c {
            '0'..='9' => '7',
            c if c.is_ascii_lowercase() => mark.next().unwrap_or('q').to_ascii_lowercase(),
            c if c.is_ascii_uppercase() => mark.next().unwrap_or('Q').to_ascii_uppercase(),
            c => c,
        })
        .collect();
    format!("{head}{marked}")
}

#[test]
fn no_secret_parameter_shows_in_debug_a_label_an_error_or_what_comes_of_its_echo() {
    for spec in CHANNELS {
        let secrets = spec
            .parameters
            .iter()
            .filter(|one| one.secret && !one.operator_only);
        for secret in secrets.filter(|one| one.kind == ParameterKind::Text) {
            let value = marked(secret);
            let of = |one: &Parameter| {
                if one.name == secret.name {
                    return Some(value.clone());
                }
                example(one)
            };
            let channel = configured(spec, of).unwrap_or_else(|error| {
                panic!(
                    "{}: {value} for {}: {}",
                    spec.key, secret.name, error.message
                )
            });
            // Searches for a URL's last part, which the mark changes.
            let needle = value.rsplit(['/', '=', ':']).next().unwrap_or(&value);
            let shows = |message: &str, text: String| {
                assert!(
                    !text.contains(needle),
                    "{}: {message} shows {}: {text}",
                    spec.key,
                    secret.name
                );
            };
            let sent = first(channel.as_ref());
            shows("Debug", format!("{channel:?}"));
            shows("the destination", format!("{:?}", channel.destination()));
            shows(
                "a message",
                format!("{:?}", composed(channel.as_ref(), &plain())),
            );
            for status in [200, 400, 401, 404, 429, 500] {
                let echo = serde_json::json!({
                    "ok": false, "status": "invalid", "message": value, "error": value, "errors": [value],
                    "description": value, "id": value, "name": value, "code": 1, "sid": value, "request": value,
                });
                for body in [echo.to_string(), value.clone()] {
                    let classification =
                        channel.classify(&sent, &reply(status, &[], body.as_bytes()));
                    shows("a classification", format!("{classification:?}"));
                }
            }
        }
    }
}

#[test]
fn every_parameter_that_a_channel_declares_is_read() {
    for spec in CHANNELS {
        let read_here = |one: &&Parameter| {
            let kind = one.kind;
            !matches!(
                kind,
                ParameterKind::AuthorityFile
                    | ParameterKind::CertificateFile
                    | ParameterKind::Template
            )
        };
        for broken in spec.parameters.iter().filter(read_here) {
            let members = spec.parameters.iter().filter_map(|one| {
                let of_no_type = Json::Array(vec![Json::Object(Vec::new())]);
                let value = match one.name == broken.name {
                    true => Some(of_no_type),
                    false => one.required.then(|| Json::String(one.example.to_owned())),
                };
                Some((one.name.to_owned(), value?))
            });
            let members: Vec<_> = members.collect();
            let (path, mut warnings) = (Path::root(), Warnings::default());
            let origin = Origin::Operator;
            let mut fields = Fields::new(
                spec.key,
                origin,
                spec.parameters,
                &members,
                path,
                &mut warnings,
            );
            // In a list of destinations, the wrong one is last.
            let last = fields.destinations() - 1;
            let made = (spec.parse)(fields.at(last), &OperatorSettings::default());
            let is_refused = made.is_err() || !fields.take_warnings().is_empty();
            assert!(is_refused, "{}: {} is not read", spec.key, broken.name);
        }
    }
}

#[test]
fn what_is_wrong_with_a_value_is_said_without_quoting_it() {
    for spec in CHANNELS {
        for broken in spec.parameters.iter().filter(|one| !one.operator_only) {
            let value = "s3cr3t\u{7}M4rk \u{1} ".repeat(40);
            let of = |one: &Parameter| {
                if one.name == broken.name {
                    return Some(value.clone());
                }
                example(one)
            };
            if let Err(error) = configured(spec, of) {
                assert!(
                    !error.message.contains("M4rk"),
                    "{}: {}",
                    spec.key,
                    error.message
                );
                assert_eq!(
                    error.location.path.as_deref().unwrap_or_default(),
                    broken.name
                );
            }
        }
    }
}
