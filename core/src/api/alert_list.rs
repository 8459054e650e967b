//! Reads alerts of other systems: the list that Prometheus posts to `/api/v2/alerts`, and the webhooks of Alertmanager
//! and Grafana. Each alert becomes a request of its own.
//!
//! Sources: <https://prometheus.io/docs/alerting/latest/alerts_api>,
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>,
//! <https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/>

use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::members;
use super::problems::{error, wrong_type};
use super::request::{ReportedAlert, Request};
use crate::json::{Json, Path};
use crate::model::notification::{AlertStatus, DedupKey, Notification};
use crate::model::problem::{Location, Problem};
use crate::model::read_options::ReadOptions;
use crate::text::hex;
use crate::warnings::Warnings;

/// The alerts of a body.
#[derive(Debug, Default)]
pub struct AlertList {
    /// The valid alerts in the order of the body. None names receivers: routes choose them.
    pub alerts: Vec<Request>,
    /// An error for each invalid alert.
    pub invalid: Vec<Problem>,
    /// The warnings about the whole body.
    pub warnings: Warnings,
}

/// The two forms of a body with alerts.
pub(super) enum AlertBody {
    /// An array of alerts.
    Array(Vec<Json>),
    /// An object with `version` and `alerts`.
    Webhook(Vec<(String, Json)>),
}

impl AlertBody {
    /// Recognises the form by the shape of the body. Gives back any other body.
    pub(super) fn of(body: Json) -> Result<Self, Json> {
        match body {
            Json::Array(items) if items.iter().any(|item| item.get("labels").is_some()) => {
                Ok(Self::Array(items))
            }
            Json::Array(items) if items.is_empty() => Ok(Self::Array(items)),
            Json::Object(members)
                if has(&members, "version")
                    && has(&members, "alerts")
                    && !has(&members, "notification_text") =>
            {
                Ok(Self::Webhook(members))
            }
            other => Err(other),
        }
    }

    pub(super) fn read(
        self,
        options: &ReadOptions,
        now: Timestamp,
        warnings: Warnings,
    ) -> Result<AlertList, Problem> {
        let mut list = AlertList {
            warnings,
            ..AlertList::default()
        };
        let (root, alerts) = match self {
            Self::Array(items) => (Path::root(), items),
            Self::Webhook(members) => {
                let mut alerts = Json::Null;
                for (name, value) in members {
                    match name.as_str() {
                        "alerts" => alerts = value,
                        "truncatedAlerts" => list.warn_truncated(&value),
                        _ => {}
                    }
                }
                let Json::Array(items) = alerts else {
                    return Err(wrong_type("alerts", "a list of alerts", &alerts));
                };
                (Path::root().key("alerts"), items)
            }
        };
        for (index, item) in alerts.into_iter().enumerate() {
            match alert(&root.index(index), item, options, now) {
                Ok(request) => list.alerts.push(request),
                Err(problem) => list.invalid.push(problem),
            }
        }
        Ok(list)
    }
}

impl AlertList {
    fn warn_truncated(&mut self, count: &Json) {
        let count = count.as_word().filter(|count| *count != "0");
        if let Some(count) = count {
            self.warnings.push(|| {
                format!(
                    "truncatedAlerts: the sender left out {count} alerts of this group: raise its limit of alerts in a \
                     message (max_alerts)"
                )
            });
        }
    }
}

fn has(members: &[(String, Json)], name: &str) -> bool {
    members.iter().any(|(known, _)| known == name)
}

/// The members of an alert that are read.
#[derive(Default)]
struct AlertMembers {
    labels: Json,
    annotations: Json,
    status: Json,
    starts_at: Json,
    ends_at: Json,
    generator_url: Json,
    dashboard_url: Json,
}

fn alert(
    path: &Path,
    item: Json,
    options: &ReadOptions,
    now: Timestamp,
) -> Result<Request, Problem> {
    let Json::Object(members) = item else {
        return Err(wrong_type(path.as_str(), "an alert, an object", &item));
    };
    let mut found = AlertMembers::default();
    for (name, value) in members {
        let member = match name.as_str() {
            "labels" => &mut found.labels,
            "annotations" => &mut found.annotations,
            "status" => &mut found.status,
            "startsAt" => &mut found.starts_at,
            "endsAt" => &mut found.ends_at,
            "generatorURL" => &mut found.generator_url,
            "dashboardURL" => &mut found.dashboard_url,
            _ => continue,
        };
        *member = value;
    }
    let mut warnings = Warnings::default();
    let labels = labels(&path.key("labels"), found.labels)?;
    let starts_at = time("startsAt", &found.starts_at, &mut warnings);
    let ends_at = time("endsAt", &found.ends_at, &mut warnings);
    let by_time = match ends_at.is_some_and(|at| at <= now) {
        true => AlertStatus::Resolved,
        false => AlertStatus::Firing,
    };
    let status = found.status.as_str().and_then(AlertStatus::parse);
    let status = status.unwrap_or(by_time);
    let annotation = |name: &str| present(found.annotations.get(name)).map(str::to_owned);
    let label = |name: &str| {
        let mut labels = labels.iter();
        labels
            .find(|(known, _)| known == name)
            .and_then(|(_, value)| value.as_str())
    };
    let title = annotation("summary").or_else(|| label("alertname").map(str::to_owned));
    let text = annotation("description")
        .or_else(|| annotation("message"))
        .or_else(|| title.clone())
        .unwrap_or_else(|| "alert".to_owned());
    let level =
        label("severity").and_then(|word| members::level(word, &options.levels, &mut warnings));
    let urls = [&found.generator_url, &found.dashboard_url];
    let url = urls.into_iter().find_map(|url| present(Some(url)));
    let link = url.and_then(|url| members::link(url, &mut warnings));
    let key = key(&labels);
    let fingerprint = Sha256::new()
        .chain_update(&key)
        .chain_update(status.word())
        .chain_update(&text)
        .finalize();
    let notification = Notification {
        title,
        level,
        status: Some(status),
        link,
        timestamp: match status {
            AlertStatus::Resolved => ends_at.or(starts_at),
            _ => starts_at,
        },
        dedup_key: Some(DedupKey::from(key.as_str())),
        fields: labels,
        ..Notification::plain(Json::String(text))
    };
    let data = match found.annotations {
        annotations @ Json::Object(_) => {
            Some(Json::Object(vec![("annotations".to_owned(), annotations)]))
        }
        _ => None,
    };
    Ok(Request {
        data: data.map(Arc::new),
        fingerprint: fingerprint.into(),
        warnings,
        alert: Some(ReportedAlert { starts_at, ends_at }),
        ..Request::of_notification(members::with_extracted(notification, options))
    })
}

/// Returns the labels with a value. A label with an empty value is the same as none.
fn labels(path: &Path, found: Json) -> Result<Vec<(String, Json)>, Problem> {
    let Json::Object(found) = found else {
        return Err(wrong_type(path.as_str(), "an object of strings", &found));
    };
    let mut labels = Vec::with_capacity(found.len());
    for (name, value) in found {
        match value {
            value if value.is_absent() => {}
            value @ Json::String(_) => labels.push((name, value)),
            other => {
                return Err(wrong_type(
                    path.key(&name).as_str(),
                    "a string, as every label of an alert",
                    &other,
                ));
            }
        }
    }
    if labels.is_empty() {
        return Err(Problem {
            location: Location::path(path.as_str()),
            ..error(
                "invalid_field",
                "The alert has no label with a value.",
                "Give each alert labels, such as alertname: they identify it.",
            )
        });
    }
    Ok(labels)
}

/// Returns the identity of a label set. It does not depend on the order of the labels. The sender's fingerprint is not
/// used: an alert that arrives in both forms is one alert.
fn key(labels: &[(String, Json)]) -> String {
    let mut sorted: Vec<_> = labels.iter().collect();
    sorted.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut hash = Sha256::new();
    for (name, value) in sorted {
        for part in [name, value.as_str().unwrap_or_default()] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    }
    hex(&hash.finalize())
}

fn present(value: Option<&Json>) -> Option<&str> {
    value
        .and_then(Json::as_str)
        .filter(|text| !text.trim().is_empty())
}

/// Reads a time. Senders write the year 1 for a time that is not known.
fn time(name: &str, value: &Json, warnings: &mut Warnings) -> Option<Timestamp> {
    let at = members::time(name, present(Some(value))?, warnings);
    at.filter(|at| *at > Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::api::request::{RequestBody, read_body};
    use crate::model::notification::Level;

    fn body(body: &Value) -> Result<RequestBody, Problem> {
        let now = "2026-12-01T12:00:00Z".parse().unwrap();
        let bytes = body.to_string();
        let options = ReadOptions::default();
        read_body(bytes.as_bytes(), &BTreeMap::new(), &options, now)
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
        let mut list = list(&prometheus());
        let request = list.alerts.remove(0);
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
        assert!(list.invalid.is_empty() && list.warnings.is_empty());
    }

    #[test]
    fn a_past_end_resolves_and_the_year_1_is_none() {
        let mut alerts = prometheus();
        alerts[0]["endsAt"] = "2026-12-01T11:59:59Z".into();
        let resolved = list(&alerts).alerts.remove(0);
        assert_eq!(resolved.notification.status, Some(AlertStatus::Resolved));
        assert_eq!(resolved.notification.timestamp, at("2026-12-01T11:59:59Z"));
        for none in ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z", ""] {
            alerts[0]["endsAt"] = none.into();
            let firing = list(&alerts).alerts.remove(0);
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
            .map(|alert| alert.notification.status)
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
            let alert = list(&json!([{"labels": labels}])).alerts.remove(0);
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
    fn label_names_of_any_characters_are_taken() {
        let labels = json!({"alertname": "a", "größe/µ.x": "ü"});
        let alert = list(&json!([{"labels": labels}])).alerts.remove(0);
        assert_eq!(alert.notification.fields[1].0, "größe/µ.x");
        // Without annotations, the name of the alert is the title and the text.
        assert_eq!(alert.notification.title.as_deref(), Some("a"));
        assert_eq!(alert.notification.as_text().unwrap(), "a");
    }

    #[test]
    fn invalid_alerts_are_named_and_the_others_are_taken() {
        let list = list(&json!([
            {"labels": {"alertname": "a"}},
            {"labels": {}},
            "text",
            {"labels": {"alertname": 1}},
            {"annotations": {}},
            {"labels": {"alertname": "b"}, "startsAt": "soon"},
        ]));
        let paths: Vec<_> = list
            .invalid
            .iter()
            .map(|problem| problem.location.path.as_deref().unwrap())
            .collect();
        assert_eq!(
            paths,
            ["[1].labels", "[2]", "[3].labels.alertname", "[4].labels"]
        );
        assert_eq!(list.alerts.len(), 2);
        // A time that cannot be read is no reason to lose the alert.
        let warning = list.alerts[1].warnings.iter().next().unwrap();
        assert!(warning.starts_with("startsAt: must be a time"), "{warning}");
    }

    #[test]
    fn other_bodies_are_requests_or_errors_that_name_all_forms() {
        let request = json!({"notification_text": "x", "version": "1", "alerts": []});
        assert!(matches!(body(&request), Ok(RequestBody::Request(_))));
        assert!(list(&json!([])).alerts.is_empty());
        for unknown in [
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
}
