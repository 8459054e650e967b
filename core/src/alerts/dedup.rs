//! Selects the alerts that a destination must be notified of, by the notification log.

use super::alert::{Alert, AlertKey};
use super::log::{GroupDestination, LogEntry, Notified, NotifiedAlerts};

/// An alert as a group sees it at a flush.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    pub alert: &'a Alert,
    /// It has left the group: for the group's destinations it is over.
    pub has_left: bool,
    /// It is no reason for a notification.
    pub is_muted: bool,
}

impl Member<'_> {
    pub fn is_over(&self) -> bool {
        self.has_left || self.alert.is_resolved()
    }

    /// The alert as this destination sees it.
    #[must_use]
    pub fn seen_by(self, target: &GroupDestination) -> Self {
        Self {
            has_left: self.has_left || target.is_former,
            ..self
        }
    }

    pub fn notified(&self) -> (AlertKey, Notified) {
        let notified = Notified {
            is_resolved: self.is_over(),
            level: self.alert.level(),
            notify_again: false,
        };
        (self.alert.key.clone(), notified)
    }
}

/// The alerts of the notification that a destination gets now; empty: none. It has every alert that fires, and those that are
/// over since the last notification.
pub fn to_notify(
    entry: Option<&LogEntry>,
    members: &[Member<'_>],
    target: &GroupDestination,
) -> NotifiedAlerts {
    let is_news = |member: &Member<'_>| is_news(entry, member, target);
    if !members.iter().any(is_news) {
        return NotifiedAlerts::new();
    }
    // A muted alert that the destination knows is part of the notification: the group does not end while it fires.
    let is_known =
        |member: &Member<'_>| entry.is_some_and(|entry| entry.knows_firing(&member.alert.key));
    let is_told = |member: &&Member<'_>| match member.is_over() || member.alert.is_one_off {
        true => is_news(member),
        false => !member.is_muted || is_known(member),
    };
    members
        .iter()
        .filter(is_told)
        .map(Member::notified)
        .collect()
}

/// Whether the destination does not know of it yet.
fn is_news(entry: Option<&LogEntry>, member: &Member<'_>, target: &GroupDestination) -> bool {
    let sent = entry.and_then(|entry| entry.sent.get(&member.alert.key));
    match (member.is_over(), sent) {
        (true, sent) => target.send_resolved && sent.is_some(),
        (false, _) if member.is_muted => false,
        (false, None) => true,
        (false, Some(sent)) => sent.notify_again || member.alert.level() > sent.level,
    }
}
