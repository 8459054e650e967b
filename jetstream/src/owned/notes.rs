//! The owner of each delivery, and its note. A note replaces only the revision that its writer knows.

use std::time::SystemTime;

use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::fence::{Fence, Inquiry, InquiryStep, ServerQuery, ServerReply};
use super::{HeldState, OwnedRequest};
use crate::consumer::MAX_TRIES;
use crate::server::{CallError, StreamName};
use crate::stored::{DeliveryNote, json, millis, read};
use crate::subjects::attempt_key;
use notifier_core::store::record::Record;
use notifier_core::store::{Ownership, StoreError};

/// The number of notes that are written at a time.
const NOTES_AT_ONCE: usize = 256;

impl OwnedRequest {
    /// Takes the deliveries over from their previous holder. Writes a note of the new holder for each; after that, the
    /// request must be in the stream. `None`: not now.
    pub async fn take_over(&mut self) -> Option<()> {
        let keys = self.deliveries.keys().map(|index| self.key(*index));
        let session = &*self.session;
        let entries = stream::iter(keys.collect::<Vec<_>>())
            .map(|key| async move { session.entry(StreamName::Attempts, &key).await })
            .buffered(NOTES_AT_ONCE);
        let entries: Vec<_> = entries.collect().await;
        let mut revisions = Vec::new();
        for (held, entry) in self.deliveries.values_mut().zip(entries) {
            let entry = entry.ok()?;
            revisions.push(entry.as_ref().map_or(0, |entry| entry.revision));
            if let Some(note) = entry.and_then(|entry| read::<DeliveryNote>(&entry.value)) {
                held.is_noted = true;
                held.note = note;
            }
        }
        let fence = self.deliveries.values().map(|held| held.note.fence).max();
        let fence = fence.unwrap_or_default() + 1;
        let mut writes = Vec::new();
        for ((index, held), revision) in self.deliveries.iter_mut().zip(revisions) {
            if let Some(ended) = held.note.ended.clone() {
                held.state = HeldState::Ended(Box::new(ended));
                if let Some(line) = &self.registration.queue_position {
                    line.ended(*index);
                }
                continue;
            }
            held.note.owner.clone_from(&self.process.owner);
            held.note.fence = fence;
            held.is_noted = true;
            let key = attempt_key(&self.stored.task, self.sequence, *index);
            writes.push((*index, key, json(&held.note), Fence::take(revision)));
        }
        let written =
            stream::iter(writes).map(|(index, key, note, (inquiry, question))| async move {
                let ServerQuery::Write { over } = question else {
                    return None;
                };
                let revision = session
                    .write(StreamName::Attempts, &key, note, Some(over))
                    .await
                    .ok()?;
                Some((index, inquiry, revision))
            });
        let written: Vec<_> = written.buffered(NOTES_AT_ONCE).collect().await;
        if written.is_empty() {
            return Some(());
        }
        let is_there = self.find_request().await.ok()?;
        for written in written {
            let (index, mut inquiry, revision) = written?;
            let fence = &mut self.deliveries.get_mut(&index)?.fence;
            inquiry.next(fence, ServerReply::Written { revision });
            if inquiry.next(fence, ServerReply::Request { is_there }) != InquiryStep::Own {
                return None;
            }
        }
        Some(())
    }

    /// Returns whether this process still owns the delivery.
    pub async fn check_lease(&mut self, index: usize) -> Result<Ownership, StoreError> {
        let Some(held) = self.open(index) else {
            return Ok(Ownership::Lost);
        };
        let (inquiry, question) = held.fence.check();
        let note = held.note.clone();
        self.inquire(index, inquiry, question, note).await
    }

    /// Notes that an attempt begins that must not be repeated.
    pub async fn begin_attempt(
        &mut self,
        index: usize,
        at: SystemTime,
    ) -> Result<Ownership, StoreError> {
        let at = Some(millis(at));
        self.note(index, |note| note.attempt_began = at).await
    }

    /// Notes that the provider did not accept a noted attempt.
    pub async fn attempt_failed(&mut self, index: usize) -> Result<(), StoreError> {
        if !self.is_noted(index) {
            return Ok(());
        }
        let noted = self.note(index, |note| note.attempt_began = None).await;
        noted.map(drop)
    }

    pub async fn parts_done(&mut self, index: usize, parts: usize) -> Result<(), StoreError> {
        let noted = self.note(index, |note| {
            note.parts_delivered = parts;
            note.attempt_began = None;
        });
        noted.await.map(drop)
    }

    /// Notes something of a delivery, if it is still this process's.
    pub(super) async fn note(
        &mut self,
        index: usize,
        change: impl FnOnce(&mut DeliveryNote),
    ) -> Result<Ownership, StoreError> {
        let Some(held) = self.open(index) else {
            return Ok(Ownership::Lost);
        };
        held.is_noted = true;
        let (inquiry, question) = held.fence.write();
        let mut note = held.note.clone();
        change(&mut note);
        self.inquire(index, inquiry, question, note).await
    }

    /// Asks until the owner of the delivery is known. After an error it is unknown.
    async fn inquire(
        &mut self,
        index: usize,
        mut inquiry: Inquiry,
        mut question: ServerQuery,
        note: DeliveryNote,
    ) -> Result<Ownership, StoreError> {
        let begun = Instant::now();
        if self.is_orphan {
            return Ok(Ownership::Missing);
        }
        for _ in 0..4 * MAX_TRIES {
            let (known, ended) = self.ask(index, question, &note, begun).await?;
            let Some(held) = self.open(index) else {
                return Ok(Ownership::Lost);
            };
            match inquiry.next(&mut held.fence, known) {
                InquiryStep::Ask(next) => question = next,
                InquiryStep::Own => {
                    held.note = note;
                    return Ok(Ownership::Owned);
                }
                InquiryStep::Lost => {
                    if question == ServerQuery::FindRequest && self.is_replaced().await? {
                        return Ok(Ownership::Missing);
                    }
                    // An operator may have dropped it with another note.
                    if let Some(held) = self.open(index) {
                        held.is_noted |= ended.is_some();
                    }
                    let ended = ended.map(|ended| HeldState::Ended(Box::new(ended)));
                    self.set_state(index, ended.unwrap_or(HeldState::Lost));
                    return Ok(Ownership::Lost);
                }
            }
        }
        Err(self.missed(begun))
    }

    /// Puts one question to the servers. Gives back the end that another's note tells, too.
    async fn ask(
        &self,
        index: usize,
        question: ServerQuery,
        note: &DeliveryNote,
        begun: Instant,
    ) -> Result<(ServerReply, Option<Record>), StoreError> {
        let key = self.key(index);
        let bucket = StreamName::Attempts;
        let known = match question {
            ServerQuery::Write { over } => match self
                .session
                .write(bucket, &key, json(note), Some(over))
                .await
            {
                Ok(revision) => ServerReply::Written { revision },
                Err(CallError::Conflict) => ServerReply::Conflict,
                Err(error) => return Err(self.failed(begun, error)),
            },
            ServerQuery::ReadNote => {
                let entry = self
                    .session
                    .entry(bucket, &key)
                    .await
                    .map_err(|_| self.missed(begun))?;
                let Some(entry) = entry else {
                    return Ok((ServerReply::NoNote, None));
                };
                let found: DeliveryNote = read(&entry.value).unwrap_or_default();
                let known = ServerReply::Note {
                    revision: entry.revision,
                    is_own: (&found.owner, found.fence) == (&note.owner, note.fence),
                };
                return Ok((known, found.ended));
            }
            ServerQuery::FindRequest => ServerReply::Request {
                is_there: self.find_request().await?,
            },
        };
        Ok((known, None))
    }
}
