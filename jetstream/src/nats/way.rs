//! The servers' address and their error events.

use std::sync::Arc;

use notifier_core::store::{OutboxServers, StoreError, StoreErrorKind};

use super::connect::ServerEvents;
use crate::subjects;

/// The servers' address and their error events.
#[derive(Clone)]
pub struct Nats {
    pub servers: OutboxServers,
    pub location: String,
    pub events: Arc<ServerEvents>,
    /// The subject on which this process answers liveness checks.
    pub alive: Option<String>,
}

impl Nats {
    /// For an operator's command, which owns no requests.
    pub fn new(servers: OutboxServers) -> Self {
        Self {
            location: servers.urls.join(" "),
            servers,
            events: Arc::default(),
            alive: None,
        }
    }

    /// For a process that owns requests.
    pub fn of_owner(servers: OutboxServers, owner: &str) -> Self {
        Self {
            alive: Some(subjects::alive(owner)),
            ..Self::new(servers)
        }
    }

    pub fn error(&self, kind: StoreErrorKind) -> StoreError {
        StoreError::new(self.location.clone(), kind)
    }
}
