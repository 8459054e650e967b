//! The registry's description of a channel, and the reader of a sender's configuration.

mod describe;
mod destinations;
mod encoded;
mod errors;
mod fields;
mod formed;
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

/// The registry's description of a channel. The documentation, the command line and tests read it too.
pub struct ChannelSpec {
    /// The sender's name in `senders_config`.
    pub key: &'static str,
    /// The receiving system, as in "sends to …".
    pub about: &'static str,
    /// The parameters of its configuration, besides [`OPTIONS`].
    pub parameters: &'static [Parameter],
    /// Its capabilities in the usual configuration.
    pub capabilities: &'static Capabilities,
    /// Makes a destination from a configuration, or returns the error and its path.
    pub parse: Parse,
}

/// Reads a sender's configuration.
pub type Parse = fn(&mut Fields<'_>, &OperatorSettings) -> Result<Arc<dyn Channel>, Problem>;

/// The operator's settings for every sender: trigger arguments and the server's environment.
#[derive(Clone, Debug, Default)]
pub struct OperatorSettings {
    /// The base URL of Twilio's API. `None` means Twilio's own address.
    pub twilio_base_url: Option<Url>,
    pub twilio_sid: Option<Secret>,
    pub twilio_token: Option<Secret>,
}
