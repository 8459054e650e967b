//! What the registry knows of a channel, and how a sender's configuration is read by that.

mod describe;
mod destinations;
mod encoded;
mod errors;
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
pub use self::errors::{Warning, invalid};
pub use self::fields::{Fields, Origin};
pub use self::parameter::{OPTIONS, Parameter, ParameterKind};
pub use self::urls::parse_url;
use crate::model::capabilities::Capabilities;
use crate::model::channel::Channel;
use crate::model::problem::Problem;
use crate::secret::Secret;

/// What the registry knows of a channel: documentation, command line and tests read it too.
pub struct ChannelSpec {
    /// The sender's name in `senders_config`.
    pub key: &'static str,
    /// What is at the other end, as in "sends to …".
    pub about: &'static str,
    /// What its configuration may hold, beside [`OPTIONS`].
    pub parameters: &'static [Parameter],
    /// What it can do in its usual configuration.
    pub capabilities: &'static Capabilities,
    /// Makes a destination of a configuration, or says what is wrong with that and where.
    pub parse: Parse,
}

/// Reads a sender's configuration.
pub type Parse = fn(&mut Fields<'_>, &OperatorSettings) -> Result<Arc<dyn Channel>, Problem>;

/// What the operator settles for every sender: trigger arguments and the server's environment.
#[derive(Clone, Debug, Default)]
pub struct OperatorSettings {
    /// Where Twilio's API is; none: Twilio's own address.
    pub twilio_base_url: Option<Url>,
    pub twilio_sid: Option<Secret>,
    pub twilio_token: Option<Secret>,
}
