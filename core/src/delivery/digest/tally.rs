//! The content of a digest: how many notifications of each kind, and the list of them.

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;

use crate::channels::alert_list;
use crate::json::Json;
use crate::model::group::{AlertCounts, AlertGroup, GroupedAlert};
use crate::model::notification::{AlertState, AlertStatus, DedupKey, Notification};
use crate::model::plan::PlannedSend;

/// The maximum number and size of the notifications that a digest can list. Others are only counted.
const MAX_ALERTS: usize = 100;
const MAX_BYTES: usize = 64 * 1024;
/// The room of the list in a digest without rich form, in UTF-16 code units: one message of any channel.
const PLAIN_ROOM: usize = 800;
/// The limit of the list in the text of a rich digest. Each channel formats the list again, within its own limit.
const ROOM: usize = 4_000;

/// The limit that a delivery exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    Minute,
    ThrottleBatch,
}

impl LimitKind {
    /// The rule in answers and log lines.
    pub const fn rule(self) -> &'static str {
        match self {
            LimitKind::Minute => "max_per_minute",
            LimitKind::ThrottleBatch => "max_per_batch",
        }
    }

    const fn when(self) -> &'static str {
        match self {
            LimitKind::Minute => "in the last minute",
            LimitKind::ThrottleBatch => "in the same batch",
        }
    }
}

/// The number of notifications of each kind, and the first of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub notifications: usize,
    counts: AlertCounts,
    listed: Vec<GroupedAlert>,
    /// The size of the listed notifications.
    bytes: usize,
}

impl Tally {
    pub fn count(&mut self, sending: &PlannedSend) {
        self.notifications += 1;
        let Some(input) = &sending.input else {
            return;
        };
        let notification = &input.notification;
        let AlertState { level, status } = notification.state();
        self.counts.add(level, status);
        match notification.alert_group() {
            Some(group) => {
                let alerts = group.alerts.iter().cloned();
                alerts.for_each(|alert| self.list(alert));
            }
            None => self.list(listed(notification)),
        }
    }

    fn list(&mut self, alert: GroupedAlert) {
        let size = alert.size();
        if self.listed.len() < MAX_ALERTS && self.bytes + size <= MAX_BYTES {
            self.bytes += size;
            self.listed.push(alert);
        }
    }

    /// The digest: as plain or as rich as the first.
    pub fn digest(&self, first: &Notification, limit: LimitKind) -> Notification {
        let level = self.counts.by_level().next().map(|(level, _)| level);
        let group = self.group(limit);
        if !first.is_rich() {
            // If only texts have a level, the digest's text begins with it too.
            let word = level.map_or(String::new(), |level| {
                format!("[{}] ", level.word().to_uppercase())
            });
            let text = word + &alert_list(&without_form(group), PLAIN_ROOM);
            return Notification::plain(Json::String(text));
        }
        let title = match self.notifications {
            1 => "1 more notification".to_owned(),
            many => format!("{many} more notifications"),
        };
        let text = alert_list(&group, ROOM);
        Notification {
            title: first.title.is_some().then_some(title),
            level,
            // The digest is firing while one member is firing.
            status: (self.counts.resolved() == self.notifications).then_some(AlertStatus::Resolved),
            fields: group.common.clone(),
            link: first.link.clone(),
            group: Some(Arc::new(group)),
            ..Notification::plain(Json::String(text))
        }
    }

    fn group(&self, limit: LimitKind) -> AlertGroup {
        let names = (String::new(), String::new());
        let group = AlertGroup::new(names, Vec::new(), self.listed.clone(), Timestamp::now());
        AlertGroup {
            total: self.notifications.max(group.total),
            counts: self.counts,
            lead: Some(self.lead(limit)),
            ..group
        }
    }

    /// The first line: `and 212 more in the last minute: 100 critical, 112 warning`.
    fn lead(&self, limit: LimitKind) -> String {
        let mut text = format!("and {} more {}", self.notifications, limit.when());
        let levels = self.counts.by_level();
        let levels = levels.map(|(level, count)| format!("{count} {level}"));
        let mut counts: Vec<_> = levels.collect();
        let without = self.notifications - self.counts.levels.iter().sum::<usize>();
        if !counts.is_empty() && without > 0 {
            counts.push(format!("{without} without a level"));
        }
        let mut counts = vec![counts.join(", ")];
        if self.counts.resolved() > 0 {
            let statuses = self.counts.by_status();
            let statuses = statuses.map(|(status, count)| format!("{count} {status}"));
            counts.push(statuses.collect::<Vec<_>>().join(", "));
        }
        counts.retain(|counts| !counts.is_empty());
        if !counts.is_empty() {
            let _ = write!(text, ": {}", counts.join("; "));
        }
        text
    }
}

/// The list for a text without rich form. It has only texts: they show their levels, and fields may be markup.
fn without_form(mut group: AlertGroup) -> AlertGroup {
    for alert in &mut group.alerts {
        alert.level = None;
        alert.labels.clear();
    }
    group.shared.clear();
    group
}

/// A notification as an entry of the list.
fn listed(notification: &Notification) -> GroupedAlert {
    let text = notification.as_text().map(|text| text.into_owned());
    let text = text.or_else(|| serde_json::to_string(&notification.text).ok());
    let key = notification.dedup_key.clone();
    GroupedAlert {
        key: key.unwrap_or_else(|| DedupKey::from("")),
        title: notification.title.clone(),
        text: text.unwrap_or_default(),
        level: notification.level_for_rules(),
        status: notification.status.unwrap_or(AlertStatus::Firing),
        labels: notification.fields.clone(),
        link: notification.link.clone(),
        starts_at: notification.timestamp.unwrap_or_else(Timestamp::now),
        sent_levels: Vec::new(),
        ends_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::{CHANNELS, configured};
    use crate::model::channel::ComposeContext;
    use crate::model::notification::Level;

    fn rich(title: &str) -> Notification {
        Notification {
            title: Some(title.to_owned()),
            link: Some("https://grafana.example.com/d/1".to_owned()),
            dedup_key: Some("cpu".into()),
            ..Notification::plain(Json::String("text".to_owned()))
        }
    }

    /// Each level and no level, each status and no status.
    fn tally() -> Tally {
        Tally {
            notifications: 212,
            counts: AlertCounts {
                levels: [0, 2, 100, 0, 100],
                statuses: [180, 2, 20],
            },
            ..Tally::default()
        }
    }

    fn tally_of(notifications: &[Notification]) -> Tally {
        let mut tally = Tally {
            notifications: notifications.len(),
            ..Tally::default()
        };
        let entries = notifications.iter().map(listed);
        entries.for_each(|entry| tally.list(entry));
        tally
    }

    #[test]
    fn a_digest_says_how_many_there_are_of_each_kind_the_worst_first() {
        let none = Tally {
            notifications: 2,
            ..Tally::default()
        };
        let firing = Tally {
            counts: AlertCounts {
                statuses: [2, 0, 0],
                ..AlertCounts::default()
            },
            ..none.clone()
        };
        for (tally, expected) in [
            (
                tally(),
                "and 212 more in the last minute: 100 critical, 100 warning, 2 info, 10 without a level; \
                 180 firing, 2 acknowledged, 20 resolved",
            ),
            (none, "and 2 more in the last minute"),
            // Firing is the usual state, so the digest does not mention it if all are firing.
            (firing, "and 2 more in the last minute"),
        ] {
            assert_eq!(tally.lead(LimitKind::Minute), expected);
        }
    }

    #[test]
    fn a_digest_lists_each_notification_by_what_distinguishes_it() {
        let on = |host: &str, status| Notification {
            fields: vec![
                ("region".to_owned(), Json::String("eu".to_owned())),
                ("host".to_owned(), Json::String(host.to_owned())),
            ],
            level: Some(Level::Error),
            status,
            link: None,
            ..rich("disk full")
        };
        let resolved = Some(AlertStatus::Resolved);
        let notifications = [on("db1", None), on("db2", resolved), on("db3", None)];
        let digest = tally_of(&notifications).digest(&notifications[0], LimitKind::Minute);
        let expected = "and 3 more in the last minute\n\
            - [error] disk full (host=db1)\n\
            - [error] disk full (host=db3)\n\
            - [error] disk full (host=db2), resolved";
        assert_eq!(digest.as_text().unwrap(), expected);
        assert_eq!(digest.fields, notifications[0].fields[..1]);
        let plain = ["[WARN] a\nb", "c", "{\"a\":1}"];
        let plain = plain.map(|text| Notification::plain(Json::String(text.to_owned())));
        let digest = tally_of(&plain).digest(&plain[0], LimitKind::Minute);
        let expected = "and 3 more in the last minute\n- [WARN] a b\n- c\n- {\"a\":1}";
        assert_eq!(digest.as_text().unwrap(), expected);
    }

    #[test]
    fn a_digest_is_as_plain_as_the_first_and_bears_the_highest_level() {
        let plain = Notification::plain(Json::String("[WARN] x".to_owned()));
        let digest = tally().digest(&plain, LimitKind::ThrottleBatch);
        assert!(!digest.is_rich());
        let text = digest.as_text().unwrap().into_owned();
        assert!(
            text.starts_with("[CRITICAL] and 212 more in the same batch: "),
            "{text}"
        );
        let digest = tally().digest(&rich("disk full"), LimitKind::ThrottleBatch);
        assert_eq!(digest.title.as_deref(), Some("212 more notifications"));
        assert_eq!((digest.level, digest.status), (Some(Level::Critical), None));
        assert_eq!(digest.link, rich("").link);
        assert_eq!(digest.dedup_key, None);
        let over = Tally {
            counts: AlertCounts {
                statuses: [0, 0, 212],
                ..AlertCounts::default()
            },
            ..tally()
        };
        let digest = over.digest(&rich("disk full"), LimitKind::ThrottleBatch);
        assert_eq!(digest.status, Some(AlertStatus::Resolved));
    }

    #[test]
    fn every_channel_takes_a_digest() {
        let firsts = [
            Notification::plain(Json::String("text".to_owned())),
            rich("title"),
            rich(&"👩‍👩‍👧‍👦".repeat(10_000)),
        ];
        for spec in CHANNELS {
            let channel = configured(spec, crate::channels::example).unwrap();
            for first in &firsts {
                let mut tally = tally();
                (0..200).for_each(|_| tally.list(listed(first)));
                let digest = tally.digest(first, LimitKind::Minute);
                let composed = channel
                    .compose(&digest, &ComposeContext::new("key"))
                    .unwrap();
                assert_eq!(composed.parts.len(), 1, "{}", spec.key);
                assert_eq!(composed.warnings, [] as [&str; 0], "{}", spec.key);
                let body = composed.parts[0].body();
                let body = String::from_utf8_lossy(&body);
                let body = body.replace('+', " ");
                assert!(body.contains("212 more"), "{}: {body}", spec.key);
            }
        }
    }
}
