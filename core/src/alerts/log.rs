//! The notification log of a group: what each destination was notified of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::alert::{AlertKey, later};
use crate::model::notification::Level;
use crate::model::outcome::{Outcome, Reason};

/// A destination of the configuration file, which a new secret does not make another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DestinationId {
    pub receiver: String,
    pub sender: String,
    /// Its place among the receiver's destinations.
    pub place: usize,
}

/// A destination, and the options that decide which notifications it gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDestination {
    pub id: DestinationId,
    pub send_resolved: bool,
    pub keeps_incidents: bool,
    /// The group's route does not have it any more: for this destination, all alerts of the group are over.
    pub is_former: bool,
}

/// The state of an alert that a destination was notified of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notified {
    pub is_resolved: bool,
    pub level: Option<Level>,
    /// Its acknowledgement has ended: it must be notified once more.
    pub notify_again: bool,
}

pub type NotifiedAlerts = BTreeMap<AlertKey, Notified>;

/// The alerts that one destination was notified of.
#[derive(Clone, Debug, Default)]
pub struct LogEntry {
    /// Alerts whose firing was delivered, or may have been.
    pub sent: NotifiedAlerts,
    /// The notification that has not ended.
    pub pending: Option<Pending>,
    /// Nothing is sent sooner, after a failure.
    pub retry_at: Option<Timestamp>,
    /// The destination has refused the last notification: another configuration file may change that.
    pub is_refused: bool,
    /// When it was last notified, by the wall clock.
    pub notified_at: Option<Timestamp>,
    /// The same time on the steady clock: reminders count from it.
    pub notified_steady: Option<Timestamp>,
}

/// Why and about what a destination is notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotificationKind {
    /// It knows no alert of the group.
    First,
    Change,
    /// It knows all alerts. `remind_every` has passed since its last notification.
    Reminder,
    Resolved,
    /// The alerts are in other groups now, which do not reach the destination.
    Moved,
}

impl NotificationKind {
    /// As the history has it.
    pub const fn word(self) -> &'static str {
        match self {
            NotificationKind::First => "first",
            NotificationKind::Change => "change",
            NotificationKind::Reminder => "reminder",
            NotificationKind::Resolved => "resolved",
            NotificationKind::Moved => "moved",
        }
    }
}

/// A notification on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub task: String,
    /// The delivery's place in the task.
    pub index: usize,
    pub alerts: NotifiedAlerts,
    /// The alerts of the content that the store has, if they are others: after a restart that content is sent.
    pub stored: Option<NotifiedAlerts>,
}

impl Pending {
    pub const fn new(task: String, index: usize, alerts: NotifiedAlerts) -> Self {
        Self {
            task,
            index,
            alerts,
            stored: None,
        }
    }

    /// Its content is replaced before anybody has seen it.
    pub fn renew(&mut self, alerts: NotifiedAlerts) {
        let before = std::mem::replace(&mut self.alerts, alerts);
        self.stored.get_or_insert(before);
    }

    /// The alerts of the content that another process would send.
    pub fn stored(&self) -> &NotifiedAlerts {
        self.stored.as_ref().unwrap_or(&self.alerts)
    }
}

/// A destination that knows firing alerts and that the configuration file does not have any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedEntry {
    pub group: Arc<str>,
    pub receiver: String,
    pub alerts: usize,
}

/// The least wait after a notification that failed.
const LEAST_RETRY: Duration = Duration::from_secs(5 * 60);
/// The wait after a refusal for good.
const REFUSED_RETRY: Duration = Duration::from_secs(3600);

impl LogEntry {
    /// Whether the destination must be notified when this alert resolves.
    pub fn knows_firing(&self, key: &AlertKey) -> bool {
        self.sent.contains_key(key)
    }

    /// Whether the alert is part of a sent or pending notification.
    pub fn concerns(&self, key: &AlertKey) -> bool {
        let pending = self.pending.as_ref();
        self.knows_firing(key) || pending.is_some_and(|pending| pending.alerts.contains_key(key))
    }

    /// Whether an earlier failure keeps notifications back.
    pub fn waits(&self, now: Timestamp) -> bool {
        self.retry_at.is_some_and(|retry_at| now < retry_at)
    }

    /// The pending notification has ended.
    pub fn end(
        &mut self,
        outcome: &Outcome,
        interval: Duration,
        wall: Timestamp,
        steady: Timestamp,
    ) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        self.retry_at = None;
        self.is_refused = false;
        match outcome {
            Outcome::Failed(failure) => {
                self.is_refused = is_refused(failure.reason);
                let wait = match self.is_refused {
                    true => REFUSED_RETRY,
                    false => interval.max(LEAST_RETRY),
                };
                self.retry_at = Some(later(steady, wait));
            }
            _ => {
                self.notified_at = Some(wall);
                self.notified_steady = Some(steady);
                self.record(pending.alerts);
            }
        }
    }

    /// Lets the next flush notify a destination that has refused the last notification.
    pub fn forget_refusal(&mut self) {
        if self.is_refused {
            (self.is_refused, self.retry_at) = (false, None);
        }
    }

    /// The destination has these.
    fn record(&mut self, alerts: NotifiedAlerts) {
        for (key, notified) in alerts {
            match notified.is_resolved {
                true => self.sent.remove(&key),
                false => self.sent.insert(key, notified),
            };
        }
    }
}

/// Whether another attempt would fail as well, until somebody changes something.
fn is_refused(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::InvalidConfig
            | Reason::InvalidText
            | Reason::MissingDedupKey
            | Reason::UnknownSender
            | Reason::UnknownReceiver
            | Reason::AddressDenied
            | Reason::Redirected
            | Reason::Unauthorized
            | Reason::Forbidden
            | Reason::UnknownDestination
            | Reason::Archived
            | Reason::Rejected
            | Reason::NoSmtputf8
            | Reason::TooLarge
            | Reason::InvalidNumber
            | Reason::InvalidSenderNumber
            | Reason::UnreachableNumber
            | Reason::OptedOut
            | Reason::TrialAccount
            | Reason::OutsideWindow
    )
}
