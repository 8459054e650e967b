//! The notification about the alerts of a group.

use jiff::Timestamp;

use super::dedup::Member;
use super::log::DestinationId;
use crate::channels::group_notification;
use crate::model::group::{AlertGroup, GroupedAlert};
use crate::model::notification::{AlertStatus, DedupKey, Notification};

/// Returns the notification about these alerts, which are all of one group.
pub fn render<'a>(
    key: &str,
    target: &DestinationId,
    labels: Option<&[(String, String)]>,
    members: impl Iterator<Item = &'a Member<'a>>,
    now: Timestamp,
) -> Notification {
    let members: Vec<&Member<'_>> = members.collect();
    if let (None, [member]) = (labels, members.as_slice()) {
        return single(member);
    }
    let labels = labels.unwrap_or_default().iter();
    let labels = labels.map(|(name, value)| (label_name(name).to_owned(), value.clone()));
    let alerts = members.into_iter().map(grouped).collect();
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
fn single(member: &Member<'_>) -> Notification {
    let alert = member.alert;
    let mut notification = Notification::clone(&alert.notification);
    if member.has_left {
        notification.status = Some(AlertStatus::Resolved);
    } else if alert.is_resolved() || notification.status.is_some() {
        notification.status = Some(alert.status);
    }
    notification.dedup_key = alert.dedup_key();
    notification
}

fn grouped(member: &Member<'_>) -> GroupedAlert {
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
    }
}
