//! The trigger's arguments: one table, from which parsing, errors and documentation come.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};
use url::{Host, Url};

use crate::channels::parse_url;
use crate::model::plan::{OnAmbiguous, Rate};
use crate::model::policy::PrivateAddresses;
use crate::model::secret::Secret;
use crate::model::text::{nearest, printable, truncate};

/// An argument of the trigger. All arrive as strings.
#[derive(Debug)]
pub struct Argument {
    pub name: &'static str,
    pub kind: Kind,
    /// As one would write it; empty: there is none.
    pub default: &'static str,
    pub example: &'static str,
    pub description: &'static str,
}

/// What an argument's value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// With the least and the longest, as one would write them.
    Duration(&'static str, &'static str),
    /// With the least and the most.
    Count(u32, u32),
    Boolean,
    OneOf(&'static [&'static str]),
    /// `5/s`, `60/min`.
    Rate,
    /// Names separated by spaces or commas.
    List,
    /// Hosts, and suffixes of hosts, separated in the same way.
    Hosts,
    Url,
    /// The name of a table.
    Table,
    Text,
}

use Kind::{Boolean, Count, List, OneOf, Text};

macro_rules! arguments {
    ($($name:literal $kind:expr, $default:literal, $example:literal, $description:literal;)*) => {
        &[$(Argument {
            name: $name, kind: $kind, default: $default, example: $example,
            description: $description,
        }),*]
    };
}

/// Every argument that is documented.
pub const ARGUMENTS: &[Argument] = arguments! {
    "config_file_path" Text, "", "notifier.toml", "TOML file with receivers, routes, templates and silences.";
    "response_timeout" Kind::Duration("0s", "4500ms"), "2s", "2s", "How long a call waits for its deliveries before it answers; 0s answers at once.";
    "delivery_timeout" Kind::Duration("1s", "7d"), "5min", "5min", "How long a delivery is tried, from its acceptance.";
    "max_attempts" Count(1, 100), "10", "10", "How often a message is tried; an answer 429 is not counted.";
    "initial_backoff" Kind::Duration("10ms", "1h"), "1s", "1s", "How long is waited after the first failed attempt; doubled each time.";
    "max_backoff" Kind::Duration("10ms", "1h"), "60s", "60s", "The longest wait between two attempts.";
    "connect_timeout" Kind::Duration("1ms", "5min"), "5s", "5s", "How long making a connection may take.";
    "attempt_timeout" Kind::Duration("1ms", "5min"), "15s", "15s", "How long one attempt may take.";
    "failure_status" OneOf(&["200", "502"]), "200", "502", "The HTTP status of the answer when nothing was delivered.";
    "default_receivers" List, "", "oncall", "Receivers of a request that names no destination and that no route matches.";
    "request_destinations" OneOf(&["allow", "ignore", "deny"]), "allow", "ignore", "Whether requests may bring destinations of their own.";
    "allowed_hosts" Kind::Hosts, "", "hooks.slack.com *.example.com", "Hosts that requests may send to; *.suffix stands for all hosts below it.";
    "private_addresses" OneOf(&["allow", "deny"]), "allow", "deny", "Whether requests may send to private addresses.";
    "rate_limit" Kind::Rate, "", "60/min", "How many messages may leave for one destination in a time.";
    "dedup_window" Kind::Duration("0s", "7d"), "0s", "10min", "How long an identical request is not sent again after it was delivered; 0s is off.";
    "repeat_interval" Kind::Duration("1s", "7d"), "", "4h", "How long an unchanged notification with the same dedup_key is not repeated.";
    "max_per_batch" Count(1, 100_000), "", "20", "How many rows of one batch go to a receiver; the rest goes as one digest.";
    "max_per_minute" Count(1, 100_000), "", "30", "How many notifications go to a receiver in a minute; the rest goes as one digest.";
    "text_column" Text, "message", "message", "The column that holds the text.";
    "level_column" Text, "", "level", "The column that holds the level.";
    "title_column" Text, "", "title", "The column that holds the title.";
    "status_column" Text, "", "status", "The column that holds firing or resolved.";
    "dedup_key_column" Text, "", "alert_id", "The column that holds the dedup key.";
    "link_column" Text, "", "link", "The column that holds the link.";
    "receivers_column" Text, "", "receivers", "The column that names the receivers.";
    "template" Text, "", "short", "The template that makes the text.";
    "on_ambiguous" OneOf(&["lookup", "report", "resend"]), "lookup", "report", "What to do when Twilio may or may not have taken a message: look for it there, report at once, or look and send again.";
    "outbox" Text, "", "notifier-outbox.db", "Where accepted notifications are kept until they are delivered.";
    "history_table" Kind::Table, "", "notifications", "The table that gets one row a delivery.";
    "max_in_flight" Count(1, 1_000_000), "10000", "10000", "Deliveries in flight in this process; over it the answer is 503.";
    "max_connections" Count(1, 65_535), "", "256", "Connections in use in this process; by default an eighth of the limit of open files, between 64 and 1024.";
    "twilio_base_url" Kind::Url, "", "https://api.twilio.com", "Where Twilio's API is.";
    "allow_mentions" Boolean, "true", "false", "Whether texts may mention people and groups.";
    "dry_run" Boolean, "false", "true", "Compose everything and send nothing.";
};

/// The argument of that name.
pub fn find(name: &str) -> Option<&'static Argument> {
    ARGUMENTS.iter().find(|argument| argument.name == name)
}

impl Argument {
    /// What a value must be, where it is something else: also of an argument that nobody asks for yet.
    pub fn expects(&self, value: &str) -> Result<(), String> {
        match self.kind {
            Kind::Duration(..) => self.duration(value).map(drop),
            Count(..) => self.count(value).map(drop),
            Boolean => self.boolean(value).map(drop),
            OneOf(_) => self.one_of(value).map(drop),
            Kind::Rate => self.rate(value).map(drop),
            Kind::Url => self.url(value).map(drop),
            Kind::Hosts => self.hosts(value).map(drop),
            Kind::Table => self.table(value).map(drop),
            List | Text => Ok(()),
        }
    }

    /// Whether two values mean the same.
    fn is_same(&self, one: &str, other: &str) -> bool {
        let (one, other) = (one.trim(), other.trim());
        match self.kind {
            Kind::Duration(..) => parse_duration(one) == parse_duration(other),
            Kind::Rate => parse_rate(one) == parse_rate(other),
            Boolean => self.boolean(one) == self.boolean(other),
            Kind::Hosts => self.hosts(one) == self.hosts(other),
            Kind::Url => self.url(one) == self.url(other),
            List => list(one).eq(list(other)),
            OneOf(_) => one.eq_ignore_ascii_case(other),
            Count(..) | Kind::Table | Text => one == other,
        }
    }

    fn duration(&self, value: &str) -> Result<Duration, String> {
        let Kind::Duration(least, most) = self.kind else {
            return Ok(Duration::ZERO);
        };
        let bounds = parse_duration(least).zip(parse_duration(most));
        parse_duration(value)
            .filter(|value| bounds.is_some_and(|(least, most)| *value >= least && *value <= most))
            .ok_or_else(|| format!("a duration from {least} to {most} (us ms s min m h d w)"))
    }

    fn count(&self, value: &str) -> Result<u32, String> {
        let Count(least, most) = self.kind else {
            return Ok(0);
        };
        let count = value.parse().ok();
        count
            .filter(|count| (least..=most).contains(count))
            .ok_or_else(|| format!("a whole number from {least} to {most}"))
    }

    fn boolean(&self, value: &str) -> Result<bool, String> {
        match value.to_ascii_lowercase().as_str() {
            "true" | "t" | "1" | "yes" | "on" => Ok(true),
            "false" | "f" | "0" | "no" | "off" => Ok(false),
            _ => Err("true or false".to_owned()),
        }
    }

    fn one_of(&self, value: &str) -> Result<&'static str, String> {
        let OneOf(words) = self.kind else {
            return Ok("");
        };
        let lower = value.to_ascii_lowercase();
        let found = words.iter().find(|word| **word == lower);
        found
            .copied()
            .ok_or_else(|| format!("one of {}", words.join(", ")))
    }

    fn rate(&self, value: &str) -> Result<Rate, String> {
        parse_rate(value).ok_or_else(|| "messages per time, such as 5/s or 60/min".to_owned())
    }

    fn url(&self, value: &str) -> Result<Url, String> {
        let url = parse_url(value)
            .map_err(|what| format!("a URL such as {}: it {what}", self.example))?;
        match url.username().is_empty() && url.password().is_none() {
            true => Ok(url),
            false => Err("a URL without user name and password".to_owned()),
        }
    }

    /// A name that the database takes for a table's.
    fn table(&self, value: &str) -> Result<String, String> {
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

    /// Normalised as the hosts of URLs are, so that both can be compared.
    fn hosts(&self, value: &str) -> Result<Vec<String>, String> {
        let hosts = list(value).map(normal_pattern);
        hosts
            .collect::<Option<_>>()
            .ok_or_else(|| "hosts, or *. and a suffix, separated by spaces".to_owned())
    }
}

/// More than any name that is meant.
const MAX_TABLE_BYTES: usize = 250;

/// An argument that cannot be used. Answered with 503: nothing is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct ArgumentError {
    pub name: &'static str,
    pub code: &'static str,
    pub what: String,
    pub hint: String,
}

impl ArgumentError {
    pub fn unknown_receiver<'a>(
        name: &'static str,
        receiver: &str,
        known: impl Iterator<Item = &'a String>,
    ) -> Self {
        Self::unknown(name, "receiver", receiver, known)
    }

    pub fn unknown_template<'a>(
        name: &'static str,
        template: &str,
        known: impl Iterator<Item = &'a String>,
    ) -> Self {
        Self::unknown(name, "template", template, known)
    }

    /// A name of something that the configuration file does not have.
    fn unknown<'a>(
        name: &'static str,
        kind: &str,
        given: &str,
        known: impl Iterator<Item = &'a String>,
    ) -> Self {
        let meant = nearest(given, known.map(String::as_str));
        let shown = truncate(&printable(given), 64);
        Self {
            name,
            code: "invalid_argument",
            what: format!(
                "The trigger argument {name} names '{shown}', which is no {kind} of the configuration file."
            ),
            hint: match meant {
                Some(meant) => format!(
                    "Did you mean {meant}? Create the trigger anew, or add the {kind} to the file."
                ),
                None => {
                    "Add it to the file that config_file_path names, or create the trigger anew."
                        .to_owned()
                }
            },
        }
    }

    fn unparsable(argument: &'static Argument, value: &str, expected: &str) -> Self {
        let found = match argument.kind {
            // It may hold what nobody should read.
            Kind::Url => String::new(),
            _ => format!(", found '{}'", truncate(&printable(value), 64)),
        };
        Self {
            name: argument.name,
            code: "invalid_argument",
            what: format!(
                "The trigger argument {} must be {expected}{found}.",
                argument.name
            ),
            hint: format!(
                "Give for example {}={}, and create the trigger anew.",
                argument.name, argument.example
            ),
        }
    }
}

/// Whether requests may bring destinations of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestDestinations {
    #[default]
    Allow,
    /// They are not used.
    Ignore,
    /// Such a request is refused.
    Deny,
}

/// The arguments of one trigger on their way into settings.
pub struct Arguments<'a> {
    given: &'a BTreeMap<String, String>,
    /// The configuration file's, which win; checked already.
    file: &'a BTreeMap<String, Secret>,
    warnings: Vec<String>,
}

impl<'a> Arguments<'a> {
    /// Looks through all that is given: what is unknown or not available is warned of or refused.
    pub fn new(
        given: &'a BTreeMap<String, String>,
        file: &'a BTreeMap<String, Secret>,
    ) -> Result<Self, ArgumentError> {
        let mut warnings = Vec::new();
        for (name, value) in given {
            let shown = truncate(&printable(name), 64);
            let Some(argument) = find(name) else {
                let meant = nearest(name, ARGUMENTS.iter().map(|argument| argument.name));
                let meant = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
                warnings.push(format!("trigger argument {shown}: unknown, ignored{meant}"));
                continue;
            };
            if value.trim().is_empty() {
                continue;
            }
            refuse_userinfo(argument, value)?;
            let value = value.trim();
            let expected = argument.expects(value);
            expected.map_err(|expected| ArgumentError::unparsable(argument, value, &expected))?;
        }
        for (name, value) in file {
            let given = given.get(name).map(|given| given.trim());
            let given = given.filter(|given| !given.is_empty());
            let differs = |argument: &Argument, given| !argument.is_same(given, value.expose());
            let differs = find(name)
                .zip(given)
                .map(|(argument, given)| differs(argument, given));
            if differs == Some(true) {
                warnings.push(format!(
                    "trigger argument {name}: the configuration file says something else, which counts"
                ));
            }
        }
        Ok(Self {
            given,
            file,
            warnings,
        })
    }

    pub fn warnings(self) -> Vec<String> {
        self.warnings
    }

    pub fn duration(&self, name: &'static str) -> Result<Duration, ArgumentError> {
        self.parsed(name, Argument::duration)
    }

    /// `None`: it has no default, and is not given.
    pub fn duration_if_given(&self, name: &'static str) -> Result<Option<Duration>, ArgumentError> {
        self.parsed_if_given(name, Argument::duration)
    }

    pub fn count(&self, name: &'static str) -> Result<u32, ArgumentError> {
        self.parsed(name, Argument::count)
    }

    /// `None`: it has no default, and is not given.
    pub fn count_if_given(&self, name: &'static str) -> Result<Option<u32>, ArgumentError> {
        self.parsed_if_given(name, Argument::count)
    }

    pub fn size(&self, name: &'static str) -> Result<usize, ArgumentError> {
        self.count(name).map(|count| count as usize)
    }

    pub fn boolean(&self, name: &'static str) -> Result<bool, ArgumentError> {
        self.parsed(name, Argument::boolean)
    }

    pub fn rate(&self, name: &'static str) -> Result<Option<Rate>, ArgumentError> {
        self.parsed_if_given(name, Argument::rate)
    }

    pub fn url(&self, name: &'static str) -> Result<Option<Url>, ArgumentError> {
        self.parsed_if_given(name, Argument::url)
    }

    pub fn hosts(&self, name: &'static str) -> Result<Vec<String>, ArgumentError> {
        self.parsed(name, Argument::hosts)
    }

    /// Names separated by spaces or commas.
    pub fn names(&self, name: &'static str) -> impl Iterator<Item = &str> {
        list(self.value(name).1)
    }

    /// A table's name.
    pub fn table(&self, name: &'static str) -> Result<Option<String>, ArgumentError> {
        self.given(name)
            .then(|| self.parsed(name, Argument::table))
            .transpose()
    }

    pub fn text(&self, name: &'static str) -> Option<&str> {
        Some(self.value(name).1).filter(|value| !value.is_empty())
    }

    pub fn failure_status(&self) -> Result<u16, ArgumentError> {
        Ok(match self.one_of("failure_status")? {
            "502" => 502,
            _ => 200,
        })
    }

    pub fn private_addresses(&self) -> Result<PrivateAddresses, ArgumentError> {
        Ok(match self.one_of("private_addresses")? {
            "deny" => PrivateAddresses::Deny,
            _ => PrivateAddresses::Allow,
        })
    }

    pub fn request_destinations(&self) -> Result<RequestDestinations, ArgumentError> {
        Ok(match self.one_of("request_destinations")? {
            "ignore" => RequestDestinations::Ignore,
            "deny" => RequestDestinations::Deny,
            _ => RequestDestinations::Allow,
        })
    }

    pub fn on_ambiguous(&self) -> Result<OnAmbiguous, ArgumentError> {
        Ok(match self.one_of("on_ambiguous")? {
            "report" => OnAmbiguous::Report,
            "resend" => OnAmbiguous::Resend,
            _ => OnAmbiguous::Lookup,
        })
    }

    pub fn max_connections(&self) -> Result<usize, ArgumentError> {
        match self.given("max_connections") {
            true => self.size("max_connections"),
            false => Ok(default_max_connections()),
        }
    }

    fn one_of(&self, name: &'static str) -> Result<&'static str, ArgumentError> {
        self.parsed(name, Argument::one_of)
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&Argument, &str) -> Result<T, String>,
    ) -> Result<T, ArgumentError> {
        let (argument, value) = self.value(name);
        parse(argument, value)
            .map_err(|expected| ArgumentError::unparsable(argument, value, &expected))
    }

    fn parsed_if_given<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&Argument, &str) -> Result<T, String>,
    ) -> Result<Option<T>, ArgumentError> {
        self.given(name)
            .then(|| self.parsed(name, parse))
            .transpose()
    }

    /// Whether somebody has set it, here or in the file.
    pub fn is_set(&self, name: &str) -> bool {
        let set = |value: &str| !value.trim().is_empty();
        let given = self.given.get(name).is_some_and(|value| set(value));
        given || self.file.get(name).is_some_and(|value| set(value.expose()))
    }

    /// Whether it has a value, its default among them.
    fn given(&self, name: &'static str) -> bool {
        !self.value(name).1.is_empty()
    }

    /// The argument and its value, or its default: a blank value is not given.
    fn value(&self, name: &'static str) -> (&'static Argument, &str) {
        static UNKNOWN: Argument = Argument {
            name: "",
            kind: Text,
            default: "",
            example: "",
            description: "",
        };
        let argument = find(name).unwrap_or(&UNKNOWN);
        debug_assert_eq!(argument.name, name, "not in the table");
        let file = self.file.get(name).map(Secret::expose);
        let given = file.or_else(|| self.given.get(name).map(String::as_str));
        let value = given.map(str::trim).filter(|value| !value.is_empty());
        (argument, value.unwrap_or(argument.default))
    }
}

/// Arguments can be read by SQL by whoever may query the server: a password has no place there.
fn refuse_userinfo(argument: &'static Argument, value: &str) -> Result<(), ArgumentError> {
    for word in list(value) {
        // Names of columns may be anything; all else with an `@` is meant as an address.
        let bare = word.contains('@') && !word.contains("://") && argument.kind != Text;
        let url = match bare {
            true => Url::parse(&format!("http://{word}")),
            false => Url::parse(word),
        };
        let Ok(url) = url else { continue };
        if url.has_authority() && (!url.username().is_empty() || url.password().is_some()) {
            return Err(ArgumentError {
                name: argument.name,
                code: "secret_in_argument",
                what: format!(
                    "The trigger argument {} holds a user name or password in its URL.",
                    argument.name
                ),
                hint: "Arguments can be read by SQL (system.processing_engine_trigger_arguments): put the URL into \
                       the configuration file as { env = \"NAME\" }."
                    .to_owned(),
            });
        }
    }
    Ok(())
}

fn list(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

/// `2s`, `1.5h`, `1h 30m`; a day has 24 hours, a week seven days. Never negative.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.trim().to_ascii_lowercase().parse().ok()?;
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(exact).ok()
}

/// `5/s`, `60/min`, `5/10s`.
pub fn parse_rate(text: &str) -> Option<Rate> {
    let (messages, per) = text.split_once('/')?;
    let messages = messages
        .trim()
        .parse()
        .ok()
        .filter(|messages| *messages > 0)?;
    let per = per.trim();
    // `5/s` is five in one second, `5/10s` five in ten.
    let per = match per.starts_with(|c: char| c.is_ascii_digit()) {
        true => parse_duration(per)?,
        false => parse_duration(&format!("1{per}"))?,
    };
    (!per.is_zero()).then_some(Rate { messages, per })
}

/// `Hooks.Slack.com.` as `hooks.slack.com`; `*.Example.com` as `*.example.com`.
fn normal_pattern(host: &str) -> Option<String> {
    let (prefix, name) = match host.strip_prefix("*.") {
        Some(suffix) => ("*.", suffix),
        None => ("", host),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let host = Host::parse(name).ok()?;
    Some(format!("{prefix}{host}"))
}

/// An eighth of the files that this process may open, between 64 and 1,024: the database needs the rest.
fn default_max_connections() -> usize {
    usize::try_from(open_files() / 8)
        .unwrap_or(usize::MAX)
        .clamp(64, 1024)
}

#[cfg(unix)]
fn open_files() -> u64 {
    rlimit::Resource::NOFILE.get_soft().unwrap_or(1024)
}

/// Windows bounds sockets by memory alone.
#[cfg(not(unix))]
const fn open_files() -> u64 {
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(given: &BTreeMap<String, String>) -> Result<super::super::Settings, ArgumentError> {
        super::super::resolve(given, &Default::default(), Default::default())
    }

    static NONE: BTreeMap<String, Secret> = BTreeMap::new();

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        owned.collect()
    }

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

    #[test]
    fn every_default_and_example_of_the_table_can_be_parsed() {
        for argument in ARGUMENTS {
            assert!(!argument.example.is_empty(), "{}", argument.name);
            assert!(argument.description.ends_with('.'), "{}", argument.name);
            for value in [argument.default, argument.example] {
                let given = given(&[(argument.name, value)]);
                if value.is_empty() {
                    continue;
                }
                let arguments = Arguments::new(&given, &NONE).unwrap();
                let name = argument.name;
                let parsed = match argument.kind {
                    Kind::Duration(..) => arguments.duration(name).map(drop),
                    Count(..) => arguments.count(name).map(drop),
                    Boolean => arguments.boolean(name).map(drop),
                    OneOf(_) => arguments.one_of(name).map(drop),
                    Kind::Rate => arguments.rate(name).map(drop),
                    Kind::Url => arguments.url(name).map(drop),
                    Kind::Hosts => arguments.hosts(name).map(drop),
                    Kind::Table => arguments.table(name).map(drop),
                    List | Text => Ok(()),
                };
                assert_eq!(parsed, Ok(()), "{name}={value}");
            }
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_named_with_what_it_got_and_an_example() {
        for (name, value) in [
            ("response_timeout", "5s"),
            ("response_timeout", "soon"),
            ("delivery_timeout", "8d"),
            ("max_attempts", "0"),
            ("max_attempts", "1.5"),
            ("failure_status", "404"),
            ("dry_run", "perhaps"),
            ("rate_limit", "5"),
            ("rate_limit", "0/s"),
            ("private_addresses", "no"),
            ("allowed_hosts", "a^b"),
            ("twilio_base_url", "ftp://x"),
        ] {
            let error = resolve(&given(&[(name, value)])).unwrap_err();
            assert_eq!(error.name, name);
            assert!(error.what.contains(name), "{error:?}");
            assert!(error.hint.contains(&format!("{name}=")), "{error:?}");
        }
    }

    #[test]
    fn values_are_read_leniently() {
        let arguments = given(&[
            ("response_timeout", " 1s "),
            ("dry_run", "YES"),
            ("allow_mentions", ""),
            ("rate_limit", "60/min"),
            (
                "allowed_hosts",
                "Hooks.Slack.com., *.Example.ORG bücher.example",
            ),
        ]);
        let settings = resolve(&arguments).unwrap();
        assert_eq!(settings.response_timeout, Duration::from_secs(1));
        assert!(settings.dry_run && settings.allow_mentions);
        assert_eq!(
            settings.policy.rate_limit.unwrap().interval(),
            Duration::from_secs(1)
        );
        assert_eq!(
            settings.addresses.allowed_hosts,
            ["hooks.slack.com", "*.example.org", "xn--bcher-kva.example"]
        );
    }

    #[test]
    fn unknown_names_are_warned_of() {
        let settings = resolve(&given(&[("respons_timeout", "1s"), ("zzz", "1")])).unwrap();
        assert_eq!(
            settings.warnings,
            [
                "trigger argument respons_timeout: unknown, ignored; did you mean response_timeout?",
                "trigger argument zzz: unknown, ignored",
            ]
        );
    }

    #[test]
    fn a_password_in_an_argument_is_refused_without_being_quoted() {
        for (name, value) in [
            ("twilio_base_url", "https://user:s3cret@host/"),
            ("outbox", "nats://a:4222 nats://tok3n@host:4222"),
            ("allowed_hosts", "user:s3cret@host"),
            ("allowed_hosts", "a.example,s3cret@host:80"),
            ("rate_limit", "user:s3cret@host"),
        ] {
            let error = Arguments::new(&given(&[(name, value)]), &NONE)
                .err()
                .unwrap();
            assert_eq!(error.code, "secret_in_argument", "{value}");
            assert!(!format!("{error:?}").contains("3"), "{error:?}");
        }
        let column = given(&[("text_column", "a@b")]);
        assert!(Arguments::new(&column, &NONE).is_ok());
    }
}
