//! Stores on servers: their addresses, and the backends that open them.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::operator::Operator;
use super::{Store, StoreError, StoreErrorKind};
use crate::secret::Secret;

/// The address and the credentials of servers that hold an outbox.
#[derive(Clone)]
pub struct OutboxServers {
    /// URLs of one scheme, without a user: `nats://host:4222`.
    pub urls: Vec<String>,
    /// The value of `nats_credentials`: the text of a `.creds` file, an nkey's seed, `user:password`, or a token.
    pub credentials: Option<Secret>,
    pub tls: Option<rustls::ClientConfig>,
}

/// Opens outboxes on servers of one kind.
pub trait Backend: Send + Sync {
    /// Returns the schemes of the URLs that this backend opens.
    fn schemes(&self) -> &'static [&'static str];

    /// Opens the outbox without a connection: the servers may become reachable later.
    fn open(&self, servers: &OutboxServers, runtime: &Handle) -> Arc<dyn Store>;

    /// Opens the operator's view. Blocks until the servers reply.
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
