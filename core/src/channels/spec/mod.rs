//! What the registry knows of a channel, and how a sender's configuration is read by that.

mod describe;
mod destinations;
mod encoded;
mod fields;
pub mod headers;
mod lists;
pub mod mailboxes;
mod parameter;
#[cfg(test)]
mod tests;
mod urls;
mod values;

use std::sync::Arc;

use url::Url;

pub use self::describe::describe;
pub use self::encoded::decode_base64;
pub use self::fields::{ConfigError, Fields, Origin, Warning};
pub use self::parameter::{Kind, OPTIONS, Parameter};
pub use self::urls::parse_url;
use crate::model::channel::{Channel, Resolved};
use crate::model::wire::Repeat;
use crate::secret::Secret;
use crate::text::{Limit, Markup};

/// What the registry knows of a channel: documentation, command line and tests read it too.
pub struct ChannelSpec {
    /// The sender's name in `senders_config`.
    pub key: &'static str,
    /// What is at the other end, as in "sends to …".
    pub about: &'static str,
    /// What its configuration may hold, beside [`OPTIONS`].
    pub parameters: &'static [Parameter],
    pub length: Length,
    pub repeat: Repeat,
    pub resolved: Resolved,
    /// Makes a destination of a configuration, or says what is wrong with that and where.
    pub parse: Parse,
}

/// How long the text of one message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Any,
    /// A longer text goes on in further messages, and no cut breaks its markup.
    Split(Limit, Markup),
    /// A longer text is cut short, and the answer says so.
    Cut(Limit),
}

impl Length {
    pub const fn limit(self) -> Option<Limit> {
        match self {
            Length::Any => None,
            Length::Split(limit, _) | Length::Cut(limit) => Some(limit),
        }
    }
}

/// Reads a sender's configuration.
pub type Parse = fn(&mut Fields<'_>, &Operator) -> Result<Arc<dyn Channel>, ConfigError>;

/// What the operator settles for every sender: trigger arguments and the server's environment.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    /// Where Twilio's API is; none: Twilio's own address.
    pub twilio_base_url: Option<Url>,
    pub twilio_sid: Option<Secret>,
    pub twilio_token: Option<Secret>,
}
