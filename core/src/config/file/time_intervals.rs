//! Reads `[[time_intervals.NAME]]` and their names in routes.

use super::Loader;
use super::state_keys::TIME_INTERVALS;
use super::tree::{Node, Table};
use crate::config::time_interval::{
    DaysOfMonth, IntervalEntry, Months, TimeInterval, parse_dates, parse_years,
};
use crate::json::Path;
use crate::text::did_you_mean;

const KEYS: &[&str] = &[
    "time_zone",
    "weekly",
    "dates",
    "months",
    "days_of_month",
    "years",
];
const DATES: &str = "dates such as \"2026-12-24\" or \"2026-12-24..2026-12-26\"";
const MONTHS: &str = "months such as \"december\", 12 or \"nov..feb\"";
const DAYS: &str = "days of the month from 1 to 31, or from -31 to -1 counted from the end, such as 1, \"-1\" or \"1..7\"";
const YEARS: &str = "years such as 2026 or \"2026..2028\"";

impl Loader<'_> {
    pub fn time_intervals(&mut self, node: &Node) -> Vec<TimeInterval> {
        let path = Path::root().key(TIME_INTERVALS);
        let Some(table) = self.table(node, path.as_str()) else {
            return Vec::new();
        };
        let mut intervals = Vec::with_capacity(table.len());
        for member in table.iter() {
            let path = path.key(&member.key);
            self.state.turns_on(member.position, &path);
            let mut entries: Vec<IntervalEntry> = Vec::new();
            for (node, path) in self.tables(&member.node, &path) {
                let before = entries.last();
                let zone = before.map(|entry| entry.zone.clone());
                entries.extend(self.interval_entry(node, &path, zone));
            }
            // A route that names an unusable interval causes no second error.
            intervals.push(TimeInterval {
                name: member.key.clone(),
                entries,
            });
        }
        intervals
    }

    fn interval_entry(
        &mut self,
        node: &Node,
        path: &Path,
        zone: Option<jiff::tz::TimeZone>,
    ) -> Option<IntervalEntry> {
        let (table, position) = (self.table(node, path.as_str())?, node.position);
        self.known_keys(table, path, KEYS);
        let zone = match table.get("time_zone") {
            Some(node) => self.time_zone(node, &path.key("time_zone"))?,
            None if zone.is_some() => zone?,
            None => {
                let message = "needs a time_zone, such as \"Europe/Berlin\" or \"UTC\"; further entries use that of the one before";
                self.report.error(position, path.as_str(), message);
                return None;
            }
        };
        let mut entry = IntervalEntry::new(zone);
        if let Some(node) = table.get("weekly") {
            entry.weekly = self.weekly(node, &path.key("weekly"));
        }
        entry.dates = self.ranges(table, path, "dates", DATES, parse_dates);
        entry.months = self.ranges(table, path, "months", MONTHS, Months::parse);
        entry.days_of_month = self.ranges(table, path, "days_of_month", DAYS, DaysOfMonth::parse);
        entry.years = self.ranges(table, path, "years", YEARS, parse_years);
        if !entry.has_conditions() && self.report.errors.is_empty() {
            let message = "has no condition and holds at any time; give it weekly, dates, months, days_of_month or years";
            self.report.error(position, path.as_str(), message);
        }
        Some(entry)
    }

    /// Reads a list of values and ranges.
    fn ranges<T>(
        &mut self,
        table: &Table,
        path: &Path,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let (Some(node), path) = (table.get(key), path.key(key)) else {
            return Vec::new();
        };
        if node.one_or_several().is_empty() {
            let message = "the list is empty; leave it out where it is no condition";
            self.report.error(node.position, path.as_str(), message);
        }
        let mut ranges = Vec::new();
        for node in node.one_or_several() {
            let range = node.scalar().and_then(|text| parse(&text));
            if range.is_none() {
                let message = format!("must be {expected}");
                self.report.error(node.position, path.as_str(), &message);
            }
            ranges.extend(range);
        }
        ranges
    }

    /// Reads names of time intervals and returns their indexes.
    pub fn interval_names(
        &mut self,
        node: &Node,
        path: &Path,
        intervals: &[TimeInterval],
    ) -> Vec<usize> {
        let names = || intervals.iter().map(|interval| interval.name.as_str());
        let mut indexes = Vec::new();
        for node in node.one_or_several() {
            let Some(name) = node.as_str() else {
                self.mismatch(node, path, "a list of names of time intervals");
                continue;
            };
            match names().position(|known| known == name) {
                Some(index) if indexes.contains(&index) => {}
                Some(index) => indexes.push(index),
                None => {
                    let meant = did_you_mean(name, names());
                    let message = format!("there is no such time interval{meant}");
                    self.report.error(node.position, path.as_str(), &message);
                }
            }
        }
        indexes
    }
}
