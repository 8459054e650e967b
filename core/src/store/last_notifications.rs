//! The last notification of each destination and dedup key.

use std::time::{Duration, SystemTime};

use super::StoreFuture;
use crate::model::notification::AlertState;
use crate::model::outcome::MessageRef;

/// How many last notifications a store keeps.
pub const MAX_LAST_NOTIFICATIONS: usize = 10_000;
/// How long a store keeps them: the longest `repeat_interval`.
pub const KEEP_LAST_NOTIFICATIONS: Duration = Duration::from_secs(7 * 24 * 3600);

/// Stores the last notification of each destination and dedup key; `key` represents both. It keeps the last
/// [`MAX_LAST_NOTIFICATIONS`], for [`KEEP_LAST_NOTIFICATIONS`].
pub trait LastNotificationStore: Send + Sync {
    fn last_notification(&self, key: &str) -> StoreFuture<Option<LastNotification>>;

    /// Replaces it; `None` removes it. The operation begins at once, whether or not the caller waits for the reply.
    fn set_last_notification(&self, key: &str, last: Option<&LastNotification>) -> StoreFuture<()>;
}

/// The last notification that a destination got under a dedup key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastNotification {
    /// The message, if a later one can refer to it.
    pub message: Option<MessageRef>,
    /// The state that it reported; `None`: a digest has mentioned the alert since, so every state is new.
    pub state: Option<AlertState>,
    /// By the wall clock.
    pub at: SystemTime,
}
