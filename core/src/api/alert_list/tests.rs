use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::api::body::{RequestBody, read_body};
use crate::model::notification::Level;

fn body(body: &Value) -> Result<RequestBody, Problem> {
    let now = "2026-12-01T12:00:00Z".parse().unwrap();
    let bytes = body.to_string();
    let options = ReadOptions::default();
    read_body(bytes.as_bytes(), &BTreeMap::new(), &options, now)
}

fn valid(found: &Value) -> Vec<Request> {
    let alerts = list(found).alerts.into_iter();
    alerts.filter_map(Result::ok).collect()
}

fn list(found: &Value) -> AlertList {
    match body(found) {
        Ok(RequestBody::Alerts(list)) => list,
        other => panic!("{other:?}"),
    }
}

fn at(time: &str) -> Option<Timestamp> {
    Some(time.parse().unwrap())
}

/// As Prometheus 2.42 posts it.
fn prometheus() -> Value {
    json!([{
        "labels": {"alertname": "HighCpu", "instance": "db1:9100", "severity": "critical"},
        "annotations": {"summary": "CPU of db1 is high", "description": "97 % for 5 min"},
        "startsAt": "2026-12-01T11:50:00.123Z", "endsAt": "2026-12-01T12:04:00.123Z",
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up",
    }])
}

#[test]
fn labels_are_fields_and_annotations_are_the_text() {
    let request = valid(&prometheus()).remove(0);
    let notification = &request.notification;
    assert_eq!(notification.title.as_deref(), Some("CPU of db1 is high"));
    assert_eq!(notification.as_text().unwrap(), "97 % for 5 min");
    assert_eq!(notification.level, Some(Level::Critical));
    assert_eq!(notification.status, Some(AlertStatus::Firing));
    assert_eq!(notification.timestamp, at("2026-12-01T11:50:00.123Z"));
    let link = notification.link.as_deref();
    assert_eq!(link, Some("http://prometheus:9090/graph?g0.expr=up"));
    let names: Vec<_> = notification.fields.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["alertname", "instance", "severity"]);
    let ends_at = request.alert.unwrap().ends_at;
    assert_eq!(ends_at, at("2026-12-01T12:04:00.123Z"));
    assert!(request.warnings.is_empty());
}

#[test]
fn a_past_end_resolves_and_the_year_1_is_none() {
    let mut alerts = prometheus();
    alerts[0]["endsAt"] = "2026-12-01T11:59:59Z".into();
    let resolved = valid(&alerts).remove(0);
    assert_eq!(resolved.notification.status, Some(AlertStatus::Resolved));
    assert_eq!(resolved.notification.timestamp, at("2026-12-01T11:59:59Z"));
    for none in ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z", ""] {
        alerts[0]["endsAt"] = none.into();
        let firing = valid(&alerts).remove(0);
        assert_eq!(firing.notification.status, Some(AlertStatus::Firing));
        assert_eq!(firing.alert.unwrap().ends_at, None);
    }
}

#[test]
fn the_webhooks_status_decides() {
    let mut alert = prometheus()[0].clone();
    alert["status"] = "firing".into();
    alert["endsAt"] = "0001-01-01T00:00:00Z".into();
    alert["fingerprint"] = "c6eadffa33fcdf37".into();
    let mut resolved = alert.clone();
    resolved["status"] = "resolved".into();
    resolved["endsAt"] = "2026-12-01T12:00:01Z".into();
    let webhook = json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 3, "status": "firing", "receiver": "influxdb",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am:9093",
        "alerts": [alert, resolved],
    });
    let list = list(&webhook);
    let statuses: Vec<_> = list
        .alerts
        .iter()
        .map(|alert| alert.as_ref().unwrap().notification.status)
        .collect();
    assert_eq!(
        statuses,
        [Some(AlertStatus::Firing), Some(AlertStatus::Resolved)]
    );
    let warning = list.warnings.iter().next().unwrap();
    assert!(
        warning.starts_with("truncatedAlerts: the sender left out 3 alerts"),
        "{warning}"
    );
}

#[test]
fn the_label_set_is_the_identity() {
    let key = |labels: Value| {
        let alert = valid(&json!([{"labels": labels}])).remove(0);
        alert.notification.dedup_key.clone().unwrap()
    };
    let one = key(json!({"alertname": "a", "host": "b"}));
    assert_eq!(one, key(json!({"host": "b", "alertname": "a"})));
    // A label without a value is no label.
    assert_eq!(
        one,
        key(json!({"host": "b", "alertname": "a", "empty": ""}))
    );
    assert_ne!(one, key(json!({"alertname": "a", "hos": "tb"})));
    assert_ne!(one, key(json!({"alertname": "a"})));
}

#[test]
fn label_names_accept_any_characters() {
    let labels = json!({"alertname": "a", "größe/µ.x": "ü"});
    let alert = valid(&json!([{"labels": labels}])).remove(0);
    assert_eq!(alert.notification.fields[1].0, "größe/µ.x");
    // Without annotations, the name of the alert is the title and the text.
    assert_eq!(alert.notification.title.as_deref(), Some("a"));
    assert_eq!(alert.notification.as_text().unwrap(), "a");
}

#[test]
fn invalid_alerts_are_listed_and_valid_ones_accepted() {
    let list = list(&json!([
        {"labels": {"alertname": "a"}},
        {"labels": {}},
        "text",
        {"labels": {"alertname": 1}},
        {"annotations": {}},
        {"labels": {"alertname": "b"}, "startsAt": "soon"},
    ]));
    let paths: Vec<_> = list
        .alerts
        .iter()
        .filter_map(|alert| alert.as_ref().err()?.location.path.as_deref())
        .collect();
    assert_eq!(
        paths,
        ["[1].labels", "[2]", "[3].labels.alertname", "[4].labels"]
    );
    // A time that cannot be read is no reason to lose the alert.
    let warning = list.alerts[5]
        .as_ref()
        .unwrap()
        .warnings
        .iter()
        .next()
        .unwrap();
    assert!(warning.starts_with("startsAt: must be a time"), "{warning}");
}

#[test]
fn the_alerts_within_the_limit_are_taken() {
    let alerts: Vec<Value> = (0..10_002)
        .map(|number| json!({"labels": {"alertname": number.to_string()}}))
        .collect();
    let list = list(&Value::from(alerts));
    assert_eq!(list.alerts.len(), 10_001);
    assert!(list.alerts[9_999].is_ok());
    let problem = list.alerts[10_000].as_ref().unwrap_err();
    assert_eq!(problem.code, "too_many_alerts");
    assert_eq!(problem.location.path.as_deref(), Some("[10000]"));
}

#[test]
fn other_bodies_are_requests_or_errors_that_name_all_forms() {
    let request = json!({"notification_text": "x", "version": "1", "alerts": []});
    assert!(matches!(body(&request), Ok(RequestBody::Request(_))));
    for unknown in [
        json!([]),
        json!([1]),
        json!("x"),
        json!([{"a": 1}]),
        json!({}),
        json!({"alerts": []}),
    ] {
        let problem = body(&unknown).unwrap_err();
        assert!(
            problem.hint.contains("as Prometheus posts it"),
            "{unknown}: {problem:?}"
        );
        assert!(
            problem
                .hint
                .contains("webhooks of Alertmanager and Grafana"),
            "{unknown}"
        );
    }
    let problem = body(&json!({"version": "4", "alerts": {}})).unwrap_err();
    assert_eq!(
        problem.message,
        "The field alerts must be a list of alerts, found an object."
    );
}
