//! The notification about the alerts of a group.

use jiff::Timestamp;

use super::dedup::Member;
use super::log::{DestinationId, NotifiedAlerts};
use crate::channels::group_notification;
use crate::model::group::{AlertGroup, GroupedAlert};
use crate::model::notification::{AlertStatus, DedupKey, Level, Notification};

/// Returns the notification about these alerts, which are all of one group. `sent` are the alerts that the destination
/// knows.
pub fn render<'a>(
    (key, labels): (&str, Option<&[(String, String)]>),
    target: &DestinationId,
    sent: &NotifiedAlerts,
    members: impl Iterator<Item = &'a Member<'a>>,
    now: Timestamp,
) -> Notification {
    let members: Vec<&Member<'_>> = members.collect();
    if let (None, [member]) = (labels, members.as_slice()) {
        return single(member, sent);
    }
    let labels = labels.unwrap_or_default().iter();
    let labels = labels.map(|(name, value)| (label_name(name).to_owned(), value.clone()));
    let alerts = members
        .into_iter()
        .map(|member| grouped(member, sent))
        .collect();
    let names = (key.to_owned(), target.receiver.clone());
    let group = AlertGroup::new(names, labels.collect(), alerts, now);
    Notification {
        dedup_key: Some(DedupKey::from(key)),
        ..group_notification(group)
    }
}

fn label_name(name: &str) -> &str {
    name.strip_prefix("fields.").unwrap_or(name)
}

/// One alert has its own rich form.
fn single(member: &Member<'_>, sent: &NotifiedAlerts) -> Notification {
    let alert = member.alert;
    let mut notification = Notification::clone(&alert.notification);
    if member.has_left {
        notification.status = Some(AlertStatus::Resolved);
    } else if alert.is_resolved() || notification.status.is_some() {
        notification.status = Some(alert.status);
    }
    notification.dedup_key = alert.dedup_key();
    notification.sent_levels = sent_levels(member, sent);
    notification
}

fn grouped(member: &Member<'_>, sent: &NotifiedAlerts) -> GroupedAlert {
    let (alert, notification) = (member.alert, &member.alert.notification);
    let key = notification.dedup_key.clone();
    let text = notification.as_text();
    GroupedAlert {
        key: key.unwrap_or_else(|| DedupKey::from(alert.key.as_str())),
        title: notification.title.clone(),
        text: text.map_or_else(String::new, |text| text.into_owned()),
        level: alert.level(),
        status: match member.is_over() {
            true => AlertStatus::Resolved,
            false => alert.status,
        },
        labels: notification.fields.clone(),
        link: notification.link.clone(),
        starts_at: alert.starts_at,
        ends_at: alert.ends_at,
        sent_levels: sent_levels(member, sent),
    }
}

fn sent_levels(member: &Member<'_>, sent: &NotifiedAlerts) -> Vec<Option<Level>> {
    let notified = sent.get(&member.alert.key).into_iter();
    notified.map(|notified| notified.level).collect()
}
