//! The notification that one destination gets at a flush of its group.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::acknowledge;
use super::alert::{AlertKey, Now, later};
use super::dedup::{Member, to_notify};
use super::group::Group;
use super::log::{
    ClosedEntry, GroupDestination, LogEntry, NotificationKind, Notified, NotifiedAlerts, Pending,
};
use super::mute::Mute;
use super::release::with_mutes;
use super::render::render;
use crate::model::notification::Notification;

/// A notification of a group for one destination.
#[derive(Debug)]
pub struct Flush {
    pub target: GroupDestination,
    pub task: String,
    /// The delivery's index in the task.
    pub index: usize,
    pub kind: NotificationKind,
    pub notification: Arc<Notification>,
}

/// What all destinations of a group share at a flush.
pub(super) struct FlushContext<'a> {
    pub members: &'a [Member<'a>],
    /// Alerts whose mute has ended, and its rule.
    pub released: &'a BTreeMap<AlertKey, String>,
    /// It is time for changes, or a mute has ended.
    pub sends_changes: bool,
    /// No reminder leaves before.
    pub quiet_until: Timestamp,
    pub now: Now,
}

/// Returns the notification that one destination of the group gets now.
pub(super) fn flush_to(
    group: &mut Group,
    target: &GroupDestination,
    cx: &FlushContext<'_>,
) -> Option<Flush> {
    let now = cx.now;
    let members = cx.members.iter();
    let members: Vec<_> = members.map(|member| member.seen_by(target)).collect();
    let entry = group.log.entry(target.id.clone()).or_default();
    if !target.send_resolved {
        for member in members.iter().filter(|member| member.is_over()) {
            entry.sent.remove(&member.alert.key);
        }
    }
    if let Some(retry_at) = entry.retry_at.filter(|_| entry.waits(now.steady)) {
        group.due_by(retry_at);
        return None;
    }
    // The delivery of an open notification asks for the present content itself.
    if entry.pending.is_some() {
        return None;
    }
    let mut alerts = match cx.sends_changes {
        true => to_notify(Some(entry), &members, target),
        false => NotifiedAlerts::new(),
    };
    let mut kind = kind(entry, &alerts, &members);
    if alerts.is_empty() {
        let due = reminder_due(entry, &members, group.timing.remind_every)?.max(cx.quiet_until);
        if now.steady < due {
            group.judge_by(due);
            return None;
        }
        alerts = firing(&members);
        kind = NotificationKind::Reminder;
    }
    let task = uuid::Uuid::new_v4().to_string();
    let notified = members
        .iter()
        .filter(|member| alerts.contains_key(&member.alert.key));
    let notification = render(
        (&group.key, group.labels.as_deref()),
        &target.id,
        &entry.sent,
        notified,
        now.wall,
    );
    let is_notified = |(key, _): &(&AlertKey, &String)| alerts.contains_key(key);
    let released = cx.released.iter().filter(is_notified);
    let notification = with_mutes(notification, released);
    entry.pending = Some(Pending::new(task.clone(), 0, alerts));
    Some(Flush {
        target: target.clone(),
        task,
        index: 0,
        kind,
        notification: Arc::new(notification),
    })
}

/// Records which members are muted. Returns those whose mute has ended while they fire, with its rule.
pub(super) fn released(
    group: &mut Group,
    members: &[Member<'_>],
    mutes: &BTreeMap<AlertKey, Mute>,
) -> BTreeMap<AlertKey, String> {
    let muted = mutes
        .iter()
        .map(|(key, mute)| (key.clone(), mute.rule.clone()));
    let before = std::mem::replace(&mut group.muted, muted.collect());
    let fires = |key: &AlertKey| {
        let mut members = members.iter();
        members.any(|member| member.alert.key == *key && !member.is_over())
    };
    let is_released = |key: &AlertKey| !mutes.contains_key(key) && fires(key);
    let released: BTreeMap<_, _> = before
        .into_iter()
        .filter(|(key, _)| is_released(key))
        .collect();
    for (key, _) in released
        .iter()
        .filter(|(_, rule)| *rule == acknowledge::RULE)
    {
        let entries = group.log.values_mut();
        for sent in entries.filter_map(|entry| entry.sent.get_mut(key)) {
            sent.notify_again = true;
        }
    }
    released
}

/// Returns when a destination is reminded, if it knows an alert that fires and is not muted.
pub(super) fn reminder_due(
    entry: &LogEntry,
    members: &[Member<'_>],
    every: Option<Duration>,
) -> Option<Timestamp> {
    let firing = firing(members);
    let mut known = firing.keys().filter(|key| entry.knows_firing(key));
    known.next()?;
    Some(later(entry.notified_steady?, every?))
}

/// The alerts that an open notification has if it is made now. A reminder has no news, and still every alert that fires.
pub(super) fn present_alerts(
    entry: &LogEntry,
    members: &[Member<'_>],
    target: &GroupDestination,
) -> NotifiedAlerts {
    let is_known = |(key, notified): (&AlertKey, &Notified)| {
        let sent = entry.sent.get(key);
        !notified.is_resolved && sent.is_some_and(|sent| sent.level == notified.level)
    };
    let news = to_notify(Some(entry), members, target);
    let pending = entry.pending.as_ref();
    let is_reminder = pending.is_some_and(|pending| pending.alerts.iter().all(is_known));
    match news.is_empty() && is_reminder {
        true => firing(members),
        false => news,
    }
}

/// The alerts that fire and are not muted.
fn firing(members: &[Member<'_>]) -> NotifiedAlerts {
    let fires =
        |member: &&Member<'_>| !(member.is_over() || member.is_muted || member.alert.is_one_off);
    members.iter().filter(fires).map(Member::notified).collect()
}

pub(super) fn kind(
    entry: &LogEntry,
    alerts: &NotifiedAlerts,
    members: &[Member<'_>],
) -> NotificationKind {
    let mut notified = members
        .iter()
        .filter(|member| alerts.contains_key(&member.alert.key));
    if alerts.values().any(|notified| !notified.is_resolved) {
        return match entry.sent.is_empty() {
            true => NotificationKind::First,
            false => NotificationKind::Change,
        };
    }
    match notified.all(|member| member.has_left && !member.alert.is_resolved()) {
        true => NotificationKind::Moved,
        false => NotificationKind::Resolved,
    }
}

/// Removes the entries of destinations that the group does not concern any more. Returns those that know an alert, which
/// nobody can notify of its end.
pub(super) fn close_entries(group: &mut Group, targets: &[GroupDestination]) -> Vec<ClosedEntry> {
    let current: HashSet<_> = targets.iter().map(|target| &target.id).collect();
    let mut closed = Vec::new();
    let key = &group.key;
    group.log.retain(|id, entry| {
        let stays = current.contains(id) || entry.pending.is_some();
        if !stays && !entry.sent.is_empty() {
            closed.push(ClosedEntry {
                group: Arc::clone(key),
                receiver: id.receiver.clone(),
                alerts: entry.sent.len(),
            });
        }
        stays
    });
    closed
}
