//! Flushes: select the notifications that each destination of a group gets now, and record how they end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::acknowledge;
use super::alert::{Alert, AlertKey, Now, later};
use super::dedup::{Member, to_notify};
use super::destination_flush::{
    Flush, FlushContext, close_entries, flush_to, kind, released, reminder_due,
};
use super::destinations::{Destinations, of_group};
use super::group::Group;
use super::ingest::KEEP_RESOLVED;
use super::inhibit::RELEASE_WAIT;
use super::log::{GroupDestination, LogEntry};
use super::mute::{Mute, recheck_at};
use super::muting::MuteRules;
use super::state::{ScopeState, Timer};
use crate::model::notification::{AlertStatus, Notification};
use crate::model::outcome::{Outcome, Reason};
use crate::model::report::DeliveryOrigin;

/// How soon a notification for which there was no capacity is tried again.
const NOT_SENT_RETRY: Duration = Duration::from_secs(2);

impl ScopeState {
    /// Resolves the alerts whose resolve timeout has passed, removes old resolved alerts, and returns the groups that
    /// are due.
    pub fn due_groups(&mut self, now: Now) -> Vec<Arc<str>> {
        let mut groups = BTreeSet::new();
        // An alert that resolves may make its group due.
        for _ in 0..2 {
            for timer in self.due(now.steady) {
                match timer {
                    Timer::Group(key) => drop(groups.insert(key)),
                    Timer::Alert(key) => self.alert_is_due(&key, now),
                }
            }
        }
        groups.into_iter().collect()
    }

    fn alert_is_due(&mut self, key: &AlertKey, now: Now) {
        let Some(mut alert) = self.alerts.get(key).cloned() else {
            return;
        };
        if alert.is_one_off || (alert.is_resolved() && alert.groups.is_empty()) {
            for group in std::mem::take(&mut alert.groups) {
                self.drop_member(&group, key);
            }
            return self.remove_alert(key);
        }
        if alert.is_resolved() {
            alert.due = Some(later(now.steady, KEEP_RESOLVED));
        } else if now.steady < self.quiet_until {
            alert.due = Some(self.quiet_until);
        } else {
            resolve_by_timeout(&mut alert, now);
            for key in &alert.groups {
                if let Some(mut group) = self.take_group(key) {
                    group.due = Some(group.due_for(&alert, now));
                    self.put_group(group);
                }
            }
        }
        self.put_alert(alert);
    }

    /// Returns the notifications that the destinations of a group get now.
    pub fn flush(
        &mut self,
        key: &str,
        destinations: &dyn Destinations,
        rules: &MuteRules<'_>,
        now: Now,
    ) -> Vec<Flush> {
        let Some(mut group) = self.take_group(key) else {
            return Vec::new();
        };
        let (is_first, muted_before) = (group.first_flush.is_none(), group.muted.clone());
        let is_due = group.due.is_some_and(|due| due <= now.steady);
        group.due = group.due.filter(|_| !is_due);
        group.judge_at = None;
        group.first_flush.get_or_insert(now.steady);
        let targets = of_group(&group, destinations);
        let closed = close_entries(&mut group, &targets);
        let (members, mutes) = self.muted_members(&group, rules, now);
        if !mutes.is_empty() {
            group.judge_by(recheck_at(mutes.values(), now));
        }
        let released = released(&mut group, &members, &mutes);
        let cx = FlushContext {
            members: &members,
            released: &released,
            sends_changes: is_due || !released.is_empty(),
            quiet_until: self.quiet_until,
            now,
        };
        let flushes = targets.iter();
        let flushes: Vec<_> = flushes
            .filter_map(|target| flush_to(&mut group, target, &cx))
            .collect();
        let one_offs = muted_one_offs(&members);
        let has_changed = is_first || is_due || group.muted != muted_before;
        match has_changed || !closed.is_empty() || !flushes.is_empty() {
            true => self.put_group(group),
            // Muted alerts are judged every few seconds.
            false => self.put_back(group),
        }
        for one_off in one_offs {
            self.drop_member(key, &one_off);
            self.leave_group(&one_off, key, now);
        }
        let acknowledged = released.iter();
        let acknowledged = acknowledged.filter(|(_, rule)| *rule == acknowledge::RULE);
        acknowledged.for_each(|(key, _)| self.end_acknowledgement(key));
        self.closed.extend(closed);
        self.prune(key, now);
        flushes
    }

    /// The members of a group, and why those are muted that fire.
    pub(super) fn muted_members<'s>(
        &'s self,
        group: &Group,
        rules: &MuteRules<'_>,
        now: Now,
    ) -> (Vec<Member<'s>>, BTreeMap<AlertKey, Mute>) {
        let mut mutes = BTreeMap::new();
        let mut members = self.members(group);
        for member in members.iter_mut().filter(|member| !member.is_over()) {
            if let Some(mute) = self.mute(member.alert, group, rules, now) {
                member.is_muted = true;
                mutes.insert(member.alert.key.clone(), mute);
            }
        }
        (members, mutes)
    }

    pub(super) fn members<'s>(&'s self, group: &Group) -> Vec<Member<'s>> {
        let members = group.members.iter();
        let members = members.filter_map(|key| {
            Some(Member {
                alert: self.alerts.get(key)?,
                has_left: group.left.contains(key),
                is_muted: false,
            })
        });
        members.collect()
    }

    /// The configuration file changed: destinations may differ, and a refused message may now be accepted.
    pub fn config_changed(&mut self, now: Now) {
        let keys: Vec<_> = self.groups.keys().cloned().collect();
        for key in keys {
            let Some(mut group) = self.take_group(&key) else {
                continue;
            };
            if group.first_flush.is_some() {
                let entries = group.log.values_mut();
                entries.for_each(LogEntry::forget_refusal);
                let due = group.next_flush(now);
                group.due_by(due);
            }
            self.put_group(group);
        }
    }

    /// The origin of a notification that is on its way.
    pub fn origin(&self, task: &str, index: usize) -> Option<DeliveryOrigin> {
        let (key, id) = self.open.get(&(task.to_owned(), index))?;
        let group = self.groups.get(key)?;
        let entry = group.log.get(id)?;
        let pending = entry.pending.as_ref()?;
        let kind = kind(entry, &pending.alerts, &self.members(group));
        Some(DeliveryOrigin {
            route: Some(group.route.key()),
            group_key: Some(group.key.to_string()),
            kind: Some(kind.word().to_owned()),
        })
    }

    /// A notification has ended, or its task could not begin.
    pub fn ended(&mut self, task: &str, index: usize, outcome: &Outcome, now: Now) {
        // Nothing was sent: the provider has refused nothing.
        if matches!(outcome, Outcome::Failed(failure) if failure.reason == Reason::Outbox) {
            return self.not_sent(task, now);
        }
        let Some((key, id)) = self.open.get(&(task.to_owned(), index)).cloned() else {
            return;
        };
        let Some(mut group) = self.take_group(&key) else {
            return;
        };
        let interval = group.timing.interval;
        if let Some(entry) = group.log.get_mut(&id) {
            entry.end(outcome, interval, now.wall, now.steady);
            let retry_at = entry.retry_at;
            let members = self.members(&group);
            let entry = group.log.get(&id);
            // A change during the delivery waits for the next interval.
            let target = GroupDestination {
                id,
                send_resolved: true,
                keeps_incidents: false,
                is_former: false,
            };
            let remind_every = group.timing.remind_every;
            let remind_at = entry.and_then(|entry| reminder_due(entry, &members, remind_every));
            let has_changed = !to_notify(entry, &members, &target).is_empty();
            if let Some(remind_at) = remind_at {
                group.judge_by(remind_at);
            }
            if has_changed {
                group.due_by(retry_at.unwrap_or_else(|| group.next_flush(now)));
            }
        }
        self.put_group(group);
        self.prune(&key, now);
    }

    /// The task did not begin: its notifications are due again in a moment.
    pub fn not_sent(&mut self, task: &str, now: Now) {
        let places = self.open.iter().filter(|((open, _), _)| open == task);
        let places: Vec<_> = places.map(|(_, place)| place.clone()).collect();
        for (key, id) in places {
            let Some(mut group) = self.take_group(&key) else {
                continue;
            };
            if let Some(entry) = group.log.get_mut(&id) {
                entry.pending = None;
            }
            group.due_by(later(now.steady, NOT_SENT_RETRY));
            self.put_group(group);
        }
    }

    /// Removes from a group the alerts that are over and that no destination has to hear of any more, and ends a group without
    /// alerts.
    pub(super) fn prune(&mut self, key: &str, now: Now) {
        let Some(mut group) = self.take_group(key) else {
            return;
        };
        let mut done = Vec::new();
        for member in self.members(&group) {
            let key = &member.alert.key;
            let mut log = group.log.values();
            let is_done = match member.alert.is_one_off {
                true => !group.log.is_empty() && log.all(|entry| entry.knows_firing(key)),
                false => member.is_over() && !log.any(|entry| entry.concerns(key)),
            };
            if is_done {
                done.push(key.clone());
            }
        }
        let is_unchanged = done.is_empty();
        for member in done {
            group.members.remove(&member);
            group.left.remove(&member);
            for entry in group.log.values_mut() {
                entry.sent.remove(&member);
            }
            self.leave_group(&member, key, now);
        }
        group
            .members
            .retain(|member| self.alerts.contains_key(member));
        match group.members.is_empty() && group.log.values().all(|entry| entry.pending.is_none()) {
            true => self.group_ended(group.key),
            false if is_unchanged => self.put_back(group),
            false => self.put_group(group),
        }
    }

    fn leave_group(&mut self, member: &AlertKey, key: &str, now: Now) {
        let Some(mut alert) = self.alerts.get(member).cloned() else {
            return;
        };
        alert.groups.retain(|group| &**group != key);
        if alert.is_one_off && alert.groups.is_empty() {
            return self.remove_alert(member);
        }
        if alert.is_resolved() && alert.groups.is_empty() {
            alert.due.get_or_insert(later(now.steady, KEEP_RESOLVED));
        }
        self.put_alert(alert);
    }

    fn drop_member(&mut self, group: &str, key: &AlertKey) {
        if let Some(mut group) = self.take_group(group) {
            group.members.remove(key);
            self.put_group(group);
        }
    }
}

/// Muted events without identity: they are not sent later.
fn muted_one_offs(members: &[Member<'_>]) -> Vec<AlertKey> {
    let one_offs = members.iter();
    let one_offs = one_offs.filter(|member| member.is_muted && member.alert.is_one_off);
    one_offs.map(|member| member.alert.key.clone()).collect()
}

/// Nobody has reported it for too long, or the end that its source reported has come.
fn resolve_by_timeout(alert: &mut Alert, now: Now) {
    let minutes = alert.resolve_timeout.unwrap_or_default().as_secs() / 60;
    let text = match minutes {
        0 => "Not reported any more.".to_owned(),
        minutes => format!("Not reported for {minutes} min."),
    };
    let last = &alert.notification;
    let resolved = Notification {
        status: Some(AlertStatus::Resolved),
        level: alert.level(),
        timestamp: alert.ends_at,
        ..Notification::clone(last)
    };
    alert.notification = Arc::new(match alert.ends_at {
        Some(_) => resolved,
        None => Notification {
            title: last
                .title
                .clone()
                .or_else(|| last.as_text().map(Into::into)),
            text: crate::json::Json::String(text),
            ..resolved
        },
    });
    alert.status = AlertStatus::Resolved;
    alert.acknowledged = None;
    alert.inhibits_until = Some(later(now.steady, RELEASE_WAIT));
    alert.ends_at = Some(now.wall);
    alert.due = Some(later(now.steady, KEEP_RESOLVED));
}
