//! One request that this process holds, until all its deliveries have ended. Does what it is asked in the order of asking.

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
use super::idempotency::{free_key, has_key};
use super::order::KeyQueuePosition;
use super::process::ProcessState;
use super::requests::Registration;
use super::server::{Acknowledgement, CallError, Handed, Session};
use super::stored::{DeliveryNote, RequestRecord};
use super::subjects::{attempt_key, known_key};
use notifier_core::store::record::Record;
use notifier_core::store::{RENEW_EVERY, StoreError, StoredRequest};

/// A request that this process holds.
pub struct OwnedRequest {
    registration: Registration<Self>,
    process: Arc<ProcessState>,
    session: Arc<dyn Session>,
    stored: RequestRecord,
    pub sequence: u64,
    subject: String,
    /// When the stream took it.
    published: u64,
    /// Where the message is acknowledged.
    pub reply: String,
    deliveries: BTreeMap<usize, HeldDelivery>,
    /// When the server was last asked to renew the lease, and did.
    renewed: Instant,
    /// Another stream is in the place of the one that has handed out the request.
    is_orphan: bool,
}

/// A delivery of it.
struct HeldDelivery {
    fence: Fence,
    /// As this process last wrote it, or would.
    note: DeliveryNote,
    state: HeldState,
    /// Whether a note may stand at the servers.
    is_noted: bool,
}

enum HeldState {
    Open,
    Ended(Box<Record>),
    /// Another process has it.
    Lost,
}

impl OwnedRequest {
    /// The process that accepted the request, or the first that was handed it: no other can hold it.
    pub fn first(
        registration: Registration<Self>,
        process: &Arc<ProcessState>,
        session: Arc<dyn Session>,
        stored: RequestRecord,
        handed: &Handed,
    ) -> Self {
        let note = DeliveryNote {
            owner: process.owner.clone(),
            ..DeliveryNote::default()
        };
        let open = stored.open().into_iter().map(|place| {
            let held = HeldDelivery {
                fence: Fence::default(),
                note: note.clone(),
                state: HeldState::Open,
                is_noted: false,
            };
            (place, held)
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

    /// Whether its idempotency key is still its own; `None`: not known. A request that was a dead letter needs none.
    pub async fn has_its_key(&self) -> Option<bool> {
        match &self.stored.key {
            Some(key) if !self.stored.is_retried => {
                let name = known_key(&self.stored.identity().scope, key);
                has_key(&*self.session, &name, &self.stored.task).await
            }
            _ => Some(true),
        }
    }

    /// What delivery code goes on with; `None`: all has ended.
    pub fn kept(&self) -> Option<StoredRequest> {
        let notes = self.deliveries.iter().filter(|(_, held)| held.is_noted);
        let notes = notes.map(|(place, held)| (*place, held.note.clone()));
        let now = self.process.servers.now();
        let kept = self.stored.kept(&notes.collect(), self.published, now);
        let is_open = kept
            .deliveries
            .iter()
            .any(|delivery| delivery.work.is_some());
        is_open.then_some(kept)
    }

    /// From now on the process answers questions about it.
    pub fn start(self) {
        let runtime = self.process.runtime.clone();
        runtime.spawn(self.serve());
    }

    async fn serve(mut self) {
        let mut renewal = interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.goes_on().await {
            tokio::select! {
                job = self.registration.next() => match job {
                    Some(job) => job(&mut self).await,
                    None => return,
                },
                _ = renewal.tick() => self.renew().await,
            }
        }
    }

    /// Whether a delivery is open. Where all have ended, finishes the request; what others hold is theirs to finish.
    async fn goes_on(&mut self) -> bool {
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

    /// Its caller does not wait any more, and nothing of it was sent: nothing of it stays.
    pub async fn forget(&mut self) {
        if let Some(key) = &self.stored.key {
            let name = known_key(&self.stored.identity().scope, key);
            free_key(&*self.session, &name).await;
        }
        let _ = self.acknowledge(Acknowledgement::Done).await;
        self.registration.end();
    }

    /// Lets another process have it at once.
    pub async fn release(&mut self) {
        let _ = self.acknowledge(Acknowledgement::NotNow(None)).await;
        self.registration.end();
    }

    /// This process begins anew with it.
    pub async fn abandon(&mut self) {
        self.registration.end();
    }

    pub fn place_in_line(&self) -> Option<&Arc<KeyQueuePosition>> {
        self.registration.place.as_ref()
    }

    /// What becomes of an open delivery. Without a note its end is known once the request is gone.
    fn set_state(&mut self, place: usize, state: HeldState) {
        if let Some(line) = &self.registration.place {
            match state {
                HeldState::Ended(_) if self.is_noted(place) => line.ended(place),
                HeldState::Lost => line.lost(place),
                HeldState::Open | HeldState::Ended(_) => {}
            }
        }
        if let Some(held) = self.open(place) {
            held.state = state;
        }
    }

    fn open(&mut self, place: usize) -> Option<&mut HeldDelivery> {
        let held = self.deliveries.get_mut(&place);
        held.filter(|held| matches!(held.state, HeldState::Open))
    }

    fn open_places(&self) -> impl Iterator<Item = usize> {
        let open = self.deliveries.iter();
        open.filter(|(_, held)| matches!(held.state, HeldState::Open))
            .map(|(place, _)| *place)
    }

    fn is_noted(&self, place: usize) -> bool {
        self.deliveries
            .get(&place)
            .is_some_and(|held| held.is_noted)
    }

    fn key(&self, place: usize) -> String {
        attempt_key(&self.stored.task, self.sequence, place)
    }

    fn failed(&self, since: Instant, error: CallError) -> StoreError {
        self.process.servers.failed(&*self.session, since, error)
    }

    fn missed(&self, since: Instant) -> StoreError {
        self.process.servers.missed(&*self.session, since)
    }
}
