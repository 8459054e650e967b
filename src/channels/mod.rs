//! The channels: each composes messages and judges replies, purely. [`CHANNELS`] has a line for each.

mod compact;
mod discord;
mod fields;
mod headers;
mod http;
mod rich;
mod slack;
#[cfg(test)]
mod tests;
mod twilio;
mod verdict;
mod webhook;

use std::sync::Arc;

use url::Url;

pub use self::fields::{ConfigError, Fields, parse_url};
pub use self::rich::Look;
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

/// A field of a sender's configuration. All are strings.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub required: bool,
    pub secret: bool,
    /// Where the value comes from when the request has none.
    pub environment: Option<&'static str>,
    pub example: &'static str,
    pub description: &'static str,
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
