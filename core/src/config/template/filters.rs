//! The table of template filters. Documentation, messages and tests use it.

use std::io;

use jiff::tz::TimeZone;
use jiff::{Timestamp, fmt::strtime};
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, State};

use crate::channels::{escape_discord, escape_slack};
use crate::text::{Limit, cut, one_line};

/// A filter or a function.
#[derive(Debug)]
pub struct Helper {
    pub name: &'static str,
    pub example: &'static str,
    /// The output of the example.
    pub result: &'static str,
    /// Empty if [MiniJinja](https://docs.rs/minijinja/latest/minijinja/filters/index.html) describes the helper.
    pub description: &'static str,
}

macro_rules! helpers {
    ($($name:literal: $example:literal => $result:literal, $description:literal;)*) => {
        &[$(Helper { name: $name, example: $example, result: $result, description: $description }),*]
    };
}

/// Every filter. The plugin's own filters come first.
pub const FILTERS: &[Helper] = helpers! {
    "duration": "{{ 3900 | duration }}" => "1 h 5 min", "A readable number of seconds; of other units: `duration(\"ms\")`, with ns, us, ms, s, min, h, d.";
    "age": "{{ notification.timestamp | age | duration }}" => "5 min 12 s", "Seconds since a time.";
    "time": "{{ notification.timestamp | time(\"%d.%m. %H:%M\", \"Europe/Berlin\") }}" => "25.11. 03:41", "A time by a [strftime](https://docs.rs/jiff/latest/jiff/fmt/strtime/index.html) format and a time zone, also `format=`, `zone=`; default: `2026-11-25 02:41 UTC`. Takes RFC 3339, or a number since 1970 in s, ms, µs or ns, by its size.";
    "number": "{{ 1234567.891 | number(2) }}" => "1,234,567.89", "With decimals and a mark between thousands; other marks: `number(2, thousands=\".\", decimal=\",\")`.";
    "si": "{{ 12345678 | si }}" => "12.3 M", "A short large number, in k, M, G, T, P.";
    "bytes": "{{ 1610612736 | bytes }}" => "1.5 GiB", "A readable number of bytes.";
    "percent": "{{ 0.9731 | percent(1) }}" => "97.3 %", "A fraction in per cent; without decimals if none are given.";
    "truncate": "{{ \"a text that is too long\" | truncate(10) }}" => "a text th…", "At most this many characters, ending with `…` or another `end=\"...\"` if cut.";
    "oneline": "{{ \"two\\n lines\" | oneline }}" => "two lines", "One line: line breaks and runs of blanks become one blank.";
    "tojson": "{{ notification.title | tojson }}" => "\"CPU of db1 at 97 %\"", "JSON with its quotes, for JSON bodies.";
    "escape_slack": "{{ \"<!channel> & all\" | escape_slack }}" => "&lt;!channel&gt; &amp; all", "As plain text in Slack: no mention, no link.";
    "escape_discord": "{{ \"*bold* _text_\" | escape_discord }}" => "\\*bold\\* \\_text\\_", "Markdown as plain text in Discord; `allow_mentions` controls mentions.";
    "urlencode": "{{ \"a b&c\" | urlencode }}" => "a%20b%26c", "";
    "escape": "{{ \"<b>\" | escape }}" => "&lt;b&gt;", "";
    "e": "{{ \"<b>\" | e }}" => "&lt;b&gt;", "";
    "default": "{{ data.runbook | default(\"none\") }}" => "none", "";
    "d": "{{ data.runbook | d(\"none\") }}" => "none", "";
    "upper": "{{ notification.level | upper }}" => "CRITICAL", "";
    "lower": "{{ \"DB1\" | lower }}" => "db1", "";
    "capitalize": "{{ notification.level | capitalize }}" => "Critical", "";
    "title": "{{ \"disk full\" | title }}" => "Disk Full", "";
    "trim": "{{ \"  db1 \" | trim }}" => "db1", "";
    "replace": "{{ \"db1.example.com\" | replace(\".example.com\", \"\") }}" => "db1", "";
    "split": "{{ \"db1.example.com\" | split(\".\") | first }}" => "db1", "";
    "lines": "{{ \"a\\nb\" | lines | length }}" => "2", "";
    "indent": "{{ \"a\\nb\" | indent(2) }}" => "a\n  b", "";
    "format": "{{ \"%05.1f\" | format(97.25) }}" => "097.2", "";
    "string": "{{ 97.30 | string | length }}" => "4", "";
    "int": "{{ \"97\" | int + 1 }}" => "98", "";
    "float": "{{ \"97.5\" | float * 2 }}" => "195.0", "";
    "bool": "{{ \"\" | bool }}" => "False", "";
    "round": "{{ 97.26 | round(1) }}" => "97.3", "";
    "abs": "{{ -5 | abs }}" => "5", "";
    "length": "{{ data.hosts | length }}" => "2", "";
    "count": "{{ data.hosts | count }}" => "2", "";
    "join": "{{ data.hosts | join(\", \") }}" => "db1, db2", "";
    "first": "{{ data.hosts | first }}" => "db1", "";
    "last": "{{ data.hosts | last }}" => "db2", "";
    "min": "{{ [3, 1, 2] | min }}" => "1", "";
    "max": "{{ [3, 1, 2] | max }}" => "3", "";
    "sum": "{{ [3, 1, 2] | sum }}" => "6", "";
    "sort": "{{ [3, 1, 2] | sort(reverse=true) | join }}" => "321", "";
    "reverse": "{{ data.hosts | reverse | join(\" \") }}" => "db2 db1", "";
    "unique": "{{ [1, 2, 1] | unique | join }}" => "12", "";
    "list": "{{ \"abc\" | list | last }}" => "c", "";
    "items": "{% for name, value in notification.fields | items %}{{ name }}={{ value }} {% endfor %}" => "host=db1 cpu=97.3 limit=95 ", "";
    "dictsort": "{% for name, value in notification.fields | dictsort %}{{ name }}={{ value }} {% endfor %}" => "cpu=97.3 host=db1 limit=95 ", "";
    "attr": "{{ notification | attr(\"level\") }}" => "critical", "";
    "map": "{{ data.disks | map(attribute=\"path\") | join(\" \") }}" => "/ /var", "";
    "select": "{{ [0, 1, 2] | select | join }}" => "12", "";
    "reject": "{{ [0, 1, 2] | reject(\"odd\") | join }}" => "02", "";
    "selectattr": "{{ data.disks | selectattr(\"used\", \"ge\", 90) | map(attribute=\"path\") | join }}" => "/var", "";
    "rejectattr": "{{ data.disks | rejectattr(\"used\", \"ge\", 90) | map(attribute=\"path\") | join }}" => "/", "";
    "groupby": "{% for group in data.disks | groupby(\"used\") %}{{ group.grouper }} {% endfor %}" => "40 93 ", "";
    "batch": "{% for row in [1, 2, 3] | batch(2) %}{{ row | join }} {% endfor %}" => "12 3 ", "";
    "slice": "{% for part in [1, 2, 3] | slice(2) %}{{ part | join }} {% endfor %}" => "12 3 ", "";
    "chain": "{{ [1] | chain([2]) | join }}" => "12", "";
    "zip": "{% for a, b in [1, 2] | zip([\"x\", \"y\"]) %}{{ a }}{{ b }}{% endfor %}" => "1x2y", "";
    "pprint": "{{ [1, 2] | pprint }}" => "[\n    1,\n    2,\n]", "";
    "safe": "{{ \"<b>\" | safe }}" => "<b>", "";
};

/// Every function.
pub const FUNCTIONS: &[Helper] = helpers! {
    "now": "{{ now() | time(\"%H:%M\") }}" => "02:46", "";
    "range": "{% for n in range(3) %}{{ n }}{% endfor %}" => "012", "";
    "dict": "{{ dict(a=1).a }}" => "1", "";
    "namespace": "{% set all = namespace(n=0) %}{% for n in [1, 2] %}{% set all.n = all.n + n %}{% endfor %}{{ all.n }}" => "3", "";
    "debug": "{{ debug() | length > 0 }}" => "True", "";
};

/// The request that the examples use, at [`SAMPLE_TIME`].
pub const SAMPLE: &str = r#"{
  "notification_text": "Above 95 % for 5 minutes",
  "title": "CPU of db1 at 97 %",
  "level": "critical",
  "status": "firing",
  "fields": {"host": "db1", "cpu": 97.3, "limit": 95},
  "link": "https://grafana.example.com/d/cpu?var-host=db1",
  "timestamp": "2026-11-25T02:41:00Z",
  "data": {"hosts": ["db1", "db2"], "disks": [{"path": "/", "used": 40}, {"path": "/var", "used": 93}]}
}"#;
pub const SAMPLE_TIME: &str = "2026-11-25T02:46:12Z";

/// The prefix that identifies error messages of the plugin's own filters.
pub const OWN_WORDS: &str = "notifier: ";

/// The name of the variable with the time. No template can write this name.
pub const NOW: &str = "the time";

pub fn add(environment: &mut Environment<'static>) {
    environment.add_filter("duration", duration);
    environment.add_filter("age", age);
    environment.add_filter("time", time);
    environment.add_filter("number", number);
    environment.add_filter("si", |value: &Value| {
        scaled(value, 1_000.0, &["", "k", "M", "G", "T", "P"])
    });
    environment.add_filter("bytes", |value: &Value| {
        scaled(
            value,
            1_024.0,
            &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"],
        )
    });
    environment.add_filter("percent", percent);
    environment.add_filter("truncate", truncate);
    environment.add_filter("oneline", |text: &str| one_line(text).into_owned());
    environment.add_filter("tojson", to_json);
    environment.add_filter("escape_slack", |text: &Value| {
        escape_slack(&text.to_string())
    });
    environment.add_filter("escape_discord", |text: &Value| {
        escape_discord(&text.to_string())
    });
    environment.add_function("now", |state: &State<'_, '_>| state.lookup(NOW));
}

/// Returns an error of a filter or a check, in the plugin's own words.
pub fn error(message: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("{OWN_WORDS}{message}"))
}

/// Returns a number, or the number that a text contains.
fn numeric(value: &Value) -> Result<f64, Error> {
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None if value.is_number() => f64::try_from(value.clone()).ok(),
        None => None,
    };
    let number = number.filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| error("this filter takes a number"))
}

// Times

const UNITS: &[(&str, f64)] = &[
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("min", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
];

/// Formats only the two largest units: seconds do not matter in a duration of days.
fn duration(value: &Value, unit: Option<&str>) -> Result<String, Error> {
    let unit = unit.unwrap_or("s");
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, seconds) =
        known.ok_or_else(|| error("the unit must be one of ns, us, ms, s, min, h, d"))?;
    let total = numeric(value)? * seconds;
    let sign = if total < 0.0 { "-" } else { "" };
    Ok(format!("{sign}{}", positive_duration(total.abs())))
}

fn positive_duration(seconds: f64) -> String {
    let short = |value: f64, unit: &str| format!("{} {unit}", decimals_at_most(value, 1));
    match seconds {
        0.0 => "0 s".to_owned(),
        s if s < 0.999_5e-3 => short(s * 1e6, "µs"),
        s if s < 0.999_5 => short(s * 1e3, "ms"),
        s if s < 59.95 => short(s, "s"),
        s => {
            let mut left = s.round();
            let mut parts = Vec::new();
            for (unit, size) in UNITS.iter().rev().filter(|(_, size)| *size >= 1.0) {
                let count = (left / size).floor();
                left -= count * size;
                if count > 0.0 {
                    parts.push(format!("{count} {unit}"));
                } else if !parts.is_empty() {
                    break;
                }
                if parts.len() == 2 {
                    break;
                }
            }
            parts.join(" ")
        }
    }
}

fn age(state: &State<'_, '_>, value: &Value) -> Result<f64, Error> {
    let now = state.lookup(NOW);
    let now = now
        .as_ref()
        .and_then(Value::as_str)
        .and_then(|now| now.parse::<Timestamp>().ok());
    let now = now.ok_or_else(|| error("the time is not known here"))?;
    let milliseconds = now.as_millisecond() - timestamp(value)?.as_millisecond();
    #[allow(clippy::cast_precision_loss, reason = "ten thousand years are exact")]
    Ok(milliseconds as f64 / 1e3)
}

/// The maximum length of a format. It exceeds any useful one.
const MAX_FORMAT_BYTES: usize = 200;

fn time(
    value: &Value,
    format: Option<&str>,
    zone: Option<&str>,
    named: Kwargs,
) -> Result<String, Error> {
    let format = format.or(named.get("format")?);
    let zone = zone.or(named.get("zone")?);
    named.assert_all_used()?;
    let zone = match zone {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name)
            .map_err(|_| error("there is no such time zone; give one such as Europe/Berlin"))?,
    };
    let format = format.unwrap_or("%Y-%m-%d %H:%M %Z");
    // Refuse widths such as a billion characters.
    let is_wide = format.split('%').skip(1).any(|directive| {
        directive
            .trim_start_matches(['-', '_', '^', '#'])
            .chars()
            .take_while(char::is_ascii_digit)
            .count()
            > 2
    });
    if format.len() > MAX_FORMAT_BYTES || is_wide {
        return Err(error("the format is too long"));
    }
    let moment = timestamp(value)?.to_zoned_datetime(zone);
    strtime::format(format, &moment)
        .map_err(|_| error("the format cannot be read; %Y-%m-%d %H:%M %Z is one"))
}

/// Reads an RFC 3339 time or a number since 1970. The number's size shows the unit: times of the next centuries do not
/// overlap between units.
fn timestamp(value: &Value) -> Result<Timestamp, Error> {
    let no_time = || error("this filter takes a time: RFC 3339, or a number since 1970");
    if let Some(text) = value.as_str()
        && text.parse::<f64>().is_err()
    {
        return text.trim().parse().map_err(|_| no_time());
    }
    let number = numeric(value).map_err(|_| no_time())?;
    let in_seconds = match number.abs() {
        size if size < 1e11 => 1.0,
        size if size < 1e14 => 1e3,
        size if size < 1e17 => 1e6,
        _ => 1e9,
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "far below the limits of i64"
    )]
    let milliseconds = (number / in_seconds * 1e3).round() as i64;
    Timestamp::from_millisecond(milliseconds).map_err(|_| no_time())
}

// Numbers

fn number(value: &Value, decimals: Option<usize>, marks: Kwargs) -> Result<String, Error> {
    let thousands: Option<&str> = marks.get("thousands")?;
    let decimal: Option<&str> = marks.get("decimal")?;
    marks.assert_all_used()?;
    // An integer may have more digits than a double.
    let whole = i128::try_from(value.clone())
        .ok()
        .filter(|_| value.is_number());
    let text = match (decimals.map(|decimals| decimals.min(MAX_DECIMALS)), whole) {
        (Some(decimals), _) => format!("{:.decimals$}", numeric(value)?),
        (None, Some(whole)) => whole.to_string(),
        (None, None) => numeric(value)?.to_string(),
    };
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let grouped = grouped(whole, thousands.unwrap_or(","));
    let point = if rest.is_empty() {
        ""
    } else {
        decimal.unwrap_or(".")
    };
    Ok(format!("{sign}{grouped}{point}{rest}"))
}

const MAX_DECIMALS: usize = 20;

fn grouped(digits: &str, mark: &str) -> String {
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push_str(mark);
        }
        grouped.push(digit);
    }
    grouped
}

fn percent(value: &Value, decimals: Option<usize>) -> Result<String, Error> {
    let decimals = decimals.unwrap_or(0).min(MAX_DECIMALS);
    Ok(format!("{:.decimals$} %", numeric(value)? * 100.0))
}

/// Formats with one decimal and the largest unit that is not larger than the number.
fn scaled(value: &Value, step: f64, units: &[&str]) -> Result<String, Error> {
    let mut number = numeric(value)?;
    let mut units = units.iter().peekable();
    let mut unit = units.next().copied().unwrap_or("");
    // A number that rounds up to the next unit uses that unit.
    while number.abs() >= step - 0.05
        && let Some(next) = units.next()
    {
        number /= step;
        unit = next;
    }
    let number = decimals_at_most(number, 1);
    Ok(format!("{number} {unit}").trim_end().to_owned())
}

/// Formats `5` or `5.1`.
fn decimals_at_most(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

// Texts

fn truncate(text: &Value, characters: usize, marks: Kwargs) -> Result<String, Error> {
    let end: Option<&str> = marks.get("end")?;
    marks.assert_all_used()?;
    let text = text.to_string();
    let limit = Limit::code_points(characters);
    Ok(cut(&text, limit, end.unwrap_or("…")).into_owned())
}

/// Formats JSON without escapes for HTML, because it goes into request bodies.
fn to_json(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let mut text = Bounded(Vec::new());
    let written = serde_json::to_writer(&mut text, value);
    // Charge the cost of 16 bytes for each byte written: writing takes that long.
    state.consume_fuel(text.0.len() as u64 / 4)?;
    written.map_err(|error| match error.is_io() {
        true => Error::from(ErrorKind::OutOfFuel),
        false => Error::from(ErrorKind::BadSerialization),
    })?;
    String::from_utf8(text.0).map_err(|_| Error::from(ErrorKind::BadSerialization))
}

/// A buffer with a maximum size.
struct Bounded(Vec<u8>);

/// The longest text of a request with all characters escaped.
const MAX_JSON_BYTES: usize = 8 * 1024 * 1024;

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_JSON_BYTES {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
