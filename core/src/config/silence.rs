//! Silences suppress matching notifications, always or at certain times.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::matcher::{MatchInput, Matcher, Name};
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

/// Some hours on some days of the week. A window that ends before its start continues into the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeeklyWindow {
    first: Weekday,
    last: Weekday,
    /// The start in minutes since midnight.
    from: u16,
    /// The end in minutes since midnight. 1,440 is the end of the day.
    until: u16,
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

impl WeeklyWindow {
    /// Parses `Sat 00:00-24:00` or `Mon-Fri 22:00-06:00`. A day has three letters or its full name, in upper or lower
    /// case.
    pub fn parse(text: &str) -> Option<Self> {
        let (days, hours) = text.trim().split_once(char::is_whitespace)?;
        let (first, last) = days.split_once('-').unwrap_or((days, days));
        let (from, until) = hours.trim().split_once('-')?;
        let window = Self {
            first: weekday(first)?,
            last: weekday(last)?,
            from: minutes(from)?,
            until: minutes(until)?,
        };
        (window.from < 1440 && window.from != window.until).then_some(window)
    }

    /// Returns whether the window contains a local time, including around clock changes.
    fn holds(&self, now: &ZonedDateTime) -> bool {
        let (day, minute) = (now.weekday(), minute_of(now.time()));
        if self.from < self.until {
            return self.names(day) && (self.from..self.until).contains(&minute);
        }
        let began_today = self.names(day) && minute >= self.from;
        let began_yesterday = self.names(day.wrapping_sub(1)) && minute < self.until;
        began_today || began_yesterday
    }

    /// Returns whether the window includes a day. `Fri-Mon` includes the weekend.
    fn names(&self, day: Weekday) -> bool {
        let number = |day: Weekday| day.to_monday_zero_offset();
        let (first, last, day) = (number(self.first), number(self.last), number(day));
        match first <= last {
            true => (first..=last).contains(&day),
            false => day >= first || day <= last,
        }
    }
}

fn minute_of(time: Time) -> u16 {
    u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0)
}

fn weekday(word: &str) -> Option<Weekday> {
    const DAYS: [(&str, Weekday); 7] = [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ];
    let word = word.trim().to_ascii_lowercase();
    let fits = |name: &str| word == name || (word.len() == 3 && name.starts_with(&word));
    DAYS.iter()
        .find(|(name, _)| fits(name))
        .map(|(_, day)| *day)
}

/// Parses `06:30` as minutes since midnight. `24:00` is the end of the day.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= 1440).then_some(total)
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
    fn what_is_no_window_is_none() {
        for text in [
            "",
            "Sat",
            "Sat 00:00",
            "Son 00:00-01:00",
            "Sat 25:00-26:00",
            "Sat 00:60-02:00",
            "Sat 05:00-05:00",
            "Sat 24:00-06:00",
            "Sat -1:00-02:00",
            "Sat 0x:00-02:00",
        ] {
            assert_eq!(WeeklyWindow::parse(text), None, "{text}");
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
