//! The interface between channels and delivery.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::capabilities::Capabilities;
use super::notification::Notification;
use super::outcome::{AttemptResult, Classification, Failure, MessageRef};
use super::wire::{Destination, Outbound, Reply};
use crate::text::hex;

/// One configured destination. It composes messages and classifies replies without I/O.
///
/// No method has a default implementation: [`Capabilities`] declares the channel's features.
pub trait Channel: Send + Sync + Debug {
    /// Returns the channel's capabilities in this configuration.
    fn capabilities(&self) -> &'static Capabilities;

    /// Returns label, queue key and account key, all without secrets.
    fn destination(&self) -> &Destination;

    /// Composes all messages of one delivery in sending order, before the first one is sent. Deterministic: equal
    /// inputs make equal bytes.
    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure>;

    /// Signs and dates a message before each attempt; an earlier attempt may have signed it. Pure.
    fn sign(&self, out: &mut Outbound, now: Timestamp);

    /// Classifies the reply to this message, whatever its status and body. Never panics.
    fn classify(&self, sent: &Outbound, reply: &Reply) -> Classification;

    /// Returns the message's body for a dry run, with secrets masked.
    fn preview(&self, out: &Outbound) -> String;

    /// Returns the lookup of a message whose reply was lost. `None` means that the provider has no lookup.
    fn lookup(&self) -> Option<&dyn Lookup>;
}

/// Finds out whether the provider has a message whose reply was lost.
pub trait Lookup: Send + Sync {
    /// Returns the request to the provider.
    fn question(&self) -> Outbound;

    /// Returns the messages in the provider's reply that may be the sent message.
    fn matches(&self, sent: &LostReply<'_>, reply: &Reply) -> Vec<ProviderMessage>;
}

/// A sent message whose reply was lost.
#[derive(Clone, Copy, Debug)]
pub struct LostReply<'a> {
    pub message: &'a Outbound,
    /// The wall-clock time at which its attempt began.
    pub at: SystemTime,
}

/// A message in the provider's list, with its result.
#[derive(Clone, Debug)]
pub struct ProviderMessage {
    pub message: MessageRef,
    pub result: AttemptResult,
}

/// The input of a message besides the notification.
#[derive(Clone)]
pub struct ComposeContext {
    /// Whether a text may mention people and groups, as the provider's default allows.
    pub allow_mentions: bool,
    /// The caller's idempotency key, or the task's id.
    pub key: Arc<str>,
    /// The delivery's index in the request.
    pub index: usize,
    /// The rendered parameters by name.
    pub rendered: Vec<(&'static str, Arc<str>)>,
    /// The last message with the same dedup key at this destination, if the channel can refer to it.
    pub earlier: Option<MessageRef>,
}

impl Debug for ComposeContext {
    /// Shows only the parameters' names, because rendered values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.rendered.iter().map(|(name, _)| *name);
        f.debug_struct("ComposeContext")
            .field("allow_mentions", &self.allow_mentions)
            .field("key", &self.key)
            .field("index", &self.index)
            .field("rendered", &names.collect::<Vec<_>>())
            .field("earlier", &self.earlier)
            .finish()
    }
}

impl ComposeContext {
    /// Returns the context of a request's first delivery with this key and without options.
    pub fn new(key: &str) -> Self {
        Self {
            allow_mentions: true,
            key: key.into(),
            index: 0,
            rendered: Vec::new(),
            earlier: None,
        }
    }

    /// Returns the rendered value of a parameter, or `None` if it has no template or its rendering failed.
    pub fn rendered(&self, parameter: &str) -> Option<&str> {
        let found = self.rendered.iter().find(|(name, _)| *name == parameter);
        found.map(|(_, text)| text.as_ref())
    }

    /// Returns the idempotency key of one message: 32 hexadecimal digits. The key is the same on every attempt and
    /// after a restart.
    pub fn message_key(&self, part: usize) -> String {
        let digest = Sha256::new()
            .chain_update(self.key.as_bytes())
            .chain_update([0])
            .chain_update(self.index.to_string())
            .chain_update([0])
            .chain_update(part.to_string())
            .finalize();
        hex(digest.iter().take(16))
    }
}

/// The messages of one delivery.
#[derive(Debug)]
pub struct Messages {
    /// The messages in sending order.
    pub parts: Vec<Outbound>,
    /// The number of SMS segments, if the provider charges by segment.
    pub segments: Option<u32>,
    /// Warnings, such as the length of a text's missing end.
    pub warnings: Vec<String>,
}

impl Messages {
    pub const fn new(parts: Vec<Outbound>, warnings: Vec<String>) -> Self {
        Self {
            parts,
            segments: None,
            warnings,
        }
    }

    /// Returns the SHA-256 of the messages' bodies. Equal bodies have equal hashes.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for message in &self.parts {
            let body = message.body();
            hash.update(body.len().to_le_bytes());
            hash.update(&body);
        }
        hash.finalize().into()
    }

    /// Returns the size of all messages in bytes.
    pub fn size(&self) -> usize {
        self.parts.iter().map(Outbound::size).sum()
    }
}
