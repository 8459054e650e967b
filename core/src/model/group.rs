//! The content of a notification about several alerts: of a group, or of a digest.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::dedup_key::DedupKey;
use super::level::Level;
use super::status::AlertStatus;
use crate::json::{Json, size_of_members};

/// The maximum number and size of the alerts that a notification has. It counts the others. A notification is stored and
/// sent whole.
const MAX_ALERTS: usize = 1_000;
const MAX_BYTES: usize = 512 * 1024;
/// The minimum share of alerts for a label of [`AlertGroup::shared`].
const SHARED: (usize, usize) = (8, 10);
/// The maximum number of labels that most alerts share.
const MAX_SHARED: usize = 3;

/// The alerts of one notification.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertGroup {
    /// The group's key. Empty for a digest.
    pub key: String,
    /// The receiver's name. Empty where it has none.
    pub receiver: String,
    /// The values of `group_by`.
    pub labels: Vec<(String, String)>,
    /// The number of alerts, with those that [`Self::alerts`] leaves out.
    pub total: usize,
    pub counts: AlertCounts,
    /// The first line of a digest's list, in place of the counts by level.
    pub lead: Option<String>,
    /// The labels of all alerts.
    pub common: Vec<(String, Json)>,
    /// The labels of nearly all alerts, and the number of alerts with each.
    pub shared: Vec<((String, Json), usize)>,
    /// The firing and most severe first, and of these the oldest.
    pub alerts: Vec<GroupedAlert>,
    /// The time of the notification.
    pub at: Timestamp,
}

/// One alert of a group's notification.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupedAlert {
    pub key: DedupKey,
    pub title: Option<String>,
    pub text: String,
    pub level: Option<Level>,
    pub status: AlertStatus,
    /// Its fields as labels.
    pub labels: Vec<(String, Json)>,
    pub link: Option<String>,
    pub starts_at: Timestamp,
    pub ends_at: Option<Timestamp>,
    /// The levels of its last notifications to the destinations. Empty: unknown, or there were none.
    pub sent_levels: Vec<Option<Level>>,
}

/// The number of alerts of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlertCounts {
    /// By [`AlertStatus::ALL`].
    pub statuses: [usize; AlertStatus::ALL.len()],
    /// By [`Level::ALL`].
    pub levels: [usize; Level::ALL.len()],
}

impl AlertGroup {
    pub fn new(
        (key, receiver): (String, String),
        labels: Vec<(String, String)>,
        mut alerts: Vec<GroupedAlert>,
        at: Timestamp,
    ) -> Self {
        alerts.sort_by_key(|alert| (alert.is_resolved(), Reverse(alert.level), alert.starts_at));
        let mut counts = AlertCounts::default();
        for alert in &alerts {
            counts.add(alert.level, Some(alert.status));
        }
        let total = alerts.len();
        let common = common_labels(&alerts);
        let shared = shared_labels(&alerts, &common);
        let mut bytes = 0;
        let fits = |alert: &&GroupedAlert| {
            bytes += alert.size();
            bytes <= MAX_BYTES
        };
        let count = alerts.iter().take(MAX_ALERTS).take_while(fits).count();
        alerts.truncate(count);
        Self {
            key,
            receiver,
            labels,
            total,
            counts,
            lead: None,
            common,
            shared,
            alerts,
            at,
        }
    }

    /// Whether it is a digest: its notifications are no alerts of one group, and have no key in common.
    pub const fn is_digest(&self) -> bool {
        self.lead.is_some()
    }

    /// Returns the number of alerts that are only counted.
    pub fn left_out(&self) -> usize {
        self.total.saturating_sub(self.alerts.len())
    }

    pub fn status(&self) -> AlertStatus {
        match self.counts.statuses {
            [0, 0, _] => AlertStatus::Resolved,
            [0, ..] => AlertStatus::Acknowledged,
            _ => AlertStatus::Firing,
        }
    }

    /// Returns the highest level of the alerts that are not resolved; of all, if all are resolved.
    pub fn level(&self) -> Option<Level> {
        // The alerts that are not resolved are first.
        let all_resolved = self.status() == AlertStatus::Resolved;
        let alerts = self.alerts.iter();
        let alerts = alerts.filter(|alert| all_resolved || !alert.is_resolved());
        alerts.filter_map(|alert| alert.level).max()
    }

    /// Returns the title, such as `[2 firing, 1 resolved] region=eu`.
    pub fn title(&self) -> String {
        let statuses = self.counts.by_status();
        let statuses = statuses.map(|(status, count)| format!("{count} {status}"));
        let statuses = statuses.collect::<Vec<_>>().join(", ");
        let labels = self.labels.iter();
        let labels = labels.map(|(name, value)| format!(" {name}={value}"));
        format!("[{statuses}]{}", labels.collect::<String>())
    }

    /// Returns the size in bytes.
    pub fn size(&self) -> usize {
        let labels = self.labels.iter();
        let labels: usize = labels.map(|(name, value)| name.len() + value.len()).sum();
        let shared: usize = self.shared.iter().map(|(label, _)| label.1.size()).sum();
        let alerts: usize = self.alerts.iter().map(GroupedAlert::size).sum();
        size_of::<Self>() + labels + shared + size_of_members(&self.common) + alerts
    }
}

impl GroupedAlert {
    pub const fn is_resolved(&self) -> bool {
        matches!(self.status, AlertStatus::Resolved)
    }

    /// Returns the labels that distinguish the alert from most others of its group.
    pub fn distinguishing<'a>(
        &'a self,
        group: &'a AlertGroup,
    ) -> impl Iterator<Item = &'a (String, Json)> {
        let is_shared = |label: &(String, Json)| {
            group.common.contains(label) || group.shared.iter().any(|(known, _)| known == label)
        };
        self.labels.iter().filter(move |label| !is_shared(label))
    }

    pub fn size(&self) -> usize {
        let texts = [self.title.as_ref(), self.link.as_ref(), Some(&self.text)];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        size_of::<Self>() + self.key.len() + texts + size_of_members(&self.labels)
    }
}

impl AlertCounts {
    pub fn add(&mut self, level: Option<Level>, status: Option<AlertStatus>) {
        for (count, of) in self.levels.iter_mut().zip(Level::ALL) {
            *count += usize::from(level == Some(of));
        }
        for (count, of) in self.statuses.iter_mut().zip(AlertStatus::ALL) {
            *count += usize::from(status == Some(of));
        }
    }

    /// Returns the counts by level, the most severe first, without zeros.
    pub fn by_level(&self) -> impl Iterator<Item = (Level, usize)> {
        let levels = Level::ALL.into_iter().zip(self.levels).rev();
        levels.filter(|(_, count)| *count > 0)
    }

    /// Returns the counts by status without zeros.
    pub fn by_status(&self) -> impl Iterator<Item = (AlertStatus, usize)> {
        let statuses = AlertStatus::ALL.into_iter().zip(self.statuses);
        statuses.filter(|(_, count)| *count > 0)
    }

    pub const fn resolved(&self) -> usize {
        let [.., resolved] = self.statuses;
        resolved
    }
}

fn common_labels(alerts: &[GroupedAlert]) -> Vec<(String, Json)> {
    let Some((first, others)) = alerts.split_first() else {
        return Vec::new();
    };
    let is_common =
        |label: &&(String, Json)| others.iter().all(|alert| alert.labels.contains(label));
    first.labels.iter().filter(is_common).cloned().collect()
}

/// A label, and the number of alerts with it.
type LabelCount<'a> = (&'a (String, Json), usize);

fn shared_labels(
    alerts: &[GroupedAlert],
    common: &[(String, Json)],
) -> Vec<((String, Json), usize)> {
    let mut counts: BTreeMap<(&str, &str), LabelCount<'_>> = BTreeMap::new();
    for label in alerts.iter().flat_map(|alert| &alert.labels) {
        if let Some(word) = label.1.as_word()
            && !common.contains(label)
        {
            counts.entry((&label.0, word)).or_insert((label, 0)).1 += 1;
        }
    }
    let is_shared = |count: usize| count > 1 && count * SHARED.1 >= alerts.len() * SHARED.0;
    let shared = counts.into_values().filter(|(_, count)| is_shared(*count));
    let shared = shared.map(|(label, count)| (label.clone(), count));
    shared.take(MAX_SHARED).collect()
}
