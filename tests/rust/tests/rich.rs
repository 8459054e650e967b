//! Rich notifications: what each channel makes of them, to be read by people, and that the providers take whatever comes.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --package rust-tests --test rich` writes the snapshots anew; the difference is to be
//! reviewed like code.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use influxdb3_notifier::channels::CHANNELS;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use rust_tests::World;
use serde_json::{Map, Value, json};

/// One destination of each channel.
fn senders(url: &str) -> Value {
    let twilio = json!({
        "twilio_sid": format!("AC{:032}", 0), "twilio_token": format!("{:032}", 0),
        "twilio_from_number": "+15017122661", "twilio_to_number": "+15558675310",
    });
    json!({
        "slack": {"slack_webhook_url": format!("{url}/services/T0/B0/secret")},
        "discord": {"discord_webhook_url": format!("{url}/api/webhooks/1/token")},
        "http": {"http_webhook_url": format!("{url}/hook/alerts")},
        "sms": twilio, "whatsapp": twilio,
    })
}

/// One destination of every channel that speaks HTTP, as the stand-in does, as its parameters' examples have it, at this address: in a request, and, where a request
/// may not say where the provider is, in a configuration file.
fn everyone(url: &str) -> (Value, String) {
    let (mut senders, mut file) = (json!({}), String::new());
    for spec in CHANNELS.iter().filter(|spec| spec.key != "email") {
        let moved = |example: &str| match example.split_once("://") {
            Some((_, rest)) => format!("{url}{}", rest.find('/').map_or("", |at| &rest[at..])),
            None => example.to_owned(),
        };
        let required = spec.parameters.iter().filter(|one| one.required);
        let mut fields: Map<String, Value> = required
            .map(|one| (one.name.to_owned(), json!(moved(one.example))))
            .collect();
        if spec.parameters.iter().any(|one| one.name == "base_url") {
            fields.insert("base_url".to_owned(), json!(url));
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{name} = {value}"));
            let fields = fields.collect::<Vec<_>>().join(", ");
            let key = spec.key;
            let _ = writeln!(file, "[receivers.r_{key}]\n{key} = {{ {fields} }}");
        } else {
            senders[spec.key] = Value::Object(fields);
        }
    }
    (senders, file)
}

fn with(request: &Value, members: &Value) -> Value {
    let mut request = request.clone();
    let object = request.as_object_mut().unwrap();
    object.extend(members.as_object().unwrap().clone());
    request
}

// Snapshots

const HOSTILE: &str = "@everyone <!channel> <@U1> *b* _i_ ~s~ `c` ||x|| <b>h</b> [a](https://evil.example) :fire: &amp;";

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
        let members = json!({"senders_config": senders("http://example.com"), "dry_run": true});
        let answer = world.send(&with(&request, &members), &arguments);
        let drawn = drawn(&answer);
        let path = folder.join(format!("{}.txt", name.replace(' ', "_")));
        if update {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &drawn).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            drawn == expected,
            "{} differs. It would be:\n{drawn}\nIf that is right: UPDATE_SNAPSHOTS=1 cargo test --package rust-tests --test rich",
            path.display()
        );
    }
}

/// All messages of a dry run, as people read them, and what the answer warns of.
fn drawn(answer: &Value) -> String {
    let mut text = String::new();
    for delivery in answer["deliveries"].as_array().unwrap() {
        let _ = writeln!(text, "== {}", delivery["sender"].as_str().unwrap());
        for body in delivery["preview"]["body"].as_str().unwrap().lines() {
            let json: Option<Value> = serde_json::from_str(body).ok();
            let shown = match json {
                Some(json) => serde_json::to_string_pretty(&json).unwrap(),
                None => field_of_form(body, "Body"),
            };
            let _ = writeln!(text, "{shown}");
        }
    }
    text.push_str("== warnings\n");
    for warning in answer["warnings"].as_array().unwrap() {
        let _ = writeln!(text, "{}", warning.as_str().unwrap());
    }
    text
}

fn field_of_form(form: &str, name: &str) -> String {
    let mut fields = form_urlencoded::parse(form.as_bytes());
    let field = fields.find(|(known, _)| known == name);
    field.unwrap().1.into_owned()
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
    (texts(), texts(), level, status, fields, links(), time).prop_map(
        |(text, title, level, status, fields, link, time)| {
            let fields: Map<String, Value> = fields.into_iter().collect();
            json!({
                // Never blank, which is no text.
                "notification_text": format!("text {text}"), "title": title, "level": level, "status": status,
                "fields": fields, "link": link, "timestamp": time,
            })
        },
    )
}

static CASES: AtomicUsize = AtomicUsize::new(0);

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// The stand-ins know the providers' limits, and refuse what those refuse.
    #[test]
    fn providers_take_every_rich_notification_and_nobody_is_called_by_its_fields(request in rich_requests()) {
        thread_local!(static WORLD: World = World::default());
        WORLD.with(|world| {
            let url = format!("http://127.0.0.1:{}", world.port());
            world.standin.clear();
            // The text of Slack may call whom it names: what may not are the others.
            let (senders, file) = everyone(&url);
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("config.toml");
            fs::write(&path, &file).unwrap();
            let receivers: Vec<_> = file.lines().filter_map(|line| line.strip_prefix("[receivers.")?.strip_suffix(']')).collect();
            // Of its own, so that nothing follows up on what the stand-in has forgotten.
            let dedup_key = CASES.fetch_add(1, Ordering::Relaxed).to_string();
            let members = json!({"senders_config": senders, "receivers": receivers, "dedup_key": dedup_key});
            let request = with(&request, &members);
            let arguments = [
                ("twilio_base_url", url.as_str()), ("allow_mentions", "false"), ("response_timeout", "4s"),
                ("config_file_path", path.to_str().unwrap()),
            ];
            let answer = world.send(&request, &arguments);
            let deliveries = answer["deliveries"].as_array().unwrap();
            prop_assert_eq!(deliveries.len(), senders.as_object().unwrap().len() + receivers.len());
            for delivery in deliveries {
                prop_assert_eq!(&delivery["outcome"], "delivered", "{}", delivery);
            }
            for record in world.standin.requests() {
                prop_assert!(record.accepted && record.problem.is_none(), "{:?}", record.problem);
            }
            for message in world.standin.messages() {
                prop_assert_eq!(&message.mentions, &Vec::<String>::new());
            }
            Ok(())
        })?;
    }
}
