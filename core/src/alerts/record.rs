//! Alerts and groups as they are stored: JSON in names that stay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::alert::{Alert, AlertKey};
use super::group::{Group, GroupTiming, RouteRef};
use super::log::{DestinationId, LogEntry, Notified, NotifiedAlerts, Pending};
use super::state::{Changes, ScopeState};
use crate::api::request::{Request, read_stored};
use crate::model::notification::{AlertStatus, Level};
use crate::model::read_options::ReadOptions;
use crate::store::{AlertRow, AlertRowKind};

#[derive(Serialize, Deserialize)]
struct AlertRecord {
    /// As a request without destinations.
    notification: String,
    #[serde(default)]
    one_off: bool,
    status: String,
    starts_at: i64,
    ends_at: Option<i64>,
    updated_at: i64,
    groups: Vec<String>,
    resolve_timeout_ms: Option<u64>,
    due: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct GroupRecord {
    route: RouteRef,
    labels: Option<Vec<(String, String)>>,
    wait_ms: u64,
    interval_ms: u64,
    first_flush: Option<i64>,
    due: Option<i64>,
    #[serde(default)]
    left: Vec<AlertKey>,
    log: Vec<EntryRecord>,
}

#[derive(Serialize, Deserialize)]
struct EntryRecord {
    destination: DestinationId,
    sent: NotifiedRecord,
    pending: Option<PendingRecord>,
    retry_at: Option<i64>,
    #[serde(default)]
    refused: bool,
    notified_at: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct PendingRecord {
    task: String,
    index: usize,
    alerts: NotifiedRecord,
}

/// The status and the level of each alert.
type NotifiedRecord = BTreeMap<AlertKey, (String, Option<String>)>;

/// Returns the rows of the changes.
pub fn rows(state: &ScopeState, changes: &Changes) -> Vec<AlertRow> {
    let alerts = changes.alerts.iter().map(|key| AlertRow {
        kind: AlertRowKind::Alert,
        key: key.as_str().to_owned(),
        json: state.alert(key).map(|alert| json(&alert_record(alert))),
    });
    let groups = changes.groups.iter().map(|key| AlertRow {
        kind: AlertRowKind::Group,
        key: key.to_string(),
        json: state.group(key).map(|group| json(&group_record(group))),
    });
    alerts.chain(groups).collect()
}

/// What rows stand for. A row of another version that cannot be read is left out.
pub fn read(rows: Vec<AlertRow>) -> (Vec<Group>, Vec<Alert>) {
    let (mut groups, mut alerts) = (Vec::new(), Vec::new());
    for row in rows {
        let json = row.json.unwrap_or_default();
        match row.kind {
            AlertRowKind::Alert => {
                let record = serde_json::from_str(&json).ok();
                alerts.extend(record.and_then(|record| alert(row.key, record)));
            }
            AlertRowKind::Group => {
                let record = serde_json::from_str(&json).ok();
                groups.extend(record.map(|record| group(row.key, record)));
            }
        }
    }
    (groups, alerts)
}

fn alert_record(alert: &Alert) -> AlertRecord {
    let request = Request::of_notification(Arc::clone(&alert.notification));
    AlertRecord {
        notification: request.without_destinations(&alert.notification),
        one_off: alert.is_one_off,
        status: alert.status.word().to_owned(),
        starts_at: alert.starts_at.as_millisecond(),
        ends_at: alert.ends_at.map(Timestamp::as_millisecond),
        updated_at: alert.updated_at.as_millisecond(),
        groups: alert.groups.iter().map(ToString::to_string).collect(),
        resolve_timeout_ms: alert.resolve_timeout.map(millis),
        due: alert.due.map(Timestamp::as_millisecond),
    }
}

fn alert(key: String, record: AlertRecord) -> Option<Alert> {
    let due = record.due.map(time);
    Some(Alert {
        key: AlertKey::from(key),
        is_one_off: record.one_off,
        notification: read_stored(&record.notification, &ReadOptions::default())
            .ok()?
            .notification,
        status: AlertStatus::parse(&record.status)?,
        starts_at: time(record.starts_at),
        ends_at: record.ends_at.map(time),
        updated_at: time(record.updated_at),
        groups: record.groups.into_iter().map(Arc::from).collect(),
        resolve_timeout: record.resolve_timeout_ms.map(Duration::from_millis),
        due,
        routed_by: None,
        stored_due: due,
    })
}

fn group_record(group: &Group) -> GroupRecord {
    let entry = |(id, entry): (&DestinationId, &LogEntry)| EntryRecord {
        destination: id.clone(),
        sent: notified_record(&entry.sent),
        pending: entry.pending.as_ref().map(|pending| PendingRecord {
            task: pending.task.clone(),
            index: pending.index,
            alerts: notified_record(pending.stored()),
        }),
        retry_at: entry.retry_at.map(Timestamp::as_millisecond),
        refused: entry.is_refused,
        notified_at: entry.notified_at.map(Timestamp::as_millisecond),
    };
    GroupRecord {
        route: group.route.clone(),
        labels: group.labels.clone(),
        wait_ms: millis(group.timing.wait),
        interval_ms: millis(group.timing.interval),
        first_flush: group.first_flush.map(Timestamp::as_millisecond),
        due: group.due.map(Timestamp::as_millisecond),
        left: group.left.iter().cloned().collect(),
        log: group.log.iter().map(entry).collect(),
    }
}

fn group(key: String, record: GroupRecord) -> Group {
    let timing = GroupTiming {
        wait: Duration::from_millis(record.wait_ms),
        interval: Duration::from_millis(record.interval_ms),
    };
    let entry = |entry: EntryRecord| {
        let log = LogEntry {
            sent: notified(entry.sent),
            pending: entry
                .pending
                .map(|pending| Pending::new(pending.task, pending.index, notified(pending.alerts))),
            retry_at: entry.retry_at.map(time),
            is_refused: entry.refused,
            notified_at: entry.notified_at.map(time),
        };
        (entry.destination, log)
    };
    let mut group = Group::new(key.into(), record.route, record.labels, timing);
    group.first_flush = record.first_flush.map(time);
    group.due = record.due.map(time);
    group.left = record.left.into_iter().collect();
    group.log = record.log.into_iter().map(entry).collect();
    group
}

fn notified_record(alerts: &NotifiedAlerts) -> NotifiedRecord {
    let status = |notified: &Notified| match notified.is_resolved {
        true => AlertStatus::Resolved,
        false => AlertStatus::Firing,
    };
    let record = |(key, notified): (&AlertKey, &Notified)| {
        let level = notified.level.map(|level| level.word().to_owned());
        (key.clone(), (status(notified).word().to_owned(), level))
    };
    alerts.iter().map(record).collect()
}

fn notified(record: NotifiedRecord) -> NotifiedAlerts {
    let record = record.into_iter().map(|(key, (status, level))| {
        let notified = Notified {
            is_resolved: AlertStatus::parse(&status) == Some(AlertStatus::Resolved),
            level: level.as_deref().and_then(Level::parse),
        };
        (key, notified)
    });
    record.collect()
}

fn json(record: &impl Serialize) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}
