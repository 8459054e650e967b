//! Rich notifications: snapshots of each channel's messages, and tests that the providers accept any content.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --package rust-tests rich::` rewrites the snapshots. Review the difference
//! like code.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use notifier_core::api::request::MAX_BODY_BYTES;
use notifier_core::channels::{CHANNELS, ChannelSpec, Parameter, Protocol, describe};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rust_tests::World;
use serde_json::{Map, Value, json};

/// One destination of each channel, from its parameters' examples.
fn senders() -> Value {
    let senders = CHANNELS.iter().map(|spec| {
        let example = describe(spec)["example"]["senders_config"][spec.key].take();
        (spec.key.to_owned(), example)
    });
    Value::Object(senders.collect())
}

/// The channels that use HTTP, as the stand-in does.
pub fn over_http() -> Vec<&'static ChannelSpec> {
    let channels = CHANNELS.iter().copied();
    channels
        .filter(|spec| spec.capabilities.protocol == Protocol::Http)
        .collect()
}

/// A configuration file with a receiver for each, at this address.
pub fn file(url: &str, channels: &[&ChannelSpec]) -> String {
    let mut file = String::new();
    for spec in channels {
        let moved = |example: &str| match example.split_once("://") {
            Some((_, rest)) => format!("{url}{}", rest.find('/').map_or("", |at| &rest[at..])),
            None => example.to_owned(),
        };
        let used = |one: &&Parameter| one.required || one.name == "base_url";
        let fields: Vec<_> = spec
            .parameters
            .iter()
            .filter(used)
            .map(|one| format!("{} = {:?}", one.name, moved(one.example)))
            .collect();
        let key = spec.key;
        let _ = writeln!(
            file,
            "[receivers.to_{key}]\n{key} = {{ {} }}",
            fields.join(", ")
        );
    }
    file
}

fn with(request: &Value, members: &Value) -> Value {
    let mut request = request.clone();
    let object = request.as_object_mut().unwrap();
    object.extend(members.as_object().unwrap().clone());
    request
}

// Snapshots

pub const HOSTILE: &str = "@everyone <!channel> <@U1> *b* _i_ ~s~ `c` ||x|| <b>h</b> [a](https://evil.example) :fire: &amp;";

type Arguments = Vec<(&'static str, &'static str)>;

/// Name, request, trigger arguments.
fn cases() -> Vec<(&'static str, Value, Arguments)> {
    let firing = json!({
        "notification_text": "cpu_usage has been above 95 % for 5 minutes, and queries are queueing.",
        "title": "CPU of db1 above 95 %", "level": "critical", "status": "firing",
        "fields": {"host": "db1", "region": "eu-central", "cpu_usage": 97.30, "limit": 95, "primary": true},
        "link": "https://grafana.example.com/d/cpu?var-host=db1&from=now-1h",
        "timestamp": "2026-11-25T02:41:58Z", "dedup_key": "cpu db1",
    });
    let resolved = json!({
        "notification_text": "cpu_usage is 41 % again.", "status": "resolved", "timestamp": "2026-11-25T04:05:00+01:00",
    });
    let mut many: Map<String, Value> = (1..=26)
        .map(|n| (format!("sensor {n}"), json!(n)))
        .collect();
    many.shift_insert(1, "trace".to_owned(), json!("at db1 ".repeat(160)));
    vec![
        ("firing", firing.clone(), vec![]),
        ("resolved", with(&firing, &resolved), vec![]),
        (
            "only a level",
            json!({"notification_text": "Disk of db1 is nearly full", "level": "warn"}),
            vec![],
        ),
        (
            "firing without a title",
            with(&firing, &json!({"title": ""})),
            vec![],
        ),
        (
            "resolved without a title",
            json!({"notification_text": "Disk of db1 has room again", "level": "critical", "status": "resolved", "dedup_key": "disk db1"}),
            vec![],
        ),
        (
            "link inside the network",
            json!({"notification_text": "See <https://wiki.example.com|the wiki>, <!here>", "link": "http://grafana:3000/d/1?a=1|2&b=_x_"}),
            vec![],
        ),
        (
            "mentions forbidden",
            json!({"notification_text": "<!here> @everyone & all", "level": "ok"}),
            vec![("allow_mentions", "false")],
        ),
        (
            "hostile",
            json!({
                "notification_text": "hostile", "title": HOSTILE, "level": "error",
                "fields": {HOSTILE: HOSTILE, "lines": "> quote\n# heading\n- item\n1. item", "": "", "control": "a\u{0}b\u{1b}[31m"},
                "link": format!("https://evil.example/{HOSTILE}"), "timestamp": "0001-01-01T00:00:00Z",
            }),
            vec![],
        ),
        (
            "too much",
            json!({
                "notification_text": "too much", "title": "title ".repeat(60), "level": "info", "fields": many,
                "link": format!("https://example.com/{}", "x".repeat(800)),
            }),
            vec![],
        ),
    ]
}

#[test]
fn every_channel_draws_each_example_as_its_snapshot_has_it() {
    let world = World::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    let update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    for (name, request, arguments) in cases() {
        let members =
            json!({"senders_config": senders(), "idempotency_key": name, "dry_run": true});
        let answer = world.send(&with(&request, &members), &arguments);
        let drawn = drawn(&answer);
        let path = folder.join(format!("{}.txt", name.replace(' ', "_")));
        if update {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &drawn).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = drawn.lines().zip(expected.lines());
        let first = lines.find(|(drawn, expected)| drawn != expected);
        assert!(
            drawn == expected,
            "{} differs, first here, drawn and expected: {first:#?}\nRewrite it and review the difference: \
             UPDATE_SNAPSHOTS=1 cargo test --package rust-tests rich::",
            path.display()
        );
    }
}

/// Returns all messages of a dry run in readable form, and the warnings of the response.
fn drawn(answer: &Value) -> String {
    let mut text = String::new();
    for delivery in answer["deliveries"].as_array().unwrap() {
        let _ = writeln!(text, "== {}", delivery["sender"].as_str().unwrap());
        let preview = &delivery["preview"];
        let is_form = preview["content_type"] == "application/x-www-form-urlencoded";
        for body in preview["body"].as_str().unwrap().lines() {
            let _ = match serde_json::from_str::<Value>(body) {
                Ok(json) => writeln!(text, "{json:#}"),
                Err(_) if is_form => write!(text, "{}", fields_of_form(body)),
                Err(_) => writeln!(text, "{body}"),
            };
        }
    }
    text.push_str("== warnings\n");
    for warning in answer["warnings"].as_array().unwrap() {
        let _ = writeln!(text, "{}", warning.as_str().unwrap());
    }
    text
}

fn fields_of_form(form: &str) -> String {
    let fields = form_urlencoded::parse(form.as_bytes());
    fields
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect()
}

// Whatever comes

/// Text of every sort, short or of a length that no limit holds.
fn texts() -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "a",
        "host_1 ",
        "\n",
        " ",
        "😀",
        "👨\u{200d}👩\u{200d}👧\u{200d}👦",
        "e\u{301}",
        "&",
        "<",
        ">",
        "*",
        "_",
        "\\",
        "`",
        "@everyone",
        "<!channel>",
        "<@1>",
        "[a](http://b)",
        ":fire:",
        "\u{0}",
        "\u{202e}",
        "1. ",
        "- ",
        "|",
        "שׁ",
        "\"",
    ]);
    let lengths = prop_oneof![4 => 0_usize..12, 1 => 100_usize..2_600];
    (vec(pieces, 1..12), lengths).prop_map(|(pieces, times)| {
        let length = pieces.len();
        pieces.into_iter().cycle().take(length * times).collect()
    })
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => texts().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
    ]
}

fn links() -> impl Strategy<Value = String> {
    let hosts = select(vec![
        "grafana.example.com",
        "grafana",
        "10.0.0.1:3000",
        "[::1]",
        "u:p@a.b",
        "bücher.example",
        "*a*.example",
        "a.",
    ]);
    (hosts, texts()).prop_map(|(host, path)| format!("https://{host}/{path}"))
}

fn rich_requests() -> impl Strategy<Value = Value> {
    let level = select(vec![
        "ok", "info", "warning", "error", "critical", "loud", "",
    ]);
    let status = select(vec!["firing", "resolved", ""]);
    let time = select(vec![
        "2026-11-25T02:41:58Z",
        "0001-01-01T00:00:00Z",
        "9999-12-30T00:00:00Z",
        "",
    ]);
    let fields = vec((texts(), values()), 0..40);
    let requests = (texts(), texts(), level, status, fields, links(), time).prop_map(
        |(text, title, level, status, fields, link, time)| {
            let fields: Map<String, Value> = fields.into_iter().collect();
            json!({
                // Never blank, which is no text.
                "notification_text": format!("text {text}"), "title": title, "level": level, "status": status,
                "fields": fields, "link": link, "timestamp": time,
            })
        },
    );
    requests.prop_filter("longer than a body may be", |request| {
        request.to_string().len() <= MAX_BODY_BYTES
    })
}

static CASES: AtomicUsize = AtomicUsize::new(0);

/// Sends a request to these channels at the stand-in and returns the response. Mentions are off.
fn send(world: &World, channels: &[&ChannelSpec], request: &Value) -> Value {
    let url = format!("http://127.0.0.1:{}", world.port());
    world.standin.clear();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    fs::write(&path, file(&url, channels)).unwrap();
    let receivers: Vec<_> = channels
        .iter()
        .map(|spec| format!("to_{}", spec.key))
        .collect();
    // A new key, so that no message follows up on one that the stand-in has forgotten.
    let dedup_key = CASES.fetch_add(1, Ordering::Relaxed).to_string();
    let members = json!({"receivers": receivers, "dedup_key": dedup_key});
    let arguments = [
        ("twilio_base_url", url.as_str()),
        ("allow_mentions", "false"),
        ("response_timeout", "4s"),
        ("config_file_path", path.to_str().unwrap()),
    ];
    let answer = world.send(&with(request, &members), &arguments);
    assert_eq!(
        answer["deliveries"].as_array().unwrap().len(),
        channels.len()
    );
    answer
}

#[test]
fn every_stand_in_accepts_a_plain_text() {
    let world = World::default();
    for spec in over_http() {
        let answer = send(&world, &[spec], &json!({"notification_text": "hi"}));
        for record in world.standin.requests() {
            // A generic webhook has no provider's stand-in.
            let is_anybodys = record.provider == "webhook" && spec.key != "http";
            assert!(
                record.provider != "none" && !is_anybodys,
                "{}: standin/src/providers has nobody for the path {}. Write the provider, and its line in PROVIDERS above that of `webhook`",
                spec.key,
                record.path
            );
        }
        let delivery = &answer["deliveries"][0];
        assert_eq!(delivery["outcome"], "delivered", "{delivery}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The stand-ins refuse messages beyond the providers' limits.
    #[test]
    fn providers_accept_every_rich_notification_and_fields_mention_no_one(request in rich_requests()) {
        thread_local!(static WORLD: World = World::default());
        WORLD.with(|world| {
            let answer = send(world, &over_http(), &request);
            for delivery in answer["deliveries"].as_array().unwrap() {
                // A delivery that a busy machine has not finished within the call was not refused either.
                let goes_on = delivery["outcome"] == "pending" && delivery["reason"].is_null();
                prop_assert!(goes_on || delivery["outcome"] == "delivered", "{}", delivery);
            }
            for record in world.standin.requests() {
                prop_assert!(
                    record.accepted && record.problem.is_none(),
                    "{}: {:?}", record.provider, record.problem
                );
            }
            for message in world.standin.messages() {
                prop_assert_eq!(&message.mentions, &Vec::<String>::new(), "{}", message.provider);
            }
            Ok(())
        })?;
    }
}
