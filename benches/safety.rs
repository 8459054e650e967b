//! What the address guard and the redaction of secrets cost a notification: `cargo bench --no-default-features --bench safety`.
//!
//! Prints one line of JSON a measurement: `{"name": "…", "ns": 123.4}`, the median of several rounds, on one thread.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::HeaderMap;
use influxdb3_notifier::channels::{CHANNELS, Channel, Fields, Operator, Origin};
use influxdb3_notifier::model::json::{Json, Path};
use influxdb3_notifier::model::policy::{AddressPolicy, PrivateAddresses::Deny};
use influxdb3_notifier::model::secret::{Redactor, secrets_of_url};
use influxdb3_notifier::model::wire::{HttpReply, Reply};
use influxdb3_notifier::transport::{check_address, check_host};
use url::Url;

const ROUNDS: usize = 21;
const PER_ROUND: u32 = 20_000;

fn measure<T>(name: &str, mut step: impl FnMut() -> T) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for _ in 0..PER_ROUND {
                black_box(step());
            }
            started.elapsed().as_nanos() as f64 / f64::from(PER_ROUND)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let median = rounds.get(ROUNDS / 2).unwrap();
    println!("{{\"name\": \"{name}\", \"ns\": {median:.1}}}");
}

fn main() {
    guard();
    redaction();
    judging();
}

/// By name: what is done for each message, and for each connection, whose addresses are checked once.
fn guard() {
    let by_name = Url::parse("https://hooks.slack.com/services/T0/B0/x").unwrap();
    let by_address = Url::parse("https://[2001:db8::1]/x").unwrap();
    let allowed = AddressPolicy {
        private_addresses: Deny,
        allowed_hosts: ["discord.com", "*.example.org", "hooks.slack.com"]
            .map(str::to_owned)
            .into(),
    };
    measure("guard: a message to a name", || {
        (
            allowed.allows_host("hooks.slack.com"),
            check_host(&by_name, Deny),
        )
    });
    measure("guard: a message to an address", || {
        (
            allowed.allows_host("hooks.slack.com"),
            check_host(&by_address, Deny),
        )
    });
    let addresses = [
        "93.184.216.34",
        "64:ff9b::93.184.216.34",
        "2606:2800:220:1::1",
        "2001:0:1:1::1",
    ]
    .map(|address| address.parse().unwrap());
    measure("guard: a connection to a name with four addresses", || {
        addresses.map(|address| check_address(address, Deny))
    });
}

fn redaction() {
    let url = Url::parse(
        "https://user:password@hooks.example/services/T012345/B012345/abcdefghijkl?key=0123456789",
    )
    .unwrap();
    let new = || Redactor::new(secrets_of_url(&url));
    measure("redaction: a name of a message, checked", || {
        new().finds("SM0123456789abcdef0123456789abcdef")
    });
    measure("redaction: the first failure of a destination", || {
        new().redact("no such webhook: T012345")
    });
    let redactor = new();
    measure("redaction: each further failure", || {
        redactor.redact("no such webhook: T012345")
    });
}

/// Whole verdicts: of a destination that has failed before, and of a new one, whose redactor is made. From the latter take
/// what reading the configuration costs.
fn judging() {
    for (sender, status, body) in REPLIES {
        let reply = Reply::Http(HttpReply {
            status: *status,
            headers: HeaderMap::new(),
            body: (*body).into(),
            complete: true,
            received: SystemTime::now(),
        });
        let known = channel(sender);
        measure(&format!("judge: {sender} {status}"), || known.judge(&reply));
        measure(&format!("configure and judge: {sender} {status}"), || {
            channel(sender).judge(&reply)
        });
    }
    for sender in ["slack", "discord", "http", "sms"] {
        measure(&format!("configure: {sender}"), || channel(sender));
    }
}

const REPLIES: &[(&str, u16, &str)] = &[
    ("slack", 200, "ok"),
    (
        "discord",
        200,
        r#"{"id":"1234567890123456789","channel_id":"1"}"#,
    ),
    ("http", 200, "{}"),
    (
        "sms",
        201,
        r#"{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","error_code":null}"#,
    ),
    ("slack", 404, "no_service"),
    ("http", 400, "bad request"),
    (
        "sms",
        400,
        r#"{"code":21211,"message":"The 'To' number is not a valid phone number.","status":400}"#,
    ),
];

fn channel(sender: &str) -> Arc<dyn Channel> {
    let spec = CHANNELS.iter().find(|spec| spec.key == sender).unwrap();
    let text = |name: &str, value: &str| (name.to_owned(), Json::String(value.to_owned()));
    let members = match sender {
        "sms" | "whatsapp" => vec![
            text("twilio_sid", "AC0123456789abcdef0123456789abcdef"),
            text("twilio_token", "0123456789abcdef0123456789abcdef"),
            text("twilio_from_number", "+15017122661"),
            text("twilio_to_number", "+15558675310"),
        ],
        _ => vec![text(
            &format!("{sender}_webhook_url"),
            "https://hooks.example/services/T012345/B012345/abcdefghijkl",
        )],
    };
    let mut warnings = Vec::new();
    let mut fields = Fields::new(
        spec.key,
        Origin::Request,
        spec.parameters,
        &members,
        Path::root(),
        &mut warnings,
    );
    (spec.parse)(&mut fields, &Operator::default()).unwrap()
}
