//! The queue of requests and their deliveries.

use std::time::{Duration, SystemTime};

use super::{DeliveryId, HistoryRow, NewRequest, RENEW_EVERY, Running, StoreFuture, StoredRequest};
use crate::model::outcome::MessageRef;
use crate::model::report::DeliveryReport;

/// Stores requests until their deliveries end. A request belongs to the process that accepted or claimed it, until its
/// [`LEASE`](super::LEASE) expires.
pub trait RequestStore: Send + Sync {
    /// Stores a whole request or nothing, unless its idempotency key is known. This process delivers it. With
    /// [`RequestStore::can_withdraw`], a dropped future withdraws the request.
    fn accept(&self, request: NewRequest) -> StoreFuture<Accepted>;

    /// The same, for the process that claims it first.
    fn enqueue(&self, request: NewRequest) -> StoreFuture<Accepted>;

    /// Claims at most `limit` requests without an owner, the oldest first: those whose process ended, and redriven
    /// ones. Claims only requests that were accepted under this configuration file. Never returns a request that this
    /// process owns and has not completed, nor one with a delivery in [`RequestStore::running`].
    fn claim(&self, config: &str, limit: usize) -> StoreFuture<Vec<StoredRequest>>;

    /// Returns whether this process may attempt the delivery.
    fn check_lease(&self, delivery: &DeliveryId) -> StoreFuture<Ownership>;

    /// The same, and stores that an attempt begins that must not be repeated.
    fn begin_attempt(&self, delivery: &DeliveryId, at: SystemTime) -> StoreFuture<Ownership>;

    /// Notes that the provider certainly did not accept the message of the attempt.
    fn attempt_failed(&self, delivery: &DeliveryId) -> StoreFuture<()>;

    /// Stores how many parts have arrived.
    fn parts_done(&self, delivery: &DeliveryId, parts: usize) -> StoreFuture<()>;

    /// Stores the delivery's end, and in the same transaction its history row, until
    /// [`HistoryStore::history_written`](super::HistoryStore::history_written).
    fn complete(
        &self,
        delivery: &DeliveryId,
        report: &DeliveryReport,
        row: Option<&HistoryRow>,
    ) -> StoreFuture<()>;

    /// Returns whether an earlier accepted delivery with the same `StoredWork::order_key`, under the same configuration
    /// file, is open in any process.
    fn has_older(&self, delivery: &DeliveryId) -> StoreFuture<bool>;

    /// Which of these messages at a provider belong to other deliveries.
    fn claimed_by_others(
        &self,
        delivery: &DeliveryId,
        messages: Vec<MessageRef>,
    ) -> StoreFuture<Vec<MessageRef>>;

    /// Returns the number of open deliveries of all processes. A store that counts only requests returns their number.
    fn depth(&self) -> StoreFuture<usize>;

    /// Releases the requests that this process owns and has not completed. Others may claim them at once.
    fn release(&self) -> StoreFuture<()>;

    /// Returns the deliveries that this process runs. Delivery code registers them; [`RequestStore::claim`] skips their
    /// requests.
    fn running(&self) -> &Running;

    /// Returns whether a request with a dropped reply is certainly not stored. Servers may have it, or get it later:
    /// their reply must be awaited.
    fn can_withdraw(&self) -> bool {
        true
    }

    /// How often a process claims requests.
    fn claim_every(&self) -> Duration {
        RENEW_EVERY
    }
}

/// The result of storing a request.
#[derive(Debug)]
pub enum Accepted {
    /// `behind`: indexes, in ascending order, of deliveries that must wait until [`RequestStore::has_older`] is false. These are
    /// at least the ones with an older one of the same order that has not ended and is in no queue of this process.
    New { behind: Vec<usize> },
    /// The request is stored, and the process that claims it delivers it.
    Enqueued,
    /// The current state of the key's first request.
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

/// Who owns a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    Owned,
    /// Another process has claimed it, or an operator has dropped it.
    Lost,
    /// The request is missing: the file or the streams were replaced. Deliveries in flight continue without it.
    Missing,
}
