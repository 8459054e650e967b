//! Requirements on every channel's message about a group of alerts.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{bodies, channel};
use crate::channels::{CHANNELS, ComposeContext, group_notification};
use crate::json::Json;
use crate::model::group::{AlertGroup, GroupedAlert};
use crate::model::notification::{AlertStatus, DedupKey, Level, Notification};

fn now() -> Timestamp {
    "2026-11-25T03:00:00Z".parse().unwrap()
}

fn alert(n: usize, level: Level, status: AlertStatus, labels: &[(&str, &str)]) -> GroupedAlert {
    let labels = labels.iter();
    let minutes = i64::try_from(n).unwrap();
    GroupedAlert {
        key: DedupKey::from(format!("cpu {n}").as_str()),
        title: Some(format!("CPU {n}")),
        text: format!("text {n}"),
        level: Some(level),
        status,
        labels: labels
            .map(|(name, value)| ((*name).to_owned(), Json::String((*value).to_owned())))
            .collect(),
        link: Some(format!("https://grafana.example.com/d/{n}")),
        starts_at: now() - SignedDuration::from_mins(minutes),
        sent_levels: Vec::new(),
        ends_at: None,
    }
}

fn group(alerts: Vec<GroupedAlert>) -> Notification {
    let names = ("databases".to_owned(), "team".to_owned());
    let labels = vec![("region".to_owned(), "eu".to_owned())];
    Notification {
        dedup_key: Some("databases".into()),
        ..group_notification(AlertGroup::new(names, labels, alerts, now()))
    }
}

#[test]
fn a_group_has_counts_shared_labels_and_the_worst_and_oldest_alerts_first() {
    let mut alerts = Vec::new();
    for n in 0..5 {
        let rack = if n == 4 { "r9" } else { "r7" };
        let host = format!("db{n}");
        let labels = [("region", "eu"), ("rack", rack), ("host", host.as_str())];
        let (level, status) = match n {
            0 => (Level::Critical, AlertStatus::Resolved),
            1 => (Level::Warning, AlertStatus::Firing),
            _ => (Level::Critical, AlertStatus::Firing),
        };
        alerts.push(alert(n, level, status, &labels));
    }
    let found = group(alerts);
    assert_eq!(
        found.title.as_deref(),
        Some("[4 firing, 1 resolved] region=eu")
    );
    assert_eq!(
        (found.level, found.status),
        (Some(Level::Critical), Some(AlertStatus::Firing))
    );
    let region = ("region".to_owned(), Json::String("eu".to_owned()));
    assert_eq!(found.fields, [region]);
    let expected = "4 critical, 1 warning\n\
        4 of 5: rack=r7\n\
        - [critical] CPU 4 (rack=r9, host=db4), for 4 min https://grafana.example.com/d/4\n\
        - [critical] CPU 3 (host=db3), for 3 min https://grafana.example.com/d/3\n\
        - [critical] CPU 2 (host=db2), for 2 min https://grafana.example.com/d/2\n\
        - [warning] CPU 1 (host=db1), for 60 s https://grafana.example.com/d/1\n\
        - [critical] CPU 0 (host=db0), resolved https://grafana.example.com/d/0";
    assert_eq!(found.as_text().unwrap(), expected);
}

#[test]
fn the_status_and_level_of_a_group_are_those_of_the_alerts_that_are_not_resolved() {
    use AlertStatus::{Acknowledged, Firing, Resolved};
    use Level::{Critical, Info, Warning};
    for (alerts, status, level, title) in [
        (
            vec![(Critical, Resolved), (Info, Firing)],
            Firing,
            Info,
            "[1 firing, 1 resolved] region=eu",
        ),
        (
            vec![(Critical, Resolved), (Info, Acknowledged)],
            Acknowledged,
            Info,
            "[1 acknowledged, 1 resolved] region=eu",
        ),
        (
            vec![(Critical, Resolved), (Warning, Resolved)],
            Resolved,
            Critical,
            "[2 resolved] region=eu",
        ),
    ] {
        let alerts = alerts.into_iter().enumerate();
        let alerts = alerts.map(|(n, (level, status))| alert(n, level, status, &[]));
        let found = group(alerts.collect());
        assert_eq!((found.status, found.level), (Some(status), Some(level)));
        assert_eq!(found.title.as_deref(), Some(title));
    }
}

/// A thousand alerts with long labels that are markup everywhere.
fn thousand() -> Notification {
    let hostile = "<b>&amp;*x*_y_`z` <!channel> @everyone [a](https://evil.example) ".repeat(40);
    let alerts = (0..1_000).map(|n| {
        let labels = [("region", "eu"), ("host", hostile.as_str()), ("n", "x")];
        let mut alert = alert(n, Level::Error, AlertStatus::Firing, &labels);
        alert.labels[2].1 = Json::Number(n.to_string());
        alert.title = (n % 2 == 0).then(|| format!("{n} {hostile}"));
        alert.text = format!("{n} {hostile}");
        alert
    });
    group(alerts.collect())
}

#[test]
fn every_channel_sends_one_message_about_a_thousand_alerts_and_counts_the_rest() {
    let notification = thousand();
    for spec in CHANNELS {
        let channel = channel(spec);
        let messages = channel
            .compose(&notification, &ComposeContext::new("key"))
            .unwrap();
        assert_eq!(messages.parts.len(), 1, "{}", spec.key);
        let body = bodies(channel.as_ref(), &notification).concat();
        let body = body.replace('+', " ");
        assert!(body.contains("CPU") || body.contains("999"), "{}", spec.key);
        let is_whole = ["http", "alertmanager"].contains(&spec.key);
        assert!(is_whole || body.contains(" more"), "{}: {body}", spec.key);
    }
}

#[test]
fn a_resolved_group_is_one_message_in_every_channel() {
    let alerts = (0..60).map(|n| alert(n, Level::Critical, AlertStatus::Resolved, &[]));
    let notification = group(alerts.collect());
    for spec in CHANNELS {
        let channel = channel(spec);
        let context = ComposeContext::new("key");
        let messages = channel.compose(&notification, &context).unwrap();
        // Pushover ends its emergency with a request.
        let expected = if spec.key == "pushover" { 2 } else { 1 };
        assert_eq!(messages.parts.len(), expected, "{}", spec.key);
    }
}

#[test]
fn alertmanager_gets_each_alert_under_its_own_key() {
    let firing = alert(1, Level::Warning, AlertStatus::Firing, &[("host", "db1")]);
    let resolved = alert(2, Level::Error, AlertStatus::Resolved, &[("host", "db2")]);
    let spec = crate::channels::find("alertmanager").unwrap();
    let body = bodies(channel(spec).as_ref(), &group(vec![firing, resolved])).concat();
    let json = body.splitn(3, ' ').nth(2).unwrap();
    let alerts: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
    let name = |alert: &serde_json::Value| alert["labels"]["alertname"].clone();
    assert_eq!(name(&alerts[0]), "cpu 1");
    assert_eq!(alerts[0]["annotations"]["host"], "db1");
    assert!(alerts[1..].iter().all(|alert| name(alert) == "cpu 2"));
    assert!(alerts[1..].iter().all(|alert| alert["endsAt"] == "PT0S"));
}

#[test]
fn a_template_replaces_the_list_in_every_channel() {
    let alerts = (0..3).map(|n| alert(n, Level::Critical, AlertStatus::Firing, &[]));
    let notification = Notification {
        text: Json::String("made by a template".to_owned()),
        is_templated: true,
        ..group(alerts.collect())
    };
    for spec in CHANNELS {
        let body = bodies(channel(spec).as_ref(), &notification).concat();
        let body = body.replace('+', " ");
        let is_whole = ["http", "alertmanager"].contains(&spec.key);
        assert!(
            is_whole || (body.contains("made by a template") && !body.contains("CPU 2")),
            "{}: {body}",
            spec.key
        );
    }
}

#[test]
fn http_gets_the_members_of_alertmanagers_webhook() {
    let labels = |host| [("region", "eu"), ("host", host)];
    let firing = alert(1, Level::Warning, AlertStatus::Firing, &labels("db1"));
    let resolved = alert(2, Level::Warning, AlertStatus::Resolved, &labels("db2"));
    let spec = crate::channels::find("http").unwrap();
    let body = bodies(channel(spec).as_ref(), &group(vec![firing, resolved])).concat();
    let json = body.splitn(3, ' ').nth(2).unwrap();
    let mut found: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(found["title"], "[1 firing, 1 resolved] region=eu");
    let mut alerts = found["alerts"].take();
    let fingerprint = alerts[0]["fingerprint"].take();
    assert_eq!(fingerprint.as_str().unwrap().len(), 16);
    assert_eq!(
        alerts[0],
        serde_json::json!({
            "status": "firing",
            "labels": {"region": "eu", "host": "db1", "alertname": "CPU 1", "severity": "warning"},
            "annotations": {"summary": "CPU 1", "description": "text 1"},
            "startsAt": "2026-11-25T02:59:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "https://grafana.example.com/d/1",
            "fingerprint": null,
        })
    );
    assert_eq!(alerts[1]["status"], "resolved");
    for (name, expected) in [
        ("version", serde_json::json!("4")),
        ("groupKey", serde_json::json!("databases")),
        ("truncatedAlerts", serde_json::json!(0)),
        ("status", serde_json::json!("firing")),
        ("receiver", serde_json::json!("team")),
        ("groupLabels", serde_json::json!({"region": "eu"})),
        (
            "commonLabels",
            serde_json::json!({"region": "eu", "severity": "warning"}),
        ),
        ("commonAnnotations", serde_json::json!({})),
        ("externalURL", serde_json::json!("")),
    ] {
        assert_eq!(found[name], expected, "{name}");
    }
}

#[test]
fn a_stored_group_is_read_as_it_was() {
    use crate::api::request::{Request, read_stored};
    use crate::model::read_options::ReadOptions;
    let mut known = alert(0, Level::Error, AlertStatus::Firing, &[]);
    known.sent_levels = vec![None, Some(Level::Warning)];
    let mut alone = Notification::plain(Json::String("x".to_owned()));
    alone.sent_levels.clone_from(&known.sent_levels);
    for notification in [thousand(), group(vec![]), group(vec![known]), alone] {
        let request = Request::of_notification(Arc::new(Notification::plain(Json::Null)));
        let stored = request.without_destinations(&notification);
        let found = read_stored(&stored, &ReadOptions::default()).unwrap();
        assert_eq!(found.notification.group, notification.group);
        assert_eq!(found.notification.text, notification.text);
        assert_eq!(found.notification.sent_levels, notification.sent_levels);
        assert!(found.warnings.into_lines().is_empty());
    }
}
