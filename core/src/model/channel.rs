//! The joint between channels and delivery: what delivery asks of a channel.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::notification::Notification;
use super::outcome::{Failure, Judgement, MessageRef, Reason, Verdict};
use super::wire::{Destination, HttpReply, Outbound, Repeat, Reply, SmtpReply};
use crate::text::hex;

/// One configured destination. Pure: it composes messages and judges replies, and does no I/O.
pub trait Channel: Send + Sync + Debug {
    /// Label, queue key, account key: carries no secret.
    fn destination(&self) -> &Destination;

    /// What a second sending of one of its messages does.
    fn repeat(&self) -> Repeat;

    /// Whether it sends by HTTP, which a proxy can carry.
    fn is_http(&self) -> bool {
        true
    }

    /// Whether it makes use of [`Composing::earlier`].
    fn follows_up(&self) -> bool {
        false
    }

    /// What a `resolved` or `acknowledged` does at its provider.
    fn resolved(&self) -> Resolved;

    /// Whether its provider keeps alerts, which what is acknowledged or resolved changes: no limit of messages holds that up.
    fn keeps_alerts(&self) -> bool {
        self.resolved() == Resolved::Closes
    }

    /// The least wait before another try, where the provider asks for more than the operator does.
    fn least_backoff(&self) -> Duration {
        Duration::ZERO
    }

    /// All messages of one delivery in sending order. Deterministic: same inputs, same bytes.
    fn compose(
        &self,
        notification: &Notification,
        cx: &Composing<'_>,
    ) -> Result<Composition, Failure>;

    /// Just before each attempt, on what the attempt before may have signed: signatures, dates. Pure.
    fn sign(&self, _out: &mut Outbound, _now: Timestamp) {}

    /// Sends a message to where its destination is now, as [`Verdict::Moved`] has it, and says what the operator should
    /// change. `None`: it cannot.
    fn readdress(&self, _out: &mut Outbound, _to: &str) -> Option<String> {
        None
    }

    /// What a dry run shows of a message's body: as it is, but for what is secret in it.
    fn preview(&self, body: &[u8]) -> String {
        String::from_utf8_lossy(body).into_owned()
    }

    /// What a reply means. Total: every status, every body, no panic.
    fn judge(&self, reply: &Reply) -> Judgement {
        match reply {
            Reply::Http(reply) => after_success(reply, self.judge_http(reply)),
            Reply::Smtp(reply) => self.judge_smtp(reply),
        }
    }

    /// [`Channel::judge`] of channels that send by HTTP. After a 2xx whose body could not be read it need not be delivered
    /// here: then the status decides.
    fn judge_http(&self, _reply: &HttpReply) -> Judgement {
        unexpected()
    }

    /// [`Channel::judge`] of channels that send by SMTP.
    fn judge_smtp(&self, _reply: &SmtpReply) -> Judgement {
        unexpected()
    }

    /// A question to the provider, for a message of which nobody knows whether it was taken. `None`: it cannot be asked.
    fn lookup(&self, _sent: &Unanswered<'_>) -> Option<Outbound> {
        None
    }

    /// The messages in the answer to [`Channel::lookup`] that may be the one.
    fn find(&self, _sent: &Unanswered<'_>, _reply: &Reply) -> Vec<Found> {
        Vec::new()
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

/// A 2xx whose body could not be read is no refusal: what the channel misses in the body may well have stood there.
fn after_success(reply: &HttpReply, mut judgement: Judgement) -> Judgement {
    let stays = matches!(
        judgement.verdict,
        Verdict::Delivered { .. } | Verdict::Ambiguous(_)
    );
    if (200..=299).contains(&reply.status) && !reply.complete && !stays {
        judgement.verdict = Verdict::Delivered { message: None };
    }
    judgement
}

/// A reply in another protocol than that of the message.
fn unexpected() -> Judgement {
    Verdict::Reject(Failure::new(Reason::Internal)).into()
}

/// A message that left, and whose reply was lost.
#[derive(Clone, Copy, Debug)]
pub struct Unanswered<'a> {
    pub message: &'a Outbound,
    /// The wall clock when its attempt began.
    pub at: SystemTime,
}

/// A message that the provider has, and what became of it.
#[derive(Clone, Debug)]
pub struct Found {
    pub message: MessageRef,
    pub verdict: Verdict,
}

/// What a channel is told beside the notification.
#[derive(Clone, Copy, Debug)]
pub struct Composing<'a> {
    /// Whether a text may mention people and groups as the provider's own default allows.
    pub allow_mentions: bool,
    /// The caller's idempotency key, or the task's id.
    pub key: &'a str,
    /// The delivery's place in the request.
    pub index: usize,
    /// What the templates of its parameters made, by the parameter's name.
    pub rendered: &'a [(&'static str, Arc<str>)],
    /// The last message of the same dedup key at this destination, where there is one that can be referred to.
    pub earlier: Option<&'a MessageRef>,
}

impl<'a> Composing<'a> {
    /// The first delivery of a request under this key, with nothing set.
    pub const fn new(key: &'a str) -> Self {
        Self {
            allow_mentions: true,
            key,
            index: 0,
            rendered: &[],
            earlier: None,
        }
    }

    /// What the template of a parameter made; `None` where it has none, or none that worked.
    pub fn rendered(&self, parameter: &str) -> Option<&str> {
        let found = self.rendered.iter().find(|(name, _)| *name == parameter);
        found.map(|(_, text)| text.as_ref())
    }

    /// The idempotency key of one message: the same on every attempt and after a restart; 32 hexadecimal digits.
    pub fn message_key(&self, part: usize) -> String {
        let digest = Sha256::new()
            .chain_update(self.key)
            .chain_update([0])
            .chain_update(self.index.to_string())
            .chain_update([0])
            .chain_update(part.to_string())
            .finalize();
        hex(digest.iter().take(16))
    }
}

/// A delivery's messages, and what is to be said of them.
#[derive(Debug)]
pub struct Composition {
    pub messages: Vec<Outbound>,
    /// How many SMS segments they make, where that is what is paid for.
    pub segments: Option<u32>,
    /// Such as how much of a text found no place.
    pub warnings: Vec<String>,
}

impl Composition {
    /// SHA-256 of the messages' bodies: the same as long as the same parts say the same.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for message in &self.messages {
            let body = message.body();
            hash.update(body.len().to_le_bytes());
            hash.update(&body);
        }
        hash.finalize().into()
    }

    /// Bytes that all its messages take.
    pub fn size(&self) -> usize {
        self.messages.iter().map(Outbound::size).sum()
    }
}
