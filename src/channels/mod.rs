//! The channels: each composes messages and judges replies, purely. [`CHANNELS`] has a line for each.

mod compact;
mod discord;
mod fields;
mod headers;
mod http;
mod rich;
mod signing;
mod slack;
#[cfg(test)]
mod tests;
mod twilio;
mod verdict;
mod webhook;

use std::sync::Arc;

use url::Url;

pub(crate) use self::discord::escape as escape_discord;
pub use self::fields::{ConfigError, Fields, Origin, Warning, parse_url};
pub use self::rich::Look;
pub(crate) use self::slack::escape as escape_slack;
pub use self::verdict::retry_after;
pub use crate::model::channel::{Channel, Composing, Composition};
use crate::model::secret::Secret;
use crate::model::text::{Limits, MAX_PARTS};
use crate::model::wire::Repeat;

/// Every channel, by its sender's name.
pub const CHANNELS: &[&ChannelSpec] = &[
    &slack::SPEC,
    &discord::SPEC,
    &http::SPEC,
    &twilio::SMS,
    &twilio::WHATSAPP,
];

/// The channel that a sender's name stands for.
pub fn find(sender: &str) -> Option<&'static ChannelSpec> {
    CHANNELS.iter().copied().find(|spec| spec.key == sender)
}

/// What the registry knows of a channel: documentation, command line and tests read it too.
pub struct ChannelSpec {
    /// The sender's name in `senders_config`.
    pub key: &'static str,
    pub parameters: &'static [Parameter],
    /// How long one message's text may be.
    pub limits: Option<Limits>,
    pub repeat: Repeat,
    pub parse: Parse,
}

/// Reads a sender's configuration.
pub type Parse = fn(&mut Fields<'_>, &Operator) -> Result<Arc<dyn Channel>, ConfigError>;

/// A field of a sender's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
    pub secret: bool,
    /// Whether only the operator may set it: what a request says there is left out, with a warning.
    pub operator_only: bool,
    /// Where the value comes from when the configuration has none.
    pub environment: Option<&'static str>,
    pub example: &'static str,
    pub description: &'static str,
}

/// What every channel takes besides its parameters, in the configuration file alone. Read where the file is, not by channels.
pub const OPTIONS: &[Parameter] = &[
    Parameter::new(
        "template",
        "short",
        "The template of `[templates]` that makes the text; the request's wins.",
    )
    .operator_only(),
    Parameter::new(
        "rate_limit",
        "1/s",
        "Messages in a time to this destination, in place of the setting.",
    )
    .operator_only(),
    Parameter::new(
        "allow_mentions",
        "false",
        "Whether texts may mention people and groups here, in place of the setting.",
    )
    .of(Kind::Boolean)
    .operator_only(),
    Parameter::new(
        "proxy",
        "http://proxy.example:3128",
        "The HTTP proxy of this destination, in place of the environment's; a password may stand in it.",
    )
    .secret()
    .operator_only(),
];

/// What a field holds. In a request all are strings; the others are the file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// One string, or a list of them.
    Texts,
    Boolean,
    /// A table of strings; in a request base64 of a JSON object of strings.
    Headers,
    /// A table of strings.
    Table,
    /// A template for the whole of it.
    Template,
    /// A table of templates.
    Templates,
    /// The path of certificates of authorities, in PEM.
    AuthorityFile,
    /// The path of a certificate and its key, in PEM.
    CertificateFile,
}

impl Parameter {
    /// A string that may be absent.
    pub const fn new(name: &'static str, example: &'static str, description: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Text,
            required: false,
            secret: false,
            operator_only: false,
            environment: None,
            example,
            description,
        }
    }

    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub const fn operator_only(mut self) -> Self {
        self.operator_only = true;
        self
    }

    pub const fn or_environment(mut self, variable: &'static str) -> Self {
        self.environment = Some(variable);
        self
    }

    pub const fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

/// What the operator settles for every sender: trigger arguments and the server's environment.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    /// Where Twilio's API is; none: Twilio's own address.
    pub twilio_base_url: Option<Url>,
    pub twilio_sid: Option<Secret>,
    pub twilio_token: Option<Secret>,
}

/// Who we say we are.
pub const USER_AGENT: &str = concat!("influxdb3-notifier/", env!("CARGO_PKG_VERSION"));

/// Compact JSON, non-ASCII unescaped.
fn json_body(payload: &impl serde::Serialize) -> Vec<u8> {
    // Only a map with keys that are no strings fails; payloads have none.
    serde_json::to_vec(payload).unwrap_or_default()
}

/// What is said of a text that was longer than ten messages hold.
fn missing_warning(missing: usize) -> Vec<String> {
    match missing {
        0 => Vec::new(),
        missing => vec![format!(
            "notification_text is too long for {MAX_PARTS} messages: the last {missing} characters are missing"
        )],
    }
}
