//! Reads alerts of other systems: the list that Prometheus posts to `/api/v2/alerts`, and the webhooks of Alertmanager
//! and Grafana. Each alert becomes a request of its own.
//!
//! Sources: <https://prometheus.io/docs/alerting/latest/alerts_api>,
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>,
//! <https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/>

mod response;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

pub use self::response::{AlertEntry, AlertListResponse};
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
#[derive(Debug)]
pub struct AlertList {
    /// The alerts in the order of the body. No request names receivers: routes choose them. An error for each invalid
    /// alert.
    pub alerts: Vec<Result<Request, Problem>>,
    /// The path of the list in the body.
    root: Path,
    /// The warnings about the whole body.
    pub warnings: Warnings,
}

/// The maximum number of alerts in a body, as that of a request's deliveries.
const MAX_ALERTS: usize = 10_000;

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
            alerts: Vec::new(),
            root: Path::root(),
            warnings,
        };
        let items = match self {
            Self::Array(items) => items,
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
                list.root = list.root.key("alerts");
                items
            }
        };
        let is_cut = items.len() > MAX_ALERTS;
        let items = items.into_iter().take(MAX_ALERTS).enumerate();
        let alerts = items.map(|(index, item)| alert(&list.root.index(index), item, options, now));
        list.alerts = alerts.collect();
        if is_cut {
            let path = list.path(MAX_ALERTS);
            list.alerts.push(Err(too_many_alerts(path)));
        }
        Ok(list)
    }
}

impl AlertList {
    /// Returns the path of an alert in the body.
    pub fn path(&self, index: usize) -> String {
        self.root.index(index).as_str().to_owned()
    }

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
        .chain_update(starts_at.map(|at| at.to_string()).unwrap_or_default())
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

fn too_many_alerts(path: String) -> Problem {
    Problem {
        location: Location::path(path),
        ..error(
            "too_many_alerts",
            &format!(
                "The body has more than {MAX_ALERTS} alerts; those from this one on are not taken."
            ),
            "Send them in several bodies; set max_alerts of Alertmanager's webhook.",
        )
    }
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
