//! Time intervals: named sets of local times that mute routes, or outside of which routes are muted.

use std::ops::RangeInclusive;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::weekly_window::WeeklyWindow;

/// A named interval: one of its entries must hold.
#[derive(Clone, Debug)]
pub struct TimeInterval {
    pub name: String,
    pub entries: Vec<IntervalEntry>,
}

/// Conditions on the local time, which must all hold. An empty list is no condition.
///
/// The local clock decides: both hours of an overlap of the time change belong to a window, and no time of a gap does.
#[derive(Clone, Debug)]
pub struct IntervalEntry {
    pub zone: TimeZone,
    pub weekly: Vec<WeeklyWindow>,
    pub dates: Vec<RangeInclusive<Date>>,
    pub months: Vec<Months>,
    pub days_of_month: Vec<DaysOfMonth>,
    pub years: Vec<RangeInclusive<i16>>,
}

/// Months from 1 to 12. A range that ends before its start continues in the next year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Months {
    first: i8,
    last: i8,
}

/// Days of a month, from 1 to 31. Negative days count from the end: -1 is the last day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaysOfMonth {
    first: i8,
    last: i8,
}

impl TimeInterval {
    pub fn contains(&self, time: Timestamp) -> bool {
        self.entries.iter().any(|entry| entry.contains(time))
    }
}

impl IntervalEntry {
    pub const fn new(zone: TimeZone) -> Self {
        Self {
            zone,
            weekly: Vec::new(),
            dates: Vec::new(),
            months: Vec::new(),
            days_of_month: Vec::new(),
            years: Vec::new(),
        }
    }

    pub const fn has_conditions(&self) -> bool {
        !(self.weekly.is_empty()
            && self.dates.is_empty()
            && self.months.is_empty()
            && self.days_of_month.is_empty()
            && self.years.is_empty())
    }

    fn contains(&self, time: Timestamp) -> bool {
        let now = time.to_zoned_datetime(self.zone.clone());
        let date = now.date();
        holds(&self.weekly, |window| window.holds(&now))
            && holds(&self.dates, |dates| dates.contains(&date))
            && holds(&self.months, |months| months.contains(date.month()))
            && holds(&self.days_of_month, |days| days.contains(&now))
            && holds(&self.years, |years| years.contains(&date.year()))
    }
}

fn holds<T>(conditions: &[T], holds: impl Fn(&T) -> bool) -> bool {
    conditions.is_empty() || conditions.iter().any(holds)
}

impl Months {
    /// Parses `december`, `dec`, `12`, or a range such as `nov..feb`.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = ends(text);
        Some(Self {
            first: month(first)?,
            last: month(last)?,
        })
    }

    const fn contains(self, month: i8) -> bool {
        match self.first <= self.last {
            true => self.first <= month && month <= self.last,
            false => self.first <= month || month <= self.last,
        }
    }
}

impl DaysOfMonth {
    /// Parses `15`, `-1`, or a range such as `1..7` or `-7..-1`.
    pub fn parse(text: &str) -> Option<Self> {
        let day = |text: &str| {
            let day: i8 = text.trim().parse().ok()?;
            (day != 0 && (-31..=31).contains(&day)).then_some(day)
        };
        let (first, last) = ends(text);
        let days = Self {
            first: day(first)?,
            last: day(last)?,
        };
        // Of two days with the same sign, the order is the same in every month.
        let is_in_order = days.first.signum() != days.last.signum() || days.first <= days.last;
        is_in_order.then_some(days)
    }

    fn contains(self, now: &ZonedDateTime) -> bool {
        let length = now.date().days_in_month();
        let from_start = |day: i8| match day < 0 {
            true => length + 1 + day,
            false => day,
        };
        (from_start(self.first)..=from_start(self.last)).contains(&now.day())
    }
}

/// Parses `2026`, or a range such as `2026..2028`.
pub fn parse_years(text: &str) -> Option<RangeInclusive<i16>> {
    let year = |text: &str| text.trim().parse::<i16>().ok().filter(|year| *year > 0);
    let (first, last) = ends(text);
    let years = year(first)?..=year(last)?;
    (!years.is_empty()).then_some(years)
}

/// Parses `2026-12-24`, or a range such as `2026-12-24..2026-12-26`.
pub fn parse_dates(text: &str) -> Option<RangeInclusive<Date>> {
    let date = |text: &str| {
        let text = text.trim();
        // The library reads a time behind the date too, and would ignore it.
        (text.len() == 10).then(|| text.parse::<Date>().ok())?
    };
    let (first, last) = ends(text);
    let dates = date(first)?..=date(last)?;
    (!dates.is_empty()).then_some(dates)
}

/// Returns the ends of a range, which are equal for a single value.
fn ends(text: &str) -> (&str, &str) {
    text.split_once("..").unwrap_or((text, text))
}

fn month(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.trim().to_ascii_lowercase();
    if let Ok(number) = word.parse::<i8>() {
        return (1..=12).contains(&number).then_some(number);
    }
    let fits = |name: &str| name == word || (word.len() == 3 && name.starts_with(&word));
    let index = MONTHS.iter().position(|name| fits(name))?;
    i8::try_from(index + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(zone: &str) -> IntervalEntry {
        IntervalEntry::new(TimeZone::get(zone).unwrap())
    }

    fn at(entry: &IntervalEntry, time: &str) -> bool {
        entry.contains(time.parse().unwrap())
    }

    #[test]
    fn every_condition_of_an_entry_must_hold_and_one_value_of_each() {
        let entry = IntervalEntry {
            weekly: vec![WeeklyWindow::parse("Mon-Fri 09:00-17:00").unwrap()],
            months: vec![Months::parse("nov..feb").unwrap()],
            days_of_month: vec![
                DaysOfMonth::parse("1..7").unwrap(),
                DaysOfMonth::parse("-1").unwrap(),
            ],
            years: vec![parse_years("2026..2027").unwrap()],
            ..entry("Europe/Berlin")
        };
        for (time, expected) in [
            ("2026-12-01T08:00:00Z", true),
            ("2026-12-01T07:59:59Z", false),
            ("2026-12-01T16:00:00Z", false),
            ("2026-12-31T12:00:00Z", true),
            ("2026-12-30T12:00:00Z", false),
            ("2026-12-05T12:00:00Z", false),
            ("2027-02-03T12:00:00Z", true),
            ("2027-03-03T12:00:00Z", false),
            ("2028-02-03T12:00:00Z", false),
            ("2025-12-01T12:00:00Z", false),
        ] {
            assert_eq!(at(&entry, time), expected, "{time}");
        }
        assert!(at(&super::tests::entry("UTC"), "2026-12-01T00:00:00Z"));
    }

    #[test]
    fn one_entry_of_an_interval_is_enough() {
        let of = |text: &str| IntervalEntry {
            dates: vec![parse_dates(text).unwrap()],
            ..entry("Europe/Berlin")
        };
        let interval = TimeInterval {
            name: "holidays".to_owned(),
            entries: vec![of("2026-12-24..2026-12-26"), of("2027-01-01")],
        };
        for (time, expected) in [
            ("2026-12-23T22:59:59Z", false),
            ("2026-12-23T23:00:00Z", true),
            ("2026-12-26T22:59:59Z", true),
            ("2026-12-26T23:00:00Z", false),
            ("2027-01-01T12:00:00Z", true),
        ] {
            let time = time.parse().unwrap();
            assert_eq!(interval.contains(time), expected, "{time}");
        }
    }

    #[test]
    fn both_hours_of_an_overlap_belong_to_a_window_and_none_of_a_gap() {
        // Berlin: at 2 o'clock of 29 March 2026 it is 3; at 3 o'clock of 25 October it is 2.
        let entry = IntervalEntry {
            weekly: vec![WeeklyWindow::parse("Sun 02:00-03:00").unwrap()],
            ..entry("Europe/Berlin")
        };
        let minutes_in = |from: &str| {
            let from: Timestamp = from.parse().unwrap();
            let minute = |n| from + jiff::SignedDuration::from_mins(n);
            (0..1440).filter(|n| entry.contains(minute(*n))).count()
        };
        assert_eq!(minutes_in("2026-03-28T23:00:00Z"), 0);
        assert_eq!(minutes_in("2026-10-24T22:00:00Z"), 120);
        assert_eq!(minutes_in("2026-11-01T00:00:00Z"), 60);
    }

    #[test]
    fn days_from_the_end_follow_the_length_of_the_month() {
        for (days, time, expected) in [
            ("-1", "2026-02-28T00:00:00Z", true),
            ("-1", "2028-02-28T00:00:00Z", false),
            ("-1", "2028-02-29T00:00:00Z", true),
            ("-3..-2", "2026-04-28T00:00:00Z", true),
            ("-3..-2", "2026-04-30T00:00:00Z", false),
            ("28..-1", "2026-02-28T00:00:00Z", true),
            ("29..-1", "2026-02-28T00:00:00Z", false),
            ("31", "2026-02-28T00:00:00Z", false),
        ] {
            let entry = IntervalEntry {
                days_of_month: vec![DaysOfMonth::parse(days).unwrap()],
                ..entry("UTC")
            };
            assert_eq!(at(&entry, time), expected, "{days} {time}");
        }
    }

    #[test]
    fn what_is_no_range_is_none() {
        for text in ["", "0", "13", "decembre", "1..", "..", "jan..x", "de"] {
            assert_eq!(Months::parse(text), None, "{text}");
        }
        for text in ["", "0", "32", "-32", "7..1", "-1..-7", "x", "1..x"] {
            assert_eq!(DaysOfMonth::parse(text), None, "{text}");
        }
        for text in ["", "0", "-1", "2028..2026", "MMXX"] {
            assert_eq!(parse_years(text), None, "{text}");
        }
        for text in [
            "",
            "2026-02-30",
            "2026-12-26..2026-12-24",
            "2026-12-24T00:00",
            "24.12.2026",
        ] {
            assert_eq!(parse_dates(text), None, "{text}");
        }
        assert_eq!(Months::parse("DEC"), Months::parse("12"));
        assert_eq!(
            Months::parse("december..january"),
            Months::parse("dec .. 1")
        );
    }
}
