//! Stores accepted requests until their deliveries end, so that they outlive the process.
//!
//! A [`Store`] is a file or a set of servers. It has a trait for each kind of data: requests and their deliveries
//! ([`RequestStore`]), history rows ([`HistoryStore`]) and the last notification of each destination
//! ([`LastNotificationStore`]). A further kind needs a further trait, one implementation in each store, and tests in
//! the conformance suite of tests/rust.

mod alerts;
pub mod clock;
mod error;
mod history;
mod last_notifications;
pub mod operator;
pub mod record;
mod request;
mod requests;
mod running;
mod seal;
mod servers;
pub mod sqlite;

use std::time::Duration;

use futures_util::future::BoxFuture;

pub use self::alerts::{AlertRow, AlertRowKind, AlertStore, StoredAlerts};
pub use self::error::{StoreError, StoreErrorKind};
pub use self::history::{HistoryStore, MAX_HISTORY};
pub use self::last_notifications::{
    KEEP_LAST_NOTIFICATIONS, LastNotification, LastNotificationStore, MAX_LAST_NOTIFICATIONS,
};
pub use self::request::{
    CompositionHash, DeliveryId, NewDelivery, NewRequest, OrderKey, StoredRequest, StoredWork,
    Target,
};
pub use self::requests::{Accepted, KnownRequest, Ownership, RequestStore};
pub use self::running::{Running, RunningDelivery};
pub use self::seal::{MIN_KEY_BYTES, Seal};
pub use self::servers::{Backend, Backends, OutboxServers};
pub use crate::model::report::HistoryRow;

/// How long a request belongs to a process that does not renew its lease.
pub const LEASE: Duration = Duration::from_secs(30);
/// How often a process renews its leases.
pub const RENEW_EVERY: Duration = Duration::from_secs(10);

/// How long the store keeps a dead letter.
pub const KEEP_DEAD: Duration = Duration::from_secs(30 * 24 * 3600);

/// The result of an operation. It resolves when the operation is durable or has failed.
pub type StoreFuture<T> = BoxFuture<'static, Result<T, StoreError>>;

/// Stores the state that must outlive a process. Processes share it.
///
/// Operations on the same object take effect in the order of the calls.
pub trait Store: RequestStore + HistoryStore + LastNotificationStore {
    /// The path or the server addresses, for messages.
    fn location(&self) -> String;

    /// Returns the store of the alert state. `None`: this store has none.
    fn alerts(&self) -> Option<&dyn AlertStore> {
        None
    }

    /// A warning to the operator about the store; each is repeated only after some time.
    fn warning(&self) -> Option<String> {
        None
    }
}
