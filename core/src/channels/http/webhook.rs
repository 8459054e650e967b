//! The members of Alertmanager's webhook, for receivers that read them
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::json::Json;
use crate::model::group::{AlertGroup, GroupedAlert};
use crate::secret::digest;

/// All members except `status`, which the notification has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookMembers {
    version: &'static str,
    group_key: String,
    truncated_alerts: usize,
    receiver: String,
    group_labels: Map<String, Value>,
    common_labels: Map<String, Value>,
    common_annotations: Map<String, Value>,
    #[serde(rename = "externalURL")]
    external_url: &'static str,
    alerts: Vec<WebhookAlert>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WebhookAlert {
    status: &'static str,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

/// Go's zero time: the alert has no end yet.
const NO_END: &str = "0001-01-01T00:00:00Z";
/// The length of Alertmanager's fingerprints.
const FINGERPRINT: usize = 16;

impl WebhookMembers {
    pub fn of(group: &AlertGroup) -> Self {
        let alerts: Vec<_> = group.alerts.iter().map(WebhookAlert::of).collect();
        let labels = group.labels.iter();
        let labels = labels.map(|(name, value)| (name.clone(), value.as_str().into()));
        Self {
            version: "4",
            group_key: group.key.clone(),
            truncated_alerts: group.left_out(),
            receiver: group.receiver.clone(),
            group_labels: labels.collect(),
            common_labels: common(alerts.iter().map(|alert| &alert.labels)),
            common_annotations: common(alerts.iter().map(|alert| &alert.annotations)),
            external_url: "",
            alerts,
        }
    }
}

impl WebhookAlert {
    fn of(alert: &GroupedAlert) -> Self {
        let title = alert.title.as_deref();
        let mut labels: Map<_, _> = alert.labels.iter().map(label).collect();
        let mut add = |name: &str, value: &str| {
            labels.entry(name).or_insert_with(|| value.into());
        };
        add("alertname", title.unwrap_or(&alert.key));
        if let Some(level) = alert.level {
            add("severity", level.word());
        }
        let annotations = [
            ("summary", title),
            ("description", Some(alert.text.as_str())),
        ];
        let annotations = annotations.into_iter().filter_map(|(name, text)| {
            let text = text.filter(|text| !text.is_empty())?;
            Some((name.to_owned(), text.into()))
        });
        let end = alert.ends_at.map(|time: Timestamp| time.to_string());
        let fingerprint = digest(&alert.key);
        Self {
            // Alertmanager knows no other status.
            status: if alert.is_resolved() {
                "resolved"
            } else {
                "firing"
            },
            labels,
            annotations: annotations.collect(),
            starts_at: alert.starts_at.to_string(),
            ends_at: end.unwrap_or_else(|| NO_END.to_owned()),
            generator_url: alert.link.clone().unwrap_or_default(),
            fingerprint: fingerprint.chars().take(FINGERPRINT).collect(),
        }
    }
}

fn label((name, value): &(String, Json)) -> (String, Value) {
    (name.clone(), value.as_word().unwrap_or_default().into())
}

/// Returns the members that all objects have with the same value.
fn common<'a>(objects: impl Iterator<Item = &'a Map<String, Value>>) -> Map<String, Value> {
    let mut objects = objects;
    let mut common = objects.next().cloned().unwrap_or_default();
    for object in objects {
        common.retain(|name, value| object.get(name) == Some(value));
    }
    common
}
