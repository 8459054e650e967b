//! Alertmanager: what it takes of a request, and what it has then.

use serde_json::{Value, json};
use standin::Standin;

use super::start;
use crate::client::{Reply, get, send};

const PATH: &str = "/at/1/api/v2/alerts";

fn post(standin: &Standin, alerts: &Value) -> Reply {
    let json = ("Content-Type", "application/json");
    send(standin.addr(), "POST", PATH, &[json], &alerts.to_string())
}

/// Names of the alerts that fire.
fn firing(standin: &Standin) -> Vec<Value> {
    let alerts = get(standin.addr(), PATH).json();
    let alerts = alerts.as_array().cloned().unwrap_or_default();
    let names = alerts
        .iter()
        .map(|alert| alert["labels"]["alertname"].clone());
    names.collect()
}

fn alert(name: &str) -> Value {
    json!({ "labels": { "alertname": name }, "annotations": { "description": name } })
}

#[tokio::test]
async fn alertmanager_accepts_the_valid_alerts_of_a_request_that_it_rejects() {
    let standin = start().await;
    for bad in [
        json!({ "labels": { "a": "" } }),
        json!({ "labels": { "a b": "c" } }),
        json!({ "labels": { "a": "b" }, "annotations": { "a b": "c" } }),
        json!({ "labels": { "a": "b" }, "startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z" }),
    ] {
        standin.clear();
        let reply = post(&standin, &json!([alert("x"), bad, alert("y")]));
        assert_eq!(reply.status, 400, "{bad}");
        assert_eq!(firing(&standin), ["x", "y"], "{bad}");
        let refused = &standin.requests()[0];
        assert!(!refused.accepted && refused.problem.is_some());
    }
}

#[tokio::test]
async fn alertmanager_accepts_no_alert_of_an_invalid_request() {
    let standin = start().await;
    for bad in [
        json!({}),
        json!({ "labels": { "a": 1 } }),
        json!({ "labels": { "a": "b" }, "annotations": { "a": 1 } }),
        json!({ "labels": { "a": "b" }, "annotations": "a" }),
        json!({ "labels": { "a": "b" }, "startsAt": "now" }),
        json!({ "labels": { "a": "b" }, "generatorURL": "x" }),
    ] {
        let reply = post(&standin, &json!([alert("x"), bad]));
        assert_eq!(reply.status, 422, "{bad}");
        assert!(firing(&standin).is_empty(), "{bad}");
    }
}

#[tokio::test]
async fn alertmanager_groups_the_last_state_of_each_label_set() {
    let standin = start().await;
    let other = json!({ "labels": { "alertname": "x", "severity": "critical" } });
    post(&standin, &json!([alert("x"), other, alert("y")]));
    let mut over = alert("y");
    over["endsAt"] = json!("2020-01-01T00:00:00Z");
    post(&standin, &json!([over]));
    assert_eq!(firing(&standin), ["x", "x"]);
    let groups = get(standin.addr(), &format!("{PATH}/groups")).json();
    assert_eq!(groups[0]["labels"], json!({ "alertname": "x" }));
    assert_eq!(groups[0]["alerts"].as_array().map(Vec::len), Some(2));
    assert_eq!(groups.as_array().map(Vec::len), Some(1));
    assert_eq!(get(standin.addr(), "/at/2/api/v2/alerts").json(), json!([]));
}
