//! The trigger's arguments: one table, from which parsing, errors and documentation come.

mod error;
mod given;
mod value;

pub use self::error::unknown_name;
pub use self::given::{Arguments, RequestDestinations};
pub use self::value::{duration_within, parse_rate};

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
    "status_column" Text, "", "status", "The column that holds firing, acknowledged or resolved.";
    "dedup_key_column" Text, "", "alert_id", "The column that holds the dedup key.";
    "link_column" Text, "", "link", "The column that holds the link.";
    "receivers_column" Text, "", "receivers", "The column that names the receivers.";
    "template" Text, "", "short", "The template that makes the text.";
    "on_ambiguous" OneOf(&["lookup", "report", "resend"]), "lookup", "report", "What to do when Twilio may or may not have taken a message: look for it there, report at once, or look and send again.";
    "outbox" Text, "", "notifier-outbox.db", "Where accepted notifications are kept until they are delivered.";
    "history_table" Kind::Table, "", "notifications", "The table that gets one row a delivery.";
    "max_in_flight" Count(1, 1_000_000), "10000", "10000", "Deliveries in flight in this process; over it the answer is 503.";
    "max_connections" Count(1, 65_535), "", "256", "Connections of this process, in use and idle; by default an eighth of the limit of open files, between 64 and 1024.";
    "twilio_base_url" Kind::Url, "", "https://api.twilio.com", "Where Twilio's API is.";
    "allow_mentions" Boolean, "true", "false", "Whether texts may mention people and groups.";
    "dry_run" Boolean, "false", "true", "Compose everything and send nothing.";
};

/// The argument of that name.
pub fn find(name: &str) -> Option<&'static Argument> {
    ARGUMENTS.iter().find(|argument| argument.name == name)
}
