//! Hours on days of the week, for silences and time intervals.

use jiff::ZonedDateTime;
use jiff::civil::{Time, Weekday};

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
    pub fn holds(&self, now: &ZonedDateTime) -> bool {
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

    #[test]
    fn an_invalid_window_is_rejected() {
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
}
