//! An alert in the API's format: its names, values and times.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use crate::channels::shared::names::NameRules;
use crate::channels::shared::rich::{self, FittedField};
use crate::json::Json;
use crate::model::group::GroupedAlert;
use crate::model::notification::{Level, Notification};
use crate::text::Limit;

/// A limit of this crate, because readers see names in lists.
pub const NAME_LIMIT: Limit = Limit::utf16(200);
pub const VALUE_LIMIT: Limit = Limit::utf16(10_000);
/// The limit of all fields together, in UTF-16 code units. A limit of this crate, so that programs can still read the
/// alert.
pub const ANNOTATIONS_LIMIT: usize = 200_000;
/// The lifetime of a posted alert. An alert with status and key lasts until it is resolved, at most this long. Any
/// other alert lasts [`ENDS_AFTER_ONE_OFF`], less than the usual `repeat_interval`, so that Alertmanager notifies once.
pub const ENDS_IF_NEVER_RESOLVED: &str = "PT24H";
pub const ENDS_AFTER_ONE_OFF: &str = "PT1H";
pub const ENDS_NOW: &str = "PT0S";

pub const SUMMARY: &str = "summary";
pub const DESCRIPTION: &str = "description";
const STARTS_AT: &str = "startsAt";
const ENDS_AT: &str = "endsAt";
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PostedAlert {
    pub labels: Map<String, Value>,
    pub annotations: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// The duration until sending; the time after sending.
    pub ends_at: &'static str,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    pub generator_url: Option<String>,
}

impl PostedAlert {
    /// Ends the alert.
    pub fn ended(self) -> Self {
        Self {
            ends_at: ENDS_NOW,
            ..self
        }
    }

    /// Sets the alert's severity.
    pub fn of(mut self, level: Option<Level>) -> Self {
        if let Some(level) = level {
            self.labels
                .insert("severity".to_owned(), level.word().into());
        }
        self
    }
}

/// Returns the notification about one alert of a group.
pub fn notification_of(alert: &GroupedAlert) -> Notification {
    Notification {
        title: alert.title.clone(),
        level: alert.level,
        status: Some(alert.status),
        fields: alert.labels.clone(),
        link: alert.link.clone(),
        timestamp: Some(alert.starts_at),
        dedup_key: Some(alert.key.clone()),
        sent_levels: alert.sent_levels.clone(),
        ..Notification::plain(Json::String(alert.text.clone()))
    }
}

/// Whether the text is a valid name of a label or annotation, also before version 0.27 (prometheus/common:
/// `LabelName.IsValid`).
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    bytes.next().is_some_and(is_first) && bytes.all(|byte| is_first(byte) || byte.is_ascii_digit())
}

pub const ANNOTATION_NAMES: NameRules = NameRules {
    limit: NAME_LIMIT,
    ending: "",
    clean: annotation_name,
    reserved: &[SUMMARY, DESCRIPTION],
};

/// Replaces invalid characters by underscores.
fn annotation_name(text: &str) -> String {
    let known = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut name: String = text.chars().map(known).collect();
    if !is_name(&name) {
        name.insert(0, '_');
    }
    name
}

/// Returns a field as an annotation.
pub fn annotation(name: String, value: &str) -> FittedField<(String, Value)> {
    FittedField::member(name, value, VALUE_LIMIT, 0)
}

/// Returns the link with invalid percent signs escaped. Go's parser refuses a percent sign that escapes nothing, and
/// Alertmanager then refuses the whole request.
pub fn go_url(link: &str) -> Option<String> {
    let url = Url::parse(link).ok()?;
    let mut parts = url.as_str().split('%');
    let mut go_url = parts.next()?.to_owned();
    for part in parts {
        let digits = part.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
        go_url.push_str(if digits == 2 { "%" } else { "%25" });
        go_url.push_str(part);
    }
    Some(go_url)
}

/// Returns the notification's time. Returns `None` before 1970, because Go reads the first second of the year 1 as no
/// time.
pub fn starts_at_text(notification: &Notification) -> Option<String> {
    let time = notification.timestamp?;
    rich::unix_seconds(time).map(|_| time.to_string())
}

/// Sets the times of one alert, unless an earlier attempt has set them.
pub fn set_times(alert: &mut Map<String, Value>, now: Timestamp) {
    let ends = alert.get(ENDS_AT).and_then(Value::as_str);
    let Some(after) = ends.and_then(|text| text.parse::<SignedDuration>().ok()) else {
        return;
    };
    let given = alert.get(STARTS_AT).and_then(Value::as_str);
    let given: Option<Timestamp> = given.and_then(|text| text.parse().ok());
    let is_over = after.is_zero();
    // A resolved alert did not start in the future. An alert that starts in the future ends after its start.
    let starts = given.map_or(now, |time| if is_over { time.min(now) } else { time });
    let ends = starts.max(now).checked_add(after).unwrap_or(Timestamp::MAX);
    alert.insert(STARTS_AT.to_owned(), starts.to_string().into());
    alert.insert(ENDS_AT.to_owned(), ends.to_string().into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_annotations_are_such_as_every_version_takes() {
        for (name, made) in [
            ("host", "host"),
            ("cpu usage (%)", "cpu_usage____"),
            ("1st", "_1st"),
            ("größe", "gr__e"),
        ] {
            assert_eq!(annotation_name(name), made);
            assert!(is_name(made));
        }
    }

    #[test]
    fn a_link_has_no_percent_sign_that_escapes_nothing() {
        for (link, made) in [
            ("https://a/b?c=%20d", "https://a/b?c=%20d"),
            ("https://a/100%", "https://a/100%25"),
            ("https://a/%zz%4", "https://a/%25zz%254"),
            ("https://a/b c<", "https://a/b%20c%3C"),
        ] {
            assert_eq!(go_url(link).as_deref(), Some(made));
        }
    }

    #[test]
    fn times_are_set_once_and_never_end_before_they_begin() {
        let now: Timestamp = "2026-11-25T03:00:00Z".parse().unwrap();
        for (starts, ends, expected) in [
            (
                None,
                "PT1H",
                ["2026-11-25T03:00:00Z", "2026-11-25T04:00:00Z"],
            ),
            (
                Some("2026-11-25T02:00:00Z"),
                "PT24H",
                ["2026-11-25T02:00:00Z", "2026-11-26T03:00:00Z"],
            ),
            (
                Some("2026-11-25T05:00:00Z"),
                "PT1H",
                ["2026-11-25T05:00:00Z", "2026-11-25T06:00:00Z"],
            ),
            (
                Some("2026-11-25T02:00:00Z"),
                "PT0S",
                ["2026-11-25T02:00:00Z", "2026-11-25T03:00:00Z"],
            ),
            (
                Some("2026-11-25T05:00:00Z"),
                "PT0S",
                ["2026-11-25T03:00:00Z", "2026-11-25T03:00:00Z"],
            ),
            (
                Some("9999-12-30T21:00:00Z"),
                "PT24H",
                ["9999-12-30T21:00:00Z", "9999-12-30T22:00:00.999999999Z"],
            ),
        ] {
            let mut alert = Map::from_iter([(ENDS_AT.to_owned(), ends.into())]);
            alert.extend(starts.map(|starts| (STARTS_AT.to_owned(), starts.into())));
            for later in [0, 60] {
                set_times(&mut alert, now + SignedDuration::from_secs(later));
                let times =
                    [STARTS_AT, ENDS_AT].map(|name| alert.get(name).unwrap().as_str().unwrap());
                assert_eq!(times, expected, "{starts:?} {ends}");
            }
        }
    }
}
