//! Reads a notification's members from text. Omits invalid members with a warning.

use std::fmt::Display;
use std::sync::Arc;

use jiff::Timestamp;
use url::Url;

use crate::model::extract::{MAX_FIELDS, MAX_SEARCHED_BYTES, extract};
use crate::model::notification::{AlertStatus, DedupKey, Level, LevelMap, Notification};
use crate::model::read_options::ReadOptions;
use crate::text::shown_value;
use crate::warnings::Warnings;

/// The maximum length of a link. No channel accepts longer ones.
const MAX_LINK_BYTES: usize = 2000;

/// Reads a level. An unreadable level becomes an error: the worst alert must not look like one without a level.
pub fn level(text: &str, levels: &LevelMap, warnings: &mut Warnings) -> Option<Level> {
    if text.trim().is_empty() {
        return None;
    }
    let level = levels.parse(text);
    let unknown = || unknown_level(format_args!("'{}'", shown_value(text)), warnings);
    Some(level.unwrap_or_else(unknown))
}

/// Returns the level for an unreadable one.
pub fn unknown_level(found: impl Display, warnings: &mut Warnings) -> Level {
    warnings.push(|| {
        let known = Level::ALL.map(Level::word).join(", ");
        format!("level: must be one of {known}, found {found}; error is used")
    });
    Level::Error
}

pub fn status(text: &str, warnings: &mut Warnings) -> Option<AlertStatus> {
    let status = AlertStatus::parse(text);
    if status.is_none() {
        let known = AlertStatus::ALL.map(AlertStatus::word).join(", ");
        warn_value("status", &format!("one of {known}"), text, warnings);
    }
    status
}

pub fn link(text: &str, warnings: &mut Warnings) -> Option<String> {
    let url = Url::parse(text.trim()).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.filter(|url| url.as_str().len() <= MAX_LINK_BYTES);
    if url.is_none() {
        // Do not quote the link: it may be a webhook's by mistake.
        warnings.push(|| {
            format!(
                "link: must be an http or https URL of at most {MAX_LINK_BYTES} bytes; left out"
            )
        });
    }
    url.map(String::from)
}

pub fn timestamp(text: &str, warnings: &mut Warnings) -> Option<Timestamp> {
    time("timestamp", text, warnings)
}

/// Reads the time of a member.
pub fn time(name: &str, text: &str, warnings: &mut Warnings) -> Option<Timestamp> {
    let time = text.trim().parse().ok();
    if time.is_none() {
        let expected = "a time of RFC 3339, such as 2026-01-31T12:00:00Z";
        warn_value(name, expected, text, warnings);
    }
    time
}

pub fn dedup_key(text: &str, warnings: &mut Warnings) -> DedupKey {
    if DedupKey::is_too_long(text) {
        warnings.push(|| {
            format!(
                "dedup_key: is longer than {} bytes; its SHA-256 is used in its place",
                DedupKey::MAX_BYTES
            )
        });
    }
    text.into()
}

/// Adds the level and the fields that the operator's options extract from the notification's text.
pub fn with_extracted(mut notification: Notification, options: &ReadOptions) -> Arc<Notification> {
    let text = notification.text.as_str();
    notification.level_in_text = text.and_then(|text| options.levels.in_text(text));
    let mut notification = Arc::new(notification);
    let mut left = MAX_FIELDS;
    extract(
        &options.extract,
        &mut notification,
        MAX_SEARCHED_BYTES,
        &mut left,
    );
    notification
}

fn warn_value(name: &str, expected: &str, found: &str, warnings: &mut Warnings) {
    warnings.push(|| {
        let found = shown_value(found);
        format!("{name}: must be {expected}, found '{found}'; left out")
    });
}
