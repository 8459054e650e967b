//! An operator's view of messages, and changes to them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use futures_util::future::join_all;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::consumer::{ANY, MAX_TRIES, make_consumer};
use crate::server::{CallError, Servers, Session, StreamMessage, StreamName};
use crate::stored::{DeliveryNote, RequestRecord, WorkRecord, json, read};
use crate::subjects;
use crate::subjects::{attempt_key, config_token};
use notifier_core::model::report::DeliveryReport;
use notifier_core::store::operator::{ListedDelivery, StoredState, retried};
use notifier_core::store::record::Record;
use notifier_core::store::{StoreError, StoreErrorKind};

/// The owner in the note of a dropped delivery.
const OPERATOR: &str = "operator";

/// A message and the states of its deliveries.
pub(super) struct InspectedRequest {
    pub(super) sequence: u64,
    pub(super) stored: RequestRecord,
    pub(super) is_dead: bool,
    /// Milliseconds since 1970 at which it was stored.
    pub(super) stored_at: i64,
    pub(super) deliveries: BTreeMap<usize, InspectedDelivery>,
}

pub(super) struct InspectedDelivery {
    pub(super) state: StoredState,
    pub(super) owner: Option<String>,
    pub(super) report: DeliveryReport,
}

/// The connection and a cache of live owners.
pub(super) struct Inspection<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) servers: &'a Servers,
    pub(super) session: &'a dyn Session,
    pub(super) alive: &'a mut BTreeMap<String, bool>,
}

impl Inspection<'_> {
    pub(super) fn ask<T, E>(
        &self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, StoreError> {
        let begun = Instant::now();
        let answer = self.runtime.block_on(question);
        answer.map_err(|_| self.servers.missed(self.session, begun))
    }

    pub(super) fn next(
        &self,
        stream: StreamName,
        subject: &str,
        from: u64,
    ) -> Result<Option<StreamMessage>, StoreError> {
        self.ask(self.session.next_message(stream, subject, from))
    }

    pub(super) fn inspect(
        &self,
        message: &StreamMessage,
        stored: RequestRecord,
        is_dead: bool,
    ) -> Result<InspectedRequest, StoreError> {
        let mut subject = message.subject.split('.').skip(2);
        let first = subject.next().filter(|_| !is_dead).unwrap_or_default();
        let again = first == ANY;
        let open = stored.open();
        let mut deliveries = BTreeMap::new();
        let notes = match is_dead {
            true => BTreeMap::new(),
            false => self.notes(&stored.task, message.sequence, &open)?,
        };
        for (index, report) in stored.reports().into_iter().enumerate() {
            let is_open = open.contains(&index);
            // The other deliveries of a redriven request have their own message, or none.
            if !is_open && (again || is_dead) {
                continue;
            }
            let note = notes.get(&index).map(|(_, note)| note);
            let ended = note.and_then(|note| note.ended.clone());
            let state = match &ended {
                Some(record) => StoredState::ended(&record.clone().report(index).outcome),
                None if is_dead => StoredState::Dead,
                None if is_open => StoredState::Waiting,
                None => StoredState::Ended,
            };
            let mut report = ended.map_or(report, |record| record.report(index));
            if let Some(note) = note {
                report.parts_delivered = report.parts_delivered.max(note.parts_delivered);
            }
            let owner = note.map(|note| note.owner.clone());
            let owner = owner.or_else(|| (!again && !is_dead).then(|| first.to_owned()));
            deliveries.insert(
                index,
                InspectedDelivery {
                    state,
                    owner,
                    report,
                },
            );
        }
        Ok(InspectedRequest {
            sequence: message.sequence,
            stored_at: i64::try_from(message.published).unwrap_or(i64::MAX),
            stored,
            is_dead,
            deliveries,
        })
    }

    pub(super) fn notes(
        &self,
        task: &str,
        sequence: u64,
        indices: &[usize],
    ) -> Result<BTreeMap<usize, (u64, DeliveryNote)>, StoreError> {
        let entries = indices.iter().map(|index| {
            let key = attempt_key(task, sequence, *index);
            self.session.entry(StreamName::Attempts, &key)
        });
        let entries = self.ask(async {
            let entries = join_all(entries).await;
            entries.into_iter().collect::<Result<Vec<_>, _>>()
        })?;
        let notes = indices.iter().zip(entries).filter_map(|(index, entry)| {
            let entry = entry?;
            Some((*index, (entry.revision, read(&entry.value)?)))
        });
        Ok(notes.collect())
    }

    pub(super) fn is_alive(&mut self, owner: &str) -> bool {
        if let Some(lives_) = self.alive.get(owner) {
            return *lives_;
        }
        let found = self.runtime.block_on(self.session.is_alive(owner));
        self.alive.insert(owner.to_owned(), found);
        found
    }

    pub(super) fn listed(
        &mut self,
        inspected: &InspectedRequest,
        index: usize,
        delivery: &InspectedDelivery,
    ) -> ListedDelivery {
        let work = inspected.stored.deliveries.get(index);
        let work = work.and_then(|delivery| delivery.work.as_ref());
        let has_ended = !matches!(delivery.state, StoredState::Waiting);
        let owner = delivery.owner.as_deref().filter(|_| !has_ended);
        ListedDelivery {
            task: inspected.stored.task.clone(),
            state: delivery.state,
            accepted: i64::try_from(inspected.stored.accepted).unwrap_or(i64::MAX),
            deadline: work
                .and_then(|work| i64::try_from(work.timeout_ms).ok())
                .filter(|_| !inspected.is_dead)
                .map(|timeout| inspected.stored_at.saturating_add(timeout)),
            ended: inspected.is_dead.then_some(inspected.stored_at),
            owned: owner.is_some_and(|owner| self.is_alive(owner)),
            sealed: work.is_some_and(WorkRecord::is_sealed),
            report: delivery.report.clone(),
        }
    }

    /// Removes deliveries from a dead letter.
    pub(super) fn remove_deliveries(
        &self,
        inspected: &InspectedRequest,
        indices: &BTreeSet<usize>,
    ) -> Result<(), StoreError> {
        let left: BTreeSet<_> = inspected.deliveries.keys().copied().collect();
        let left: BTreeSet<_> = left.difference(indices).copied().collect();
        if !left.is_empty() {
            let config = config_token(&inspected.stored.config);
            let subject = subjects::dead(&config, &inspected.stored.task);
            let id = format!("{}/{}/{left:?}", inspected.stored.task, inspected.sequence);
            let letter = inspected.stored.dead_letter(&left);
            self.ask(self.session.publish(subject, letter, Some(&id)))?;
        }
        self.ask(
            self.session
                .delete_message(StreamName::Dead, inspected.sequence),
        )?;
        Ok(())
    }

    /// Redrives deliveries of a dead letter: any process may claim them.
    pub(super) fn put_back(
        &self,
        inspected: &mut InspectedRequest,
        indices: &BTreeSet<usize>,
    ) -> Result<(), StoreError> {
        let config = config_token(&inspected.stored.config);
        let making = make_consumer(self.servers, self.session, ANY, &config);
        self.runtime.block_on(making)?;
        let before = inspected.stored.dead_letter(indices);
        let Some(mut again) = RequestRecord::read(&before) else {
            return Err(self.servers.error(StoreErrorKind::IoFailed));
        };
        for index in indices {
            if let Some(delivery) = inspected.deliveries.get(index) {
                again.set_report(*index, Record::of(&retried(&delivery.report)));
            }
        }
        again.is_retried = true;
        let subject = subjects::work(ANY, &config, again.dedup_key.as_deref(), &again.task);
        let id = format!("{}/{}/again/{indices:?}", again.task, inspected.sequence);
        self.ask(self.session.publish(subject, again.bytes(), Some(&id)))?;
        self.remove_deliveries(inspected, indices)
    }

    /// Writes the drop to the delivery's note. Its owner reads it at the next step.
    pub(super) fn note_dropped(
        &self,
        inspected: &InspectedRequest,
        index: usize,
        report: &DeliveryReport,
    ) -> Result<(), StoreError> {
        let (task, sequence) = (&inspected.stored.task, inspected.sequence);
        let key = attempt_key(task, sequence, index);
        for _ in 0..MAX_TRIES {
            let notes = self.notes(task, sequence, &[index])?;
            let (revision, mut note) = notes.get(&index).cloned().unwrap_or_default();
            OPERATOR.clone_into(&mut note.owner);
            note.ended = Some(Record::of(report));
            let begun = Instant::now();
            let note = json(&note);
            let written = self
                .session
                .write(StreamName::Attempts, &key, note, Some(revision));
            match self.runtime.block_on(written) {
                Ok(_) => return Ok(()),
                Err(CallError::Conflict) => {}
                Err(error) => return Err(self.servers.failed(self.session, begun, error)),
            }
        }
        Err(self.servers.error(StoreErrorKind::Busy))
    }
}
