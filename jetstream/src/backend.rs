//! The backend for `nats://` and `tls://` URLs.

use std::sync::Arc;

use notifier_core::store::operator::Operator;
use notifier_core::store::{Backend, OutboxServers, Store, StoreError};
use tokio::runtime::Handle;

use super::JetStreamStore;
use super::operator::JetStreamOperator;

/// Opens outboxes on NATS servers.
pub struct JetStream;

impl Backend for JetStream {
    fn schemes(&self) -> &'static [&'static str] {
        &["nats", "tls"]
    }

    fn open(&self, servers: &OutboxServers, runtime: &Handle) -> Arc<dyn Store> {
        Arc::new(JetStreamStore::new(servers.clone(), runtime.clone()))
    }

    fn operator(&self, servers: &OutboxServers) -> Result<Box<dyn Operator>, StoreError> {
        Ok(Box::new(JetStreamOperator::open(servers.clone())?))
    }
}
