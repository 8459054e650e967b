//! The notification: the content that receivers get.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

pub use super::dedup_key::DedupKey;
use super::group::AlertGroup;
use super::level::word_in_text;
pub use super::level::{Level, LevelMap};
pub use super::status::AlertStatus;
use crate::json::{Json, size_of_members};

/// One notification as the request describes it.
#[derive(Clone, Debug)]
pub struct Notification {
    /// `notification_text`: any JSON value, because the `http` channel sends it unchanged.
    pub text: Json,
    pub title: Option<String>,
    pub level: Option<Level>,
    /// The level of the operator's word at the text's beginning. This level does not make a notification rich.
    pub level_in_text: Option<Level>,
    pub status: Option<AlertStatus>,
    /// The fields in the request's order: strings, numbers, booleans.
    pub fields: Vec<(String, Json)>,
    /// An `http` or `https` URL.
    pub link: Option<String>,
    /// The time of the event.
    pub timestamp: Option<Timestamp>,
    /// Deliveries with the same key to one destination run one after another.
    pub dedup_key: Option<DedupKey>,
    /// The table of the notification's row.
    pub table: Option<Arc<str>>,
    /// The alerts of a group or digest. `None`: the notification is about one event.
    pub group: Option<Arc<AlertGroup>>,
    /// Whether a template made the text. The text of other groups is the list of alerts, and each channel writes it in
    /// its own format.
    pub is_templated: bool,
    /// The levels of the alert's last notifications to the destinations. Empty: unknown, or there were none.
    pub sent_levels: Vec<Option<Level>>,
}

/// An alert's state according to its notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AlertState {
    pub level: Option<Level>,
    pub status: Option<AlertStatus>,
}

impl Notification {
    /// Returns a notification with only a text.
    pub const fn plain(text: Json) -> Self {
        Self {
            text,
            title: None,
            level: None,
            level_in_text: None,
            status: None,
            fields: Vec::new(),
            link: None,
            timestamp: None,
            dedup_key: None,
            table: None,
            group: None,
            is_templated: false,
            sent_levels: Vec::new(),
        }
    }

    /// Whether the channels use their rich forms. Other notifications are sent as plain text.
    pub fn is_rich(&self) -> bool {
        self.title.is_some()
            || self.level.is_some()
            || self.status.is_some()
            || !self.fields.is_empty()
            || self.link.is_some()
    }

    /// Returns the approximate memory size in bytes.
    pub fn size(&self) -> usize {
        let texts = [
            self.title.as_deref(),
            self.link.as_deref(),
            self.dedup_key.as_deref(),
        ];
        let texts: usize = texts.into_iter().flatten().map(str::len).sum();
        let group = self.group.as_ref().map_or(0, |group| group.size());
        size_of::<Self>() + self.text.size() + texts + size_of_members(&self.fields) + group
    }

    /// Returns the group that the notification is about, unless it is a digest.
    pub fn alert_group(&self) -> Option<&AlertGroup> {
        self.group.as_deref().filter(|group| !group.is_digest())
    }

    /// Returns the group whose alerts the message lists.
    pub fn listed_group(&self) -> Option<&AlertGroup> {
        self.group.as_deref().filter(|_| !self.is_templated)
    }

    /// Returns the text for channels that send text: a string, or a number's or boolean's JSON text. Returns `None`
    /// for `null`, arrays, objects and blank strings, which cannot be sent.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match &self.text {
            Json::String(text) if !text.trim().is_empty() => Some(Cow::Borrowed(text)),
            Json::Number(text) => Some(Cow::Borrowed(text)),
            Json::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            _ => None,
        }
    }

    /// Returns the level for routing rules: the notification's own, or the level at the text's beginning, as in
    /// `[CRITICAL] cpu`.
    pub fn level_for_rules(&self) -> Option<Level> {
        let in_text = || Level::parse(word_in_text(self.text.as_str()?)?);
        self.level.or(self.level_in_text).or_else(in_text)
    }

    /// Returns the state with the level for routing rules.
    pub fn state(&self) -> AlertState {
        AlertState {
            level: self.level_for_rules(),
            status: self.status,
        }
    }
}

/// All members of a notification except its text, with the names and the order of a request.
#[derive(Serialize)]
pub struct NotificationMembers<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "object")]
    fields: &'a [(String, Json)],
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dedup_key: Option<&'a str>,
}

impl<'a> NotificationMembers<'a> {
    pub fn of(notification: &'a Notification) -> Self {
        Self {
            title: notification.title.as_deref(),
            level: notification.level.map(Level::word),
            status: notification.status.map(AlertStatus::word),
            fields: &notification.fields,
            link: notification.link.as_deref(),
            timestamp: notification.timestamp.map(|time| time.to_string()),
            dedup_key: notification.dedup_key.as_deref(),
        }
    }
}

fn object<S: Serializer>(fields: &[(String, Json)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_go_by_the_level_or_by_the_word_that_the_text_begins_with() {
        for (text, level, found) in [
            ("[CRITICAL] cpu at 97 %", None, Some(Level::Critical)),
            (" [warn] x", None, Some(Level::Warning)),
            ("[Err]", None, Some(Level::Error)),
            ("[OK] again", Some(Level::Info), Some(Level::Info)),
            ("[host=db1] x", None, None),
            ("x [ERROR]", None, None),
            ("[ERROR x", None, None),
            ("", None, None),
        ] {
            let mut notification = Notification::plain(Json::String(text.to_owned()));
            notification.level = level;
            assert_eq!(notification.level_for_rules(), found, "{text}");
        }
    }
}
