//! The way to NATS servers, and what they say beside their replies.

use std::sync::Arc;

use notifier_core::store::{OutboxServers, StoreError, StoreErrorKind};

use super::connect::ServerEvents;
use crate::subjects;

/// The way to NATS servers.
#[derive(Clone)]
pub struct Nats {
    pub servers: OutboxServers,
    pub place: String,
    pub heard: Arc<ServerEvents>,
    /// Under which name this process says that it lives, to whoever asks.
    pub alive: Option<String>,
}

impl Nats {
    /// For somebody who has no requests.
    pub fn new(servers: OutboxServers) -> Self {
        Self {
            place: servers.urls.join(" "),
            servers,
            heard: Arc::default(),
            alive: None,
        }
    }

    /// For a process that has requests.
    pub fn of_owner(servers: OutboxServers, owner: &str) -> Self {
        Self {
            alive: Some(subjects::alive(owner)),
            ..Self::new(servers)
        }
    }

    pub fn error(&self, kind: StoreErrorKind) -> StoreError {
        StoreError::new(self.place.clone(), kind)
    }
}
