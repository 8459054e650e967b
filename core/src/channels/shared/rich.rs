//! What the channels' rich forms share: how a notification looks, its parts as text, and what of them found no place.

use std::borrow::Cow;
use std::iter;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::names::{FieldNames, NameRules};
use crate::json::Json;
use crate::model::channel::Messages;
use crate::model::notification::{AlertStatus, Level, Notification};
use crate::model::wire::Outbound;
use crate::text::{Limit, one_line, shorten, without_controls};

/// What tells at a glance how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelStyle {
    pub emoji: &'static str,
    /// `Critical`; `Resolved` of what is over.
    pub word: &'static str,
    /// `0xRRGGBB`
    pub colour: u32,
}

impl LevelStyle {
    /// What is resolved looks so, whatever its level.
    pub const fn of(notification: &Notification) -> Self {
        match notification.status {
            Some(AlertStatus::Resolved) => Self::new("✅", "Resolved", 0x2E_B6_7D),
            _ => Self::of_level(notification),
        }
    }

    /// No level is drawn as `info`.
    pub const fn of_level(notification: &Notification) -> Self {
        match notification.level {
            Some(Level::Ok) => Self::new("🟢", "OK", 0x2E_B6_7D),
            None | Some(Level::Info) => Self::new("🔵", "Info", 0x36_8B_D6),
            Some(Level::Warning) => Self::new("🟡", "Warning", 0xEC_B2_2E),
            Some(Level::Error) => Self::new("🟠", "Error", 0xE8_73_1F),
            Some(Level::Critical) => Self::new("🔴", "Critical", 0xD7_26_3D),
        }
    }

    const fn new(emoji: &'static str, word: &'static str, colour: u32) -> Self {
        Self {
            emoji,
            word,
            colour,
        }
    }
}

/// The title in one line, if there is one.
pub fn title(notification: &Notification) -> Option<Cow<'_, str>> {
    let title = one_line(notification.title.as_deref()?);
    (!title.is_empty()).then_some(title)
}

/// `🔴 CPU of db1 above 95 %`; without a title the level stands in its place.
pub fn heading(notification: &Notification) -> String {
    let look = LevelStyle::of(notification);
    let title = title(notification);
    format!("{} {}", look.emoji, title.as_deref().unwrap_or(look.word))
}

/// What stands below a [`heading`] must not say its word again.
fn is_heading(notification: &Notification, word: &str) -> bool {
    title(notification).is_none() && LevelStyle::of(notification).word.eq_ignore_ascii_case(word)
}

/// How bad it is, unless the heading is this word.
pub fn level_below_heading(notification: &Notification) -> Option<&'static str> {
    let level = LevelStyle::of_level(notification).word;
    (!is_heading(notification, level)).then_some(level)
}

/// `firing since 2026-11-25 02:41 UTC`, as far as it is known; `time` is the moment as this channel writes it.
pub fn phase(notification: &Notification, time: Option<&str>) -> Option<String> {
    match (notification.status, time) {
        (Some(status), None) if is_heading(notification, status.word()) => None,
        (Some(AlertStatus::Firing), Some(time)) => Some(format!("firing since {time}")),
        (Some(status), Some(time)) => Some(format!("{} {time}", status.word())),
        (Some(status), None) => Some(status.word().to_owned()),
        (None, time) => time.map(str::to_owned),
    }
}

/// The value of the first field of these names that is not blank, in one line.
pub fn field(notification: &Notification, names: &[&str]) -> Option<String> {
    let values = names.iter().filter_map(|name| {
        let mut fields = notification.fields.iter();
        fields
            .find(|(key, _)| key == name)
            .map(|(_, value)| value_text(value))
    });
    let mut lines = values.map(|value| one_line(&value).into_owned());
    lines.find(|line| !line.is_empty())
}

fn value_text(value: &Json) -> Cow<'_, str> {
    match value {
        Json::String(text) => without_controls(text),
        Json::Bool(true) => Cow::Borrowed("true"),
        Json::Bool(false) => Cow::Borrowed("false"),
        Json::Number(text) => Cow::Borrowed(text.as_str()),
        _ => Cow::Borrowed(""),
    }
}

/// The host that a link leads to, where it is plain enough to stand in a text.
pub fn link_host(link: &str) -> Option<&str> {
    host_in(link.split_once("://")?.1)
}

/// The host and port in an address without its scheme.
pub fn host_in(rest: &str) -> Option<&str> {
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
    (!host.is_empty() && host.bytes().all(is_plain)).then_some(host)
}

/// What a reader sees of a link: `Open grafana.example.com`, or `Open link`.
pub fn link_words(link: &str) -> String {
    format!("Open {}", link_host(link).unwrap_or("link"))
}

/// `Critical · firing since 2026-11-25 02:41 UTC · and 3 more fields`, below a [`heading`]: how bad, since when, what is
/// missing. All of it words of ours, and never more than [`SUMMARY`] bytes. `None`: the heading says it all.
pub fn summary(notification: &Notification, cuts: &Truncations) -> Option<String> {
    summary_with_level(level_below_heading(notification), notification, cuts)
}

/// The same where no heading stands above it.
pub fn summary_without_heading(notification: &Notification, cuts: &Truncations) -> Option<String> {
    summary_with_level(
        Some(LevelStyle::of_level(notification).word),
        notification,
        cuts,
    )
}

fn summary_with_level(
    level: Option<&str>,
    notification: &Notification,
    cuts: &Truncations,
) -> Option<String> {
    let time = notification.timestamp.map(time_in_utc);
    let phase = phase(notification, time.as_deref());
    joined([level.map(str::to_owned), phase, cuts.note()])
}

/// The parts of a summary in one line, if there is one.
pub fn joined(parts: [Option<String>; 3]) -> Option<String> {
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// The most that [`summary`] takes, in bytes.
pub const SUMMARY: usize = 150;

/// For readers of whom it is not known where they are.
pub fn time_in_utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Seconds since 1970, for providers that show the moment in the reader's own time zone. None before: they know no such.
pub fn unix_seconds(time: Timestamp) -> Option<i64> {
    Some(time.as_second()).filter(|seconds| *seconds >= 0)
}

/// A notification in its rich form: one message that shows all of it, and plain ones for what its text has beyond that.
pub struct RichMessage<P> {
    pub payload: P,
    /// Further parts of the text.
    more: Vec<String>,
    /// Code points of the text that found no place in any part.
    missing: usize,
    cuts: Truncations,
}

impl<P: Serialize> RichMessage<P> {
    pub fn new(
        payload: P,
        more: impl Iterator<Item = String>,
        missing: usize,
        cuts: Truncations,
    ) -> Self {
        Self {
            payload,
            more: more.collect(),
            missing,
            cuts,
        }
    }

    /// `post` sends a body, `plain` a part of the text.
    pub fn messages(
        self,
        post: impl FnOnce(Vec<u8>) -> Outbound,
        plain: impl FnMut(String) -> Outbound,
    ) -> Messages {
        let first = post(super::body::json(&self.payload));
        let mut warnings = self.cuts.warnings();
        warnings.extend(super::texts::missing_warning(self.missing));
        let more = self.more.into_iter().map(plain);
        Messages::new(iter::once(first).chain(more).collect(), warnings)
    }
}

/// A field as a channel draws it.
pub struct FittedField<T> {
    pub field: T,
    /// What it takes of the room, in the channel's unit.
    pub length: usize,
    /// Whether its value had to be cut.
    pub is_cut: bool,
}

impl FittedField<(String, Value)> {
    /// A member of an object; `around` is what it takes besides name and value.
    pub fn member(name: String, value: &str, limit: Limit, around: usize) -> Self {
        let mut is_cut = false;
        let value = shorten(value, limit, "…", &mut is_cut);
        Self {
            length: limit.unit.of(&name) + limit.unit.of(&value) + around,
            field: (name, value.into()),
            is_cut,
        }
    }
}

/// What of a notification found no place.
#[derive(Debug, Default)]
pub struct Truncations {
    title: bool,
    fields: usize,
    fields_cut: usize,
    fields_numbered: usize,
    fields_left_out: usize,
    link: bool,
}

impl Truncations {
    /// The title, or what holds it, within its limit.
    pub fn title(&mut self, title: &str, limit: Limit, ending: &str) -> String {
        shorten(title, limit, ending, &mut self.title)
    }

    /// The link, if it fits.
    pub fn link<T>(&mut self, link: Option<T>, fits: impl Fn(&T) -> bool) -> Option<T> {
        let given = link.is_some();
        let link = link.filter(fits);
        self.link = given && link.is_none();
        link
    }

    /// The first fields, at most `most` and as many as there is `room` for. Names are single lines that follow the channel's
    /// rules, no two are the same, and nothing is blank.
    pub fn fields<T>(
        &mut self,
        notification: &Notification,
        most: usize,
        mut room: usize,
        rules: &NameRules,
        draw: impl Fn(String, &str) -> FittedField<T>,
    ) -> Vec<T> {
        self.fields = notification.fields.len();
        let mut names = FieldNames::new(rules);
        let mut fields = Vec::with_capacity(self.fields.min(most));
        for (name, value) in notification.fields.iter().take(most) {
            let value = value_text(value);
            let name = names.add(or_dash(&one_line(name)));
            let drawn = draw(name.text, or_dash(&value));
            if drawn.length > room {
                break;
            }
            room -= drawn.length;
            self.fields_cut += usize::from(name.is_cut || drawn.is_cut);
            self.fields_numbered += usize::from(name.is_numbered);
            fields.push(drawn.field);
        }
        self.fields_left_out = self.fields - fields.len();
        fields
    }

    /// How many of the fields found a place.
    pub const fn shown(&self) -> usize {
        self.fields - self.fields_left_out
    }

    /// For the message itself: `and 3 more fields`. What was cut short ends with a mark of its own.
    pub fn note(&self) -> Option<String> {
        let fields = match self.fields_left_out {
            0 => None,
            1 => Some("and 1 more field".to_owned()),
            more => Some(format!("and {more} more fields")),
        };
        let link = self.link.then(|| "link too long".to_owned());
        match (fields, link) {
            (Some(fields), Some(link)) => Some(format!("{fields}, {link}")),
            (fields, link) => fields.or(link),
        }
    }

    /// For the answer.
    pub fn warnings(&self) -> Vec<String> {
        let (cut, left_out, all) = (self.fields_cut, self.fields_left_out, self.fields);
        let numbered = self.fields_numbered;
        let told = [
            (
                self.title,
                "title: too long for one message; cut".to_owned(),
            ),
            (
                cut > 0,
                format!("fields: too long for one message; {cut} of {all} cut"),
            ),
            (
                numbered > 0,
                format!(
                    "fields: names that are the same in this channel; {numbered} of {all} numbered"
                ),
            ),
            (
                left_out > 0,
                format!("fields: too many for one message; the last {left_out} of {all} left out"),
            ),
            (
                self.link,
                "link: too long for one message; left out".to_owned(),
            ),
        ];
        told.into_iter()
            .filter_map(|(is_so, words)| is_so.then_some(words))
            .collect()
    }
}

/// Providers refuse what is blank.
fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_nothing_that_the_heading_says() {
        const TIME: &str = "2026-11-25T02:41:58Z";
        let cases = [
            ("t", "critical firing", "", Some("Critical · firing")),
            ("t", "", "", Some("Info")),
            ("", "critical", "", None),
            ("", "", "", None),
            // A title of which nothing can be shown is none.
            ("\u{7}", "critical", "", None),
            ("", "critical firing", "", Some("firing")),
            (
                "",
                "critical firing",
                TIME,
                Some("firing since 2026-11-25 02:41 UTC"),
            ),
            ("", "critical", TIME, Some("2026-11-25 02:41 UTC")),
            ("", "critical acknowledged", "", Some("acknowledged")),
            ("", "critical resolved", "", Some("Critical")),
            ("", " resolved", "", Some("Info")),
            (
                "",
                "critical resolved",
                TIME,
                Some("Critical · resolved 2026-11-25 02:41 UTC"),
            ),
            ("t", "critical resolved", "", Some("Critical · resolved")),
        ];
        for (title, words, time, expected) in cases {
            let mut words = words.split(' ');
            let notification = Notification {
                title: Some(title.to_owned()),
                level: words.next().and_then(Level::parse),
                status: words.next().and_then(AlertStatus::parse),
                timestamp: time.parse().ok(),
                ..Notification::plain(Json::String("x".to_owned()))
            };
            let found = summary(&notification, &Truncations::default());
            assert_eq!(found.as_deref(), expected, "{notification:?}");
        }
    }
}
