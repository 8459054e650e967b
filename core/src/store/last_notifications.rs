//! What each destination was told last under a dedup key.

use std::time::{Duration, SystemTime};

use super::StoreFuture;
use crate::model::notification::AlertState;
use crate::model::outcome::MessageRef;

/// Dedup keys of destinations whose last notification is known.
pub const MAX_LAST_NOTIFICATIONS: usize = 10_000;
/// How long it is known: the longest `repeat_interval`.
pub const KEEP_LAST_NOTIFICATIONS: Duration = Duration::from_secs(7 * 24 * 3600);

/// Stores the last notification of each destination and dedup key; `key` stands for both. It keeps the last
/// [`MAX_LAST_NOTIFICATIONS`], for [`KEEP_LAST_NOTIFICATIONS`].
pub trait LastNotificationStore: Send + Sync {
    fn last_notification(&self, key: &str) -> StoreFuture<Option<LastNotification>>;

    /// Replaces it; `None` removes it. The operation begins at once, whether or not the caller waits for the reply.
    fn set_last_notification(&self, key: &str, last: Option<&LastNotification>) -> StoreFuture<()>;
}

/// What a destination was told last under a dedup key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastNotification {
    /// The message, where it can be referred to.
    pub message: Option<MessageRef>,
    /// The alert's state then; `None`: a digest has mentioned it since, so that any state is news.
    pub state: Option<AlertState>,
    /// By the wall clock.
    pub at: SystemTime,
}
