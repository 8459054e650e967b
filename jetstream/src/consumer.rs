//! The consumers of the stream of requests: one for each process and configuration file.

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use tokio::time::Instant;

use super::server::{Servers, Session};
use super::subjects;
use notifier_core::outbox::{LEASE, OutboxError};

/// What whoever reads the requests of one owner under one configuration file is called at the servers.
pub fn consumer_name(owner: &str, config: &str) -> String {
    format!("{owner}_{config}")
}

pub fn consumer(owner: &str, config: &str) -> pull::Config {
    pull::Config {
        durable_name: Some(consumer_name(owner, config)),
        filter_subject: subjects::works(owner, config),
        ack_policy: AckPolicy::Explicit,
        ack_wait: LEASE,
        max_ack_pending: -1,
        ..pull::Config::default()
    }
}

/// Makes the consumer where it is not there.
pub async fn make_consumer(
    servers: &Servers,
    session: &Session,
    owner: &str,
    config: &str,
) -> Result<PullConsumer, OutboxError> {
    let begun = Instant::now();
    let name = consumer_name(owner, config);
    let missed = |_| servers.missed(session, begun);
    let needed = consumer(owner, config);
    let found = session.work.get_or_create_consumer(&name, needed.clone());
    let found = found.await.map_err(missed)?;
    if found.cached_info().config.filter_subject == needed.filter_subject {
        return Ok(found);
    }
    // An older version made it, for subjects of another form.
    let made = session.work.create_consumer(needed).await;
    made.map_err(missed)
}

/// Requests of nobody: those that were left to workers, and those that an operator has put back.
pub const ANY: &str = "any";

/// How often something is written that meets what another has written.
pub const TRIES: usize = 5;
