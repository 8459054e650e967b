//! The state of this process and its connection to the servers.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::key_queue::KeyQueues;
use super::server::Servers;
use super::stored::RequestRecord;
use notifier_core::store::{DeliveryId, Running};

/// The state that all parts of an outbox share.
pub struct ProcessState {
    pub servers: Servers,
    pub runtime: Handle,
    /// No name that another process could have too.
    pub owner: String,
    pub running: Running,
    pub lines: KeyQueues,
    /// By configuration file.
    pub history: Mutex<HashMap<String, HistoryCursor>>,
    /// Since when the stream contains more messages than its consumers can see.
    pub uncounted_since: Mutex<Option<Instant>>,
}

/// The position of this process in the stream of history rows under one configuration file.
#[derive(Clone, Copy, Default)]
pub struct HistoryCursor {
    /// The creation time of the stream. The sequences of a new stream begin again.
    pub stream: i128,
    pub next: u64,
}

impl ProcessState {
    pub fn new(servers: Servers, runtime: Handle, owner: String) -> Self {
        Self {
            servers,
            runtime,
            owner,
            running: Running::default(),
            lines: KeyQueues::default(),
            history: Mutex::default(),
            uncounted_since: Mutex::default(),
        }
    }

    /// Returns whether this process runs one of a request's deliveries.
    pub fn runs(&self, stored: &RequestRecord) -> bool {
        stored.open().into_iter().any(|index| {
            let task = stored.task.clone();
            self.running.contains(&DeliveryId { task, index })
        })
    }
}
