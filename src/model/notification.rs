//! What is said.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;

use super::json::Json;

/// One notification, as the request gave it.
#[derive(Clone, Debug)]
pub struct Notification {
    /// `notification_text`: any JSON value, since the `http` channel passes it on unchanged.
    pub text: Json,
    pub title: Option<String>,
    pub level: Option<Level>,
    pub status: Option<Status>,
    /// In the order of the request: strings, numbers, booleans.
    pub fields: Vec<(String, Json)>,
    /// An `http` or `https` URL.
    pub link: Option<String>,
    /// When it happened.
    pub timestamp: Option<Timestamp>,
    /// Deliveries with the same key to one destination go one after another.
    pub dedup_key: Option<String>,
}

/// How bad it is; a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Ok,
    Info,
    Warning,
    Error,
    Critical,
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Firing,
    /// Somebody sees to it.
    Acknowledged,
    Resolved,
}

/// What a notification says of how its alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub level: Option<Level>,
    pub status: Option<Status>,
}

impl Notification {
    /// A notification that has only a text.
    pub const fn plain(text: Json) -> Self {
        Self {
            text,
            title: None,
            level: None,
            status: None,
            fields: Vec::new(),
            link: None,
            timestamp: None,
            dedup_key: None,
        }
    }

    /// Whether the channels' rich forms are for it; without, a text goes as it always did.
    pub fn is_rich(&self) -> bool {
        self.title.is_some()
            || self.level.is_some()
            || self.status.is_some()
            || !self.fields.is_empty()
            || self.link.is_some()
    }

    /// The text for channels that send text: a string, or a number's or boolean's JSON text.
    /// `None` for `null`, arrays, objects and blank strings, which cannot be sent.
    pub fn as_text(&self) -> Option<Cow<'_, str>> {
        match &self.text {
            Json::String(text) if !text.trim().is_empty() => Some(Cow::Borrowed(text)),
            Json::Number(text) => Some(Cow::Borrowed(text)),
            Json::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
            _ => None,
        }
    }

    /// The level that rules go by: the notification's own, or the one that its text begins with, as in `[CRITICAL] cpu`.
    pub fn level_for_rules(&self) -> Option<Level> {
        self.level.or_else(|| {
            let text = self.text.as_str()?.trim_start().strip_prefix('[')?;
            let (word, _) = text.split_once(']')?;
            Level::parse(word)
        })
    }

    /// By the level that rules go by.
    pub fn state(&self) -> State {
        State {
            level: self.level_for_rules(),
            status: self.status,
        }
    }
}

impl Level {
    pub const ALL: [Level; 5] = [
        Level::Ok,
        Level::Info,
        Level::Warning,
        Level::Error,
        Level::Critical,
    ];

    /// `critical`, and `crit`, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "ok" => Level::Ok,
            "info" => Level::Info,
            "warning" | "warn" => Level::Warning,
            "error" | "err" => Level::Error,
            "critical" | "crit" => Level::Critical,
            _ => return None,
        })
    }

    pub const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
            Level::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Status {
    pub const ALL: [Status; 3] = [Status::Firing, Status::Acknowledged, Status::Resolved];

    /// In any case.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.trim().to_ascii_lowercase().as_str() {
            "firing" => Status::Firing,
            "acknowledged" => Status::Acknowledged,
            "resolved" => Status::Resolved,
            _ => return None,
        })
    }

    /// Whether it tells how an earlier notification goes on.
    pub const fn follows_up(self) -> bool {
        matches!(self, Status::Acknowledged | Status::Resolved)
    }

    pub const fn word(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Acknowledged => "acknowledged",
            Status::Resolved => "resolved",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
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
