//! An alert: what fires and resolves, by an identity.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::acknowledge::AlertAcknowledgement;
use crate::api::request::ReportedAlert;
use crate::model::notification::{AlertStatus, DedupKey, Level, Notification};

/// The identity of an alert in its scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct AlertKey(Arc<str>);

impl AlertKey {
    pub fn of_dedup_key(key: &DedupKey) -> Self {
        Self(format!("key:{key}").into())
    }

    /// The key of the values of `alert_key`. Each value's length precedes it, so that no two lists have the same key.
    pub fn of_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let values = values.into_iter();
        let values: String = values
            .map(|value| format!("{}:{value}", value.len()))
            .collect();
        Self(format!("values:{}", &*DedupKey::from(values.as_str())).into())
    }

    /// The key of an alert that Prometheus, Alertmanager or Grafana reports: its labels, in a key space of their own.
    pub fn of_labels(labels: &DedupKey) -> Self {
        Self(format!("labels:{labels}").into())
    }

    /// The key of an event without an identity: the id of its task.
    pub fn of_task(task: &str) -> Self {
        Self(format!("task:{task}").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for AlertKey {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<AlertKey> for String {
    fn from(key: AlertKey) -> Self {
        key.0.to_string()
    }
}

impl fmt::Display for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Both clocks at one moment. Times that people read go by the wall clock; waits go by a clock that nobody sets.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub wall: Timestamp,
    /// The wall clock when the process began, and the time since then.
    pub steady: Timestamp,
}

/// The time `by` later.
pub fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// The time `by` earlier.
pub fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_sub(by).unwrap_or(Timestamp::MIN)
}

/// The stored state of an alert.
#[derive(Clone, Debug)]
pub struct Alert {
    pub key: AlertKey,
    /// It has no identity: it is sent once, and never resolves.
    pub is_one_off: bool,
    /// As the last event gave it. A resolved alert keeps the level and the fields of its last firing.
    pub notification: Arc<Notification>,
    pub status: AlertStatus,
    pub starts_at: Timestamp,
    /// When it resolved. The time of the future at which it resolves, where its source reports one.
    pub ends_at: Option<Timestamp>,
    /// When the last event happened, as the event says.
    pub updated_at: Timestamp,
    /// The keys of the groups that it is in.
    pub groups: Vec<Arc<str>>,
    pub acknowledged: Option<AlertAcknowledgement>,
    /// Until when it mutes the targets of inhibitions, once it has resolved.
    pub inhibits_until: Option<Timestamp>,
    /// How long it fires without a report.
    pub resolve_timeout: Option<Duration>,
    /// When a firing alert resolves because of its timeout, or when a resolved alert is forgotten.
    pub due: Option<Timestamp>,
    /// `due` as the store has it.
    pub stored_due: Option<Timestamp>,
    /// The scope of the settings whose routes chose `groups`. `None` after a restart.
    pub routed_by: Option<Arc<str>>,
}

impl Alert {
    pub fn level(&self) -> Option<Level> {
        self.notification.level_for_rules()
    }

    /// The key by which destinations and readers of views know the alert; `None`: it has no identity.
    pub fn dedup_key(&self) -> Option<DedupKey> {
        let own = || (!self.is_one_off).then(|| DedupKey::from(self.key.as_str()));
        self.notification.dedup_key.clone().or_else(own)
    }

    pub fn is_resolved(&self) -> bool {
        self.status == AlertStatus::Resolved
    }

    /// Starts the resolve timeout again. The end that another system reports takes its place; of several, the last one
    /// counts, as in Alertmanager: two Prometheus servers may report one alert.
    pub fn restart_timeout(&mut self, reported: Option<ReportedAlert>, now: Now) {
        let end = reported.and_then(|reported| reported.ends_at);
        if let Some(end) = end {
            self.ends_at = self.ends_at.max(Some(end));
            self.resolve_timeout = Some(end.duration_since(now.wall).unsigned_abs());
        }
        let due = self
            .resolve_timeout
            .map(|timeout| later(now.steady, timeout));
        self.due = match reported {
            Some(_) => self.due.max(due),
            None => due,
        };
    }

    /// Bytes that keeping it costs, roughly.
    pub fn size(&self) -> usize {
        let groups: usize = self.groups.iter().map(|key| key.len()).sum();
        size_of::<Self>() + self.key.as_str().len() + self.notification.size() + groups
    }
}
