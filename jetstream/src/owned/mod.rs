//! One request that this process owns, until all its deliveries have ended. It runs operations in the order of the calls.

mod fence;
mod finish;
mod lease;
#[cfg(test)]
mod model;
mod notes;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use self::fence::Fence;
use super::idempotency::{has_key, release_key};
use super::order::KeyQueuePosition;
use super::process::ProcessState;
use super::requests::Registration;
use super::server::{Acknowledgement, CallError, PulledMessage, Session};
use super::stored::{DeliveryNote, RequestRecord};
use super::subjects::{attempt_key, idempotency_entry_key};
use notifier_core::store::record::Record;
use notifier_core::store::{RENEW_EVERY, StoreError, StoredRequest};

/// A request that this process owns.
pub struct OwnedRequest {
    registration: Registration<Self>,
    process: Arc<ProcessState>,
    session: Arc<dyn Session>,
    stored: RequestRecord,
    pub sequence: u64,
    subject: String,
    /// The time of storing in the stream, in milliseconds since 1970.
    published: u64,
    /// The subject of the acknowledgement.
    pub reply: String,
    deliveries: BTreeMap<usize, HeldDelivery>,
    /// The last renewal of the lease at the server.
    renewed: Instant,
    /// The stream was replaced after it delivered the request.
    is_orphan: bool,
}

/// An owned delivery.
struct HeldDelivery {
    fence: Fence,
    /// The note as this process last wrote it, or will write it.
    note: DeliveryNote,
    state: HeldState,
    /// Whether the servers may have a note.
    is_noted: bool,
}

enum HeldState {
    Open,
    Ended(Box<Record>),
    /// Another process has it.
    Lost,
}

impl OwnedRequest {
    /// For the process that accepted the request or fetched it first: no other process can own it.
    pub fn first(
        registration: Registration<Self>,
        process: &Arc<ProcessState>,
        session: Arc<dyn Session>,
        stored: RequestRecord,
        handed: &PulledMessage,
    ) -> Self {
        let note = DeliveryNote {
            owner: process.owner.clone(),
            ..DeliveryNote::default()
        };
        let open = stored.open().into_iter().map(|index| {
            let held = HeldDelivery {
                fence: Fence::default(),
                note: note.clone(),
                state: HeldState::Open,
                is_noted: false,
            };
            (index, held)
        });
        Self {
            deliveries: open.collect(),
            sequence: registration.sequence,
            registration,
            process: Arc::clone(process),
            session,
            subject: handed.message.subject.clone(),
            published: handed.message.published,
            reply: handed.reply.clone(),
            stored,
            renewed: Instant::now(),
            is_orphan: false,
        }
    }

    /// Returns whether the request owns its idempotency key. `None`: unknown. A redriven request needs no key.
    pub async fn owns_key(&self) -> Option<bool> {
        match &self.stored.key {
            Some(key) if !self.stored.is_retried => {
                let name = idempotency_entry_key(&self.stored.identity().scope, key);
                has_key(&*self.session, &name, &self.stored.task).await
            }
            _ => Some(true),
        }
    }

    /// The request for delivery code; `None`: all deliveries have ended.
    pub fn stored_request(&self) -> Option<StoredRequest> {
        let notes = self.deliveries.iter().filter(|(_, held)| held.is_noted);
        let notes = notes.map(|(index, held)| (*index, held.note.clone()));
        let now = self.process.servers.now();
        let kept = self
            .stored
            .stored_request(&notes.collect(), self.published, now);
        let is_open = kept
            .deliveries
            .iter()
            .any(|delivery| delivery.work.is_some());
        is_open.then_some(kept)
    }

    /// Starts the task that runs operations on it.
    pub fn start(self) {
        let runtime = self.process.runtime.clone();
        runtime.spawn(self.serve());
    }

    async fn serve(mut self) {
        let mut renewal = interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.has_open_delivery().await {
            tokio::select! {
                job = self.registration.next() => match job {
                    Some(job) => job(&mut self).await,
                    None => return,
                },
                _ = renewal.tick() => self.renew().await,
            }
        }
    }

    /// Returns whether a delivery is open. Finishes the request if all have ended here; other owners finish theirs.
    async fn has_open_delivery(&mut self) -> bool {
        if self.registration.has_ended() {
            return false;
        }
        if self.open_places().next().is_some() {
            return true;
        }
        let mut states = self.deliveries.values().map(|held| &held.state);
        if states.all(|state| matches!(state, HeldState::Ended(_))) {
            self.finish().await;
        }
        self.registration.end();
        false
    }

    /// Removes an unsent request whose caller stopped waiting.
    pub async fn forget(&mut self) {
        if let Some(key) = &self.stored.key {
            let name = idempotency_entry_key(&self.stored.identity().scope, key);
            release_key(&*self.session, &name).await;
        }
        let _ = self.acknowledge(Acknowledgement::Done).await;
        self.registration.end();
    }

    /// Releases the request: another process may claim it at once.
    pub async fn release(&mut self) {
        let _ = self.acknowledge(Acknowledgement::Redeliver(None)).await;
        self.registration.end();
    }

    /// Stops this task, so that the process can claim the request again.
    pub async fn abandon(&mut self) {
        self.registration.end();
    }

    pub fn queue_position(&self) -> Option<&Arc<KeyQueuePosition>> {
        self.registration.queue_position.as_ref()
    }

    /// Sets the state of an open delivery. Without a note its end is visible when the request is removed.
    fn set_state(&mut self, index: usize, state: HeldState) {
        if let Some(line) = &self.registration.queue_position {
            match state {
                HeldState::Ended(_) if self.is_noted(index) => line.ended(index),
                HeldState::Lost => line.lost(index),
                HeldState::Open | HeldState::Ended(_) => {}
            }
        }
        if let Some(held) = self.open(index) {
            held.state = state;
        }
    }

    fn open(&mut self, index: usize) -> Option<&mut HeldDelivery> {
        let held = self.deliveries.get_mut(&index);
        held.filter(|held| matches!(held.state, HeldState::Open))
    }

    fn open_places(&self) -> impl Iterator<Item = usize> {
        let open = self.deliveries.iter();
        open.filter(|(_, held)| matches!(held.state, HeldState::Open))
            .map(|(index, _)| *index)
    }

    fn is_noted(&self, index: usize) -> bool {
        self.deliveries
            .get(&index)
            .is_some_and(|held| held.is_noted)
    }

    fn key(&self, index: usize) -> String {
        attempt_key(&self.stored.task, self.sequence, index)
    }

    fn failed(&self, since: Instant, error: CallError) -> StoreError {
        self.process.servers.failed(&*self.session, since, error)
    }

    fn missed(&self, since: Instant) -> StoreError {
        self.process.servers.missed(&*self.session, since)
    }
}
