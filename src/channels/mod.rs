//! The channels: each composes messages and judges replies, purely. [`CHANNELS`] has a line for each.

mod alertmanager;
mod compact;
mod describe;
mod discord;
mod email;
mod fields;
mod google_chat;
mod headers;
mod http;
mod incident;
mod lines;
mod ntfy;
mod opsgenie;
mod pagerduty;
mod pushover;
mod rich;
mod slack;
mod teams;
mod telegram;
#[cfg(test)]
mod tests;
mod twilio;
mod verdict;
mod webhook;

use std::sync::{Arc, LazyLock};

use url::Url;

pub use self::describe::describe;
pub(crate) use self::discord::escape as escape_discord;
pub use self::fields::{ConfigError, Fields, Origin, Warning, parse_url};
pub use self::rich::Look;
pub(crate) use self::slack::escape as escape_slack;
pub use self::verdict::retry_after;
pub use crate::model::channel::{Channel, Composing, Composition};
use crate::model::json::{Json, Path};
use crate::model::secret::{MASK, Secret};
use crate::model::text::{self, Limits, MAX_PARTS};
use crate::model::wire::Repeat;

/// Every channel, by its sender's name.
pub const CHANNELS: &[&ChannelSpec] = &[
    &slack::SPEC,
    &discord::SPEC,
    &http::SPEC,
    &twilio::SMS,
    &twilio::WHATSAPP,
    &email::SPEC,
    &alertmanager::SPEC,
    &telegram::SPEC,
    &teams::SPEC,
    &pagerduty::SPEC,
    &opsgenie::SPEC,
    &ntfy::SPEC,
    &google_chat::SPEC,
    &pushover::SPEC,
];

/// A channel as a request configures it: each field is what `value` gives for its parameter. For tests and measurements, to
/// which the parameters' own examples are at hand.
pub fn configured(
    spec: &'static ChannelSpec,
    value: impl Fn(&Parameter) -> Option<String>,
) -> Result<Arc<dyn Channel>, ConfigError> {
    let of_requests = spec.parameters.iter().filter(|one| !one.operator_only);
    let members: Vec<_> = of_requests
        .filter_map(|one| Some((one.name.to_owned(), Json::String(value(one)?))))
        .collect();
    let (path, mut warnings) = (Path::root(), Vec::new());
    let (key, parameters) = (spec.key, spec.parameters);
    let mut fields = Fields::new(
        key,
        Origin::Request,
        parameters,
        &members,
        path,
        &mut warnings,
    );
    (spec.parse)(&mut fields, &Operator::default())
}

/// What to do about a sender that there is not.
pub fn name_one() -> &'static str {
    static HINT: LazyLock<String> = LazyLock::new(|| {
        let names: Vec<_> = CHANNELS.iter().map(|spec| spec.key).collect();
        format!("Use one of: {}.", names.join(", "))
    });
    &HINT
}

/// The channel that a sender's name stands for.
pub fn find(sender: &str) -> Option<&'static ChannelSpec> {
    CHANNELS.iter().copied().find(|spec| spec.key == sender)
}

/// What the registry knows of a channel: documentation, command line and tests read it too.
pub struct ChannelSpec {
    /// The sender's name in `senders_config`.
    pub key: &'static str,
    /// What is at the other end, as in "sends to …".
    pub about: &'static str,
    pub parameters: &'static [Parameter],
    pub length: Length,
    pub repeat: Repeat,
    pub resolved: Resolved,
    pub parse: Parse,
}

/// How long the text of one message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Any,
    /// A longer text goes on in further messages.
    Split(Limits),
    /// A longer text is cut short, and the answer says so.
    Cut(Limits),
}

impl Length {
    pub const fn limits(self) -> Option<Limits> {
        match self {
            Length::Any => None,
            Length::Split(limits) | Length::Cut(limits) => Some(limits),
        }
    }
}

/// What a `resolved` or `acknowledged` does where an earlier message had the same dedup key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A further message says it.
    Says,
    /// A further message that hangs together with the earlier one.
    Threads,
    /// It takes the earlier message's place.
    Edits,
    /// The provider's incident or alert is closed.
    Closes,
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

/// What a field holds. In a request nearly all are strings; the others are the file's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// One string, or a list of them.
    Texts,
    /// One string, or a list of which each is a destination of its own.
    Destinations,
    /// A number up to 65535; in a request also as a string.
    Port,
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

impl Kind {
    /// As the file has it. In a request nearly all are strings.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Text => "string",
            Kind::Port => "number",
            Kind::Destinations | Kind::Texts => "string or list of strings",
            Kind::Boolean => "boolean",
            Kind::Headers => "table of strings, or base64 of a JSON object of strings",
            Kind::Table => "table of strings",
            Kind::Template => "template",
            Kind::Templates => "table of templates",
            Kind::AuthorityFile | Kind::CertificateFile => "path of a PEM file",
        }
    }
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

    /// Where a provider's API is, for tests and proxies.
    pub const fn base_url(example: &'static str) -> Self {
        let description = "Where the API is, if it is not at the provider's own address.";
        Self::new(BASE_URL, example, description).operator_only()
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

const BASE_URL: &str = "base_url";

/// Who we say we are.
pub const USER_AGENT: &str = concat!("influxdb3-notifier/", env!("CARGO_PKG_VERSION"));

/// Compact JSON, non-ASCII unescaped.
fn json_body(payload: &impl serde::Serialize) -> Vec<u8> {
    // Only a map with keys that are no strings fails; payloads have none.
    serde_json::to_vec(payload).unwrap_or_default()
}

/// What a dry run shows of a JSON body: the value of this member, which is a secret, masked.
fn without_member(body: &[u8], name: &str, value: &serde_json::Value) -> String {
    let member = |value: &serde_json::Value| format!("\"{name}\":{value}");
    String::from_utf8_lossy(body).replacen(&member(value), &member(&MASK.into()), 1)
}

/// The text within its limit, and how many characters of it are missing: then it ends by saying so.
fn ending(text: &str, limits: Limits) -> (String, usize) {
    let (kept, missing) = text::with_ending(text, limits);
    (kept.into_owned(), missing)
}

/// What is said of a text of which that is missing.
fn cut_warning(missing: usize) -> Option<String> {
    let what = "notification_text is too long for this channel: the last";
    (missing > 0).then(|| format!("{what} {missing} characters are missing"))
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
