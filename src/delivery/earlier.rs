//! The last message of each dedup key at each destination, for what follows up on it: a `resolved` edits or answers it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashlink::LinkedHashMap;
use tokio::time::Instant;

use crate::model::notification::Status;
use crate::model::outcome::MessageRef;
use crate::model::plan::Sending;
use crate::model::secret::digest;

const KEEP: Duration = Duration::from_secs(24 * 60 * 60);
/// Some two megabytes.
const MAX_KEYS: usize = 10_000;

/// The messages of the process.
#[derive(Default)]
pub struct Earlier {
    /// By a digest of destination and dedup key, the oldest first.
    messages: Mutex<LinkedHashMap<String, (MessageRef, Instant)>>,
}

impl Earlier {
    /// What a delivery follows up on.
    pub fn of(&self, sending: &Sending) -> Option<MessageRef> {
        let key = key(sending)?;
        let messages = self.lock();
        let (message, since) = messages.get(&key)?;
        (since.elapsed() < KEEP).then(|| message.clone())
    }

    /// A delivery has ended well. What is resolved is over; of a split message none stands for the whole.
    pub fn delivered(&self, sending: &Sending, parts: usize, message: Option<&MessageRef>) {
        let Some(key) = key(sending) else {
            return;
        };
        let status = sending
            .source
            .as_ref()
            .map(|source| source.notification.status);
        let goes_on = status != Some(Some(Status::Resolved)) && parts == 1;
        match message.filter(|_| goes_on) {
            Some(message) => self.keep(key, message.clone()),
            None => self.forget(sending),
        }
    }

    /// The message is gone.
    pub fn forget(&self, sending: &Sending) {
        if let Some(key) = key(sending) {
            self.lock().remove(&key);
        }
    }

    fn keep(&self, key: String, message: MessageRef) {
        let mut messages = self.lock();
        while let Some((_, (_, since))) = messages.front()
            && (since.elapsed() >= KEEP || messages.len() >= MAX_KEYS)
        {
            messages.pop_front();
        }
        // At the end, also where it was there.
        messages.remove(&key);
        messages.insert(key, (message, Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, LinkedHashMap<String, (MessageRef, Instant)>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `None`: it follows up on nothing.
fn key(sending: &Sending) -> Option<String> {
    sending.source.as_ref()?;
    let destination = &sending.channel.destination().key;
    let dedup_key = sending.dedup_key.as_ref()?;
    Some(digest(&format!("{destination}\0{dedup_key}")))
}
