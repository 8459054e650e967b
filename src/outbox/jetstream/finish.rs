//! The end of a request: what is published, noted and removed once all its deliveries have ended.

use std::collections::BTreeSet;

use async_nats::jetstream::kv::UpdateErrorKind;
use tokio::time::Instant;

use super::idempotency::free_key;
use super::owned::{HeldState, OwnedRequest};
use super::server::purge;
use super::stored::{Known, json, read};
use super::subjects::{attempt_keys, config_token, known_key};
use super::{TRIES, subjects};
use crate::outbox::OutboxError;
use crate::outbox::operator::State;
use crate::outbox::record::Record;

impl OwnedRequest {
    /// Publishes a dead letter, updates the key's entry, acknowledges the request, and then removes its notes. Each step
    /// may be repeated.
    pub(super) async fn say_ended(&mut self) -> Result<(), OutboxError> {
        let begun = Instant::now();
        let mut dead = BTreeSet::new();
        for (place, held) in &self.deliveries {
            let HeldState::Ended(record) = &held.state else {
                continue;
            };
            let record = Record::clone(record);
            if State::ended(&record.clone().report(*place).outcome) == State::Dead {
                dead.insert(*place);
            }
            self.stored.set_report(*place, record);
        }
        if !dead.is_empty() {
            let letter = self.stored.dead_letter(&dead);
            let config = config_token(&self.stored.config);
            let subject = subjects::dead(&config, &self.stored.task);
            let id = format!("{}/{}", self.stored.task, self.sequence);
            let published = self.session.publish(subject, letter, &id).await;
            published.map_err(|error| self.failed(begun, &error))?;
        }
        if let Some(key) = &self.stored.key {
            self.end_key(key, begun).await?;
        }
        if !self.is_orphan {
            self.remove(begun).await?;
        }
        if self.deliveries.values().any(|held| held.is_noted) {
            let keys = attempt_keys(&self.stored.task, self.sequence);
            let purged = purge(&self.session.attempts, &keys).await;
            purged.map_err(|_| self.missed(begun))?;
        }
        Ok(())
    }

    /// Removes the request from the stream. Somebody may have deleted the consumer that handed it out.
    async fn remove(&self, begun: Instant) -> Result<(), OutboxError> {
        if self.acknowledge("+ACK").await.is_ok() || !self.find_request().await? {
            return Ok(());
        }
        let deleted = self.session.work.delete_message(self.sequence).await;
        deleted.map(drop).map_err(|_| self.missed(begun))
    }

    /// The key's entry says from now on how all has ended.
    async fn end_key(&self, key: &str, begun: Instant) -> Result<(), OutboxError> {
        let name = known_key(&self.stored.identity().scope, key);
        for _ in 0..TRIES {
            let entry = self.session.known.entry(&name).await;
            let Some(entry) = entry.map_err(|_| self.missed(begun))? else {
                return Ok(());
            };
            let Some(mut known) = read::<Known>(&entry.value) else {
                return Ok(());
            };
            if known.task != self.stored.task {
                return Ok(());
            }
            known.has_ended = true;
            known.reports = self.stored.reports().iter().map(Record::of).collect();
            let written = self
                .session
                .known
                .update(&name, json(&known), entry.revision);
            match written.await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
                Err(error) => return Err(self.failed(begun, &error)),
            }
        }
        Err(self.missed(begun))
    }

    pub(super) async fn free_key(&self) {
        if let Some(key) = &self.stored.key {
            let name = known_key(&self.stored.identity().scope, key);
            free_key(&self.session, &name).await;
        }
    }
}
