//! Reads an argument's value according to its kind.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use url::{Host, Url};

use super::ArgumentKind::{Boolean, Count, List, OneOf, Text};
use super::{Argument, ArgumentKind};
use crate::channels::parse_url;
use crate::model::plan::Rate;

impl Argument {
    /// Checks the value. The error describes a valid value and follows the words "must be".
    pub fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            ArgumentKind::Duration(..) => self.duration(value).map(drop),
            Count(..) => self.count(value).map(drop),
            Boolean => self.boolean(value).map(drop),
            OneOf(_) => self.one_of(value).map(drop),
            ArgumentKind::Rate => self.rate(value).map(drop),
            ArgumentKind::Url => self.url(value).map(drop),
            ArgumentKind::Hosts => self.hosts(value).map(drop),
            ArgumentKind::Table => self.table(value).map(drop),
            List | Text => Ok(()),
        }
    }

    /// Returns whether two values have the same meaning.
    pub(super) fn is_same(&self, one: &str, other: &str) -> bool {
        let (one, other) = (one.trim(), other.trim());
        match self.kind {
            ArgumentKind::Duration(..) => parse_duration(one) == parse_duration(other),
            ArgumentKind::Rate => parse_rate(one) == parse_rate(other),
            Boolean => self.boolean(one) == self.boolean(other),
            ArgumentKind::Hosts => self.hosts(one) == self.hosts(other),
            ArgumentKind::Url => self.url(one) == self.url(other),
            List => list(one).eq(list(other)),
            OneOf(_) => one.eq_ignore_ascii_case(other),
            Count(..) | ArgumentKind::Table | Text => one == other,
        }
    }

    pub(super) fn duration(&self, value: &str) -> Result<Duration, String> {
        let ArgumentKind::Duration(least, most) = self.kind else {
            return Ok(Duration::ZERO);
        };
        duration_within(value, least, most)
    }

    pub(super) fn count(&self, value: &str) -> Result<u32, String> {
        let Count(least, most) = self.kind else {
            return Ok(0);
        };
        let count = value.parse().ok();
        count
            .filter(|count| (least..=most).contains(count))
            .ok_or_else(|| format!("a whole number from {least} to {most}"))
    }

    pub(super) fn boolean(&self, value: &str) -> Result<bool, String> {
        match value.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "yes" | "on" => Ok(true),
            "false" | "f" | "0" | "no" | "off" => Ok(false),
            _ => Err("true or false".to_owned()),
        }
    }

    pub(super) fn one_of(&self, value: &str) -> Result<&'static str, String> {
        let OneOf(words) = self.kind else {
            return Ok("");
        };
        let lower = value.to_ascii_lowercase();
        let found = words.iter().find(|word| **word == lower);
        found
            .copied()
            .ok_or_else(|| format!("one of {}", words.join(", ")))
    }

    pub(super) fn rate(&self, value: &str) -> Result<Rate, String> {
        parse_rate(value).ok_or_else(|| "messages per time, such as 5/s or 60/min".to_owned())
    }

    pub(super) fn url(&self, value: &str) -> Result<Url, String> {
        let url = parse_url(value)
            .map_err(|message| format!("a URL such as {}: it {message}", self.example))?;
        match url.username().is_empty() && url.password().is_none() {
            true => Ok(url),
            false => Err("a URL without user name and password".to_owned()),
        }
    }

    /// Returns the value if the database accepts it as a table's name.
    pub(super) fn table(&self, value: &str) -> Result<String, String> {
        let usable = |value: &str| {
            value.len() <= MAX_TABLE_BYTES
                && !value.starts_with('_')
                && !value.chars().any(|c| c.is_control() || c == '\\')
        };
        match usable(value) {
            true => Ok(value.to_owned()),
            false => Err(format!(
                "the name of a table: at most {MAX_TABLE_BYTES} bytes, no underscore at its beginning, no backslash, no control character"
            )),
        }
    }

    /// Returns hosts in the same normal form as hosts of URLs, so that both can be compared.
    pub(super) fn hosts(&self, value: &str) -> Result<Vec<String>, String> {
        let hosts = list(value).map(normal_pattern);
        hosts
            .collect::<Option<_>>()
            .ok_or_else(|| "hosts, or *. and a suffix, separated by spaces".to_owned())
    }
}

/// The maximum length of a table name. It exceeds any real name.
const MAX_TABLE_BYTES: usize = 250;

/// Returns the words of a list.
pub(super) fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

/// Reads a duration within limits. The error describes a valid value and follows the words "must be".
pub fn duration_within(value: &str, least: &str, most: &str) -> Result<Duration, String> {
    let bounds = parse_duration(least).zip(parse_duration(most));
    parse_duration(value)
        .filter(|value| bounds.is_some_and(|(least, most)| *value >= least && *value <= most))
        .ok_or_else(|| format!("a duration from {least} to {most} (us ms s min m h d w)"))
}

/// Reads durations such as `2s`, `1.5h` and `1h 30m`. A day has 24 hours, a week seven days. Negative values are
/// invalid.
fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.trim().to_ascii_lowercase().parse().ok()?;
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(exact).ok()
}

/// Reads rates such as `5/s`, `60/min` and `5/10s`.
pub fn parse_rate(text: &str) -> Option<Rate> {
    let (messages, per) = text.split_once('/')?;
    let messages = messages
        .trim()
        .parse()
        .ok()
        .filter(|messages| *messages > 0)?;
    let per = per.trim();
    // `5/s` is five in one second, and `5/10s` is five in ten seconds.
    let per = match per.starts_with(|c: char| c.is_ascii_digit()) {
        true => parse_duration(per)?,
        false => parse_duration(&format!("1{per}"))?,
    };
    (!per.is_zero()).then_some(Rate { messages, per })
}

/// Normalizes `Hooks.Slack.com.` to `hooks.slack.com`, and `*.Example.com` to `*.example.com`.
fn normal_pattern(host: &str) -> Option<String> {
    let (prefix, name) = match host.strip_prefix("*.") {
        Some(suffix) => ("*.", suffix),
        None => ("", host),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let host = Host::parse(name).ok()?;
    Some(format!("{prefix}{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, milliseconds) in [
            ("500us", Some(0)),
            ("2s", Some(2_000)),
            ("0s", Some(0)),
            ("4.5s", Some(4_500)),
            ("250ms", Some(250)),
            ("5min", Some(300_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("1h 30m", Some(5_400_000)),
            ("2d", Some(172_800_000)),
            ("1w", Some(604_800_000)),
            ("2S", Some(2_000)),
            ("2", None),
            ("-2s", None),
            ("soon", None),
            ("2 parsecs", None),
            ("1y", None),
            ("99999999999999999999s", None),
        ] {
            let parsed = parse_duration(text).map(|duration| duration.as_millis());
            assert_eq!(parsed, milliseconds, "{text}");
        }
    }
}
