//! History rows that no process has written to the database yet.

use super::StoreFuture;
use crate::model::report::HistoryRow;

/// History rows that wait in a store; the oldest make room.
pub const MAX_HISTORY: usize = 10_000;

/// Stores history rows until a process has written them to the database.
///
/// [`RequestStore::complete`](super::RequestStore::complete) stores the row of a delivery that is stored itself.
pub trait HistoryStore: Send + Sync {
    /// Stores the row of a delivery that is not stored itself: it ended when it was accepted, or is a digest. The operation
    /// begins at once, whether or not the caller waits for the reply.
    fn store_history(&self, row: &HistoryRow) -> StoreFuture<()>;

    /// Claims at most `limit` rows of this configuration file, the oldest first, whose processes ended before they wrote them.
    fn claim_history(&self, config: &str, limit: usize) -> StoreFuture<Vec<HistoryRow>>;

    /// Removes a row that is in the database, or was given up.
    fn history_written(&self, row: &HistoryRow) -> StoreFuture<()>;
}
