//! Which messages at the providers belong to which delivery.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use hashlink::LinkedHashMap;
use tokio::time::Instant;

use crate::model::channel::ProviderMessage;
use crate::model::outcome::{AttemptResult, MessageRef};
use crate::model::wire::{Destination, Outbound};
use crate::panics::lock;

/// Which delivery a message at a provider belongs to. No message counts for two deliveries.
#[derive(Default)]
pub struct Claims {
    state: Mutex<ClaimsState>,
}

/// The destination and the body of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageFingerprint(u64);

impl MessageFingerprint {
    pub fn of(destination: &Destination, message: &Outbound) -> Self {
        let mut hash = DefaultHasher::new();
        destination.key.hash(&mut hash);
        match message {
            Outbound::Http(request) => request.body.hash(&mut hash),
            Outbound::Mail(mail) => mail.message_id.hash(&mut hash),
        }
        Self(hash.finish())
    }
}

#[derive(Default)]
struct ClaimsState {
    /// Names that the provider gave, with when they were claimed; the oldest first.
    claimed: LinkedHashMap<MessageRef, Instant>,
    /// Attempts without a reply so far.
    attempts: HashMap<MessageFingerprint, usize>,
}

/// Longer than any look-up comes after its attempt began.
const KEEP_CLAIM: Duration = Duration::from_secs(600);
/// Some ten megabytes.
const MAX_CLAIMS: usize = 100_000;

impl Claims {
    /// Registers an attempt. Until it ends, any matching message at the provider may be its own.
    pub fn attempt(&self, fingerprint: MessageFingerprint) -> AttemptGuard<'_> {
        *self.lock().attempts.entry(fingerprint).or_default() += 1;
        AttemptGuard {
            claims: self,
            fingerprint,
        }
    }

    /// Claims the first of these messages that no delivery owns.
    pub fn first_free(
        &self,
        fingerprint: MessageFingerprint,
        found: Vec<ProviderMessage>,
    ) -> Option<AttemptResult> {
        let mut state = self.lock();
        // The message may belong to that attempt, whose reply will tell.
        if state.attempts.contains_key(&fingerprint) {
            return None;
        }
        let free = found
            .into_iter()
            .find(|found| !state.claimed.contains_key(&found.message))?;
        state.claim(free.message);
        Some(free.result)
    }

    fn lock(&self) -> MutexGuard<'_, ClaimsState> {
        lock(&self.state)
    }
}

impl ClaimsState {
    fn claim(&mut self, name: MessageRef) {
        let now = Instant::now();
        while let Some((_, since)) = self.claimed.front()
            && (now - *since > KEEP_CLAIM || self.claimed.len() >= MAX_CLAIMS)
        {
            self.claimed.pop_front();
        }
        self.claimed.insert(name, now);
    }
}

/// An attempt without a reply yet.
pub struct AttemptGuard<'a> {
    claims: &'a Claims,
    fingerprint: MessageFingerprint,
}

impl AttemptGuard<'_> {
    /// The attempt ended. A message that the reply names belongs to this delivery.
    pub fn ended(self, result: &AttemptResult) {
        if let AttemptResult::Delivered {
            message: Some(name),
            ..
        } = result
        {
            self.claims.lock().claim(name.clone());
        }
    }
}

impl Drop for AttemptGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.claims.lock();
        if let Some(count) = state.attempts.get_mut(&self.fingerprint) {
            *count -= 1;
            if *count == 0 {
                state.attempts.remove(&self.fingerprint);
            }
        }
    }
}
