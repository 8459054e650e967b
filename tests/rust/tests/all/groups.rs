//! The message about a group of alerts: a snapshot of each channel's, and what the providers accept.
//!
//! `UPDATE_SNAPSHOTS=1 cargo test --package rust-tests groups::` rewrites the snapshots. Review the difference like code.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use notifier_core::channels::group_notification;
use notifier_core::channels::{CHANNELS, Channel, ComposeContext, configured, example};
use notifier_core::json::Json;
use notifier_core::model::group::{AlertGroup, GroupedAlert};
use notifier_core::model::notification::{AlertStatus, DedupKey, Level, Notification};
use notifier_core::model::wire::Outbound;
use rust_tests::World;
use serde_json::{Value, json};

use crate::rich::{HOSTILE, file, over_http};

fn notification(alerts: Vec<GroupedAlert>) -> Notification {
    let names = ("databases".to_owned(), "team".to_owned());
    let labels = vec![("region".to_owned(), "eu".to_owned())];
    let at = "2026-11-25T03:00:00Z".parse().unwrap();
    Notification {
        dedup_key: Some(DedupKey::from("databases")),
        ..group_notification(AlertGroup::new(names, labels, alerts, at))
    }
}

fn alert(host: &str, level: Level, status: AlertStatus, minutes: i64) -> GroupedAlert {
    let now: Timestamp = "2026-11-25T03:00:00Z".parse().unwrap();
    let rack = if host == "db9" { "r9" } else { "r7" };
    let labels = [("region", "eu"), ("rack", rack), ("host", host)];
    let labels = labels.map(|(name, value)| (name.to_owned(), Json::String(value.to_owned())));
    GroupedAlert {
        key: DedupKey::from(format!("cpu {host}").as_str()),
        title: Some("CPU above 95 %".to_owned()),
        text: format!("cpu_usage of {host} has been above 95 % for 5 minutes."),
        level: Some(level),
        status,
        labels: labels.to_vec(),
        link: (host != "db3").then(|| format!("https://grafana.example.com/d/cpu?var-host={host}")),
        starts_at: now - SignedDuration::from_mins(minutes),
        sent_levels: Vec::new(),
        ends_at: None,
    }
}

fn cases() -> [(&'static str, Notification); 3] {
    use AlertStatus::{Acknowledged, Firing, Resolved};
    let group = vec![
        alert("db1", Level::Critical, Firing, 12),
        alert("db2", Level::Warning, Firing, 3),
        alert("db3", Level::Critical, Acknowledged, 180),
        alert("db4", Level::Warning, Resolved, 4_000),
        alert("db9", Level::Error, Firing, 1),
    ];
    let over = ["db1", "db2"].map(|host| alert(host, Level::Error, Resolved, 5));
    let hostile = (0..70).map(|n| GroupedAlert {
        title: Some(format!("{n} {HOSTILE}")),
        labels: vec![(HOSTILE.to_owned(), Json::String(format!("{n} {HOSTILE}")))],
        link: Some(format!("https://evil.example/{HOSTILE}")),
        ..alert("x", Level::Error, Firing, n)
    });
    [
        ("group", notification(group)),
        ("group_resolved", notification(over.to_vec())),
        ("group_hostile", notification(hostile.collect())),
    ]
}

#[test]
fn every_channel_draws_a_group_as_its_snapshot_has_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("snapshots");
    for (name, notification) in cases() {
        let mut drawn = String::new();
        for spec in CHANNELS {
            let _ = writeln!(drawn, "== {}", spec.key);
            let channel = configured(spec, example).unwrap();
            let context = ComposeContext::new("key");
            for message in channel.compose(&notification, &context).unwrap().parts {
                drawn.push_str(&readable(channel.as_ref(), &message));
            }
        }
        let path = folder.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&path, &drawn).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let mut lines = drawn.lines().zip(expected.lines());
        let first = lines.find(|(drawn, expected)| drawn != expected);
        assert!(drawn == expected, "{} differs: {first:#?}", path.display());
    }
}

fn readable(channel: &dyn Channel, message: &Outbound) -> String {
    let body = channel.preview(message);
    if message.content_type() == "application/x-www-form-urlencoded" {
        let fields = form_urlencoded::parse(body.as_bytes());
        return fields
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
    }
    match (serde_json::from_str::<Value>(&body), message) {
        (Ok(json), _) => format!("{json:#}\n"),
        (Err(_), Outbound::Mail(mail)) => {
            let html = mail.html.as_deref().unwrap_or_default();
            format!("{}\n{}\n{html}\n", mail.subject, mail.text)
        }
        (Err(_), Outbound::Http(_)) => format!("{body}\n"),
    }
}

#[test]
fn every_provider_takes_a_group_whose_alerts_are_markup() {
    let world = World::default();
    let channels = over_http();
    let names: Vec<_> = channels
        .iter()
        .map(|spec| format!("to_{}", spec.key))
        .collect();
    let settings = format!(
        "[settings]\nstate = \"memory\"\n[[routes]]\nreceivers = {names:?}\ngroup_by = []\ngroup_wait = \"1s\"\n"
    );
    let url = format!("http://127.0.0.1:{}", world.port());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.toml");
    fs::write(&path, settings + &file(&url, &channels)).unwrap();
    let arguments = [
        ("twilio_base_url", url.as_str()),
        ("allow_mentions", "false"),
        ("config_file_path", path.to_str().unwrap()),
    ];
    for n in 0..80 {
        let event = json!({
            "notification_text": HOSTILE, "title": format!("{n} {HOSTILE}"), "level": "critical", "status": "firing",
            "fields": {HOSTILE: HOSTILE.repeat(20), "n": n}, "link": "https://grafana.example.com/d/1?a=1&b=2",
            "dedup_key": n.to_string(),
        });
        world.send(&event, &arguments);
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while world.standin.requests().len() < channels.len() && Instant::now() < deadline {
        sleep(Duration::from_millis(50));
    }
    let requests = world.standin.requests();
    assert_eq!(requests.len(), channels.len());
    for record in requests {
        let is_taken = record.accepted && record.problem.is_none();
        assert!(is_taken, "{}: {:?}", record.provider, record.problem);
    }
    for message in world.standin.messages() {
        assert_eq!(message.mentions, [] as [&str; 0], "{}", message.provider);
    }
}
