//! Ends deliveries and requests: publishes, writes and removes their records.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{HeldState, OwnedRequest};
use crate::consumer::MAX_TRIES;
use crate::history;
use crate::server::{Acknowledgement, CallError, StreamName};
use crate::stored::{KeyRecord, json, read};
use crate::subjects::{self, attempt_keys, config_token, idempotency_entry_key, message_key};
use notifier_core::model::outcome::Outcome;
use notifier_core::model::report::DeliveryReport;
use notifier_core::store::operator::StoredState;
use notifier_core::store::record::Record;
use notifier_core::store::{HistoryRow, Ownership, StoreError, StoreErrorKind};

/// The wait before a write without a reply is repeated.
const RETRY_AFTER: Duration = Duration::from_millis(500);

impl OwnedRequest {
    /// Notes the outcome of a delivery until the servers have confirmed it. The history row comes first: if the process
    /// is killed between the two writes, another one repeats the delivery, and the row may exist twice.
    pub async fn complete(
        &mut self,
        index: usize,
        report: DeliveryReport,
        mut row: Option<HistoryRow>,
    ) -> Result<(), StoreError> {
        let record = Record::of(&report);
        loop {
            if let Some(unstored) = &row
                && history::store(&self.process, &*self.session, unstored).await
            {
                row = None;
            }
            let noted = match self.is_noted(index) || self.deliveries.len() > 1 {
                true => {
                    let ended = record.clone();
                    self.note(index, |note| note.ended = Some(ended)).await
                }
                false => self.check_lease(index).await,
            };
            match noted {
                Ok(Ownership::Owned | Ownership::Missing) => break,
                // The process that claimed it reports its end.
                Ok(Ownership::Lost) => {
                    self.has_open_delivery().await;
                    return Ok(());
                }
                Err(error) if !is_retryable(&error) => return Err(error),
                Err(_) => sleep(RETRY_AFTER).await,
            }
        }
        if let Outcome::Delivered {
            message: Some(message),
        } = &report.outcome
            && self.is_noted(index)
        {
            let whose = format!("{}/{index}", self.stored.task);
            let key = message_key(&message.0);
            let _ = self
                .session
                .write(StreamName::IdempotencyKeys, &key, whose.into(), None)
                .await;
        }
        self.set_state(index, HeldState::Ended(Box::new(record)));
        self.has_open_delivery().await;
        Ok(())
    }

    /// Records the end of the request, until the servers confirm it.
    pub(super) async fn finish(&mut self) {
        while let Err(error) = self.publish_end().await {
            if !is_retryable(&error) {
                return;
            }
            sleep(RETRY_AFTER).await;
        }
        if let Some(line) = self.queue_position() {
            line.finished();
        }
    }

    /// Publishes a dead letter, updates the key's entry, acknowledges the request, and then removes its notes. Each step
    /// may be repeated.
    async fn publish_end(&mut self) -> Result<(), StoreError> {
        let begun = Instant::now();
        let mut dead = BTreeSet::new();
        for (index, held) in &self.deliveries {
            let HeldState::Ended(record) = &held.state else {
                continue;
            };
            let record = Record::clone(record);
            if StoredState::ended(&record.clone().report(*index).outcome) == StoredState::Dead {
                dead.insert(*index);
            }
            self.stored.set_report(*index, record);
        }
        if !dead.is_empty() {
            let letter = self.stored.dead_letter(&dead);
            let config = config_token(&self.stored.config);
            let subject = subjects::dead(&config, &self.stored.task);
            let id = format!("{}/{}", self.stored.task, self.sequence);
            let published = self.session.publish(subject, letter, Some(&id)).await;
            published.map_err(|error| self.failed(begun, error))?;
        }
        if let Some(key) = &self.stored.key {
            self.complete_key(key, begun).await?;
        }
        if !self.is_orphan {
            self.remove(begun).await?;
        }
        if self.deliveries.values().any(|held| held.is_noted) {
            let keys = attempt_keys(&self.stored.task, self.sequence);
            let purged = self.session.purge(StreamName::Attempts, &keys).await;
            purged.map_err(|_| self.missed(begun))?;
        }
        Ok(())
    }

    /// Removes the request from the stream, even if its consumer was deleted.
    async fn remove(&self, begun: Instant) -> Result<(), StoreError> {
        if self.acknowledge(Acknowledgement::Done).await.is_ok() || !self.find_request().await? {
            return Ok(());
        }
        let deleted = self
            .session
            .delete_message(StreamName::Work, self.sequence)
            .await;
        deleted.map_err(|_| self.missed(begun))
    }

    /// Writes the final reports to the key's entry.
    async fn complete_key(&self, key: &str, begun: Instant) -> Result<(), StoreError> {
        let name = idempotency_entry_key(&self.stored.identity().scope, key);
        for _ in 0..MAX_TRIES {
            let entry = self.session.entry(StreamName::IdempotencyKeys, &name).await;
            let Some(entry) = entry.map_err(|_| self.missed(begun))? else {
                return Ok(());
            };
            let Some(mut known) = read::<KeyRecord>(&entry.value) else {
                return Ok(());
            };
            if known.task != self.stored.task {
                return Ok(());
            }
            known.has_ended = true;
            known.reports = self.stored.reports().iter().map(Record::of).collect();
            let over = Some(entry.revision);
            let written =
                self.session
                    .write(StreamName::IdempotencyKeys, &name, json(&known), over);
            match written.await {
                Ok(_) => return Ok(()),
                Err(CallError::Conflict) => {}
                Err(error) => return Err(self.failed(begun, error)),
            }
        }
        Err(self.missed(begun))
    }
}

/// Returns whether a retry may succeed.
fn is_retryable(error: &StoreError) -> bool {
    !matches!(
        error.kind,
        StoreErrorKind::NoPermission | StoreErrorKind::TooLarge
    )
}
