//! Keeps accepted requests until their deliveries have ended, over the end of the process.

pub mod clock;
mod error;
pub mod operator;
pub mod record;
mod running;
mod seal;
mod servers;
pub mod sqlite;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;

pub use self::error::{OutboxError, Trouble};
pub use self::running::{Running, RunningDelivery};
pub use self::seal::{MIN_KEY_BYTES, Seal};
pub use self::servers::{Backend, Backends, OutboxServers};
use crate::model::notification::{DedupKey, State};
use crate::model::outcome::MessageRef;
use crate::model::plan::Identity;
use crate::model::report::DeliveryReport;
pub use crate::model::report::HistoryRow;

/// How long a request belongs to a process that says nothing.
pub const LEASE: Duration = Duration::from_secs(30);
/// How often a process says that it lives.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);

/// How long a dead letter is kept.
pub const KEEP_DEAD: Duration = Duration::from_secs(30 * 24 * 3600);

/// History rows that wait in a store; the oldest make room.
pub const MAX_HISTORY: usize = 10_000;

/// Dedup keys of destinations of which it is known what was told last.
pub const MAX_LAST_SENT: usize = 10_000;
/// How long that is known: the longest `repeat_interval`.
pub const KEEP_LAST_SENT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What comes back once it is kept, or cannot be.
pub type Reply<T> = BoxFuture<'static, Result<T, OutboxError>>;

/// A place where requests outlive their process. Shared by processes: a request belongs to the one that took it, until its
/// [`LEASE`] has run out.
///
/// What is asked of it is done in the order of asking, and is durable once its reply is there.
pub trait Outbox: Send + Sync {
    /// Where it is, for people.
    fn place(&self) -> String;

    /// Takes a request, all of it or nothing, unless its idempotency key is known. A reply that nobody waits for any more
    /// counts as a refusal, if [`Outbox::can_withdraw`]: then nothing of the request stays.
    fn accept(&self, request: NewRequest) -> Reply<Accepted>;

    /// The same, for whichever process takes it over first.
    fn leave(&self, request: NewRequest) -> Reply<Accepted>;

    /// Takes over at most `limit` requests that belong to nobody, the oldest first: those whose process has ended, and those
    /// that an operator has put back. Only such as were taken under this configuration file. Never returns what this process
    /// owns and has not ended, and no request of which a delivery is in [`Outbox::running`].
    fn claim(&self, config: &str, limit: usize) -> Reply<Vec<KeptRequest>>;

    /// Whether the delivery is still this process's to attempt.
    fn owns(&self, delivery: &DeliveryId) -> Reply<Ownership>;

    /// The same, and notes that an attempt begins which must not be repeated.
    fn attempting(&self, delivery: &DeliveryId, at: SystemTime) -> Reply<Ownership>;

    /// The attempt has ended, and it is known that nothing was taken.
    fn not_taken(&self, delivery: &DeliveryId) -> Reply<()>;

    /// So many parts have come to their destination.
    fn parts_done(&self, delivery: &DeliveryId, parts: usize) -> Reply<()>;

    /// The delivery has ended as the report says. Stores its history row in the same transaction, until
    /// [`Outbox::history_written`].
    fn end(
        &self,
        delivery: &DeliveryId,
        report: &DeliveryReport,
        row: Option<&HistoryRow>,
    ) -> Reply<()>;

    /// Whether a delivery with the same [`KeptWork::order`] that was accepted earlier under the same configuration file has not
    /// ended, whoever owns it.
    fn has_older(&self, delivery: &DeliveryId) -> Reply<bool>;

    /// Stores the row of a delivery that is not stored itself, until [`Outbox::history_written`]: it ended when it was
    /// accepted, or is a digest. Is begun at once, whether or not the reply is waited for.
    fn store_history(&self, row: &HistoryRow) -> Reply<()>;

    /// Takes over history rows of processes that have ended before they were written: at most `limit` of this configuration
    /// file, the oldest first.
    fn claim_history(&self, config: &str, limit: usize) -> Reply<Vec<HistoryRow>>;

    /// The row is in the database, or was given up: it need not be stored any more.
    fn history_written(&self, row: &HistoryRow) -> Reply<()>;

    /// Which of these messages at a provider belong to other deliveries.
    fn taken(&self, delivery: &DeliveryId, messages: Vec<MessageRef>) -> Reply<Vec<MessageRef>>;

    /// What a destination was told last under a dedup key; `key` stands for both. The last [`MAX_LAST_SENT`] are kept, for
    /// [`KEEP_LAST_SENT`].
    fn last_sent(&self, key: &str) -> Reply<Option<LastSent>>;

    /// Notes what it was told now; `None`: nothing that what comes would have to do with.
    fn set_last_sent(&self, key: &str, last: Option<&LastSent>) -> Reply<()>;

    /// Deliveries that have not ended, whoever owns them. Where the place counts requests alone, those.
    fn depth(&self) -> Reply<usize>;

    /// Gives up what this process owns and has not ended: others may take it over at once.
    fn release(&self) -> Reply<()>;

    /// The deliveries that this process runs. Delivery code registers them; [`Outbox::claim`] leaves their requests alone.
    fn running(&self) -> &Running;

    /// Whether nothing of a request is kept, for certain, whose reply is dropped. Where servers keep it, they may have it, or
    /// get it yet: its reply must be waited for.
    fn can_withdraw(&self) -> bool {
        true
    }

    /// What an operator should know of the store; each warning is given once in a while.
    fn warning(&self) -> Option<String> {
        None
    }

    /// How often a process asks for what belongs to nobody.
    fn claim_every(&self) -> Duration {
        RENEW_EVERY
    }
}

/// What a destination was told last under a dedup key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSent {
    /// The message, where it can be referred to.
    pub message: Option<MessageRef>,
    /// How the alert stood then; `None`: a digest has mentioned it since, so that any state is news.
    pub state: Option<State>,
    /// By the wall clock.
    pub at: SystemTime,
}

/// A delivery's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryId {
    pub task: String,
    /// Its place in the request.
    pub index: usize,
}

/// A request to be kept before anything of it is sent.
#[derive(Clone, Debug)]
pub struct NewRequest {
    pub task: String,
    pub identity: Identity,
    /// The trigger's: what settings are made of again.
    pub arguments: BTreeMap<String, String>,
    /// The trigger's `config_file_path`; empty: it has none.
    pub config: String,
    /// The request's JSON, without its destinations.
    pub said: String,
    /// Of all its deliveries.
    pub dedup_key: Option<DedupKey>,
    pub warnings: Vec<String>,
    pub accepted: SystemTime,
    /// All of them, in the order of the answer.
    pub deliveries: Vec<NewDelivery>,
}

#[derive(Clone, Debug)]
pub struct NewDelivery {
    pub report: DeliveryReport,
    /// `None`: it has ended already.
    pub work: Option<KeptWork>,
}

/// What it takes to go on with a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptWork {
    pub target: Target,
    /// From acceptance or from the claim until the last attempt must have ended. Zero: it is too late.
    pub time_left: Duration,
    /// Deliveries with the same value, of requests under the same configuration file, leave in the order of their acceptance.
    pub order: Option<OrderKey>,
    /// Of the messages' bodies: parts that are done count only while it is the same.
    pub composition: CompositionHash,
    /// An attempt began then which must not be repeated, and it is not known how it ended.
    pub attempting: Option<SystemTime>,
}

/// SHA-256.
pub type CompositionHash = [u8; 32];

/// SHA-256 of a destination and a dedup key.
pub type OrderKey = [u8; 32];

/// Where a delivery goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A receiver of the configuration file, and the place of the destination in it.
    Receiver { name: String, index: usize },
    /// The request's own configuration of the sender, sealed.
    Sealed(Vec<u8>),
}

/// What became of a request that was to be kept.
#[derive(Debug)]
pub enum Accepted {
    /// `behind`: places, in ascending order, of deliveries that must wait until [`Outbox::has_older`] says no. These are at least
    /// the ones with an older one of the same [`KeptWork::order`] that has not ended and is in no line of this process.
    New { behind: Vec<usize> },
    /// It is kept, and whoever claims it delivers it.
    Elsewhere,
    /// The key's first request, as it stands.
    Known(KnownRequest),
    /// The key belongs to a request with another body.
    Conflict,
}

/// A request that is there already.
#[derive(Clone, Debug)]
pub struct KnownRequest {
    pub task: String,
    pub warnings: Vec<String>,
    pub reports: Vec<DeliveryReport>,
}

/// A request that was taken over.
#[derive(Clone, Debug)]
pub struct KeptRequest {
    pub task: String,
    pub identity: Identity,
    pub arguments: BTreeMap<String, String>,
    pub said: String,
    pub warnings: Vec<String>,
    /// How long ago it was accepted. A wall clock that jumps while a process uses the outbox does not change it.
    pub age: Duration,
    /// All of them; those with work are the new owner's.
    pub deliveries: Vec<NewDelivery>,
    /// As in [`Accepted::New`].
    pub behind: Vec<usize>,
}

/// Whose a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    Mine,
    /// Another process has taken it over, or an operator has dropped it.
    Lost,
    /// It is not there: somebody has put another file in the place of this one. What is in flight goes on without it.
    Gone,
}
