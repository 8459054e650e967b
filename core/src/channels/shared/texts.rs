//! A notification's text as channels send it.

use std::borrow::Cow;

use super::alert_list::{self, ListStyle};
use crate::model::channel::{ComposeContext, Messages};
use crate::model::notification::Notification;
use crate::model::outcome::{Failure, Reason};
use crate::model::wire::Outbound;
use crate::text::{Limit, MAX_PARTS, Markup, Split, split, split_after, with_ending};

/// Returns the text. Every channel except `http` requires one.
pub fn of(notification: &Notification) -> Result<Cow<'_, str>, Failure> {
    let text = notification.as_text();
    text.ok_or(Failure::new(Reason::InvalidText))
}

/// Returns the text. If the operator forbids mentions, `without_mentions` rewrites it first.
pub fn allowed<'a>(
    notification: &'a Notification,
    cx: &ComposeContext,
    without_mentions: impl Fn(&str) -> String,
) -> Result<Cow<'a, str>, Failure> {
    let text = of(notification)?;
    Ok(match cx.allow_mentions {
        true => text,
        false => without_mentions(&text).into(),
    })
}

/// Fits the text into the first message's room and further messages. The text of a group is its list of alerts. It has
/// only one message, which counts the alerts that do not fit.
pub fn fit(
    notification: &Notification,
    text: &str,
    room: usize,
    (limit, markup): (Limit, Markup),
    style: &ListStyle,
) -> Split {
    match notification.listed_group() {
        Some(group) => Split {
            parts: vec![alert_list::text(group, room, style)],
            missing: 0,
        },
        None => split_after(text, room, limit, markup),
    }
}

/// Shortens the text to one message, and returns the number of missing code points. The text of a group is its list of
/// alerts.
pub fn shortened(notification: &Notification, text: &str, limit: Limit) -> (String, usize) {
    match notification.listed_group() {
        Some(group) => {
            let style = ListStyle::plain(limit.unit);
            (alert_list::text(group, limit.length, &style), 0)
        }
        None => with_ending(text, limit),
    }
}

/// Sends a text without rich form, in as many messages as necessary. `message` makes one message of each part.
pub fn in_parts(
    text: &str,
    limit: Limit,
    markup: Markup,
    message: impl FnMut(String) -> Outbound,
) -> Messages {
    let split = split(text, limit, markup);
    Messages {
        parts: split.parts.into_iter().map(message).collect(),
        segments: None,
        warnings: missing_warning(split.missing).into_iter().collect(),
    }
}

/// Returns the warning about `missing` code points.
pub fn cut_warning(missing: usize) -> Option<String> {
    let message = "notification_text is too long for this channel: the last";
    (missing > 0).then(|| format!("{message} {missing} characters are missing"))
}

/// Returns the warning about a text that is too long for ten messages.
pub fn missing_warning(missing: usize) -> Option<String> {
    let message = format!("notification_text is too long for {MAX_PARTS} messages: the last");
    (missing > 0).then(|| format!("{message} {missing} characters are missing"))
}
