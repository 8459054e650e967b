//! The notification about the alerts of a group.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use jiff::Timestamp;

use super::dedup::Member;
use crate::json::Json;
use crate::model::notification::{AlertStatus, DedupKey, GroupedAlert, Level, Notification};

/// Alerts that the text lists; the rest is counted.
const MAX_LISTED: usize = 50;
/// A label that at least this share of the alerts has stands once, above the list.
const MOSTLY: (usize, usize) = (8, 10);

/// The notification about these alerts, which are all of one group.
pub fn render<'a>(
    group: &str,
    labels: Option<&[(String, String)]>,
    members: impl Iterator<Item = &'a Member<'a>>,
    now: Timestamp,
) -> Notification {
    let mut members: Vec<&Member<'_>> = members.collect();
    members.sort_by_key(|member| {
        let worst = std::cmp::Reverse(member.alert.level());
        (member.is_over(), worst, member.alert.starts_at)
    });
    if let (None, [member]) = (labels, members.as_slice()) {
        return single(member);
    }
    let labels = labels.unwrap_or_default();
    let alerts: Arc<[GroupedAlert]> = members.iter().map(|member| grouped(member)).collect();
    let common = common_labels(&alerts);
    let firing = alerts
        .iter()
        .filter(|alert| alert.status != AlertStatus::Resolved);
    let (count, level) = (
        firing.clone().count(),
        firing.filter_map(|alert| alert.level).max(),
    );
    let over = alerts.iter().filter_map(|alert| alert.level).max();
    Notification {
        title: Some(title(count, alerts.len() - count, labels)),
        level: level.or(over),
        status: Some(match count {
            0 => AlertStatus::Resolved,
            _ => AlertStatus::Firing,
        }),
        fields: common.clone(),
        dedup_key: Some(DedupKey::from(group)),
        alerts: Some(Arc::clone(&alerts)),
        ..Notification::plain(Json::String(text(&alerts, &common, now)))
    }
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
    let text = notification.as_text();
    GroupedAlert {
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
        ends_at: alert.ends_at.filter(|_| alert.is_resolved()),
    }
}

/// `[2 firing, 1 resolved] region=eu`
fn title(firing: usize, resolved: usize, labels: &[(String, String)]) -> String {
    let counts = [(firing, "firing"), (resolved, "resolved")];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let mut title = format!("[{}]", counts.join(", "));
    for (name, value) in labels {
        let _ = write!(title, " {}={value}", name.trim_start_matches("fields."));
    }
    title
}

/// Labels with the value that all alerts have.
fn common_labels(alerts: &[GroupedAlert]) -> Vec<(String, Json)> {
    let Some((first, others)) = alerts.split_first() else {
        return Vec::new();
    };
    let is_common =
        |label: &&(String, Json)| others.iter().all(|alert| alert.labels.contains(label));
    first.labels.iter().filter(is_common).cloned().collect()
}

fn text(alerts: &[GroupedAlert], common: &[(String, Json)], now: Timestamp) -> String {
    let mut text = levels(alerts);
    let mostly = mostly(alerts, common);
    for (label, count) in &mostly {
        let _ = write!(text, "\n{count} of {}: {label}", alerts.len());
    }
    for alert in alerts.iter().take(MAX_LISTED) {
        let _ = write!(text, "\n- {}", line(alert, common, &mostly, now));
    }
    let rest = alerts.len().saturating_sub(MAX_LISTED);
    if rest > 0 {
        let _ = write!(text, "\nand {rest} more");
    }
    text
}

/// `2 critical, 1 warning`
fn levels(alerts: &[GroupedAlert]) -> String {
    let mut counts: BTreeMap<Option<Level>, usize> = BTreeMap::new();
    for alert in alerts {
        *counts.entry(alert.level).or_default() += 1;
    }
    let counts = counts.into_iter().rev();
    let counts = counts
        .map(|(level, count)| format!("{count} {}", level.map_or("without a level", Level::word)));
    counts.collect::<Vec<_>>().join(", ")
}

/// Labels that nearly all alerts share, and how many do.
fn mostly(alerts: &[GroupedAlert], common: &[(String, Json)]) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for alert in alerts {
        for label in alert.labels.iter().filter(|label| !common.contains(label)) {
            *counts.entry(shown(label)).or_default() += 1;
        }
    }
    let is_most =
        |(_, count): &(String, usize)| *count > 1 && count * MOSTLY.1 >= alerts.len() * MOSTLY.0;
    counts.into_iter().filter(is_most).collect()
}

/// One line of the list: the alert, the labels that distinguish it, and its age.
fn line(
    alert: &GroupedAlert,
    common: &[(String, Json)],
    mostly: &[(String, usize)],
    now: Timestamp,
) -> String {
    let what = alert
        .title
        .as_deref()
        .unwrap_or(alert.text.lines().next().unwrap_or_default());
    let level = alert.level.map(|level| format!("[{level}] "));
    let is_told = |label: &String| mostly.iter().any(|(known, _)| known == label);
    let labels = alert
        .labels
        .iter()
        .filter(|label| !common.contains(label))
        .map(shown);
    let labels: Vec<_> = labels.filter(|label| !is_told(label)).collect();
    let mut line = format!("{}{what}", level.unwrap_or_default());
    if !labels.is_empty() {
        let _ = write!(line, " ({})", labels.join(", "));
    }
    match alert.status {
        AlertStatus::Resolved => line.push_str(", resolved"),
        _ => {
            let _ = write!(line, ", for {}", age(alert.starts_at, now));
        }
    }
    if let Some(link) = &alert.link {
        let _ = write!(line, " {link}");
    }
    line
}

fn shown((name, value): &(String, Json)) -> String {
    format!("{name}={}", value.as_word().unwrap_or_default())
}

/// `45 s`, `12 min`, `3 h`, `2 d`
fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
