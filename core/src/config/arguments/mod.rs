//! The trigger's arguments. Parsing, errors and documentation use one table.

mod error;
mod trigger;
mod value;

pub use self::error::unknown_name;
pub use self::trigger::{Arguments, RequestDestinations};
pub use self::value::{duration_within, parse_rate};

/// An argument of the trigger. The database passes every argument as a string.
#[derive(Debug)]
pub struct Argument {
    pub name: &'static str,
    pub kind: ArgumentKind,
    /// The default as an operator would write it. Empty: the argument has no default.
    pub default: &'static str,
    pub example: &'static str,
    pub description: &'static str,
}

/// The type of an argument's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArgumentKind {
    /// A duration, with the minimum and the maximum as an operator would write them.
    Duration(&'static str, &'static str),
    /// A count, with the minimum and the maximum.
    Count(u32, u32),
    Boolean,
    OneOf(&'static [&'static str]),
    /// A rate, such as `5/s` or `60/min`.
    Rate,
    /// Names, separated by spaces or commas.
    List,
    /// Hosts and host suffixes, separated by spaces or commas.
    Hosts,
    Url,
    /// The name of a table.
    Table,
    Text,
}

use ArgumentKind::{Boolean, Count, List, OneOf, Text};

macro_rules! arguments {
    ($($name:literal $kind:expr, $default:literal, $example:literal, $description:literal;)*) => {
        &[$(Argument {
            name: $name, kind: $kind, default: $default, example: $example,
            description: $description,
        }),*]
    };
}

/// Every documented argument.
pub const ARGUMENTS: &[Argument] = arguments! {
    "config_file_path" Text, "", "notifier.toml", "The configuration file: receivers, routes, templates, silences.";
    "response_timeout" ArgumentKind::Duration("0s", "4500ms"), "2s", "2s", "How long a call waits for its deliveries; 0s: not at all.";
    "delivery_timeout" ArgumentKind::Duration("1s", "7d"), "5min", "5min", "Time for a delivery, from its acceptance; with an outbox 24h by default.";
    "max_attempts" Count(1, 100), "10", "10", "Attempts of a message; a 429 does not count.";
    "initial_backoff" ArgumentKind::Duration("10ms", "1h"), "1s", "1s", "Wait after the first failed attempt; doubles each time.";
    "max_backoff" ArgumentKind::Duration("10ms", "1h"), "60s", "60s", "Longest wait between two attempts.";
    "connect_timeout" ArgumentKind::Duration("1ms", "5min"), "5s", "5s", "Time to connect.";
    "attempt_timeout" ArgumentKind::Duration("1ms", "5min"), "15s", "15s", "Time for one attempt.";
    "failure_status" OneOf(&["200", "502"]), "200", "502", "HTTP status of the response when nothing was delivered.";
    "default_receivers" List, "", "oncall", "Receivers of a request without destinations that no route matches.";
    "request_destinations" OneOf(&["allow", "ignore", "deny"]), "allow", "ignore", "Whether requests may bring their own destinations.";
    "allowed_hosts" ArgumentKind::Hosts, "", "hooks.slack.com *.example.com", "Hosts that requests may reach; *.suffix: all hosts below it.";
    "private_addresses" OneOf(&["allow", "deny"]), "allow", "deny", "Whether requests may reach private addresses.";
    "rate_limit" ArgumentKind::Rate, "", "60/min", "Most messages to one destination in a time.";
    "dedup_window" ArgumentKind::Duration("0s", "7d"), "0s", "10min", "How long a repeat of a delivered request is suppressed; 0s: off.";
    "repeat_interval" ArgumentKind::Duration("1s", "7d"), "", "4h", "How long an unchanged notification with the same dedup_key is suppressed.";
    "max_per_batch" Count(1, 100_000), "", "20", "Most rows of one write that go to a receiver; a digest has the rest.";
    "max_per_minute" Count(1, 100_000), "", "30", "Most notifications to a receiver in a minute; a digest has the rest.";
    "text_column" Text, "message", "message", "Column of the text.";
    "level_column" Text, "", "level", "Column of the level.";
    "title_column" Text, "", "title", "Column of the title.";
    "status_column" Text, "", "status", "Column of the status: firing, acknowledged or resolved.";
    "dedup_key_column" Text, "", "alert_id", "Column of the dedup key.";
    "link_column" Text, "", "link", "Column of the link.";
    "receivers_column" Text, "", "receivers", "Column of the receivers' names.";
    "template" Text, "", "short", "Template of the text.";
    "on_ambiguous" OneOf(&["lookup", "report", "resend"]), "lookup", "report", "After a lost reply of Twilio: look the message up, report at once, or look up and send again.";
    "outbox" Text, "", "notifier-outbox.db", "Where accepted notifications are stored until they are delivered.";
    "history_table" ArgumentKind::Table, "", "notifications", "Table with one row for each delivery.";
    "max_in_flight" Count(1, 1_000_000), "10000", "10000", "Open deliveries of this process; beyond it, the response is 503.";
    "max_connections" Count(1, 65_535), "", "256", "Connections of this process, idle ones too; default: an eighth of the open files limit, between 64 and 1024.";
    "twilio_base_url" ArgumentKind::Url, "", "https://api.twilio.com", "Address of Twilio's API, by http or https.";
    "allow_mentions" Boolean, "true", "false", "Whether texts may mention people and groups.";
    "dry_run" Boolean, "false", "true", "Compose everything and send nothing.";
};

/// Returns the argument with this name.
pub fn find(name: &str) -> Option<&'static Argument> {
    ARGUMENTS.iter().find(|argument| argument.name == name)
}
