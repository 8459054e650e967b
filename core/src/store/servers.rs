//! Stores on servers: how they are reached, and who opens them.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::operator::Operator;
use super::{Store, StoreError, StoreErrorKind};
use crate::secret::Secret;

/// How servers are reached that hold an outbox.
#[derive(Clone)]
pub struct OutboxServers {
    /// URLs of one scheme, without a user: `nats://host:4222`.
    pub urls: Vec<String>,
    /// What `nats_credentials` says: the text of a `.creds` file, the seed of an nkey, `user:password`, or a token.
    pub credentials: Option<Secret>,
    pub tls: Option<rustls::ClientConfig>,
}

/// Opens outboxes on servers of one kind.
pub trait Backend: Send + Sync {
    /// Of the URLs that this backend opens.
    fn schemes(&self) -> &'static [&'static str];

    /// Opens the outbox without waiting for the servers: they may be away now and be there when a notification comes.
    fn open(&self, servers: &OutboxServers, runtime: &Handle) -> Arc<dyn Store>;

    /// Opens what the command line needs. Blocks until the servers have answered.
    ///
    /// # Errors
    /// The servers cannot be reached or used.
    fn operator(&self, servers: &OutboxServers) -> Result<Box<dyn Operator>, StoreError>;
}

/// The backends of a program, found by the scheme of a URL.
#[derive(Clone, Copy, Default)]
pub struct Backends(pub &'static [&'static dyn Backend]);

impl Backends {
    /// # Errors
    /// [`StoreErrorKind::NoBackend`]: no backend has this scheme.
    pub fn of(self, servers: &OutboxServers) -> Result<&'static dyn Backend, StoreError> {
        let url = servers.urls.first().map_or("", String::as_str);
        let scheme = url.split("://").next().unwrap_or_default();
        let mut backends = self.0.iter();
        let found = backends.find(|backend| backend.schemes().contains(&scheme));
        found
            .copied()
            .ok_or_else(|| StoreError::new(servers.urls.join(" "), StoreErrorKind::NoBackend))
    }
}
