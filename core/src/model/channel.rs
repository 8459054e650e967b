//! The joint between channels and delivery: what delivery asks of a channel.

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

/// One configured destination. Pure: it composes messages and classifies replies, and does no I/O.
///
/// No method has a default that a channel could forget to override: [`Capabilities`] declares the channel's features.
pub trait Channel: Send + Sync + Debug {
    /// The channel's capabilities in this configuration.
    fn capabilities(&self) -> &'static Capabilities;

    /// Label, queue key, account key: carries no secret.
    fn destination(&self) -> &Destination;

    /// All messages of one delivery in sending order, before the first byte leaves. Deterministic: same inputs, same bytes.
    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure>;

    /// Signs and dates a message before each attempt; an earlier attempt may have signed it. Pure.
    fn sign(&self, out: &mut Outbound, now: Timestamp);

    /// Classifies the reply to this message. Total: every status, every body, no panic.
    fn classify(&self, sent: &Outbound, reply: &Reply) -> Classification;

    /// The message's body in a dry run, with secrets masked.
    fn preview(&self, out: &Outbound) -> String;

    /// How to ask the provider about a message whose reply was lost. `None`: it cannot be asked.
    fn lookup(&self) -> Option<&dyn Lookup>;
}

/// Finds out whether the provider has a message whose reply was lost.
pub trait Lookup: Send + Sync {
    /// The question to the provider.
    fn question(&self) -> Outbound;

    /// The messages in the reply to the question that may be the one.
    fn matches(&self, sent: &LostReply<'_>, reply: &Reply) -> Vec<ProviderMessage>;
}

/// A message that left, and whose reply was lost.
#[derive(Clone, Copy, Debug)]
pub struct LostReply<'a> {
    pub message: &'a Outbound,
    /// The wall clock when its attempt began.
    pub at: SystemTime,
}

/// A message that the provider has, and what became of it.
#[derive(Clone, Debug)]
pub struct ProviderMessage {
    pub message: MessageRef,
    pub result: AttemptResult,
}

/// The input of a message besides the notification.
#[derive(Clone)]
pub struct ComposeContext {
    /// Whether a text may mention people and groups as the provider's own default allows.
    pub allow_mentions: bool,
    /// The caller's idempotency key, or the task's id.
    pub key: Arc<str>,
    /// The delivery's place in the request.
    pub index: usize,
    /// The rendered parameters, by name.
    pub rendered: Vec<(&'static str, Arc<str>)>,
    /// The last message of the same dedup key at this destination, where there is one that can be referred to.
    pub earlier: Option<MessageRef>,
}

impl Debug for ComposeContext {
    /// Rendered values may be secret, so it shows only the parameters' names.
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
    /// The first delivery of a request under this key, with nothing set.
    pub fn new(key: &str) -> Self {
        Self {
            allow_mentions: true,
            key: key.into(),
            index: 0,
            rendered: Vec::new(),
            earlier: None,
        }
    }

    /// The rendered value of a parameter; `None` without a template or if that failed.
    pub fn rendered(&self, parameter: &str) -> Option<&str> {
        let found = self.rendered.iter().find(|(name, _)| *name == parameter);
        found.map(|(_, text)| text.as_ref())
    }

    /// The idempotency key of one message: the same on every attempt and after a restart; 32 hexadecimal digits.
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
    /// In sending order.
    pub parts: Vec<Outbound>,
    /// How many SMS segments they make, where the provider charges by segment.
    pub segments: Option<u32>,
    /// Such as how much of a text was left out.
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

    /// SHA-256 of the messages' bodies. Equal parts have equal hashes.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for message in &self.parts {
            let body = message.body();
            hash.update(body.len().to_le_bytes());
            hash.update(&body);
        }
        hash.finalize().into()
    }

    /// Bytes that all its messages take.
    pub fn size(&self) -> usize {
        self.parts.iter().map(Outbound::size).sum()
    }
}
