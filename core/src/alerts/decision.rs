//! Decides whether each destination is notified of an event.

use std::sync::Arc;
use std::time::Duration;

use super::alert::{Alert, AlertKey, Now};
use super::dedup::{Member, to_notify};
use super::group::{Group, GroupTiming, RouteRef, group_key};
use super::log::{GroupDestination, Pending};
use super::mute::{Mute, recheck_at};
use crate::api::request::ReportedAlert;
use crate::model::notification::Notification;

/// An event, and the groups that the routes choose for it.
#[derive(Debug)]
pub struct AlertEvent<'a> {
    pub task: &'a str,
    pub key: AlertKey,
    pub notification: &'a Arc<Notification>,
    /// The times of an alert that another system reports.
    pub reported: Option<ReportedAlert>,
    /// The scope of the settings that routed it.
    pub routed_by: Arc<str>,
    pub groups: Vec<RoutedGroup>,
    pub max_alerts: usize,
}

/// A group for an event, and its destinations.
#[derive(Clone, Debug)]
pub struct RoutedGroup {
    pub route: RouteRef,
    /// `None`: each alert forms its own group.
    pub labels: Option<Vec<(String, String)>>,
    pub timing: GroupTiming,
    pub resolve_timeout: Option<Duration>,
    pub targets: Vec<GroupDestination>,
    /// Why its notifications about the event are muted, acknowledgements aside.
    pub mute: Option<Mute>,
}

/// The decision about an event at one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent now, as a notification about this alert alone.
    Notify,
    /// A later notification of its group has it.
    Grouped,
    Suppressed(String),
}

/// The decisions about an event.
#[derive(Debug)]
pub struct Decision {
    /// As it is sent.
    pub notification: Arc<Notification>,
    /// For the destinations that the request brings. They have no entry in the notification log, since nothing can be
    /// sent to them later.
    pub own: Verdict,
    /// In the order of the deliveries.
    pub verdicts: Vec<(GroupDestination, Verdict)>,
    pub warning: Option<&'static str>,
}

/// Rules in answers, log lines and the history.
pub mod rules {
    pub const UNCHANGED: &str = crate::model::outcome::Outcome::UNCHANGED;
    pub const STALE: &str = "stale";
    pub const NOT_FIRING: &str = crate::model::outcome::Outcome::NOT_FIRING;
}

impl AlertEvent<'_> {
    /// The event is sent, unless a group of it is muted.
    pub fn unless_muted(&self) -> Verdict {
        let mut mutes = self.groups.iter().filter_map(|group| group.mute.as_ref());
        let mute = mutes.next();
        mute.map_or(Verdict::Notify, |mute| {
            Verdict::Suppressed(mute.rule.clone())
        })
    }

    /// The keys of its groups.
    pub fn group_keys(&self) -> Vec<Arc<str>> {
        let key = |group: &RoutedGroup| group_key(&group.route, group.labels.as_deref(), &self.key);
        self.groups.iter().map(key).collect()
    }
}

/// The alert is its own group: each destination is notified in the event's own task.
pub fn notify(
    group: &mut Group,
    event: &AlertEvent<'_>,
    alert: &Alert,
    (targets, mute): (&[GroupDestination], Option<&Mute>),
    now: Now,
    verdicts: &mut Vec<(GroupDestination, Verdict)>,
) {
    group.first_flush.get_or_insert(now.steady);
    group.due = None;
    group.judge_at = mute.map(|mute| recheck_at([mute], now));
    match mute {
        Some(mute) => group.muted.insert(alert.key.clone(), mute.rule.clone()),
        None => group.muted.remove(&alert.key),
    };
    let member = [Member {
        alert,
        has_left: false,
        is_muted: false,
    }];
    for target in targets {
        let entry = group.log.entry(target.id.clone()).or_default();
        let alerts = to_notify(Some(entry), &member, target);
        let verdict = if entry.pending.is_some() {
            Verdict::Grouped
        } else if let Some(retry_at) = entry.retry_at.filter(|_| entry.waits(now.steady)) {
            group.due_by(retry_at);
            Verdict::Grouped
        } else if let Some(mute) = mute {
            Verdict::Suppressed(mute.rule.clone())
        } else if alerts.is_empty() {
            if alert.is_resolved() {
                entry.sent.remove(&alert.key);
            }
            Verdict::Suppressed(match alert.is_resolved() {
                true => rules::NOT_FIRING.to_owned(),
                false => rules::UNCHANGED.to_owned(),
            })
        } else {
            let (task, index) = (event.task.to_owned(), verdicts.len());
            entry.pending = Some(Pending::new(task, index, alerts));
            Verdict::Notify
        };
        verdicts.push((target.clone(), verdict));
    }
}

/// Gives all targets one verdict, or that the event is muted.
pub fn decide(
    mute: Option<&Mute>,
    targets: &[GroupDestination],
    verdict: &Verdict,
    verdicts: &mut Vec<(GroupDestination, Verdict)>,
) {
    let muted = |mute: &Mute| Verdict::Suppressed(mute.rule.clone());
    let verdict = mute.map_or_else(|| verdict.clone(), muted);
    let decided = targets.iter();
    verdicts.extend(decided.map(|target| (target.clone(), verdict.clone())));
}

/// No alert is known that it could end. Destinations that keep incidents may know it, since memory may be lost.
pub fn not_firing(event: &AlertEvent<'_>) -> Vec<(GroupDestination, Verdict)> {
    let targets = event.groups.iter().flat_map(|group| &group.targets);
    let verdict = |target: &GroupDestination| match target.keeps_incidents {
        true => Verdict::Notify,
        false => Verdict::Suppressed(rules::NOT_FIRING.to_owned()),
    };
    targets
        .map(|target| (target.clone(), verdict(target)))
        .collect()
}

/// The event is sent now, regardless of earlier notifications.
pub fn notify_all(event: &AlertEvent<'_>) -> Vec<(GroupDestination, Verdict)> {
    let mut verdicts = Vec::new();
    for group in &event.groups {
        decide(
            group.mute.as_ref(),
            &group.targets,
            &Verdict::Notify,
            &mut verdicts,
        );
    }
    verdicts
}
