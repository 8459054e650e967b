//! A scope with its own clock, whose deliveries end as a test says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::alerts::alert::{AlertKey, Now, later};
use crate::alerts::decision::{AlertEvent, Decision, RoutedGroup, Verdict};
use crate::alerts::destinations::Destinations;
use crate::alerts::group::{GroupTiming, RouteRef};
use crate::alerts::log::{DestinationId, GroupDestination};
use crate::alerts::muting::MuteRules;
use crate::alerts::renew::Renewed;
use crate::alerts::state::ScopeState;
use crate::alerts::time_intervals::{FindIntervals, RouteIntervals};
use crate::api::request::ReportedAlert;
use crate::config::file::Config;
use crate::config::inhibition::Inhibition;
use crate::config::silence::Silence;
use crate::config::time_interval::TimeInterval;
use crate::json::Json;
use crate::model::notification::{AlertStatus, DedupKey, Level, Notification};
use crate::model::outcome::{Failure, Outcome, Reason};

pub const FIRING: Option<AlertStatus> = Some(AlertStatus::Firing);
pub const RESOLVED: Option<AlertStatus> = Some(AlertStatus::Resolved);

/// A notification that a destination got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub destination: String,
    pub title: String,
    pub kind: &'static str,
    /// Seconds since the beginning.
    pub at: u64,
}

pub struct World {
    pub state: ScopeState,
    pub begin: Timestamp,
    /// Seconds since the beginning.
    pub time: u64,
    /// Seconds by which the wall clock is ahead of the time that has passed.
    clock_offset: i64,
    pub group_by: Option<Vec<&'static str>>,
    pub timing: GroupTiming,
    pub resolve_timeout: Option<Duration>,
    /// The times of the next events, if another system reports them.
    pub reported: Option<ReportedAlert>,
    /// By receiver.
    pub targets: BTreeMap<&'static str, GroupDestination>,
    pub receivers: Vec<&'static str>,
    /// The receivers of every route in an edited file.
    pub routes: Option<Vec<&'static str>>,
    pub silence: Option<&'static str>,
    pub mute_intervals: Vec<TimeInterval>,
    pub active_intervals: Vec<TimeInterval>,
    /// How deliveries end; none: they go on.
    pub outcome: Option<Outcome>,
    pub open: Vec<String>,
    pub got: Vec<Got>,
    /// The texts of flushed notifications.
    pub texts: Vec<String>,
    tasks: u64,
}

/// Receivers by name.
struct TestDestinations {
    targets: BTreeMap<&'static str, GroupDestination>,
    routes: Option<Vec<&'static str>>,
}

impl Destinations for TestDestinations {
    fn of_route(&self, route: &RouteRef) -> Vec<GroupDestination> {
        let RouteRef::Receivers(names) = route else {
            panic!("{route:?}");
        };
        let edited = self.routes.as_ref();
        let names = edited.map_or_else(
            || names.iter().map(String::as_str).collect::<Vec<_>>(),
            Clone::clone,
        );
        let known = names.into_iter().filter_map(|name| self.targets.get(name));
        known.cloned().collect()
    }

    fn by_id(&self, id: &DestinationId) -> Option<GroupDestination> {
        self.targets.get(id.receiver.as_str()).cloned()
    }
}

/// The time intervals of every route.
struct TestIntervals {
    mute: Vec<TimeInterval>,
    active: Vec<TimeInterval>,
}

impl FindIntervals for TestIntervals {
    fn intervals_of(&self, _: &RouteRef) -> RouteIntervals<'_> {
        RouteIntervals {
            mute: self.mute.iter().collect(),
            active: self.active.iter().collect(),
        }
    }
}

fn rules<'a>(silences: &'a [Silence], intervals: &'a TestIntervals) -> MuteRules<'a> {
    MuteRules {
        silences,
        regexes: 0,
        intervals,
    }
}

pub fn event(key: &str, status: Option<AlertStatus>, level: Level, host: &str) -> Notification {
    Notification {
        title: Some(key.to_owned()),
        status,
        level: Some(level),
        fields: vec![
            ("host".to_owned(), Json::String(host.to_owned())),
            ("region".to_owned(), Json::String("eu".to_owned())),
        ],
        dedup_key: Some(DedupKey::from(key)),
        ..Notification::plain(Json::String("disk full".to_owned()))
    }
}

pub fn failed(reason: Reason) -> Option<Outcome> {
    Some(Outcome::Failed(Failure::new(reason)))
}

impl World {
    /// One receiver, `chat`, and no groups.
    pub fn new() -> Self {
        let begin: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let mut world = Self {
            state: ScopeState::new(Now {
                wall: begin,
                steady: begin,
            }),
            begin,
            time: 0,
            clock_offset: 0,
            group_by: None,
            timing: GroupTiming::default(),
            resolve_timeout: None,
            reported: None,
            targets: BTreeMap::new(),
            receivers: vec!["chat"],
            routes: None,
            silence: None,
            mute_intervals: Vec::new(),
            active_intervals: Vec::new(),
            outcome: Some(Outcome::Delivered { message: None }),
            open: Vec::new(),
            got: Vec::new(),
            texts: Vec::new(),
            tasks: 0,
        };
        for name in ["chat", "mail"] {
            world.target(name);
        }
        world
    }

    /// Groups by region, with waits in seconds.
    pub fn grouped(wait: u64, interval: u64) -> Self {
        Self {
            group_by: Some(vec!["region"]),
            timing: GroupTiming {
                wait: Duration::from_secs(wait),
                interval: Duration::from_secs(interval),
                remind_every: None,
            },
            ..Self::new()
        }
    }

    pub fn target(&mut self, name: &'static str) -> &mut GroupDestination {
        self.targets
            .entry(name)
            .or_insert_with(|| GroupDestination {
                id: DestinationId {
                    receiver: name.to_owned(),
                    sender: "http".to_owned(),
                    place: 0,
                },
                send_resolved: true,
                keeps_incidents: false,
                is_former: false,
            })
    }

    pub fn now(&self) -> Now {
        let now = later(self.begin, Duration::from_secs(self.time));
        Now {
            wall: now
                .saturating_add(SignedDuration::from_secs(self.clock_offset))
                .unwrap(),
            steady: now,
        }
    }

    /// Sets the wall clock forward by so many seconds, or back.
    pub fn set_clock(&mut self, seconds: i64) {
        self.clock_offset += seconds;
    }

    fn routed(&self, notification: &Notification) -> RoutedGroup {
        let value = |name: &&'static str| {
            let mut fields = notification.fields.iter();
            let value = fields.find(|(known, _)| known == name);
            let value = value.and_then(|(_, value)| value.as_word());
            ((*name).to_owned(), value.unwrap_or_default().to_owned())
        };
        RoutedGroup {
            route: RouteRef::Receivers(
                self.receivers
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect(),
            ),
            labels: self
                .group_by
                .as_ref()
                .map(|names| names.iter().map(value).collect()),
            timing: self.timing,
            resolve_timeout: self.resolve_timeout,
            targets: self.reached(),
            mute: None,
        }
    }

    fn reached(&self) -> Vec<GroupDestination> {
        self.receivers
            .iter()
            .filter_map(|name| self.targets.get(name).cloned())
            .collect()
    }

    /// A silence of the file for everything.
    fn silences(&self) -> Vec<Silence> {
        let silence = |name: &'static str| Silence {
            name: name.to_owned(),
            ..Silence::default()
        };
        self.silence.map(silence).into_iter().collect()
    }

    fn intervals(&self) -> TestIntervals {
        TestIntervals {
            mute: self.mute_intervals.clone(),
            active: self.active_intervals.clone(),
        }
    }

    /// Uses these inhibitions.
    pub fn inhibit(&mut self, rules: Vec<Inhibition>) {
        let config = Config {
            inhibitions: rules.into(),
            digest: "inhibitions".to_owned(),
            ..Config::default()
        };
        self.state.use_inhibitions(&config);
    }

    fn destinations(&self) -> TestDestinations {
        TestDestinations {
            targets: self.targets.clone(),
            routes: self.routes.clone(),
        }
    }

    /// The configuration file is another one.
    pub fn edit_config(&mut self) {
        let now = self.now();
        self.state.config_changed(now);
    }

    /// Takes an event up; gives back each receiver with what becomes of the event there.
    pub fn take(&mut self, notification: Notification) -> Vec<(String, String)> {
        self.tasks += 1;
        let (task, now, targets) = (
            format!("event {}", self.tasks),
            self.now(),
            self.destinations(),
        );
        let mut routed = self.routed(&notification);
        let key = notification.dedup_key.clone();
        let notification = Arc::new(notification);
        let alert_key = match &key {
            Some(key) => AlertKey::of_dedup_key(key),
            None => AlertKey::of_task(&task),
        };
        let silences = self.silences();
        let intervals = self.intervals();
        let rules = rules(&silences, &intervals);
        routed.mute = self
            .state
            .mute_of(&alert_key, &notification, &routed.route, &rules, now);
        let event = AlertEvent {
            task: &task,
            key: alert_key,
            notification: &notification,
            reported: self.reported,
            routed_by: "settings".into(),
            groups: vec![routed],
            max_alerts: 20_000,
        };
        let decision = match key {
            Some(_) => self.state.event(event, &targets, now),
            None => self.state.one_off(event, now),
        };
        self.deliver(&task, decision)
    }

    fn deliver(&mut self, task: &str, decision: Decision) -> Vec<(String, String)> {
        let mut words = Vec::new();
        for (index, (target, verdict)) in decision.verdicts.into_iter().enumerate() {
            let word = match verdict {
                Verdict::Notify => {
                    let status = decision.notification.status.map_or("-", AlertStatus::word);
                    let title = decision.notification.title.clone().unwrap_or_default();
                    self.leave(task, index, &target, "event", format!("{title} {status}"));
                    "notify".to_owned()
                }
                Verdict::Grouped => "grouped".to_owned(),
                Verdict::Suppressed(rule) => rule,
            };
            words.push((target.id.receiver, word));
        }
        words
    }

    fn leave(
        &mut self,
        task: &str,
        index: usize,
        target: &GroupDestination,
        kind: &'static str,
        title: String,
    ) {
        match self.outcome.clone() {
            None => self.open.push(task.to_owned()),
            Some(outcome) => {
                let now = self.now();
                self.state.ended(task, index, &outcome, now);
                if matches!(outcome, Outcome::Failed(_)) {
                    return;
                }
            }
        }
        self.got.push(Got {
            destination: target.id.receiver.clone(),
            title,
            kind,
            at: self.time,
        });
    }

    /// The deliveries that are open end.
    pub fn end(&mut self, outcome: &Outcome) {
        let now = self.now();
        for task in std::mem::take(&mut self.open) {
            self.state.ended(&task, 0, outcome, now);
        }
    }

    /// What becomes of the first open notification when it could be sent at last: its title, `superseded`, or nothing new.
    pub fn renew(&mut self) -> Option<String> {
        let (now, destinations, silenced) =
            (self.now(), self.destinations(), self.silence.is_some());
        let task = self.open.first()?.clone();
        let (silences, intervals) = (self.silences(), self.intervals());
        let rules = rules(&silences, &intervals);
        let is_current = self.state.is_current(&task, 0);
        let renewed = self.state.renew(&task, 0, &destinations, &rules, now)?;
        assert!(!is_current || silenced, "{renewed:?}");
        Some(match renewed {
            Renewed::Superseded => "superseded".to_owned(),
            Renewed::Replaced(flush) => {
                let status = flush.notification.status.map_or("-", AlertStatus::word);
                format!(
                    "{} {status}",
                    flush.notification.title.clone().unwrap_or_default()
                )
            }
        })
    }

    /// Lets so many seconds pass, and fires what becomes due.
    pub fn pass(&mut self, seconds: u64) {
        let end = self.time + seconds;
        loop {
            let now = self.now();
            for key in self.state.due_groups(now) {
                self.flush(&key);
            }
            let due = self
                .state
                .next_due()
                .map(|due| due.duration_since(self.begin));
            let due = due.map(|due| u64::try_from(due.as_secs_f64().ceil() as i64).unwrap());
            match due {
                Some(due) if due <= end => self.time = due.max(self.time),
                _ => break,
            }
        }
        self.time = end;
    }

    fn flush(&mut self, key: &str) {
        let targets = self.destinations();
        let silences = self.silences();
        let now = self.now();
        let intervals = self.intervals();
        let flushes = self
            .state
            .flush(key, &targets, &rules(&silences, &intervals), now);
        for flush in flushes {
            let status = flush.notification.status.map_or("-", AlertStatus::word);
            let title = flush.notification.title.clone().unwrap_or_default();
            let kind = flush.kind.word();
            let text = flush.notification.as_text().unwrap_or_default();
            self.texts.push(text.into_owned());
            self.leave(
                &flush.task,
                0,
                &flush.target,
                kind,
                format!("{title} {status}"),
            );
        }
    }

    /// What was sent so far, as `receiver: title @ second`.
    pub fn sent(&self) -> Vec<String> {
        let got = self.got.iter();
        got.map(|got| format!("{}: {} @ {}", got.destination, got.title, got.at))
            .collect()
    }
}
