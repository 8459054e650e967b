//! The present content of a notification that no provider can have seen yet.

use std::sync::Arc;

use super::alert::Now;
use super::dedup::Member;
use super::destination_flush::{Flush, kind, present_alerts};
use super::destinations::{Destinations, of_group};
use super::group::Group;
use super::log::{GroupDestination, LogEntry, NotifiedAlerts, Pending};
use super::mute::recheck_at;
use super::muting::MuteRules;
use super::render::render;
use super::state::ScopeState;

/// The content that an open notification has now.
#[derive(Debug)]
pub enum Renewed {
    Replaced(Box<Flush>),
    /// Nothing is left to say.
    Superseded,
}

impl ScopeState {
    /// Whether the content of an open notification is that of the alerts now, silences and the file aside.
    pub fn is_current(&self, task: &str, index: usize) -> bool {
        let open = self.open.get(&(task.to_owned(), index));
        let group = open.and_then(|(key, id)| Some((self.groups.get(key)?, id)));
        let Some((group, id)) = group else {
            return true;
        };
        let target = GroupDestination {
            id: id.clone(),
            send_resolved: true,
            keeps_incidents: false,
            is_former: false,
        };
        let Some((entry, pending)) = pending(group, &target) else {
            return true;
        };
        present_alerts(entry, &self.members(group), &target) == pending.alerts
    }

    /// Returns the content to send in place of an open notification's; `None`: the same.
    pub fn renew(
        &mut self,
        task: &str,
        index: usize,
        destinations: &dyn Destinations,
        rules: &MuteRules<'_>,
        now: Now,
    ) -> Option<Renewed> {
        let (key, id) = self.open.get(&(task.to_owned(), index)).cloned()?;
        let mut group = self.take_group(&key)?;
        let targets = of_group(&group, destinations);
        let target = targets.into_iter().find(|target| target.id == id);
        let (members, mutes) = self.muted_members(&group, rules, now);
        if !mutes.is_empty() {
            group.judge_by(recheck_at(mutes.values(), now));
            let muted = mutes.iter();
            let muted = muted.map(|(key, mute)| (key.clone(), mute.rule.clone()));
            group.muted.extend(muted);
        }
        let content = target.and_then(|target| content(&group, target, &members, now));
        let entry = group.log.get_mut(&id);
        let renewed = match (content, entry) {
            (Some((alerts, flush)), Some(entry)) => {
                let pending = entry.pending.as_mut();
                let changed = pending.filter(|pending| pending.alerts != alerts);
                changed.map(|pending| {
                    pending.renew(alerts);
                    Renewed::Replaced(Box::new(Flush {
                        task: task.to_owned(),
                        index,
                        ..flush
                    }))
                })
            }
            (_, entry) => {
                entry.into_iter().for_each(|entry| entry.pending = None);
                Some(Renewed::Superseded)
            }
        };
        self.put_group(group);
        self.prune(&key, now);
        renewed
    }
}

fn pending<'g>(group: &'g Group, target: &GroupDestination) -> Option<(&'g LogEntry, &'g Pending)> {
    let entry = group.log.get(&target.id)?;
    Some((entry, entry.pending.as_ref()?))
}

/// The notification that a destination would get now; `None`: none.
fn content(
    group: &Group,
    target: GroupDestination,
    members: &[Member<'_>],
    now: Now,
) -> Option<(NotifiedAlerts, Flush)> {
    let (entry, pending) = pending(group, &target)?;
    let members: Vec<_> = members
        .iter()
        .map(|member| member.seen_by(&target))
        .collect();
    let alerts = present_alerts(entry, &members, &target);
    if alerts.is_empty() {
        return None;
    }
    let notified = members
        .iter()
        .filter(|member| alerts.contains_key(&member.alert.key));
    let group_names = (&*group.key, group.labels.as_deref());
    let notification = render(group_names, &target.id, &entry.sent, notified, now.wall);
    let flush = Flush {
        task: pending.task.clone(),
        index: pending.index,
        kind: kind(entry, &alerts, &members),
        notification: Arc::new(notification),
        target,
    };
    Some((alerts, flush))
}
