//! The variables of a group of alerts. Without a group they are undefined.

use minijinja::Value;

use super::values::value;
use crate::json::Json;
use crate::model::group::{AlertGroup, GroupedAlert};
use crate::model::notification::{AlertStatus, Level};

#[derive(Default)]
pub struct GroupValues {
    pub alerts: Value,
    pub common_labels: Value,
    pub group_labels: Value,
    pub counts: Value,
}

impl GroupValues {
    pub fn of(group: &AlertGroup) -> Self {
        let labels = group.labels.iter();
        Self {
            alerts: group.alerts.iter().map(alert).collect(),
            common_labels: object(&group.common),
            group_labels: Value::from_pairs(labels.map(|(name, value)| (name.as_str(), value))),
            counts: counts(group),
        }
    }

    /// Takes the values from `member`, which returns a variable by its name.
    pub fn from_members(member: impl Fn(&'static str) -> Value) -> Self {
        Self {
            alerts: member("alerts"),
            common_labels: member("common_labels"),
            group_labels: member("group_labels"),
            counts: member("counts"),
        }
    }
}

fn alert(alert: &GroupedAlert) -> Value {
    let text = |text: Option<&str>| text.map_or(Value::UNDEFINED, Value::from);
    let ends_at = alert.ends_at.map(|time| time.to_string());
    Value::from_pairs([
        ("labels", object(&alert.labels)),
        ("level", text(alert.level.map(Level::word))),
        ("status", alert.status.word().into()),
        ("title", text(alert.title.as_deref())),
        ("text", alert.text.as_str().into()),
        ("link", text(alert.link.as_deref())),
        ("starts_at", alert.starts_at.to_string().into()),
        ("ends_at", text(ends_at.as_deref())),
    ])
}

fn counts(group: &AlertGroup) -> Value {
    let statuses = AlertStatus::ALL.into_iter().map(AlertStatus::word);
    let levels = Level::ALL.into_iter().map(Level::word);
    let statuses = statuses.zip(group.counts.statuses);
    let counts = statuses.chain(levels.zip(group.counts.levels));
    Value::from_pairs(counts.chain([("total", group.total)]))
}

fn object(members: &[(String, Json)]) -> Value {
    let members = members.iter();
    Value::from_pairs(members.map(|(name, member)| (name.as_str(), value(member))))
}
