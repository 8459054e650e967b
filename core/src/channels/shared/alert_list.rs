//! The list of a group's alerts, as text or as a channel's own lines. Every channel that fits its text with
//! [`super::texts::fit`] gets the list without further code.

use std::borrow::Cow;
use std::sync::Arc;

use super::level_style::LevelStyle;
use crate::json::Json;
use crate::model::group::{AlertGroup, GroupedAlert};
use crate::model::notification::Notification;
use crate::text::{Limit, Unit, one_line, shorten};

/// How a channel writes the list.
pub struct ListStyle {
    pub unit: Unit,
    /// Removes the meaning of markup in titles, texts and labels.
    pub escape: fn(&str) -> String,
    /// Writes a link. `None`: the list has no links.
    pub link: Option<fn(&str) -> String>,
    /// Whether an emoji stands for the level.
    pub has_emoji: bool,
}

impl ListStyle {
    /// Returns the style of a text without markup.
    pub const fn plain(unit: Unit) -> Self {
        Self {
            unit,
            escape: str::to_owned,
            link: Some(str::to_owned),
            has_emoji: false,
        }
    }
}

/// The maximum number of alerts in a list.
const MAX_LISTED: usize = 50;
/// The limits of a line's parts, for a reader.
const WHAT: Limit = Limit::utf16(120);
const LABEL: Limit = Limit::utf16(80);
const LABELS: Limit = Limit::utf16(200);
/// The maximum length of a link. A longer link is left out of the list.
const LINK: usize = 300;
/// The room of the list where nothing else limits it: in the log, in history, in templates.
const STORED: usize = 20_000;

/// One alert of the list.
pub struct AlertLine<'a> {
    /// `[critical]`, or an emoji.
    pub mark: Cow<'static, str>,
    /// The title, or the first line of the text.
    pub what: String,
    /// `host=db1, disk=sda`
    pub labels: String,
    /// `for 12 min`, or `resolved`. Empty for another notification of a digest.
    pub age: String,
    pub link: Option<&'a str>,
}

impl AlertLine<'_> {
    /// Returns the line without its link: `[critical] CPU above 95 % (host=db1), for 12 min`.
    pub fn words(&self) -> String {
        let space = if self.mark.is_empty() { "" } else { " " };
        let labels = match self.labels.is_empty() {
            true => String::new(),
            false => format!(" ({})", self.labels),
        };
        let comma = if self.age.is_empty() { "" } else { ", " };
        let Self {
            mark, what, age, ..
        } = self;
        format!("{mark}{space}{what}{labels}{comma}{age}")
    }
}

/// Returns the notification about these alerts: title, level, status, common labels, and the list as text.
pub fn notification(group: AlertGroup) -> Notification {
    let plain = Notification::plain(Json::String(plain_text(&group, STORED)));
    Notification {
        title: Some(group.title()),
        level: group.level(),
        status: Some(group.status()),
        fields: group.common.clone(),
        group: Some(Arc::new(group)),
        ..plain
    }
}

/// Returns the list as text without markup, in at most `room` UTF-16 code units.
pub fn plain_text(group: &AlertGroup, room: usize) -> String {
    text(group, room, &ListStyle::plain(Unit::Utf16))
}

/// Returns the list in at most `room` units: counts, labels that most alerts share, then as many alerts as fit. It ends with
/// the number of the others.
pub fn text(group: &AlertGroup, room: usize, style: &ListStyle) -> String {
    let line = |alert: &AlertLine<'_>| {
        let link = alert.link.zip(style.link).map(|(link, write)| write(link));
        let words = (style.escape)(&alert.words());
        let line = match link {
            Some(link) => format!("- {words} {link}"),
            None => format!("- {words}"),
        };
        let length = style.unit.of(&line);
        (line, length)
    };
    let overview = |line: &str| {
        let line = (style.escape)(line);
        let length = style.unit.of(&line);
        (line, length)
    };
    lines(group, room, style, overview, line).join("\n")
}

/// Returns the lines of the list with at most `room` units. `overview` writes a line of words; `draw` writes an alert. Both
/// return the line and its length.
pub fn lines<T>(
    group: &AlertGroup,
    room: usize,
    style: &ListStyle,
    overview: impl Fn(&str) -> (T, usize),
    draw: impl Fn(&AlertLine<'_>) -> (T, usize),
) -> Vec<T> {
    let break_length = style.unit.of("\n");
    let total = group.total;
    // The number's length hardly changes the note's length.
    let note = |rest: usize| overview(&format!("and {rest} more"));
    let room = room.saturating_sub(note(total).1 + break_length);
    let (mut lines, mut used) = (Vec::new(), 0);
    let mut add = |(line, length): (T, usize)| {
        let is_fitting = used + length + break_length <= room;
        if is_fitting {
            used += length + break_length;
            lines.push(line);
        }
        is_fitting
    };
    for words in self::overview(group) {
        add(overview(&words));
    }
    let alerts = all(group, style).take(MAX_LISTED);
    let listed = alerts.take_while(|alert| add(draw(alert))).count();
    let rest = total - listed;
    if rest > 0 {
        lines.push(note(rest).0);
    }
    lines
}

/// Returns the lines above the alerts: `2 critical, 1 warning`, `209 of 212: rack=r7`.
pub fn overview(group: &AlertGroup) -> impl Iterator<Item = String> {
    let total = group.total;
    let shared = group.shared.iter();
    let shared = shared.map(move |(label, count)| format!("{count} of {total}: {}", shown(label)));
    let first = group.lead.clone().or_else(|| levels(group));
    first.into_iter().chain(shared)
}

/// Returns a line for each alert.
pub fn all<'a>(group: &'a AlertGroup, style: &ListStyle) -> impl Iterator<Item = AlertLine<'a>> {
    group.alerts.iter().map(|alert| line(alert, group, style))
}

/// Returns `2 critical, 1 warning`.
fn levels(group: &AlertGroup) -> Option<String> {
    let levels = group.counts.by_level();
    let mut levels: Vec<_> = levels
        .map(|(level, count)| format!("{count} {level}"))
        .collect();
    if levels.is_empty() {
        return None;
    }
    let without = group.total - group.counts.levels.iter().sum::<usize>();
    if without > 0 {
        levels.push(format!("{without} without a level"));
    }
    Some(levels.join(", "))
}

fn line<'a>(alert: &'a GroupedAlert, group: &'a AlertGroup, style: &ListStyle) -> AlertLine<'a> {
    let title = alert.title.as_deref().map(one_line);
    let title = title.filter(|title| !title.is_empty());
    let what = title.unwrap_or_else(|| one_line(&alert.text));
    let labels: Vec<_> = alert.distinguishing(group).map(shown).collect();
    let link = alert.link.as_deref();
    AlertLine {
        mark: mark(alert, style),
        what: shorten(&what, WHAT, "...", &mut false),
        labels: shorten(&labels.join(", "), LABELS, "...", &mut false),
        age: match alert.is_resolved() {
            true => "resolved".to_owned(),
            false if group.is_digest() => String::new(),
            false => format!("for {}", age(alert, group)),
        },
        link: link.filter(|link| link.len() <= LINK && is_plain(link)),
    }
}

fn mark(alert: &GroupedAlert, style: &ListStyle) -> Cow<'static, str> {
    if style.has_emoji {
        return LevelStyle::of_alert(alert.level, Some(alert.status))
            .emoji
            .into();
    }
    let level = alert.level.map(|level| format!("[{level}]"));
    level.unwrap_or_default().into()
}

fn shown((name, value): &(String, Json)) -> String {
    let label = format!("{name}={}", value.as_word().unwrap_or_default());
    shorten(&one_line(&label), LABEL, "...", &mut false)
}

/// Whether the link is free of characters that could end it in any channel's markup.
fn is_plain(link: &str) -> bool {
    let is_special = |byte: u8| byte <= b' ' || byte > b'~' || b"<>()[]|\"'`\\*".contains(&byte);
    !link.bytes().any(is_special)
}

/// Returns `45 s`, `12 min`, `3 h`, `2 d`.
fn age(alert: &GroupedAlert, group: &AlertGroup) -> String {
    let seconds = group.at.duration_since(alert.starts_at).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
