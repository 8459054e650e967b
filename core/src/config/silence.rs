//! Silences suppress matching notifications, always or at certain times.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::matcher::{MatchInput, Matcher, Name};
use super::weekly_window::WeeklyWindow;
use crate::model::problem::FilePosition;

/// A rule that suppresses matching notifications, always or at certain times.
#[derive(Clone, Debug, Default)]
pub struct Silence {
    pub name: String,
    /// The position in the file.
    pub position: FilePosition,
    pub matcher: Matcher,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// `None`: at any time of the week.
    pub weekly: Vec<WeeklyWindow>,
    /// The time zone of the windows.
    pub zone: Option<TimeZone>,
}

impl Silence {
    pub fn holds(&self, subject: &MatchInput<'_>, now: Timestamp) -> bool {
        self.is_on(now) && self.mismatch(subject).is_none()
    }

    /// Returns why the silence does not match a notification. A silence never matches `resolved`: whoever got the alert
    /// must learn of its end.
    pub fn mismatch(&self, subject: &MatchInput<'_>) -> Option<&Name> {
        match subject.is_resolved() {
            true => Some(&Name::Status),
            false => self.matcher.mismatch(subject),
        }
    }

    /// Returns whether the silence is active now, for any notification.
    pub fn is_on(&self, now: Timestamp) -> bool {
        let begun = self.from.is_none_or(|from| now >= from);
        let over = self.until.is_some_and(|until| now >= until);
        begun && !over && self.in_window(now)
    }

    fn in_window(&self, now: Timestamp) -> bool {
        if self.weekly.is_empty() {
            return true;
        }
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        let now = now.to_zoned_datetime(zone);
        self.weekly.iter().any(|window| window.holds(&now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::matcher::{Pattern, Patterns};
    use crate::json::Json;
    use crate::model::notification::{AlertStatus, Notification};

    fn holds(windows: &[&str], zone: &str, now: &str) -> bool {
        let silence = Silence {
            weekly: windows
                .iter()
                .map(|text| WeeklyWindow::parse(text).unwrap())
                .collect(),
            zone: Some(TimeZone::get(zone).unwrap()),
            ..Silence::default()
        };
        let notification = Notification::plain(Json::String("x".to_owned()));
        silence.holds(&MatchInput::of(&notification), now.parse().unwrap())
    }

    #[test]
    fn windows_go_by_the_clock_on_the_wall_of_their_zone() {
        for (windows, zone, now, expected) in [
            // 2026-11-28 is a Saturday.
            (
                &["Sat 00:00-24:00"][..],
                "UTC",
                "2026-11-28T00:00:00Z",
                true,
            ),
            (&["Sat 00:00-24:00"], "UTC", "2026-11-28T23:59:59Z", true),
            (&["Sat 00:00-24:00"], "UTC", "2026-11-29T00:00:00Z", false),
            (
                &["Sat 00:00-24:00"],
                "Europe/Berlin",
                "2026-11-27T23:00:00Z",
                true,
            ),
            (
                &["Sat 00:00-24:00"],
                "America/New_York",
                "2026-11-28T04:59:00Z",
                false,
            ),
            (
                &["Mon-Fri 22:00-06:00"],
                "UTC",
                "2026-11-28T05:59:00Z",
                true,
            ),
            (
                &["Mon-Fri 22:00-06:00"],
                "UTC",
                "2026-11-28T22:30:00Z",
                false,
            ),
            (
                &["Mon-Fri 22:00-06:00"],
                "UTC",
                "2026-11-30T05:00:00Z",
                false,
            ),
            (
                &["fri-mon 09:00-10:00"],
                "UTC",
                "2026-11-29T09:30:00Z",
                true,
            ),
            (
                &["fri-mon 09:00-10:00"],
                "UTC",
                "2026-12-01T09:30:00Z",
                false,
            ),
            (
                &["Sunday 01:00-02:00", "Sunday 03:00-04:00"],
                "UTC",
                "2026-11-29T03:00:00Z",
                true,
            ),
        ] {
            assert_eq!(
                holds(windows, zone, now),
                expected,
                "{windows:?} {zone} {now}"
            );
        }
    }

    #[test]
    fn daylight_saving_moves_a_window_with_the_clock() {
        // Berlin: UTC+1 until 29 March 2026, 2 o'clock, which becomes 3; UTC+2 until 25 October, 3 o'clock, which
        // becomes 2.
        let night = &["Sun 01:30-03:30"];
        for (now, expected) in [
            ("2026-03-29T00:29:00Z", false),
            ("2026-03-29T00:30:00Z", true),
            ("2026-03-29T01:29:00Z", true),
            ("2026-03-29T01:30:00Z", false),
            ("2026-10-24T23:29:00Z", false),
            ("2026-10-24T23:30:00Z", true),
            ("2026-10-25T01:30:00Z", true),
            ("2026-10-25T02:29:00Z", true),
            ("2026-10-25T02:30:00Z", false),
        ] {
            assert_eq!(holds(night, "Europe/Berlin", now), expected, "{now}");
        }
    }

    #[test]
    fn no_silence_is_for_a_resolved() {
        let mut matchers = vec![Matcher::default()];
        let status = AlertStatus::ALL.map(|status| Pattern::Equal(status.word().to_owned()));
        let status = Patterns {
            any_of: status.into(),
            none_of: Vec::new(),
        };
        matchers.push(Matcher::new(vec![(Name::Status, status)]));
        for (status, expected) in [
            (None, true),
            (Some(AlertStatus::Firing), true),
            (Some(AlertStatus::Acknowledged), true),
            (Some(AlertStatus::Resolved), false),
        ] {
            let notification = Notification {
                status,
                ..Notification::plain(Json::String("x".to_owned()))
            };
            let subject = MatchInput::of(&notification);
            for (number, matcher) in matchers.iter().enumerate() {
                let silence = Silence {
                    matcher: matcher.clone(),
                    ..Silence::default()
                };
                let expected = expected && (number == 0 || status.is_some());
                assert_eq!(silence.holds(&subject, Timestamp::UNIX_EPOCH), expected);
                assert_eq!(silence.mismatch(&subject).is_none(), expected);
            }
        }
    }

    #[test]
    fn from_and_until_bound_a_silence() {
        let silence = Silence {
            from: Some("2026-01-01T00:00:00Z".parse().unwrap()),
            until: Some("2026-01-02T00:00:00Z".parse().unwrap()),
            ..Silence::default()
        };
        let notification = Notification::plain(Json::String("x".to_owned()));
        for (now, expected) in [
            ("2025-12-31T23:59:59Z", false),
            ("2026-01-01T00:00:00Z", true),
            ("2026-01-02T00:00:00Z", false),
        ] {
            assert_eq!(
                silence.holds(&MatchInput::of(&notification), now.parse().unwrap()),
                expected,
                "{now}"
            );
        }
    }
}
