//! The view of alerts and groups: what fires, and which destinations know it.

mod filter;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

pub use self::filter::ViewFilter;
use super::alert::{Alert, Now, later};
use super::destinations::Destinations;
use super::group::Group;
use super::log::{DestinationId, LogEntry};
use super::state::ScopeState;
use crate::api::response::Results;
use crate::config::Settings;
use crate::json::Json;
use crate::model::notification::{AlertStatus, Level};
use crate::routing;
use crate::text::truncate;

/// The alerts of a view are cut beyond so many bytes.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Characters of an alert's text.
const MAX_TEXT: usize = 500;

/// Alerts and groups under one configuration file.
#[derive(Debug, Serialize)]
pub struct AlertsView {
    pub status: &'static str,
    /// Always empty, because every response has this member.
    pub results: Results,
    /// Where the alert state is: `off`, `memory` or `outbox`.
    pub state: &'static str,
    /// Of all alerts and groups, whatever the filter.
    pub counts: StateCounts,
    /// Firing alerts first, then the worst, then the oldest.
    pub alerts: Vec<AlertView>,
    /// The groups of these alerts.
    pub groups: Vec<GroupView>,
    /// Alerts that the filter selects, and that are beyond the limits.
    pub left_out: usize,
}

/// Alerts and groups by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateCounts {
    pub firing: usize,
    pub acknowledged: usize,
    pub resolved: usize,
    /// Events without identity that wait for their group.
    pub one_off: usize,
    pub groups_firing: usize,
    /// Groups whose alerts are all over, and that some destination does not know yet.
    pub groups_resolved: usize,
}

#[derive(Debug, Serialize)]
pub struct AlertView {
    /// `None`: it has no identity.
    pub dedup_key: Option<String>,
    pub status: &'static str,
    pub level: Option<&'static str>,
    pub title: Option<String>,
    pub text: String,
    pub labels: Json,
    pub link: Option<String>,
    pub table: Option<String>,
    pub starts_at: String,
    pub updated_at: String,
    pub ends_at: Option<String>,
    /// When a firing alert resolves without further events.
    pub resolves_at: Option<String>,
    /// The rule that mutes its notifications now.
    pub muted_by: Option<String>,
    /// Receivers that know that it fires.
    pub notified: Vec<String>,
    pub groups: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct GroupView {
    pub group_key: String,
    pub route: String,
    pub status: &'static str,
    /// The values of `group_by`; `None`: the group is one alert.
    pub labels: Option<BTreeMap<String, String>>,
    pub alerts: usize,
    pub firing: usize,
    /// When the group is looked at next.
    pub due_at: Option<String>,
    pub destinations: Vec<DestinationView>,
}

/// What one destination knows of a group.
#[derive(Debug, Serialize)]
pub struct DestinationView {
    pub receiver: String,
    pub sender: String,
    /// As in log lines; `None`: the file does not have it any more.
    pub destination: Option<String>,
    /// `waiting`: it was not notified yet; `pending`: a notification is on its way; `failed`: the last one has failed, and the
    /// next is sent at `retry_at`; `notified`.
    pub state: &'static str,
    /// The firing alerts that it knows.
    pub firing: usize,
    pub notified_at: Option<String>,
    pub retry_at: Option<String>,
    /// The task of the notification on its way.
    pub task_id: Option<String>,
}

impl AlertsView {
    pub fn new(state: &'static str) -> Self {
        Self {
            status: "ok",
            results: Results::default(),
            state,
            counts: StateCounts::default(),
            alerts: Vec::new(),
            groups: Vec::new(),
            left_out: 0,
        }
    }

    /// Adds selected alerts of this state, and their groups.
    pub fn fill(
        &mut self,
        selected: &Selection,
        state: &ScopeState,
        settings: &Settings,
        now: Now,
    ) {
        self.counts = state.counts();
        self.left_out = selected.left_out;
        let keys = selected.alerts.iter().flat_map(|alert| &alert.groups);
        let keys: BTreeSet<_> = keys.collect();
        let groups = keys.into_iter().filter_map(|key| state.group(key));
        self.groups = groups
            .map(|group| group_view(group, state, settings, now))
            .collect();
        let alerts = selected.alerts.iter();
        self.alerts = alerts
            .map(|alert| alert_view(alert, state, settings, now))
            .collect();
    }
}

/// The alerts that a view shows.
#[derive(Debug)]
pub struct Selection {
    alerts: Vec<Alert>,
    left_out: usize,
}

/// Selects the alerts of a view: the most urgent ones, within the limits.
pub fn select(mut alerts: Vec<Alert>, filter: &ViewFilter) -> Selection {
    alerts.retain(|alert| filter.matches(alert));
    alerts.sort_by_key(|alert| {
        let key = alert.key.clone();
        (
            alert.is_resolved(),
            Reverse(alert.level()),
            alert.starts_at,
            key,
        )
    });
    let mut bytes = 0;
    let fits = alerts.iter().take(filter.limit()).take_while(|alert| {
        bytes += alert.size();
        bytes <= MAX_BYTES
    });
    let shown = fits.count();
    let left_out = alerts.len() - shown;
    alerts.truncate(shown);
    Selection { alerts, left_out }
}

impl ScopeState {
    /// The number of alerts and groups in each state.
    pub fn counts(&self) -> StateCounts {
        let mut counts = StateCounts::default();
        for alert in self.alerts() {
            *match (alert.is_one_off, alert.status) {
                (true, _) => &mut counts.one_off,
                (_, AlertStatus::Firing) => &mut counts.firing,
                (_, AlertStatus::Acknowledged) => &mut counts.acknowledged,
                (_, AlertStatus::Resolved) => &mut counts.resolved,
            } += 1;
        }
        for group in self.groups() {
            *match firing(group, self) {
                0 => &mut counts.groups_resolved,
                _ => &mut counts.groups_firing,
            } += 1;
        }
        counts
    }
}

/// The alerts of a group that are not over in it.
fn firing(group: &Group, state: &ScopeState) -> usize {
    let stays = group
        .members
        .iter()
        .filter(|key| !group.left.contains(*key));
    let alerts = stays.filter_map(|key| state.alert(key));
    alerts.filter(|alert| !alert.is_resolved()).count()
}

fn alert_view(alert: &Alert, state: &ScopeState, settings: &Settings, now: Now) -> AlertView {
    let notification = &alert.notification;
    let groups = alert.groups.iter().filter_map(|key| state.group(key));
    let entries = groups.flat_map(|group| &group.log);
    let knowing = entries.filter(|(_, entry)| entry.knows_firing(&alert.key));
    let notified: BTreeSet<_> = knowing.map(|(id, _)| id.receiver.clone()).collect();
    let silence = routing::silence(settings, notification, now.wall);
    let silence = silence.map(|silence| silence.name.clone());
    let mut groups = alert.groups.iter().filter_map(|key| state.group(key));
    let muted_by = groups.find_map(|group| group.muted.get(&alert.key).cloned());
    let text = notification.as_text().unwrap_or_default();
    AlertView {
        dedup_key: alert.dedup_key().map(|key| key.to_string()),
        status: alert.status.word(),
        level: alert.level().map(Level::word),
        title: notification.title.clone(),
        text: truncate(&text, MAX_TEXT),
        labels: Json::Object(notification.fields.clone()),
        link: notification.link.clone(),
        table: notification.table.as_deref().map(ToOwned::to_owned),
        starts_at: shown(alert.starts_at),
        updated_at: shown(alert.updated_at),
        ends_at: alert.ends_at.map(shown),
        resolves_at: alert
            .due
            .filter(|_| !alert.is_resolved() && !alert.is_one_off)
            .map(|due| shown(wall(due, now))),
        muted_by: muted_by.or(silence).filter(|_| !alert.is_resolved()),
        notified: notified.into_iter().collect(),
        groups: alert.groups.iter().map(ToString::to_string).collect(),
    }
}

fn group_view(group: &Group, state: &ScopeState, settings: &Settings, now: Now) -> GroupView {
    let firing = firing(group, state);
    let status = match firing {
        0 => AlertStatus::Resolved,
        _ => AlertStatus::Firing,
    };
    let nothing = LogEntry::default();
    let targets = settings.of_route(&group.route);
    let targets: BTreeSet<_> = targets.iter().map(|target| &target.id).collect();
    let known = targets.into_iter().chain(group.log.keys());
    let ids: BTreeSet<&DestinationId> = known.collect();
    let destinations = ids.into_iter().map(|id| {
        let entry = group.log.get(id).unwrap_or(&nothing);
        destination_view(id, entry, settings, now)
    });
    let labels = group.labels.as_ref();
    GroupView {
        group_key: group.key.to_string(),
        route: group.route.key(),
        status: status.word(),
        labels: labels.map(|labels| labels.iter().cloned().collect()),
        alerts: group.members.len(),
        firing,
        due_at: group.due.map(|due| shown(wall(due, now))),
        destinations: destinations.collect(),
    }
}

fn destination_view(
    id: &DestinationId,
    entry: &LogEntry,
    settings: &Settings,
    now: Now,
) -> DestinationView {
    let config = &settings.config;
    let receiver = config.by_name.get(&id.receiver);
    let receiver = receiver.and_then(|place| config.receivers.get(*place));
    let destination = receiver.and_then(|receiver| receiver.destinations.get(id.place));
    let label = destination.map(|known| known.channel.destination().label.clone());
    let state = match entry {
        LogEntry {
            pending: Some(_), ..
        } => "pending",
        LogEntry {
            retry_at: Some(_), ..
        } => "failed",
        LogEntry {
            notified_at: Some(_),
            ..
        } => "notified",
        _ => "waiting",
    };
    DestinationView {
        receiver: id.receiver.clone(),
        sender: id.sender.clone(),
        destination: label,
        state,
        firing: entry.sent.values().filter(|sent| !sent.is_resolved).count(),
        notified_at: entry.notified_at.map(shown),
        retry_at: entry.retry_at.map(|at| shown(wall(at, now))),
        task_id: entry.pending.as_ref().map(|pending| pending.task.clone()),
    }
}

/// The wall time of a time of the steady clock.
fn wall(steady: Timestamp, now: Now) -> Timestamp {
    let wait = steady.duration_since(now.steady);
    match std::time::Duration::try_from(wait) {
        Ok(wait) => later(now.wall, wait),
        Err(_) => now.wall,
    }
}

fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
