//! The consumers of the stream of requests: one for each process and configuration file.

use std::sync::Arc;

use notifier_core::store::StoreError;
use tokio::time::Instant;

use super::server::{Pull, Servers, Session};
use super::subjects;

/// What whoever reads the requests of one owner under one configuration file is called at the servers.
pub fn consumer_name(owner: &str, config: &str) -> String {
    format!("{owner}_{config}")
}

/// Makes the consumer where it is not there.
pub async fn make_consumer(
    servers: &Servers,
    session: &dyn Session,
    owner: &str,
    config: &str,
) -> Result<Arc<dyn Pull>, StoreError> {
    let begun = Instant::now();
    let (name, subjects) = (consumer_name(owner, config), subjects::works(owner, config));
    let made = session.make_consumer(&name, &subjects).await;
    made.map_err(|_| servers.missed(session, begun))
}

/// Requests of nobody: those that were left to workers, and those that an operator has put back.
pub const ANY: &str = "any";

/// How often something is written that meets what another has written.
pub const TRIES: usize = 5;
