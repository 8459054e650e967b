//! Sends messages, without knowing a channel: an [`Outbound`] goes, a [`Reply`] or a [`SendError`] comes.

mod client;
mod dns;
mod failure;
mod guard;
mod no_proxy;
mod pool;
mod reply;
mod route;
mod smtp;
mod system_roots;
#[cfg(test)]
mod tests;
mod tls;

use std::time::Duration;

use futures_util::future::BoxFuture;

pub use self::client::{HttpTransport, KEEP_IDLE};
pub use self::dns::{Dns, HostLookup, MAX_LOOKUPS, SystemLookup};
pub use self::guard::{Denied, check as check_address, check_host};
pub use self::pool::{NumberHash, NumberMap, PoolKey};
pub use self::reply::ReplyBody;
pub use self::system_roots::abandoned_threads;
pub use self::tls::{TlsFileError, client_config};
use crate::model::outcome::{Failure, Reason};
use crate::model::policy::ClientKey;
use crate::model::wire::{Outbound, Reply};

/// Sends messages; tests have their own implementation.
pub trait Transport: Send + Sync {
    /// Makes one attempt. It ends within `timeout`, plus up to one second to read the rest of a reply's body.
    fn send<'a>(
        &'a self,
        outbound: &'a Outbound,
        client: &'a ClientKey,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Reply, SendError>>;

    /// Announces a message. It may be one of many of a request, which must not delay others.
    fn expect(&self, _: &Outbound, _is_one_of_many: bool) {}

    /// Closes the connections of an unused pool.
    fn close_idle(&self, _: PoolKey) {}
}

/// Why no reply came.
#[derive(Debug)]
pub struct SendError {
    pub failure: Failure,
    pub sent: Sent,
    /// Whether a retry is pointless, as for a certificate or the address policy.
    pub permanent: bool,
}

impl SendError {
    /// The same, with how much may have left. Where bytes came back that are no reply, the message has been answered.
    pub fn with_sent(mut self, sent: Sent) -> Self {
        self.sent = match (sent, self.failure.reason) {
            (Sent::Maybe, Reason::MalformedReply) => Sent::Answered,
            (sent, _) => sent,
        };
        self
    }
}

/// Whether the destination may have received the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    No,
    Maybe,
    /// The server's reply is invalid. It has the message.
    Answered,
}
