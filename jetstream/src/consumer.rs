//! The consumers of the stream of requests: one for each process and configuration file.

use std::sync::Arc;

use notifier_core::store::StoreError;
use tokio::time::Instant;

use super::server::{Pull, Servers, Session};
use super::subjects;

/// The name of the consumer of one owner and configuration file.
pub fn consumer_name(owner: &str, config: &str) -> String {
    format!("{owner}_{config}")
}

/// Creates the consumer if it is missing.
pub async fn make_consumer(
    servers: &Servers,
    session: &dyn Session,
    owner: &str,
    config: &str,
) -> Result<Arc<dyn Pull>, StoreError> {
    let begun = Instant::now();
    let (name, subjects) = (
        consumer_name(owner, config),
        subjects::works_of_owner(owner, config),
    );
    let created = session.make_consumer(&name, &subjects).await;
    created.map_err(|_| servers.missed(session, begun))
}

/// The owner of requests without a process: requests for workers, and redriven ones.
pub const ANY: &str = "any";

/// How often a write is retried after a conflict.
pub const MAX_TRIES: usize = 5;
