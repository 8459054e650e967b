//! The gate of an account, above the queues of its destinations.

use std::sync::Mutex;

use tokio::time::Instant;

use crate::panics::lock;

/// Pauses that hold for all destinations of an account.
pub struct Account {
    pub key: String,
    paused_until: Mutex<Option<Instant>>,
}

impl Account {
    pub fn new(key: &str, paused_until: Option<Instant>) -> Self {
        Self {
            key: key.to_owned(),
            paused_until: Mutex::new(paused_until),
        }
    }

    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        let until = *lock(&self.paused_until);
        until.filter(|until| *until > now)
    }

    pub fn pause(&self, until: Instant) {
        let mut paused = lock(&self.paused_until);
        *paused = (*paused).max(Some(until));
    }
}
