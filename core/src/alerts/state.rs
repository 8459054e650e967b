//! The alerts and groups of one scope, and what must be written to the store.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::alert::{Alert, AlertKey, Now, later};
use super::group::Group;
use super::inhibit::Inhibitor;
use super::log::{ClosedEntry, DestinationId};
use super::silence::{Silences, StoredSilence};
use crate::config::file::Config;
use crate::model::notification::Level;

/// Memory for alerts.
const MAX_BYTES: usize = 64 * 1024 * 1024;
const MAX_GROUPS: usize = 20_000;
/// No alert resolves by timeout for this long after a start: its sources may have to start too.
const QUIET_START: Duration = Duration::from_secs(30);

/// The object that a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    Alert(AlertKey),
    Group(Arc<str>),
}

/// The state of one scope. The stages change it; [`ScopeState::take_changes`] returns the changes.
#[derive(Debug)]
pub struct ScopeState {
    pub(super) alerts: HashMap<AlertKey, Alert>,
    pub(super) groups: HashMap<Arc<str>, Group>,
    timers: BTreeSet<(Timestamp, Timer)>,
    /// The groups and destinations of notifications that have not ended, by task and place.
    pub(super) open: HashMap<(String, usize), (Arc<str>, DestinationId)>,
    pub(super) inhibitor: Inhibitor,
    pub(super) silences: Silences,
    changes: Changes,
    /// Destinations that left with the configuration file.
    pub(super) closed: Vec<ClosedEntry>,
    bytes: usize,
    pub(super) quiet_until: Timestamp,
}

/// Keys of the objects that changed since the last call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub alerts: BTreeSet<AlertKey>,
    pub groups: BTreeSet<Arc<str>>,
    /// The ids of silences.
    pub silences: BTreeSet<String>,
}

/// What a store had.
#[derive(Debug, Default)]
pub struct RestoredState {
    pub groups: Vec<Group>,
    pub alerts: Vec<Alert>,
    pub silences: Vec<StoredSilence>,
}

impl ScopeState {
    pub fn new(now: Now) -> Self {
        Self {
            alerts: HashMap::new(),
            groups: HashMap::new(),
            timers: BTreeSet::new(),
            open: HashMap::new(),
            inhibitor: Inhibitor::default(),
            silences: Silences::default(),
            changes: Changes::default(),
            closed: Vec::new(),
            bytes: 0,
            quiet_until: later(now.steady, QUIET_START),
        }
    }

    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    pub fn alert(&self, key: &AlertKey) -> Option<&Alert> {
        self.alerts.get(key)
    }

    pub fn group(&self, key: &str) -> Option<&Group> {
        self.groups.get(key)
    }

    pub const fn silences(&self) -> &Silences {
        &self.silences
    }

    /// Adds a silence, or replaces it.
    pub fn put_silence(&mut self, silence: StoredSilence) {
        self.changes.silences.insert(silence.id.clone());
        self.silences.put(silence);
    }

    /// Makes room for another silence; `false`: all are in force.
    pub fn make_room_for_silence(&mut self, wall: Timestamp) -> bool {
        let removed = self.silences.make_room(wall);
        let has_room = removed.is_some();
        self.changes.silences.extend(removed.into_iter().flatten());
        has_room
    }

    /// Uses the inhibitions of the configuration file.
    pub fn use_inhibitions(&mut self, config: &Config) {
        let alerts = self.alerts.values();
        self.inhibitor
            .use_rules(&config.digest, &config.inhibitions, config.regexes, alerts);
    }

    /// Returns the changes since the last call.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Returns the destinations that left with the configuration file since the last call.
    pub fn take_closed(&mut self) -> Vec<ClosedEntry> {
        std::mem::take(&mut self.closed)
    }

    /// Whether another alert, which may need groups of its own, is within the bounds.
    pub fn has_room(&self, max_alerts: usize) -> bool {
        self.alerts.len() < max_alerts && self.groups.len() < MAX_GROUPS && self.bytes < MAX_BYTES
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// The number of timers that were due before `time`.
    pub fn due_before(&self, time: Timestamp) -> usize {
        let timers = self.timers.iter();
        timers.take_while(|(due, _)| *due < time).count()
    }

    /// Whether a group's notification is on its way in this task and place.
    pub fn is_open(&self, task: &str, index: usize) -> bool {
        self.open.contains_key(&(task.to_owned(), index))
    }

    /// The levels that the destinations of an alert's notification know, of the first `count` deliveries of a task.
    pub fn sent_levels(&self, task: &str, count: usize) -> Vec<Option<Level>> {
        let mut levels = BTreeSet::new();
        for index in 0..count {
            let open = self.open.get(&(task.to_owned(), index));
            let entry = open.and_then(|(key, id)| self.groups.get(key)?.log.get(id));
            let pending = entry.and_then(|entry| Some((entry, entry.pending.as_ref()?)));
            if let Some((entry, pending)) = pending {
                let known = pending.alerts.keys().filter_map(|key| entry.sent.get(key));
                levels.extend(known.map(|notified| notified.level));
            }
        }
        levels.into_iter().collect()
    }

    /// Takes the timers that are due.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Timer> {
        let mut due = Vec::new();
        while let Some((at, _)) = self.timers.first()
            && *at <= now
        {
            due.extend(self.timers.pop_first().map(|(_, timer)| timer));
        }
        due
    }

    /// Replaces an alert, to be stored.
    pub(super) fn put_alert(&mut self, mut alert: Alert) {
        self.changes.alerts.insert(alert.key.clone());
        alert.stored_due = alert.due;
        self.set_alert(alert);
    }

    /// Replaces an alert; its change is not worth to be stored.
    pub(super) fn set_alert(&mut self, alert: Alert) {
        self.unset_alert(&alert.key);
        self.bytes += alert.size();
        if let Some(due) = alert.due {
            self.timers.insert((due, Timer::Alert(alert.key.clone())));
        }
        for key in &alert.groups {
            if let Some(group) = self.groups.get_mut(key) {
                group.members.insert(alert.key.clone());
            }
        }
        self.inhibitor.put(&alert);
        self.alerts.insert(alert.key.clone(), alert);
    }

    pub(super) fn remove_alert(&mut self, key: &AlertKey) {
        self.unset_alert(key);
        self.changes.alerts.insert(key.clone());
    }

    fn unset_alert(&mut self, key: &AlertKey) {
        let Some(alert) = self.alerts.remove(key) else {
            return;
        };
        self.bytes -= alert.size();
        self.inhibitor.remove(key);
        if let Some(due) = alert.due {
            self.timers.remove(&(due, Timer::Alert(alert.key)));
        }
    }

    /// Takes a group out, to be changed and put back.
    pub(super) fn take_group(&mut self, key: &str) -> Option<Group> {
        let group = self.groups.remove(key)?;
        if let Some(due) = group.next_flush_at() {
            self.timers
                .remove(&(due, Timer::Group(Arc::clone(&group.key))));
        }
        for entry in group.log.values() {
            if let Some(pending) = &entry.pending {
                self.open.remove(&(pending.task.clone(), pending.index));
            }
        }
        Some(group)
    }

    /// Puts a group back whose change is not worth to be stored.
    pub(super) fn put_back(&mut self, group: Group) {
        self.set_group(group);
    }

    /// Puts a group back, or a new one.
    pub(super) fn put_group(&mut self, group: Group) {
        self.changes.groups.insert(Arc::clone(&group.key));
        self.set_group(group);
    }

    fn set_group(&mut self, group: Group) {
        if let Some(due) = group.next_flush_at() {
            let timer = Timer::Group(Arc::clone(&group.key));
            self.timers.insert((due, timer));
        }
        for (id, entry) in &group.log {
            if let Some(pending) = &entry.pending {
                let place = (pending.task.clone(), pending.index);
                let entry = (Arc::clone(&group.key), id.clone());
                self.open.insert(place, entry);
            }
        }
        self.groups.insert(Arc::clone(&group.key), group);
    }

    /// A group that was taken out and is not put back.
    pub(super) fn group_ended(&mut self, key: Arc<str>) {
        self.changes.groups.insert(key);
    }

    /// Adds what a store had: groups first. Alerts have had no time to be reported while no process ran.
    pub fn restore(&mut self, stored: RestoredState, idle: Duration, now: Now) {
        let RestoredState {
            groups,
            alerts,
            silences,
        } = stored;
        silences
            .into_iter()
            .for_each(|silence| self.silences.put(silence));
        for mut group in groups {
            // A clock that was set back would make it wait for hours.
            let longest = later(now.steady, group.timing.interval.max(group.timing.wait));
            group.due = group.due.map(|due| due.min(longest));
            if group.first_flush.is_some() {
                group.judge_at = Some(now.steady);
            }
            self.set_group(group);
        }
        for mut alert in alerts {
            alert.due = alert.due.map(|due| later(due, idle));
            self.set_alert(alert);
        }
    }

    /// Deliveries that have not ended: their tasks and their places in them.
    pub fn open_deliveries(&self) -> Vec<(String, usize)> {
        self.open.keys().cloned().collect()
    }

    /// The task has so many deliveries before those of the alert state.
    pub fn place_behind(&mut self, task: &str, first: usize) {
        let places = self.open.iter().filter(|((open, _), _)| open == task);
        let keys: BTreeSet<_> = places.map(|(_, (key, _))| Arc::clone(key)).collect();
        for key in keys {
            let Some(mut group) = self.take_group(&key) else {
                continue;
            };
            let pending = group
                .log
                .values_mut()
                .filter_map(|entry| entry.pending.as_mut());
            for pending in pending.filter(|pending| pending.task == task) {
                pending.index += first;
            }
            self.put_group(group);
        }
    }
}
