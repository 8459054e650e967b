//! Groups: alerts of one route that share their notifications, and when these go out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::acknowledge::AlertAcknowledgement;
use super::alert::{Alert, AlertKey, Now, later};
use super::log::{DestinationId, LogEntry};
use crate::routing::DEFAULT_RECEIVERS;

/// Selects a group's destinations in the current configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteRef {
    /// A route, by the key of its groups.
    Route(String),
    DefaultReceivers,
    /// The receivers that events name.
    Receivers(Vec<String>),
}

/// Waits of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupTiming {
    pub wait: Duration,
    pub interval: Duration,
    /// How long after a destination's last notification it is reminded of what fires.
    pub remind_every: Option<Duration>,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub key: Arc<str>,
    pub route: RouteRef,
    /// The values of `group_by`; `None`: the group is one alert.
    pub labels: Option<Vec<(String, String)>>,
    pub timing: GroupTiming,
    /// When its first flush was; the others follow in intervals from then.
    pub first_flush: Option<Timestamp>,
    /// When changes go out.
    pub due: Option<Timestamp>,
    /// When it is looked at for mutes that end and for reminders.
    pub judge_at: Option<Timestamp>,
    pub log: BTreeMap<DestinationId, LogEntry>,
    /// Alerts of the group; the store has them with the alerts.
    pub members: BTreeSet<AlertKey>,
    /// Members that are in other groups now: destinations that know them have to learn that they are over here.
    pub left: BTreeSet<AlertKey>,
    /// It covers later members too.
    pub acknowledged: Option<AlertAcknowledgement>,
    /// The members that were muted at the last judgement, and the rule.
    pub muted: BTreeMap<AlertKey, String>,
}

impl RouteRef {
    /// The route as group keys, views and the history name it.
    pub fn key(&self) -> String {
        match self {
            RouteRef::Route(key) => key.clone(),
            RouteRef::DefaultReceivers => DEFAULT_RECEIVERS.to_owned(),
            RouteRef::Receivers(names) => format!("receivers {names:?}"),
        }
    }
}

/// The key of a group: its route and its labels. An alert that is a group of its own has its key in place of labels.
pub fn group_key(
    route: &RouteRef,
    labels: Option<&[(String, String)]>,
    alert: &AlertKey,
) -> Arc<str> {
    let route = route.key();
    let labels = match labels {
        None => format!("{:?}", alert.as_str()),
        Some(labels) => {
            let labels = labels.iter();
            let labels = labels.map(|(name, value)| format!("{name}={value:?}"));
            labels.collect::<Vec<_>>().join(",")
        }
    };
    format!("{route}:{{{labels}}}").into()
}

impl Group {
    pub const fn new(
        key: Arc<str>,
        route: RouteRef,
        labels: Option<Vec<(String, String)>>,
        timing: GroupTiming,
    ) -> Self {
        Self {
            key,
            route,
            labels,
            timing,
            first_flush: None,
            due: None,
            judge_at: None,
            log: BTreeMap::new(),
            members: BTreeSet::new(),
            left: BTreeSet::new(),
            acknowledged: None,
            muted: BTreeMap::new(),
        }
    }

    /// When a change of an alert goes out, as in Alertmanager: the first after `group_wait`, at once where the alert is older
    /// than that; from then on at the next multiple of `group_interval`.
    pub fn due_for(&self, alert: &Alert, now: Now) -> Timestamp {
        let is_old = later(alert.starts_at, self.timing.wait) < now.wall;
        let due = match self.first_flush {
            None if !is_old => later(now.steady, self.timing.wait),
            _ => self.next_flush(now),
        };
        self.due.map_or(due, |known| known.min(due))
    }

    /// When it is flushed next, for changes or to be judged.
    pub fn next_flush_at(&self) -> Option<Timestamp> {
        self.due.into_iter().chain(self.judge_at).min()
    }

    /// Has the group judged at `time`, unless it is earlier.
    pub fn judge_by(&mut self, time: Timestamp) {
        self.judge_at = Some(self.judge_at.map_or(time, |known| known.min(time)));
    }

    /// Makes the group due at `time`, unless it is due earlier.
    pub fn due_by(&mut self, time: Timestamp) {
        self.due = Some(self.due.map_or(time, |known| known.min(time)));
    }

    /// When a change goes out that the last flush has not sent.
    pub fn next_flush(&self, now: Now) -> Timestamp {
        match self.first_flush {
            Some(first) => next_interval(first, self.timing.interval, now.steady),
            None => now.steady,
        }
    }
}

/// The first multiple of the interval after `first` that is not before `now`.
fn next_interval(first: Timestamp, interval: Duration, now: Timestamp) -> Timestamp {
    let since = now.duration_since(first);
    let Ok(since) = Duration::try_from(since) else {
        // The clock of another process was ahead.
        return later(now, interval);
    };
    if interval.is_zero() {
        return now;
    }
    let count = since.as_nanos().div_ceil(interval.as_nanos()).max(1);
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    later(first, interval.saturating_mul(count))
}
