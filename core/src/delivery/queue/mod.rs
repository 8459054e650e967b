//! One queue for each destination in the process. It decides which delivery may send when.

mod account;
mod destination;
mod memory;
mod position;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use self::account::Account;
use self::destination::QueueState;
pub use self::destination::{
    AdmissionError, AdmissionRequest, DestinationQueue, Pause, PauseAfter, Permit,
};
use self::memory::Registry;
pub use self::position::{DedupTurn, QueuePosition};
use crate::model::notification::{AlertState, DedupKey};
use crate::model::wire::Destination;
use crate::panics::lock;

/// All queues, and the gates of accounts above them.
#[derive(Default)]
pub struct Queues {
    queues: Mutex<Registry<DestinationQueue, QueueState>>,
    accounts: Mutex<Registry<Account, Instant>>,
}

impl Queues {
    pub fn get(&self, destination: &Destination) -> Arc<DestinationQueue> {
        lock(&self.queues).get(&destination.key, |state| {
            let account = destination.account.as_deref().map(|key| self.account(key));
            DestinationQueue::new(account, destination.at_once, state.unwrap_or_default())
        })
    }

    fn account(&self, key: &str) -> Arc<Account> {
        lock(&self.accounts).get(key, |paused_until| Account::new(key, paused_until))
    }

    /// The alert state of the last delivery in line for a dedup key; `None`: no delivery is in line.
    pub fn last_in_line(
        &self,
        destination: &Destination,
        dedup_key: &DedupKey,
    ) -> Option<Option<AlertState>> {
        let queue = lock(&self.queues)
            .used
            .get(&destination.key)
            .map(Arc::clone)?;
        queue.last_in_line(dedup_key)
    }

    /// Removes an unused queue. The memory keeps its pauses and limits until they expire.
    pub fn release(&self, destination: &Destination, queue: Arc<DestinationQueue>) {
        let mut queues = lock(&self.queues);
        let Some(unused) = queues.release(&destination.key, queue) else {
            return;
        };
        let (state, account) = unused.into_parts();
        if let Some(until) = state.remembered_until(Instant::now()) {
            queues.memory.remember(&destination.key, until, state);
        }
        drop(queues);
        if let Some(account) = account {
            self.release_account(account);
        }
    }

    fn release_account(&self, account: Arc<Account>) {
        let key = account.key.clone();
        let mut accounts = lock(&self.accounts);
        let unused = accounts.release(&key, account);
        if let Some(until) = unused.and_then(|unused| unused.paused_until(Instant::now())) {
            accounts.memory.remember(&key, until, until);
        }
    }

    /// Destinations that are paused or refuse.
    pub fn paused(&self) -> usize {
        let now = Instant::now();
        let queues = lock(&self.queues);
        let used = queues.used.values().filter(|queue| queue.is_closed(now));
        let unused = queues.memory.values().filter(|state| state.is_closed(now));
        used.count() + unused.count()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let queues = lock(&self.queues);
        queues.used.len() + queues.memory.len()
    }
}
