//! Alerts and groups as they are stored: JSON in names that stay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::acknowledge::AlertAcknowledgement;
use super::alert::{Alert, AlertKey};
use super::group::{Group, GroupTiming, RouteRef};
use super::log::{DestinationId, LogEntry, Notified, NotifiedAlerts, Pending};
use super::silence::StoredSilence;
use super::state::{Changes, RestoredState, ScopeState};
use crate::api::request::{Request, read_stored};
use crate::config::matcher;
use crate::model::level::LevelMap;
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
    #[serde(default)]
    acknowledged: Option<AcknowledgementRecord>,
    #[serde(default)]
    inhibits_until: Option<i64>,
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
    #[serde(default)]
    remind_ms: Option<u64>,
    #[serde(default)]
    acknowledged: Option<AcknowledgementRecord>,
    #[serde(default)]
    muted: BTreeMap<AlertKey, String>,
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
    #[serde(default)]
    notified_steady: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct PendingRecord {
    task: String,
    index: usize,
    alerts: NotifiedRecord,
}

#[derive(Serialize, Deserialize)]
struct AcknowledgementRecord {
    by: String,
    comment: Option<String>,
    at: i64,
    until: Option<i64>,
    level: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SilenceRecord {
    /// As JSON in a text.
    r#match: String,
    from: i64,
    until: i64,
    comment: String,
    created_by: String,
    created_at: i64,
    expired_by: Option<String>,
}

/// In place of the status: it fires, and must be notified once more.
const NOTIFY_AGAIN: &str = "notify_again";

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
    let silences = changes.silences.iter().map(|id| AlertRow {
        kind: AlertRowKind::Silence,
        key: id.clone(),
        json: state
            .silences()
            .get(id)
            .map(|silence| json(&silence_record(silence))),
    });
    alerts.chain(groups).chain(silences).collect()
}

/// What rows stand for. A row of another version that cannot be read is left out.
pub fn read(rows: Vec<AlertRow>) -> RestoredState {
    let mut stored = RestoredState::default();
    for row in rows {
        let json = row.json.unwrap_or_default();
        match row.kind {
            AlertRowKind::Alert => {
                let record = serde_json::from_str(&json).ok();
                stored
                    .alerts
                    .extend(record.and_then(|record| alert(row.key, record)));
            }
            AlertRowKind::Group => {
                let record = serde_json::from_str(&json).ok();
                stored
                    .groups
                    .extend(record.map(|record| group(row.key, record)));
            }
            AlertRowKind::Silence => {
                let record = serde_json::from_str(&json).ok();
                stored
                    .silences
                    .extend(record.and_then(|record| silence(row.key, record)));
            }
        }
    }
    stored
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
        acknowledged: alert.acknowledged.as_ref().map(acknowledgement_record),
        inhibits_until: alert.inhibits_until.map(Timestamp::as_millisecond),
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
        acknowledged: record.acknowledged.map(acknowledgement),
        inhibits_until: record.inhibits_until.map(time),
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
        notified_steady: entry.notified_steady.map(Timestamp::as_millisecond),
    };
    GroupRecord {
        route: group.route.clone(),
        labels: group.labels.clone(),
        wait_ms: millis(group.timing.wait),
        interval_ms: millis(group.timing.interval),
        first_flush: group.first_flush.map(Timestamp::as_millisecond),
        due: group.due.map(Timestamp::as_millisecond),
        left: group.left.iter().cloned().collect(),
        remind_ms: group.timing.remind_every.map(millis),
        acknowledged: group.acknowledged.as_ref().map(acknowledgement_record),
        muted: group.muted.clone(),
        log: group.log.iter().map(entry).collect(),
    }
}

fn group(key: String, record: GroupRecord) -> Group {
    let timing = GroupTiming {
        wait: Duration::from_millis(record.wait_ms),
        interval: Duration::from_millis(record.interval_ms),
        remind_every: record.remind_ms.map(Duration::from_millis),
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
            notified_steady: entry.notified_steady.map(time),
        };
        (entry.destination, log)
    };
    let mut group = Group::new(key.into(), record.route, record.labels, timing);
    group.first_flush = record.first_flush.map(time);
    group.due = record.due.map(time);
    group.left = record.left.into_iter().collect();
    group.acknowledged = record.acknowledged.map(acknowledgement);
    group.muted = record.muted;
    group.log = record.log.into_iter().map(entry).collect();
    group
}

fn notified_record(alerts: &NotifiedAlerts) -> NotifiedRecord {
    let status = |notified: &Notified| match (notified.is_resolved, notified.notify_again) {
        (true, _) => AlertStatus::Resolved.word(),
        (false, true) => NOTIFY_AGAIN,
        (false, false) => AlertStatus::Firing.word(),
    };
    let record = |(key, notified): (&AlertKey, &Notified)| {
        let level = notified.level.map(|level| level.word().to_owned());
        (key.clone(), (status(notified).to_owned(), level))
    };
    alerts.iter().map(record).collect()
}

fn notified(record: NotifiedRecord) -> NotifiedAlerts {
    let record = record.into_iter().map(|(key, (status, level))| {
        let notified = Notified {
            is_resolved: AlertStatus::parse(&status) == Some(AlertStatus::Resolved),
            level: level.as_deref().and_then(Level::parse),
            notify_again: status == NOTIFY_AGAIN,
        };
        (key, notified)
    });
    record.collect()
}

fn acknowledgement_record(acknowledgement: &AlertAcknowledgement) -> AcknowledgementRecord {
    AcknowledgementRecord {
        by: acknowledgement.by.clone(),
        comment: acknowledgement.comment.clone(),
        at: acknowledgement.at.as_millisecond(),
        until: acknowledgement.until.map(Timestamp::as_millisecond),
        level: acknowledgement.level.map(|level| level.word().to_owned()),
    }
}

fn acknowledgement(record: AcknowledgementRecord) -> AlertAcknowledgement {
    AlertAcknowledgement {
        by: record.by,
        comment: record.comment,
        at: time(record.at),
        until: record.until.map(time),
        level: record.level.as_deref().and_then(Level::parse),
    }
}

fn silence_record(silence: &StoredSilence) -> SilenceRecord {
    SilenceRecord {
        r#match: serde_json::to_string(&matcher::json::to_json(&silence.matcher))
            .unwrap_or_default(),
        from: silence.from.as_millisecond(),
        until: silence.until.as_millisecond(),
        comment: silence.comment.clone(),
        created_by: silence.created_by.clone(),
        created_at: silence.created_at.as_millisecond(),
        expired_by: silence.expired_by.clone(),
    }
}

fn silence(id: String, record: SilenceRecord) -> Option<StoredSilence> {
    let json = crate::json::parse(&record.r#match).ok()?.json;
    let path = crate::json::Path::root();
    Some(StoredSilence {
        id,
        matcher: matcher::json::from_json(&json, &path, &LevelMap::default()).ok()?,
        from: time(record.from),
        until: time(record.until),
        comment: record.comment,
        created_by: record.created_by,
        created_at: time(record.created_at),
        expired_by: record.expired_by,
    })
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
