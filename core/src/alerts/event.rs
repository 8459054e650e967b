//! Takes events up.

use std::sync::Arc;
use std::time::Duration;

use super::alert::{Alert, AlertKey, Now, later};
use super::decision::{
    AlertEvent, Decision, RoutedGroup, Verdict, decide, not_firing, notify, notify_all, rules,
};
use super::destination_flush::close_entries;
use super::destinations::{Destinations, of_group};
use super::group::Group;
use super::ingest::{Ingested, ingest};
use super::log::GroupDestination;
use super::mute::Mute;
use super::muting::acknowledged;
use super::state::ScopeState;
use crate::api::request::ReportedAlert;
use crate::model::notification::{AlertStatus, Notification};

/// How long an event without identity waits for a notification that reaches its destinations.
const KEEP_ONE_OFF: Duration = Duration::from_secs(24 * 3600);
/// The resolve timeout of reported alerts without an end, as in Alertmanager,
/// <https://prometheus.io/docs/alerting/latest/configuration/> (`resolve_timeout`).
const REPORTED_RESOLVE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const FULL: &str =
    "there is no room for another alert (max_alerts): this one is sent without state";

impl ScopeState {
    /// Takes an event up.
    pub fn event(
        &mut self,
        event: AlertEvent<'_>,
        destinations: &dyn Destinations,
        now: Now,
    ) -> Decision {
        let known = self.alert(&event.key);
        let is_new = known.is_none();
        let ingested = ingest(&event, known, now);
        let suppress_all = |rule: &str| {
            let each = event.groups.iter().flat_map(|group| &group.targets);
            let verdict = || Verdict::Suppressed(rule.to_owned());
            each.map(|target| (target.clone(), verdict())).collect()
        };
        let mut decision = Decision {
            notification: Arc::clone(event.notification),
            own: own_verdict(&ingested, &event),
            verdicts: Vec::new(),
            warning: None,
        };
        match ingested {
            Ingested::Stale => decision.verdicts = suppress_all(rules::STALE),
            Ingested::NotFiring => decision.verdicts = not_firing(&event),
            Ingested::Fires(_) if is_new && !self.has_room(event.max_alerts) => {
                decision.warning = Some(FULL);
                decision.verdicts = notify_all(&event);
            }
            Ingested::Fires(alert) => {
                decision.verdicts = self.fires(&event, alert, now);
            }
            Ingested::Repeats(mut alert) if alert.groups == event.group_keys() => {
                alert.routed_by = Some(Arc::clone(&event.routed_by));
                self.repeats(event.reported, alert, now);
                decision.verdicts = suppress_all(rules::UNCHANGED);
            }
            Ingested::Repeats(alert) => {
                decision.verdicts = self.fires(&event, alert, now);
            }
            Ingested::Acknowledged(alert) => {
                decision.notification = Arc::clone(&alert.notification);
                decision.verdicts = notify_all(&event);
                self.acknowledged_by_event(alert, now);
            }
            Ingested::Resolved(alert) => {
                decision.notification = Arc::clone(&alert.notification);
                decision.verdicts = self.resolves(&event, alert, destinations, now);
            }
        }
        decision
    }

    /// Takes up an event without identity, whose key is its task's. Groups send it once; without a group it is sent now.
    pub fn one_off(&mut self, event: AlertEvent<'_>, now: Now) -> Decision {
        let mut alert = Alert {
            key: event.key.clone(),
            is_one_off: true,
            notification: Arc::clone(event.notification),
            status: event.notification.status.unwrap_or(AlertStatus::Firing),
            starts_at: now.wall,
            ends_at: None,
            updated_at: now.wall,
            groups: Vec::new(),
            acknowledged: None,
            inhibits_until: None,
            resolve_timeout: None,
            due: Some(later(now.steady, KEEP_ONE_OFF)),
            stored_due: None,
            routed_by: None,
        };
        let mut verdicts = Vec::new();
        for (key, routed) in event.group_keys().into_iter().zip(&event.groups) {
            let is_full = !self.has_room(event.max_alerts);
            if routed.mute.is_some() || routed.labels.is_none() || is_full {
                decide(
                    routed.mute.as_ref(),
                    &routed.targets,
                    &Verdict::Notify,
                    &mut verdicts,
                );
                continue;
            }
            let mut group = self.group_for(&key, routed);
            group.members.insert(alert.key.clone());
            group.due = Some(group.due_for(&alert, now));
            self.put_group(group);
            alert.groups.push(key);
            decide(
                routed.mute.as_ref(),
                &routed.targets,
                &Verdict::Grouped,
                &mut verdicts,
            );
        }
        if !alert.groups.is_empty() {
            self.put_alert(alert);
        }
        Decision {
            notification: Arc::clone(event.notification),
            own: event.unless_muted(),
            verdicts,
            warning: None,
        }
    }

    /// Takes the group of a key out, or makes it.
    fn group_for(&mut self, key: &Arc<str>, routed: &RoutedGroup) -> Group {
        let mut group = self.take_group(key).unwrap_or_else(|| {
            let (route, labels) = (routed.route.clone(), routed.labels.clone());
            Group::new(Arc::clone(key), route, labels, routed.timing)
        });
        group.timing = routed.timing;
        group
    }

    /// Takes a report that repeats an alert's last one under the same settings. Returns `false` for any other event: routes
    /// and groups have to decide about it.
    pub fn report_again(
        &mut self,
        key: &AlertKey,
        notification: &Notification,
        reported: Option<ReportedAlert>,
        routed_by: &str,
        now: Now,
    ) -> bool {
        let Some(known) = self.alert(key) else {
            return false;
        };
        let last = &known.notification;
        let is_same = !known.is_resolved()
            && known.routed_by.as_deref() == Some(routed_by)
            && notification.status == Some(AlertStatus::Firing)
            && last.level == notification.level
            && last.text == notification.text
            && last.title == notification.title
            && last.link == notification.link
            && last.fields == notification.fields;
        if is_same {
            let alert = known.clone();
            self.repeats(reported, alert, now);
        }
        is_same
    }

    /// Sends nothing. The alert's resolve timeout starts again. Few of these changes are stored.
    fn repeats(&mut self, reported: Option<ReportedAlert>, mut alert: Alert, now: Now) {
        if self
            .alert(&alert.key)
            .is_some_and(|known| alert.level() < known.level())
        {
            self.level_falls(&alert);
        }
        let before = alert.due;
        alert.restart_timeout(reported, now);
        let lag = alert
            .stored_due
            .zip(alert.due)
            .map(|(stored, due)| due.duration_since(stored));
        let quarter = alert.resolve_timeout.map(|timeout| timeout / 4);
        let is_late = lag
            .zip(quarter)
            .is_some_and(|(lag, quarter)| lag.unsigned_abs() >= quarter);
        match is_late || before.is_none() != alert.due.is_none() {
            true => self.put_alert(alert),
            false => self.set_alert(alert),
        }
    }

    /// Nobody is notified of it; but when the level rises again, that is a change.
    fn level_falls(&mut self, alert: &Alert) {
        for key in &alert.groups {
            let Some(mut group) = self.take_group(key) else {
                continue;
            };
            for entry in group.log.values_mut() {
                if let Some(sent) = entry.sent.get_mut(&alert.key) {
                    sent.level = alert.level();
                }
            }
            self.put_group(group);
        }
    }

    fn fires(
        &mut self,
        event: &AlertEvent<'_>,
        mut alert: Alert,
        now: Now,
    ) -> Vec<(GroupDestination, Verdict)> {
        let keys = event.group_keys();
        let left = alert.groups.iter().filter(|key| !keys.contains(key));
        for key in left.cloned().collect::<Vec<_>>() {
            self.leave(&key, &event.groups, &alert, now);
        }
        alert.resolve_timeout = event
            .groups
            .iter()
            .filter_map(|group| group.resolve_timeout)
            .max()
            .or(event.reported.map(|_| REPORTED_RESOLVE_TIMEOUT));
        alert.restart_timeout(event.reported, now);
        alert.groups = keys.clone();
        alert.routed_by = Some(Arc::clone(&event.routed_by));
        let mut verdicts = Vec::new();
        for (key, routed) in keys.into_iter().zip(&event.groups) {
            let mut group = self.group_for(&key, routed);
            group.members.insert(alert.key.clone());
            group.left.remove(&alert.key);
            let due = group.due_for(&alert, now);
            let mute = mute_in(routed, &alert, &group, now);
            match group.labels.is_none() && due <= now.steady {
                true => notify(
                    &mut group,
                    event,
                    &alert,
                    (&routed.targets, mute.as_ref()),
                    now,
                    &mut verdicts,
                ),
                false => {
                    group.due = Some(due);
                    decide(
                        mute.as_ref(),
                        &routed.targets,
                        &Verdict::Grouped,
                        &mut verdicts,
                    );
                }
            }
            self.put_group(group);
        }
        self.put_alert(alert);
        verdicts
    }

    fn resolves(
        &mut self,
        event: &AlertEvent<'_>,
        alert: Alert,
        destinations: &dyn Destinations,
        now: Now,
    ) -> Vec<(GroupDestination, Verdict)> {
        let mut verdicts = Vec::new();
        for key in &alert.groups {
            let Some(mut group) = self.take_group(key) else {
                continue;
            };
            let targets = of_group(&group, destinations);
            let closed = close_entries(&mut group, &targets);
            self.closed.extend(closed);
            match group.labels {
                None => notify(
                    &mut group,
                    event,
                    &alert,
                    (&targets, None),
                    now,
                    &mut verdicts,
                ),
                Some(_) => {
                    group.due = Some(group.due_for(&alert, now));
                    decide(None, &targets, &Verdict::Grouped, &mut verdicts);
                }
            }
            self.put_group(group);
        }
        let groups = alert.groups.clone();
        self.put_alert(alert);
        groups.iter().for_each(|key| self.prune(key, now));
        verdicts
    }

    /// Moves the alert to other groups. It counts as resolved for destinations that none of the new groups reaches.
    fn leave(&mut self, key: &Arc<str>, new: &[RoutedGroup], alert: &Alert, now: Now) {
        let Some(mut group) = self.take_group(key) else {
            return;
        };
        for (id, entry) in &mut group.log {
            let mut reached = new.iter().flat_map(|group| &group.targets);
            if reached.any(|target| target.id == *id) {
                entry.sent.remove(&alert.key);
            }
        }
        group.left.insert(alert.key.clone());
        group.due = Some(group.next_flush(now));
        self.put_group(group);
    }
}

/// The verdict for the destinations that the request brings.
fn own_verdict(ingested: &Ingested, event: &AlertEvent<'_>) -> Verdict {
    match ingested {
        Ingested::Stale => Verdict::Suppressed(rules::STALE.to_owned()),
        Ingested::NotFiring => Verdict::Suppressed(rules::NOT_FIRING.to_owned()),
        Ingested::Repeats(_) => Verdict::Suppressed(rules::UNCHANGED.to_owned()),
        Ingested::Resolved(_) => Verdict::Notify,
        Ingested::Fires(_) | Ingested::Acknowledged(_) => event.unless_muted(),
    }
}

/// Why the notifications of a group about a firing alert are muted.
fn mute_in(routed: &RoutedGroup, alert: &Alert, group: &Group, now: Now) -> Option<Mute> {
    let mute = routed.mute.clone();
    mute.or_else(|| acknowledged(alert, group, now))
}
