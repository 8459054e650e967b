//! The connection of one attempt.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::limits::connections::{ConnectionClass, ConnectionPermit, ConnectionRequest};
use super::state::Delivery;
use crate::model::policy::ClientKey;
use crate::model::wire::{HttpRequest, Outbound};
use crate::transport::PoolKey;

impl Delivery {
    /// A connection for a message, if there is one in time.
    pub async fn connection(
        &self,
        message: &Outbound,
        client: &ClientKey,
        is_slow: bool,
        until: Instant,
    ) -> Option<ConnectionPermit> {
        let ask = ConnectionRequest {
            limit: self.policy.max_connections,
            party: self.party(message),
            // No other request has this address while one of its deliveries is alive.
            request: Arc::as_ptr(&self.progress.task) as usize as u64,
            class: match message {
                Outbound::Mail(_) => ConnectionClass::Mail,
                Outbound::Http(_) if is_slow => ConnectionClass::Slow,
                Outbound::Http(_) => ConnectionClass::Usual,
            },
            pool: match message {
                Outbound::Http(request) if client.reuse => Some(PoolKey::of(request, client)),
                Outbound::Http(_) | Outbound::Mail(_) => None,
            },
        };
        match self.services.connections.ask(ask) {
            Ok(connection) => Some(connection),
            Err(waiting) => timeout_at(until, waiting).await.ok().flatten(),
        }
    }

    /// The account that the message is sent with, or the server that it is sent to.
    fn party(&self, message: &Outbound) -> u64 {
        let mut hash = DefaultHasher::new();
        match (&self.planned.channel.destination().account, message) {
            (Some(account), _) => account.hash(&mut hash),
            (None, Outbound::Http(HttpRequest { url, .. })) => {
                (url.host_str(), url.port_or_known_default()).hash(&mut hash);
            }
            (None, Outbound::Mail(mail)) => (&mail.server.host, mail.server.port).hash(&mut hash),
        }
        hash.finish()
    }
}
