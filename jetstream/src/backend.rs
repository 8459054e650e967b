//! How the crate is used: by a backend for URLs with `nats://` or `tls://`.

use std::sync::Arc;

use notifier_core::outbox::operator::Operator;
use notifier_core::outbox::{Backend, Outbox, OutboxError, OutboxServers};
use tokio::runtime::Handle;

use super::JetStreamOutbox;
use super::operator::JetStreamOperator;

/// Opens outboxes on NATS servers.
pub struct JetStream;

impl Backend for JetStream {
    fn schemes(&self) -> &'static [&'static str] {
        &["nats", "tls"]
    }

    fn open(&self, servers: &OutboxServers, runtime: &Handle) -> Arc<dyn Outbox> {
        Arc::new(JetStreamOutbox::new(servers.clone(), runtime.clone()))
    }

    fn operator(&self, servers: &OutboxServers) -> Result<Box<dyn Operator>, OutboxError> {
        Ok(Box::new(JetStreamOperator::open(servers.clone())?))
    }
}
