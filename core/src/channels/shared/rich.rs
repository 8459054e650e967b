//! Shared code of the channels' rich forms: colours, the parts of a notification as text, and the parts that do not
//! fit.

use std::borrow::Cow;
use std::iter;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

pub use super::level_style::LevelStyle;
use super::names::{FieldNames, NameRules};
use crate::json::Json;
use crate::model::channel::Messages;
use crate::model::notification::{AlertStatus, Notification};
use crate::model::wire::Outbound;
use crate::text::{Limit, is_blank_line, one_line, one_line_head, shorten, without_controls};

/// Returns the title in one line, if there is one.
pub fn title(notification: &Notification) -> Option<Cow<'_, str>> {
    let title = one_line(notification.title.as_deref()?);
    (!title.is_empty()).then_some(title)
}

/// Returns `🔴 CPU of db1 above 95 %`. The level replaces a missing title.
pub fn heading(notification: &Notification) -> String {
    heading_with(notification, title(notification))
}

fn heading_with(notification: &Notification, title: Option<Cow<'_, str>>) -> String {
    let look = LevelStyle::of(notification);
    format!("{} {}", look.emoji, title.as_deref().unwrap_or(look.word))
}

/// Lines below a [`heading`] must not repeat its word.
fn is_heading(notification: &Notification, word: &str) -> bool {
    let title = notification.title.as_deref();
    title.is_none_or(is_blank_line) && LevelStyle::of(notification).word.eq_ignore_ascii_case(word)
}

/// Returns the level's word, unless the heading already is this word.
pub fn level_below_heading(notification: &Notification) -> Option<&'static str> {
    let level = LevelStyle::of_level(notification).word;
    (!is_heading(notification, level)).then_some(level)
}

/// Returns `firing since 2026-11-25 02:41 UTC`, or the known part of it. `time` is the time in this channel's format.
pub fn phase(notification: &Notification, time: Option<&str>) -> Option<String> {
    match (notification.status, time) {
        (Some(status), None) if is_heading(notification, status.word()) => None,
        (Some(AlertStatus::Firing), Some(time)) => Some(format!("firing since {time}")),
        (Some(status), Some(time)) => Some(format!("{} {time}", status.word())),
        (Some(status), None) => Some(status.word().to_owned()),
        (None, time) => time.map(str::to_owned),
    }
}

/// Returns the value of the first non-blank field with one of these names, in one line.
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

/// Returns a link's host, if it is plain enough for a text.
pub fn link_host(link: &str) -> Option<&str> {
    host_in(link.split_once("://")?.1)
}

/// Returns host and port of an address without its scheme.
pub fn host_in(rest: &str) -> Option<&str> {
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
    (!host.is_empty() && host.bytes().all(is_plain)).then_some(host)
}

/// Returns the text of a link: `Open grafana.example.com`, or `Open link`.
pub fn link_words(link: &str) -> String {
    format!("Open {}", link_host(link).unwrap_or("link"))
}

/// Returns `Critical · firing since 2026-11-25 02:41 UTC · and 3 more fields`, for the place below a [`heading`]. All
/// words are constants, at most [`SUMMARY`] bytes. Returns `None` if the heading contains everything.
pub fn summary(notification: &Notification, cuts: &Truncations) -> Option<String> {
    summary_with_level(level_below_heading(notification), notification, cuts)
}

/// Returns the summary for a place without a heading above it.
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

/// Joins the parts of a summary in one line. Returns `None` without parts.
pub fn joined(parts: [Option<String>; 3]) -> Option<String> {
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// The maximum length of [`summary`] in bytes.
pub const SUMMARY: usize = 150;

/// Formats the time in UTC, because the reader's time zone is unknown.
pub fn time_in_utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Returns seconds since 1970, for providers that show the time in the reader's own time zone. Returns `None` before
/// 1970, which providers do not accept.
pub fn unix_seconds(time: Timestamp) -> Option<i64> {
    Some(time.as_second()).filter(|seconds| *seconds >= 0)
}

/// A notification in its rich form: one message with all parts, and plain messages for the rest of a long text.
pub struct RichMessage<P> {
    pub payload: P,
    /// Further parts of the text.
    more: Vec<String>,
    /// Code points of the text that no part contains.
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

    /// Builds the messages. `post` sends a body, `plain` sends a part of the text.
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

/// A field in a channel's format.
pub struct FittedField<T> {
    pub field: T,
    /// Its length in the channel's unit.
    pub length: usize,
    /// Whether its value was shortened.
    pub is_cut: bool,
}

impl FittedField<(String, Value)> {
    /// Returns a member of an object. `around` is the length besides name and value.
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

/// The part of a text that is rewritten before it is shortened to its limit, in limits. The rest is for a rewriting that looks
/// ahead: a Discord shortcode has at most 32 characters.
pub const HEAD: usize = 2;

/// The parts of a notification that did not fit.
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
    /// Returns the title, or the text that contains it, within its limit.
    pub fn title(&mut self, title: &str, limit: Limit, ending: &str) -> String {
        shorten(title, limit, ending, &mut self.title)
    }

    /// Returns the [`heading`] in the channel's notation, within its limit. `rewrite` may only lengthen it. Thousands of
    /// destinations may have a long title, so this reads only its beginning.
    pub fn heading(
        &mut self,
        notification: &Notification,
        limit: Limit,
        rewrite: impl FnOnce(String) -> String,
    ) -> String {
        let title = notification.title.as_deref();
        let title = title.map(|title| one_line_head(title, HEAD * limit.length));
        let title = title.filter(|title| !title.is_empty());
        let heading = rewrite(heading_with(notification, title));
        self.title(&heading, limit, "…")
    }

    /// Returns the link, if it fits.
    pub fn link<T>(&mut self, link: Option<T>, fits: impl Fn(&T) -> bool) -> Option<T> {
        let given = link.is_some();
        let link = link.filter(fits);
        self.link = given && link.is_none();
        link
    }

    /// Returns the first fields: at most `most`, and as many as fit in `room`. Names are unique single lines that
    /// follow the channel's rules. No name or value is blank.
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

    /// Returns the number of fields that fit.
    pub const fn shown(&self) -> usize {
        self.fields - self.fields_left_out
    }

    /// Returns a note for the message: `and 3 more fields`. Shortened parts have their own mark at the end.
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

    /// Returns the warnings for the response.
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

/// Replaces a blank text, because providers refuse it.
fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::notification::Level;
    use crate::text::{Unit, with_entities};

    proptest! {
        /// As if it had been made of the whole title.
        #[test]
        fn a_heading_is_cut_like_one_of_the_whole_title(title in "[a<& \n\u{301}👨\u{200d}]{0,60}", length in 8_usize..24) {
            let notification = Notification { title: Some(title), ..Notification::plain(Json::String("x".to_owned())) };
            for unit in [Unit::CodePoints, Unit::Utf16, Unit::Bytes, Unit::JsonBytes] {
                let limit = Limit::new(length, unit);
                let (mut cuts, mut whole) = (Truncations::default(), Truncations::default());
                let cut = cuts.heading(&notification, limit, |heading| with_entities(&heading));
                let expected = whole.title(&with_entities(&heading(&notification)), limit, "…");
                prop_assert_eq!((cut, cuts.title), (expected, whole.title));
            }
        }
    }

    #[test]
    fn a_summary_says_nothing_that_the_heading_says() {
        const TIME: &str = "2026-11-25T02:41:58Z";
        let cases = [
            ("t", "critical firing", "", Some("Critical · firing")),
            ("t", "", "", Some("Info")),
            ("", "critical", "", None),
            ("", "", "", None),
            // A title without a visible character counts as no title.
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
