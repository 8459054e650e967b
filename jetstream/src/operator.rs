//! What an operator looks at and does, while processes go on working with the streams.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::consumer::{ANY, TRIES, make_consumer};
use super::nats::Nats;
use super::server::{CallError, Message, Servers, Session, Stream};
use super::stored::{Note, Stored, WorkRecord, json, read};
use super::subjects;
use super::subjects::{attempt_key, config_token};
use notifier_core::model::report::DeliveryReport;
use notifier_core::outbox::OutboxServers;
use notifier_core::outbox::operator::{Choice, Listed, Operator, State, Stats, dropped, retried};
use notifier_core::outbox::record::Record;
use notifier_core::outbox::{OutboxError, Trouble};

/// Who has dropped a delivery, in its note.
const OPERATOR: &str = "operator";

/// An operator's own way to the servers.
pub struct JetStreamOperator {
    runtime: Runtime,
    servers: Servers,
    session: Arc<dyn Session>,
    alive: BTreeMap<String, bool>,
}

/// A message, and how the deliveries are that it is for.
struct Looked {
    sequence: u64,
    stored: Stored,
    is_dead: bool,
    /// Milliseconds since 1970 at which it was stored.
    stored_at: i64,
    deliveries: BTreeMap<usize, Delivery>,
}

struct Delivery {
    state: State,
    owner: Option<String>,
    report: DeliveryReport,
}

impl JetStreamOperator {
    /// Connects, and looks for the streams; those that are missing are made.
    pub fn open(nats: OutboxServers) -> Result<Self, OutboxError> {
        let servers = Servers::new(Box::new(Nats::new(nats)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|_| servers.error(Trouble::Stopped))?;
        let session = runtime.block_on(servers.session())?;
        Ok(Self {
            session,
            runtime,
            servers,
            alive: BTreeMap::new(),
        })
    }

    /// Looks at all messages that a choice may be about, the oldest first, until `visit` has seen enough.
    fn each(
        &mut self,
        choice: &Choice,
        visit: &mut dyn FnMut(&mut Work<'_>, Looked) -> Result<bool, OutboxError>,
    ) -> Result<(), OutboxError> {
        let session = Arc::clone(&self.session);
        let mut work = self.work(&*session);
        for (stream, is_dead) in [(Stream::Work, false), (Stream::Dead, true)] {
            let subject = if is_dead {
                "notifier.dead.>"
            } else {
                "notifier.work.>"
            };
            let mut from = 1;
            while let Some(message) = work.next(stream, subject, from)? {
                from = message.sequence + 1;
                let Some(stored) = Stored::read(&message.payload) else {
                    continue;
                };
                let named = choice.task.as_ref();
                if named.is_some_and(|(task, _)| !stored.task.starts_with(task.as_str())) {
                    continue;
                }
                let looked = work.look(&message, stored, is_dead)?;
                if !visit(&mut work, looked)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn work<'a>(&'a mut self, session: &'a dyn Session) -> Work<'a> {
        Work {
            runtime: &self.runtime,
            servers: &self.servers,
            session,
            alive: &mut self.alive,
        }
    }
}

/// What it takes to ask the servers.
struct Work<'a> {
    runtime: &'a Runtime,
    servers: &'a Servers,
    session: &'a dyn Session,
    alive: &'a mut BTreeMap<String, bool>,
}

impl Work<'_> {
    fn ask<T, E>(&self, question: impl Future<Output = Result<T, E>>) -> Result<T, OutboxError> {
        let begun = Instant::now();
        let answer = self.runtime.block_on(question);
        answer.map_err(|_| self.servers.missed(self.session, begun))
    }

    fn next(
        &self,
        stream: Stream,
        subject: &str,
        from: u64,
    ) -> Result<Option<Message>, OutboxError> {
        self.ask(self.session.next_message(stream, subject, from))
    }

    fn look(
        &self,
        message: &Message,
        stored: Stored,
        is_dead: bool,
    ) -> Result<Looked, OutboxError> {
        let mut subject = message.subject.split('.').skip(2);
        let first = subject.next().filter(|_| !is_dead).unwrap_or_default();
        let again = first == ANY;
        let open = stored.open();
        let mut deliveries = BTreeMap::new();
        let notes = match is_dead {
            true => BTreeMap::new(),
            false => self.notes(&stored.task, message.sequence, &open)?,
        };
        for (place, report) in stored.reports().into_iter().enumerate() {
            let is_open = open.contains(&place);
            // Of a request that goes again the others have their own message, or none.
            if !is_open && (again || is_dead) {
                continue;
            }
            let note = notes.get(&place).map(|(_, note)| note);
            let ended = note.and_then(|note| note.ended.clone());
            let state = match &ended {
                Some(record) => State::ended(&record.clone().report(place).outcome),
                None if is_dead => State::Dead,
                None if is_open => State::Waiting,
                None => State::Ended,
            };
            let mut report = ended.map_or(report, |record| record.report(place));
            if let Some(note) = note {
                report.parts_delivered = report.parts_delivered.max(note.parts);
            }
            let owner = note.map(|note| note.owner.clone());
            let owner = owner.or_else(|| (!again && !is_dead).then(|| first.to_owned()));
            deliveries.insert(
                place,
                Delivery {
                    state,
                    owner,
                    report,
                },
            );
        }
        Ok(Looked {
            sequence: message.sequence,
            stored_at: i64::try_from(message.published).unwrap_or(i64::MAX),
            stored,
            is_dead,
            deliveries,
        })
    }

    fn notes(
        &self,
        task: &str,
        sequence: u64,
        places: &[usize],
    ) -> Result<BTreeMap<usize, (u64, Note)>, OutboxError> {
        let entries = places.iter().map(|place| {
            let key = attempt_key(task, sequence, *place);
            self.session.entry(Stream::Attempts, &key)
        });
        let entries = self.ask(async {
            let entries = join_all(entries).await;
            entries.into_iter().collect::<Result<Vec<_>, _>>()
        })?;
        let notes = places.iter().zip(entries).filter_map(|(place, entry)| {
            let entry = entry?;
            Some((*place, (entry.revision, read(&entry.value)?)))
        });
        Ok(notes.collect())
    }

    fn lives(&mut self, owner: &str) -> bool {
        if let Some(lives_) = self.alive.get(owner) {
            return *lives_;
        }
        let found = self.runtime.block_on(self.session.lives(owner));
        self.alive.insert(owner.to_owned(), found);
        found
    }

    fn listed(&mut self, looked: &Looked, place: usize, delivery: &Delivery) -> Listed {
        let work = looked.stored.deliveries.get(place);
        let work = work.and_then(|delivery| delivery.work.as_ref());
        let has_ended = !matches!(delivery.state, State::Waiting);
        let owner = delivery.owner.as_deref().filter(|_| !has_ended);
        Listed {
            task: looked.stored.task.clone(),
            state: delivery.state,
            accepted: i64::try_from(looked.stored.accepted).unwrap_or(i64::MAX),
            deadline: work
                .and_then(|work| i64::try_from(work.timeout).ok())
                .filter(|_| !looked.is_dead)
                .map(|timeout| looked.stored_at.saturating_add(timeout)),
            ended: looked.is_dead.then_some(looked.stored_at),
            owned: owner.is_some_and(|owner| self.lives(owner)),
            sealed: work.is_some_and(WorkRecord::is_sealed),
            report: delivery.report.clone(),
        }
    }

    /// Takes some of a dead letter's deliveries out of it.
    fn take_out(&self, looked: &Looked, places: &BTreeSet<usize>) -> Result<(), OutboxError> {
        let left: BTreeSet<_> = looked.deliveries.keys().copied().collect();
        let left: BTreeSet<_> = left.difference(places).copied().collect();
        if !left.is_empty() {
            let config = config_token(&looked.stored.config);
            let subject = subjects::dead(&config, &looked.stored.task);
            let id = format!("{}/{}/{left:?}", looked.stored.task, looked.sequence);
            let letter = looked.stored.dead_letter(&left);
            self.ask(self.session.publish(subject, letter, Some(&id)))?;
        }
        self.ask(self.session.delete_message(Stream::Dead, looked.sequence))?;
        Ok(())
    }

    /// Puts some of a dead letter's deliveries back among those that are nobody's.
    fn put_back(&self, looked: &mut Looked, places: &BTreeSet<usize>) -> Result<(), OutboxError> {
        let config = config_token(&looked.stored.config);
        let making = make_consumer(self.servers, self.session, ANY, &config);
        self.runtime.block_on(making)?;
        let before = looked.stored.dead_letter(places);
        let Some(mut again) = Stored::read(&before) else {
            return Err(self.servers.error(Trouble::Broken));
        };
        for place in places {
            if let Some(delivery) = looked.deliveries.get(place) {
                again.set_report(*place, Record::of(&retried(&delivery.report)));
            }
        }
        again.is_retried = true;
        let subject = subjects::work(ANY, &config, again.dedup_key.as_deref(), &again.task);
        let id = format!("{}/{}/again/{places:?}", again.task, looked.sequence);
        self.ask(self.session.publish(subject, again.bytes(), Some(&id)))?;
        self.take_out(looked, places)
    }

    /// Notes that an operator has ended a delivery: whoever has it is told at its next step.
    fn note_dropped(
        &self,
        looked: &Looked,
        place: usize,
        report: &DeliveryReport,
    ) -> Result<(), OutboxError> {
        let (task, sequence) = (&looked.stored.task, looked.sequence);
        let key = attempt_key(task, sequence, place);
        for _ in 0..TRIES {
            let notes = self.notes(task, sequence, &[place])?;
            let (revision, mut note) = notes.get(&place).cloned().unwrap_or_default();
            OPERATOR.clone_into(&mut note.owner);
            note.ended = Some(Record::of(report));
            let begun = Instant::now();
            let note = json(&note);
            let written = self
                .session
                .write(Stream::Attempts, &key, note, Some(revision));
            match self.runtime.block_on(written) {
                Ok(_) => return Ok(()),
                Err(CallError::Conflict) => {}
                Err(error) => return Err(self.servers.failed(self.session, begun, error)),
            }
        }
        Err(self.servers.error(Trouble::Busy))
    }
}

impl Operator for JetStreamOperator {
    fn list(&mut self, choice: &Choice, limit: usize) -> Result<Vec<Listed>, OutboxError> {
        let mut listed = Vec::new();
        self.each(choice, &mut |work, looked| {
            for place in chosen(choice, &looked, &State::ALL) {
                if let Some(delivery) = looked.deliveries.get(&place) {
                    listed.push(work.listed(&looked, place, delivery));
                }
            }
            Ok(listed.len() < limit)
        })?;
        listed.sort_by(|a: &Listed, b| {
            (a.accepted, &a.task, a.report.index).cmp(&(b.accepted, &b.task, b.report.index))
        });
        listed.truncate(limit);
        Ok(listed)
    }

    fn said(&mut self, task: &str) -> Result<Option<String>, OutboxError> {
        let mut said = None;
        let choice = Choice {
            task: Some((task.to_owned(), None)),
            ..Choice::default()
        };
        self.each(&choice, &mut |_, looked| {
            if looked.stored.task == task {
                said = Some(looked.stored.said);
            }
            Ok(said.is_none())
        })?;
        Ok(said)
    }

    fn retry(&mut self, choice: &Choice) -> Result<usize, OutboxError> {
        // First seen, then changed: a letter that is left would be met again.
        let mut letters = Vec::new();
        self.each(choice, &mut |_, looked| {
            let places: BTreeSet<_> = chosen(choice, &looked, &[State::Dead])
                .into_iter()
                .collect();
            if looked.is_dead && !places.is_empty() {
                letters.push((looked, places));
            }
            Ok(true)
        })?;
        let session = Arc::clone(&self.session);
        let work = self.work(&*session);
        let mut count = 0;
        for (mut looked, places) in letters {
            work.put_back(&mut looked, &places)?;
            count += places.len();
        }
        Ok(count)
    }

    fn drop(&mut self, choice: &Choice) -> Result<usize, OutboxError> {
        let mut found = Vec::new();
        self.each(choice, &mut |_, looked| {
            let places = chosen(choice, &looked, &[State::Waiting, State::Dead]);
            if !places.is_empty() {
                found.push((looked, places));
            }
            Ok(true)
        })?;
        let session = Arc::clone(&self.session);
        let work = self.work(&*session);
        let mut count = 0;
        for (looked, places) in found {
            count += places.len();
            if looked.is_dead {
                work.take_out(&looked, &places.into_iter().collect())?;
                continue;
            }
            for place in places {
                let Some(delivery) = looked.deliveries.get(&place) else {
                    continue;
                };
                let report = dropped(&delivery.report);
                work.note_dropped(&looked, place, &report)?;
            }
        }
        Ok(count)
    }

    fn stats(&mut self) -> Result<Stats, OutboxError> {
        let mut stats = Stats::default();
        self.each(&Choice::default(), &mut |_, looked| {
            stats.requests += 1;
            for delivery in looked.deliveries.values() {
                match delivery.state {
                    State::Waiting => stats.waiting += 1,
                    State::Dead => stats.dead += 1,
                    State::Ended => stats.ended += 1,
                    State::Dropped => stats.dropped += 1,
                }
            }
            if !looked.is_dead {
                let accepted = i64::try_from(looked.stored.accepted).unwrap_or(i64::MAX);
                stats.oldest = Some(stats.oldest.map_or(accepted, |oldest| oldest.min(accepted)));
            }
            Ok(true)
        })?;
        let session = Arc::clone(&self.session);
        let work = self.work(&*session);
        for stream in [
            Stream::Work,
            Stream::Dead,
            Stream::History,
            Stream::Attempts,
            Stream::Known,
        ] {
            stats.bytes += work.ask(session.info(stream))?.bytes;
        }
        Ok(stats)
    }
}

/// Places of the deliveries that are meant, of those states.
fn chosen(choice: &Choice, looked: &Looked, states: &[State]) -> Vec<usize> {
    let place = choice.task.as_ref().and_then(|(_, place)| *place);
    let is_chosen = |(at, delivery): &(&usize, &Delivery)| {
        let report = &delivery.report;
        let is = |given: &Option<String>, found: Option<&str>| {
            given.as_deref().is_none_or(|given| found == Some(given))
        };
        let failure = report.outcome.failure();
        place.is_none_or(|place| place == **at)
            && states.contains(&delivery.state)
            && (choice.states.is_empty() || choice.states.contains(&delivery.state))
            && is(&choice.sender, Some(&report.sender))
            && is(&choice.receiver, report.receiver.as_deref())
            && is(&choice.reason, failure.map(|failure| failure.reason.code()))
    };
    let all = looked.deliveries.iter().filter(is_chosen);
    all.map(|(place, _)| *place).collect()
}
