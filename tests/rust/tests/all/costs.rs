//! Measures the memory and the steps of one request: they must have a limit, and be proportional to its length.
//!
//! A step is an allocation, whose number is the same in every run. Work without allocations has a time limit that only
//! disproportionate work reaches.
#![allow(unsafe_code)] // Allocations cannot be counted without.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use notifier_core::plugin::{Body, Call, CallLog, Notifier};
use notifier_core::store::Backends;

/// Counts the allocations of the calling thread.
struct Counting;

#[derive(Clone, Copy, Default)]
pub struct Cost {
    pub live: isize,
    peak: isize,
    bytes: usize,
    allocations: usize,
}

thread_local! {
    pub static COST: Cell<Cost> = const { Cell::new(Cost { live: 0, peak: 0, bytes: 0, allocations: 0 }) };
}

impl Cost {
    fn count(allocated: usize, freed: usize) {
        // Not while the thread ends.
        let _ = COST.try_with(|cost| {
            let mut now = cost.get();
            now.live += allocated as isize - freed as isize;
            now.peak = now.peak.max(now.live);
            now.bytes += allocated;
            now.allocations += usize::from(allocated > 0);
            cost.set(now);
        });
    }
}

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Cost::count(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Cost::count(0, layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new exist side by side.
        Cost::count(size, 0);
        Cost::count(0, layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MOST_BYTES: usize = 64 * 1024 * 1024;
const LONGEST_BODY: usize = 1_048_576;
/// Even without optimisation, only work that grows with the square of a body's length takes this long.
const LONGEST: Duration = Duration::from_secs(10);
/// The limit for a body of twice the length.
const GROWTH: f64 = 2.2;

const FILE: &str = r#"
[receivers.pager]
pagerduty = { routing_key = "R0151XYZ0151XYZ0151XYZ0151XYZ015" }
[receivers.templated]
http = { webhook_url = "https://example.com/hook", body_template = "{{ notification.text }}{{ data | length }}" }
[templates.long]
text = "{{ notification.title }}{{ notification.fields | length }}{{ data | length }}"
[[routes]]
match = { level = ["critical"], fields = { host = "~^db", rack = ["a"] } }
receivers = ["pager"]
[[silences]]
name = "none"
match = { fields = { host = "~x$" } }
from = "2026-01-01T00:00:00Z"
until = "2026-01-02T00:00:00Z"
"#;

/// The senders of a request to every channel.
const EVERY_CHANNEL: &str = r#"
    "slack": {"slack_webhook_url": "https://hooks.slack.com/services/T0/B0/XXXX"},
    "discord": {"discord_webhook_url": "https://discord.com/api/webhooks/123456789012345678/XXXX"},
    "http": {"http_webhook_url": "https://example.com/hook"},
    "sms": {"twilio_sid": "AC00000000000000000000000000000000", "twilio_token": "t", "twilio_from_number": "+15005550001",
        "twilio_to_number": "+15005550006"},
    "email": {"email_host": "smtp.example.com", "email_from": "a@example.com", "email_to": "b@example.com"},
    "alertmanager": {"alertmanager_url": "https://alertmanager.example.com"},
    "telegram": {"telegram_bot_token": "123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11", "telegram_chat_id": "-100123"},
    "teams": {"teams_webhook_url": "https://example.com/workflows/1"},
    "pagerduty": {"pagerduty_routing_key": "R0151XYZ0151XYZ0151XYZ0151XYZ015"},
    "opsgenie": {"opsgenie_api_key": "eb243592-faa2-4ba2-a551-1afdf565c889"},
    "ntfy": {"ntfy_url": "https://ntfy.sh", "ntfy_topic": "alerts"},
    "google_chat": {"google_chat_webhook_url": "https://chat.googleapis.com/v1/spaces/A/messages?key=k&token=t"},
    "pushover": {"pushover_token": "azGDORePK8gMaC0QOYAMyEEuzJnyUi", "pushover_user": "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"}
"#;

/// A kind of body, and the number of its elements in about one mebibyte, or the maximum number.
struct ParameterKind {
    name: &'static str,
    most: usize,
    body: fn(usize) -> Vec<u8>,
}

const fn kind(name: &'static str, most: usize, body: fn(usize) -> Vec<u8>) -> ParameterKind {
    ParameterKind { name, most, body }
}

const KINDS: &[ParameterKind] = &[
    kind("unknown senders", 10_000, |n| {
        senders(&members(n, |n| format!("\"unknown sender {n}\":1")))
    }),
    kind("more unknown senders than are taken", 100_000, |n| {
        senders(&members(n, |n| format!("\"{n:05}\":1")))
    }),
    kind("entries of one sender", 10_000, |n| {
        senders(&format!("\"slack\":[{}]", members(n, |_| "1".to_owned())))
    }),
    kind("more entries than are taken", 500_000, |n| {
        senders(&format!("\"slack\":[{}]", members(n, |_| "1".to_owned())))
    }),
    kind("configurations of one sender", 9_000, |n| {
        let each =
            |n| format!("{{\"http_webhook_url\":\"https://example.com/{n}\",\"x\":\"{n:050}\"}}");
        senders(&format!("\"http\":[{}]", members(n, each)))
    }),
    kind("recipients", 10_000, |n| {
        let each = |n| format!("\"somebody.{n:05}@example.com\"");
        recipients(&members(n, each), "")
    }),
    kind("unknown fields beside recipients", 9_000, |n| {
        let unknown = members(n * 6, |n| format!("\"{n:05}\":1"));
        recipients(
            &members(n, |n| format!("\"somebody.{n}@example.com\"")),
            &format!(",{unknown}"),
        )
    }),
    kind("recipients beside a long password", 9_000, |n| {
        let password = "p".repeat(50 * n);
        let login = format!(",\"email_username\":\"u\",\"email_password\":\"{password}\"");
        recipients(
            &members(n, |n| format!("\"somebody.{n}@example.com\"")),
            &login,
        )
    }),
    kind("unknown receivers", 10_000, |n| {
        with(&format!(
            "\"receivers\":[{}]",
            members(n, |n| format!("\"pager {n}\""))
        ))
    }),
    kind("more unknown receivers than are taken", 100_000, |n| {
        with(&format!(
            "\"receivers\":[{}]",
            members(n, |n| format!("\"{n}\""))
        ))
    }),
    kind("the same receiver", 100_000, |n| {
        with(&format!(
            "\"receivers\":[{}]",
            members(n, |_| "\"pager\"".to_owned())
        ))
    }),
    kind("fields at every channel", 60_000, |n| {
        let fields = members(n, |n| format!("\"f{n}\":{n}"));
        every_channel(&format!("\"title\":\"t\",\"fields\":{{{fields}}}"))
    }),
    kind("fields whose names become the same", 60_000, |n| {
        let name = |n: usize| format!("{n:016b}").replace('0', "-").replace('1', ".");
        let fields = members(n.min(40_000), |n| format!("\"{}\":1", name(n)));
        every_channel(&format!("\"title\":\"t\",\"fields\":{{{fields}}}"))
    }),
    kind("long fields", 100, |n| {
        let fields = members(100, |field| {
            format!("\"f{field}\":\"{}\"", "v".repeat(n * 100))
        });
        every_channel(&format!("\"fields\":{{{fields}}}"))
    }),
    kind("fields of a wrong type", 60_000, |n| {
        let fields = members(n, |n| format!("\"f{n}\":[]"));
        every_channel(&format!("\"fields\":{{{fields}}}"))
    }),
    kind("a long title", 300_000, |n| {
        every_channel(&format!("\"title\":\"{}\"", "t".repeat(n)))
    }),
    kind("a long text", 300_000, |n| {
        let text = "Größe 😀 of a text. "
            .chars()
            .cycle()
            .take(n / 2)
            .collect::<String>();
        format!("{{\"notification_text\":\"{text}\",\"senders_config\":{{{EVERY_CHANNEL}}}}}")
            .into_bytes()
    }),
    kind("a text of fences", 100_000, |n| markup("```", n)),
    kind("a text of half a link", 100_000, |n| markup("[a](", n)),
    kind("a text of half a mention", 100_000, |n| markup("<@a", n)),
    kind("a text of half an entity", 100_000, |n| markup("&a", n)),
    kind("a text that is an array", 500_000, |n| {
        let items = members(n, |_| "1".to_owned());
        format!("{{\"notification_text\":[{items}],\"senders_config\":{{{EVERY_CHANNEL}}}}}")
            .into_bytes()
    }),
    kind("a long dedup key beside recipients", 9_000, |n| {
        let to = members(n, |n| format!("\"somebody.{n}@example.com\""));
        let config =
            format!("\"email_host\":\"h\",\"email_from\":\"a@example.com\",\"email_to\":[{to}]");
        let key = "k".repeat(50 * n);
        with(&format!(
            "\"dedup_key\":\"{key}\",\"senders_config\":{{\"email\":{{{config}}}}}"
        ))
    }),
    kind("a long level", 1_000_000, |n| long_text("level", n)),
    kind("a long status", 1_000_000, |n| long_text("status", n)),
    kind("a long timestamp", 1_000_000, |n| long_text("timestamp", n)),
    kind("a long template name", 1_000_000, |n| {
        long_text("template", n)
    }),
    kind("a long idempotency key", 1_000_000, |n| {
        long_text("idempotency_key", n)
    }),
    kind("a long link", 1_000_000, |n| {
        every_channel(&format!(
            "\"link\":\"https://example.com/{}\"",
            "l".repeat(n)
        ))
    }),
    kind("a word in brackets that does not end", 300_000, |n| {
        format!(
            "{{\"notification_text\":\"[{}\",\"senders_config\":{{{EVERY_CHANNEL}}}}}",
            "c".repeat(n)
        )
        .into_bytes()
    }),
    kind("unknown members", 100_000, |n| {
        with(&members(n, |n| format!("\"{n:05}\":1")))
    }),
    kind("unknown members that are near", 40_000, |n| {
        with(&members(n, |n| format!("\"titel{n:05}\":\"t\"")))
    }),
    kind("a long unknown member", 1_000_000, |n| {
        with(&format!("\"{}\":1", "t".repeat(n)))
    }),
    kind("duplicate keys", 150_000, |n| {
        with(&members(n, |_| "\"a\":1".to_owned()))
    }),
    kind("duplicate keys below long ones", 80_000, |n| {
        let (open, close) = (
            format!("{{\"{}\":", "k".repeat(8_000)).repeat(60),
            "}".repeat(60),
        );
        with(&format!(
            "\"data\":{open}{{{}}}{close}",
            members(n, |_| "\"a\":1".to_owned())
        ))
    }),
    kind("empty lists within a list", 300_000, |n| {
        data(&format!("[{}]", members(n, |_| "[]".to_owned())))
    }),
    kind("objects within a list", 100_000, |n| {
        data(&format!("[{}]", members(n, |_| "{\"\":1}".to_owned())))
    }),
    kind("deep lists beside each other", 8_000, |n| {
        let deep = format!("{}{}", "[".repeat(61), "]".repeat(61));
        data(&format!("[{}]", members(n, |_| deep.clone())))
    }),
    kind("words for numbers", 180_000, |n| {
        data(&format!("[{}]", members(n, |_| "-NaN".to_owned())))
    }),
    kind("numbers", 500_000, |n| {
        data(&format!("[{}]", members(n, |_| "1".to_owned())))
    }),
    kind("a long number", 1_000_000, |n| {
        data(&format!("0.{}", "1".repeat(n)))
    }),
    kind("members of data", 60_000, |n| {
        data(&format!("{{{}}}", members(n, |n| format!("\"d{n}\":{n}"))))
    }),
    kind("escapes", 170_000, |n| {
        every_channel(&format!("\"title\":\"{}\"", "\\u00e9".repeat(n)))
    }),
    kind("pairs of surrogates", 85_000, |n| {
        every_channel(&format!("\"title\":\"{}\"", "\\ud83d\\ude00".repeat(n)))
    }),
    kind("lone surrogates", 170_000, |n| {
        every_channel(&format!("\"title\":\"{}\"", "\\ud800".repeat(n)))
    }),
    kind("short strings", 250_000, |n| {
        data(&format!("[{}]", members(n, |_| "\"\"".to_owned())))
    }),
    kind("a body of UTF-16", 200_000, |n| {
        let body =
            String::from_utf8(every_channel(&format!("\"title\":\"{}\"", "€".repeat(n)))).unwrap();
        body.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }),
    kind("a body of UTF-32", 100_000, |n| {
        let body =
            String::from_utf8(every_channel(&format!("\"title\":\"{}\"", "😀".repeat(n)))).unwrap();
        body.chars()
            .flat_map(|c| u32::from(c).to_be_bytes())
            .collect()
    }),
    kind("headers", 40_000, |n| {
        let headers = format!("{{{}}}", members(n, |n| format!("\"x-{n}\":\"{n}\"")));
        http_headers(&headers)
    }),
    kind("a long header", 700_000, |n| {
        http_headers(&format!("{{\"x\":\"{}\"}}", "h".repeat(n)))
    }),
    kind("headers of no use", 50_000, |n| {
        http_headers(&format!("{{{}}}", members(n, |n| format!("\"({n})\":1"))))
    }),
    kind("alerts", 9_000, |n| {
        let each = |n| {
            format!(
                "{{\"labels\":{{\"alertname\":\"{n}\",\"host\":\"db{n}\",\"rack\":\"a\",\"severity\":\"critical\"}}}}"
            )
        };
        format!("[{}]", members(n, each)).into_bytes()
    }),
    kind("invalid alerts", 30_000, |n| {
        let each = |n| format!("{{\"labels\":{{\"{n:05}\":1}}}}");
        format!("[{}]", members(n, each)).into_bytes()
    }),
    kind("labels of an alert", 60_000, |n| {
        let labels = members(n, |n| format!("\"l{n}\":\"{n}\""));
        format!("[{{\"labels\":{{{labels}}}}}]").into_bytes()
    }),
    kind("blanks", 1_000_000, |n| {
        with(&format!("\"title\":\"t\"{}", " ".repeat(n)))
    }),
];

fn members(count: usize, one: impl Fn(usize) -> String) -> String {
    let mut all = String::new();
    for n in 0..count {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(all, "{comma}{}", one(n));
    }
    all
}

fn with(members: &str) -> Vec<u8> {
    format!("{{\"notification_text\":\"x\",{members}}}").into_bytes()
}

fn senders(senders: &str) -> Vec<u8> {
    with(&format!("\"senders_config\":{{{senders}}}"))
}

fn recipients(to: &str, more: &str) -> Vec<u8> {
    senders(&format!(
        "\"email\":{{\"email_host\":\"h\",\"email_from\":\"a@example.com\",\"email_to\":[{to}]{more}}}"
    ))
}

fn every_channel(members: &str) -> Vec<u8> {
    with(&format!("{members},\"senders_config\":{{{EVERY_CHANNEL}}}"))
}

fn long_text(name: &str, length: usize) -> Vec<u8> {
    every_channel(&format!("\"{name}\":\"{}\"", "w".repeat(length)))
}

fn markup(piece: &str, count: usize) -> Vec<u8> {
    let text = piece.repeat(count / piece.len());
    format!("{{\"notification_text\":\"{text}\",\"senders_config\":{{{EVERY_CHANNEL}}}}}")
        .into_bytes()
}

/// Templates of the text and of a body.
fn data(value: &str) -> Vec<u8> {
    with(&format!(
        "\"data\":{{\"d\":{value}}},\"template\":\"long\",\"receivers\":[\"templated\",\"pager\"]"
    ))
}

fn http_headers(headers: &str) -> Vec<u8> {
    let encoded = BASE64_STANDARD.encode(headers);
    senders(&format!(
        "\"http\":{{\"http_webhook_url\":\"https://example.com/hook\",\"http_headers\":\"{encoded}\"}}"
    ))
}

struct Caller {
    notifier: Notifier,
    arguments: BTreeMap<String, String>,
}

impl Caller {
    fn new(directory: &std::path::Path) -> Self {
        let file = directory.join("notifier.toml");
        std::fs::write(&file, FILE).unwrap();
        let argument = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let arguments = [
            ("config_file_path", file.to_str().unwrap()),
            ("dry_run", "true"),
        ];
        let caller = Self {
            notifier: Notifier::new(Backends::default()).unwrap(),
            arguments: arguments.map(argument).into(),
        };
        // The first request creates what later requests share, so it is not counted.
        caller.cost(&every_channel("\"receivers\":[\"templated\"]"));
        caller
    }

    /// Returns the cost of a body in the calling thread, from its bytes to those of the response.
    fn cost(&self, body: &[u8]) -> Cost {
        let call = Call {
            arguments: self.arguments.clone(),
            body: body.to_vec(),
            ..Call::default()
        };
        COST.set(Cost::default());
        let Ok(response) = self.notifier.process_request(&call) else {
            panic!("no variable is named");
        };
        let answer = match &response.body {
            Body::RequestResponse(answer) => serde_json::to_string(answer),
            Body::Alerts(answer) => serde_json::to_string(answer),
            Body::Error(error) => serde_json::to_string(error),
            _ => panic!("no view was asked for"),
        };
        let cost = COST.get();
        let answer: serde_json::Value = serde_json::from_str(&answer.unwrap()).unwrap();
        assert!(answer["results"].is_object());
        assert!(matches!(response.status, 200 | 400), "{answer}");
        assert_ne!(answer["error"]["code"], "invalid_json", "{answer}");
        let lines = match response.log {
            CallLog::Closed(log) => log.take(),
            CallLog::Task(task) => task.log.take(),
        };
        assert!(lines.len() <= 210, "{} lines", lines.len());
        cost
    }
}

#[test]
fn no_body_takes_more_memory_than_is_allowed_and_costs_grow_in_proportion() {
    let directory = tempfile::tempdir().unwrap();
    let caller = Caller::new(directory.path());
    let mut wrong = Vec::new();
    for ParameterKind { name, most, body } in KINDS {
        let (half, whole) = (body(most / 2), body(*most));
        assert!(whole.len() <= LONGEST_BODY, "{name}: {} bytes", whole.len());
        let before = caller.cost(&half);
        let began = Instant::now();
        let after = caller.cost(&whole);
        let took = began.elapsed();
        let growth = |now: usize, then: usize| now as f64 / then as f64;
        let bytes = growth(after.bytes, before.bytes);
        let steps = growth(after.allocations, before.allocations);
        let figures = format!(
            "{name}: {} KiB of body: {} KiB at the peak, {} KiB in all ({bytes:.2} times), {} allocations ({steps:.2} times), {} ms",
            whole.len() / 1024,
            after.peak / 1024,
            after.bytes / 1024,
            after.allocations,
            took.as_millis()
        );
        let holds = after.peak <= MOST_BYTES as isize
            && bytes <= GROWTH
            && steps <= GROWTH
            && took < LONGEST;
        if !holds {
            wrong.push(figures);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
