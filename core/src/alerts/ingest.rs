//! Applies an event to its alert.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::alert::{Alert, AlertKey, Now, later};
use super::decision::AlertEvent;
use super::inhibit::RELEASE_WAIT;
use crate::api::request::ReportedAlert;
use crate::config::matcher::{MatchInput, Name};
use crate::model::notification::{AlertStatus, Level, Notification};

/// A timestamp further ahead counts as now.
const MAX_AHEAD: Duration = Duration::from_secs(5 * 60);
/// How long a resolved alert is remembered: an older event that comes late is stale.
pub const KEEP_RESOLVED: Duration = Duration::from_secs(15 * 60);

/// Whether an event belongs to an alert.
#[derive(Debug, PartialEq, Eq)]
pub enum EventIdentity {
    Alert(AlertKey),
    /// It has neither a dedup key nor every value of `alert_key`; the first that is absent.
    OneOff {
        absent: Option<Name>,
    },
}

/// The change that an event makes.
#[derive(Debug)]
pub enum Ingested {
    /// It begins to fire, or its level rises.
    Fires(Alert),
    /// It fires as before.
    Repeats(Alert),
    Acknowledged(Alert),
    Resolved(Alert),
    /// It is older than the alert's last event.
    Stale,
    /// It resolves or acknowledges what does not fire.
    NotFiring,
}

/// The dedup key is the identity; without one, all values of `alert_key` are.
pub fn identity(
    notification: &Notification,
    reported: Option<ReportedAlert>,
    alert_key: &[Name],
) -> EventIdentity {
    if let Some(key) = &notification.dedup_key {
        return EventIdentity::Alert(match reported {
            Some(_) => AlertKey::of_labels(key),
            None => AlertKey::of_dedup_key(key),
        });
    }
    let input = MatchInput::of(notification);
    let mut values = Vec::with_capacity(alert_key.len());
    for name in alert_key {
        match input.value(name) {
            Some(value) => values.push(value),
            None => {
                let absent = Some(name.clone());
                return EventIdentity::OneOff { absent };
            }
        }
    }
    match values.is_empty() {
        true => EventIdentity::OneOff { absent: None },
        false => EventIdentity::Alert(AlertKey::of_values(values)),
    }
}

/// The effect of an event on the alert of its key.
pub fn ingest(event: &AlertEvent<'_>, known: Option<&Alert>, now: Now) -> Ingested {
    let AlertEvent {
        key,
        notification: event,
        reported,
        ..
    } = event;
    let at = happened(event, now.wall);
    // A report repeats the time at which the alert began, and two servers may report different ones.
    if let (Some(known), Some(_), None) = (known, event.timestamp, reported)
        && at < known.updated_at
    {
        return Ingested::Stale;
    }
    let firing = known.filter(|known| !known.is_resolved());
    match (status(event, firing.is_some()), firing) {
        (AlertStatus::Firing, None) => Ingested::Fires(Alert {
            key: key.clone(),
            is_one_off: false,
            notification: Arc::clone(event),
            status: AlertStatus::Firing,
            starts_at: at,
            ends_at: None,
            updated_at: at,
            // A group may still have to send the resolved of before.
            groups: known.map_or_else(Vec::new, |known| known.groups.clone()),
            acknowledged: None,
            inhibits_until: None,
            resolve_timeout: None,
            due: None,
            stored_due: None,
            routed_by: None,
        }),
        (AlertStatus::Firing, Some(firing)) => fires_again(event, firing, at),
        (_, None) => Ingested::NotFiring,
        (status @ AlertStatus::Acknowledged, Some(firing)) => Ingested::Acknowledged(Alert {
            status,
            updated_at: at,
            notification: with_level_of(event, firing),
            ..firing.clone()
        }),
        (status @ AlertStatus::Resolved, Some(firing)) => Ingested::Resolved(Alert {
            status,
            updated_at: at,
            ends_at: Some(at),
            notification: with_level_of(event, firing),
            acknowledged: None,
            inhibits_until: Some(later(now.steady, RELEASE_WAIT)),
            due: Some(later(now.steady, KEEP_RESOLVED)),
            ..firing.clone()
        }),
    }
}

fn fires_again(event: &Arc<Notification>, firing: &Alert, at: Timestamp) -> Ingested {
    let rises = event.level_for_rules() > firing.level();
    let again = Alert {
        notification: Arc::clone(event),
        starts_at: at.min(firing.starts_at),
        updated_at: at.max(firing.updated_at),
        status: match rises {
            true => AlertStatus::Firing,
            false => firing.status,
        },
        acknowledged: firing.acknowledged.clone().filter(|_| !rises),
        ..firing.clone()
    };
    match rises {
        true => Ingested::Fires(again),
        false => Ingested::Repeats(again),
    }
}

/// The event's notification with the level and the fields of the last firing. So the destinations of the firing are notified of its end.
fn with_level_of(event: &Notification, firing: &Alert) -> Arc<Notification> {
    let last = &firing.notification;
    let mut fields = event.fields.clone();
    let is_new = |name: &str| event.fields.iter().all(|(known, _)| known != name);
    let others = last.fields.iter().filter(|(name, _)| is_new(name));
    fields.extend(others.cloned());
    Arc::new(Notification {
        level: firing.level().or(event.level),
        title: event.title.clone().or_else(|| last.title.clone()),
        link: event.link.clone().or_else(|| last.link.clone()),
        status: event.status.or(Some(AlertStatus::Resolved)),
        fields,
        ..event.clone()
    })
}

/// The level `ok` resolves an alert that fires.
fn status(event: &Notification, is_firing: bool) -> AlertStatus {
    match event.status {
        Some(status) => status,
        None if is_firing && event.level_for_rules() == Some(Level::Ok) => AlertStatus::Resolved,
        None => AlertStatus::Firing,
    }
}

fn happened(event: &Notification, now: Timestamp) -> Timestamp {
    let reported = event.timestamp.filter(|at| *at <= later(now, MAX_AHEAD));
    reported.unwrap_or(now)
}
