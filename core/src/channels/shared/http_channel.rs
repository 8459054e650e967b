//! Channels that send HTTP requests to one endpoint.

use std::fmt::Debug;

use jiff::Timestamp;

use super::classify;
use super::endpoint::Endpoint;
use crate::model::capabilities::Capabilities;
use crate::model::channel::{Channel, ComposeContext, Lookup, Messages};
use crate::model::notification::Notification;
use crate::model::outcome::{Classification, Failure};
use crate::model::wire::{Destination, HttpReply, HttpRequest, Outbound, Reply};

/// The part of a channel that differs between channels with one HTTP endpoint. [`Channel`] is implemented for every
/// type with this trait. Such a channel cannot ask the provider about a message; a channel that can implements
/// [`Channel`] directly.
pub trait HttpChannel: Send + Sync + Debug {
    /// Returns the endpoint, which contains the capabilities and the destination.
    fn endpoint(&self) -> &Endpoint;

    /// See [`Channel::compose`].
    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure>;

    /// See [`Channel::sign`].
    fn sign(&self, request: &mut HttpRequest, now: Timestamp);

    /// See [`Channel::classify`]. A 2xx with an unreadable body counts as delivered unless this returns `Ambiguous`.
    fn classify(&self, sent: &HttpRequest, reply: &HttpReply) -> Classification;
}

impl<T: HttpChannel> Channel for T {
    fn capabilities(&self) -> &'static Capabilities {
        self.endpoint().capabilities
    }

    fn destination(&self) -> &Destination {
        &self.endpoint().destination
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        HttpChannel::compose(self, n, cx)
    }

    fn sign(&self, out: &mut Outbound, now: Timestamp) {
        if let Outbound::Http(request) = out {
            HttpChannel::sign(self, request, now);
        }
    }

    fn classify(&self, sent: &Outbound, reply: &Reply) -> Classification {
        classify::http(sent, reply, |sent, reply| {
            HttpChannel::classify(self, sent, reply)
        })
    }

    fn preview(&self, out: &Outbound) -> String {
        self.endpoint().preview(out)
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        None
    }
}
