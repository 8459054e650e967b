//! The text of a notification, as channels send it.

use std::borrow::Cow;

use crate::model::channel::{ComposeContext, Messages};
use crate::model::notification::Notification;
use crate::model::outcome::{Failure, Reason};
use crate::model::wire::Outbound;
use crate::text::{Limit, MAX_PARTS, Markup, split};

/// The text, which every channel but `http` wants.
pub fn of(notification: &Notification) -> Result<Cow<'_, str>, Failure> {
    let text = notification.as_text();
    text.ok_or(Failure::new(Reason::InvalidText))
}

/// The text, rewritten so that it mentions nobody where the operator forbids mentions.
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

/// A text that comes alone, in as many messages as it takes; `message` makes one of each part.
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

/// What is said of a text of which that is missing.
pub fn cut_warning(missing: usize) -> Option<String> {
    let message = "notification_text is too long for this channel: the last";
    (missing > 0).then(|| format!("{message} {missing} characters are missing"))
}

/// What is said of a text that was longer than ten messages hold.
pub fn missing_warning(missing: usize) -> Option<String> {
    let message = format!("notification_text is too long for {MAX_PARTS} messages: the last");
    (missing > 0).then(|| format!("{message} {missing} characters are missing"))
}
