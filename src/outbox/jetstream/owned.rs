//! One request that this process has, until all its deliveries have ended: who asks for it is answered in order.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::Subject;
use async_nats::jetstream::Message;
use async_nats::jetstream::kv::UpdateErrorKind;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::idempotency::free_key;
use super::server::{Session, purge};
use super::stored::{Known, Note, Stored, json, millis, now, read};
use super::subjects::{attempt_key, attempt_keys, config_token, known_key, message_key};
use super::{Shared, TRIES, lock, subjects};
use crate::model::outcome::Outcome;
use crate::model::report::DeliveryReport;
use crate::outbox::operator::State;
use crate::outbox::record::Record;
use crate::outbox::{OutboxError, Ownership, RENEW_EVERY, Trouble};

type Answer<T> = oneshot::Sender<Result<T, OutboxError>>;

/// What is asked of a request, by the places of its deliveries.
pub enum Asked {
    Owns(usize, Answer<Ownership>),
    Attempting(usize, SystemTime, Answer<Ownership>),
    NotTaken(usize, Answer<()>),
    PartsDone(usize, usize, Answer<()>),
    End(usize, Box<DeliveryReport>, Answer<()>),
    /// The server has handed it to this process once more.
    Again(Option<Subject>),
    /// Nobody has heard of it: nothing of it stays.
    Forget(oneshot::Sender<()>),
    /// Let another process have it at once.
    Release(oneshot::Sender<()>),
}

/// How long to wait for servers that are away, before what has happened is told to them again.
const TELL_AGAIN: Duration = Duration::from_millis(500);

/// That a request is this process's, and the way of what is asked of it. Given up when it is dropped.
pub struct Registration {
    shared: Arc<Shared>,
    task: String,
    asked: UnboundedReceiver<Asked>,
}

impl Registration {
    /// `None`: the process has the request already, by another message.
    pub fn new(shared: &Arc<Shared>, task: &str) -> Option<Self> {
        let mut owned = lock(&shared.owned);
        let Entry::Vacant(place) = owned.entry(task.to_owned()) else {
            return None;
        };
        let (sender, asked) = unbounded_channel();
        place.insert(sender);
        Some(Self {
            shared: Arc::clone(shared),
            task: task.to_owned(),
            asked,
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.shared.owned).remove(&self.task);
    }
}

/// What is known of the request here, and what is still to be done.
pub struct OwnedRequest {
    registration: Registration,
    shared: Arc<Shared>,
    session: Arc<Session>,
    stored: Stored,
    sequence: u64,
    /// Where the message is acknowledged.
    reply: Option<Subject>,
    /// What is noted of deliveries, and the revision that says so.
    notes: BTreeMap<usize, (u64, Note)>,
    /// Deliveries that this process has to do.
    open: BTreeSet<usize>,
    ended: BTreeMap<usize, Record>,
    dead: BTreeSet<usize>,
}

impl OwnedRequest {
    /// From now on the process serves what is asked of it.
    pub fn start(
        registration: Registration,
        session: Arc<Session>,
        stored: Stored,
        message: Message,
        notes: BTreeMap<usize, (u64, Note)>,
    ) {
        let shared = Arc::clone(&registration.shared);
        let mut owned = Self {
            shared: Arc::clone(&shared),
            registration,
            session,
            sequence: message.info().map_or(0, |info| info.stream_sequence),
            reply: message.reply.clone(),
            open: stored.open().into_iter().collect(),
            notes,
            ended: BTreeMap::new(),
            dead: BTreeSet::new(),
            stored,
        };
        let ended: Vec<_> = owned
            .notes
            .iter()
            .filter_map(|(place, (_, note))| Some((*place, note.ended.clone()?)))
            .collect();
        for (place, record) in ended {
            owned.close(place, record);
        }
        shared.runtime.spawn(owned.serve());
    }

    async fn serve(mut self) {
        let mut alive = interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let all_ended = self.open.is_empty();
        let mut goes_on = !all_ended;
        if all_ended {
            self.finish().await;
        }
        while goes_on {
            tokio::select! {
                question = self.registration.asked.recv() => match question {
                    Some(question) => goes_on = self.answer(question).await,
                    None => goes_on = false,
                },
                _ = alive.tick() => self.acknowledge("+WPI").await,
            }
        }
    }

    /// Whether it is still to be served.
    async fn answer(&mut self, question: Asked) -> bool {
        match question {
            Asked::Owns(place, reply) => {
                let _ = reply.send(self.owns(place).await);
            }
            Asked::Attempting(place, at, reply) => {
                let at = Some(millis(at));
                let noted = self.note(place, |note| note.attempting = at).await;
                let _ = reply.send(noted);
            }
            Asked::NotTaken(place, reply) => {
                let noted = match self.notes.contains_key(&place) {
                    true => self.note(place, |note| note.attempting = None).await,
                    false => Ok(Ownership::Mine),
                };
                let _ = reply.send(noted.map(drop));
            }
            Asked::PartsDone(place, parts, reply) => {
                let noted = self.note(place, |note| {
                    note.parts = parts;
                    note.attempting = None;
                });
                let _ = reply.send(noted.await.map(drop));
            }
            Asked::End(place, report, reply) => {
                let ended = self.end(place, &report).await;
                let last = self.open.is_empty() && !self.ended.is_empty();
                if last {
                    self.finish().await;
                }
                let _ = reply.send(ended);
                return !last && !self.open.is_empty();
            }
            Asked::Again(reply) => self.reply = reply,
            Asked::Forget(reply) => {
                self.forget().await;
                let _ = reply.send(());
                return false;
            }
            Asked::Release(reply) => {
                self.acknowledge("-NAK").await;
                let _ = self.session.client.flush().await;
                let _ = reply.send(());
                return false;
            }
        }
        match (self.open.is_empty(), self.ended.is_empty()) {
            (false, _) => true,
            // What was left of it is another's.
            (true, true) => false,
            (true, false) => {
                self.finish().await;
                false
            }
        }
    }

    /// Whose a delivery is by what is noted. Without a note it is whose the message was at first, as long as it is there.
    async fn owns(&mut self, place: usize) -> Result<Ownership, OutboxError> {
        if !self.open.contains(&place) {
            return Ok(Ownership::Lost);
        }
        let begun = Instant::now();
        let entry = self.session.attempts.entry(self.key(place)).await;
        let entry = entry.map_err(|_| self.missed(begun))?;
        let Some(entry) = entry else {
            return self.is_there(place).await;
        };
        let note: Note = read(&entry.value).unwrap_or_default();
        Ok(self.known(place, entry.revision, note))
    }

    /// Takes up what is noted.
    fn known(&mut self, place: usize, revision: u64, note: Note) -> Ownership {
        if note.owner == self.shared.owner {
            self.notes.insert(place, (revision, note));
            return Ownership::Mine;
        }
        self.open.remove(&place);
        // An operator has dropped it.
        if let Some(ended) = note.ended {
            self.close(place, ended);
        }
        Ownership::Lost
    }

    async fn is_there(&mut self, place: usize) -> Result<Ownership, OutboxError> {
        let begun = Instant::now();
        match self.session.work.get_raw_message(self.sequence).await {
            Ok(_) => Ok(Ownership::Mine),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                self.open.remove(&place);
                Ok(Ownership::Lost)
            }
            Err(_) => Err(self.missed(begun)),
        }
    }

    /// Notes something of a delivery, if it is still this process's.
    async fn note(
        &mut self,
        place: usize,
        change: impl Fn(&mut Note),
    ) -> Result<Ownership, OutboxError> {
        if !self.open.contains(&place) {
            return Ok(Ownership::Lost);
        }
        let begun = Instant::now();
        let key = self.key(place);
        for _ in 0..TRIES {
            let (revision, mut note) = self.notes.get(&place).cloned().unwrap_or_default();
            note.owner.clone_from(&self.shared.owner);
            change(&mut note);
            let written = self
                .session
                .attempts
                .update(&key, json(&note), revision)
                .await;
            match written {
                Ok(now) => {
                    self.notes.insert(place, (now, note));
                    // Whoever has taken it over and ended it has removed the notes.
                    return match revision {
                        0 => self.first_note(place).await,
                        _ => Ok(Ownership::Mine),
                    };
                }
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
                Err(_) => return Err(self.missed(begun)),
            }
            let entry = self.session.attempts.entry(&key).await;
            match entry.map_err(|_| self.missed(begun))? {
                Some(entry) => {
                    let note: Note = read(&entry.value).unwrap_or_default();
                    if self.known(place, entry.revision, note) == Ownership::Lost {
                        return Ok(Ownership::Lost);
                    }
                }
                None => {
                    self.notes.remove(&place);
                    sleep(Duration::from_millis(10)).await;
                }
            }
        }
        Err(self.missed(begun))
    }

    async fn first_note(&mut self, place: usize) -> Result<Ownership, OutboxError> {
        let there = self.is_there(place).await;
        if !matches!(there, Ok(Ownership::Mine)) {
            self.notes.remove(&place);
            let _ = purge(&self.session.attempts, &self.key(place)).await;
        }
        there
    }

    async fn end(&mut self, place: usize, report: &DeliveryReport) -> Result<(), OutboxError> {
        let record = Record::of(report);
        loop {
            let noted = match self.is_noted(place) {
                true => {
                    let ended = Some(record.clone());
                    self.note(place, |note| note.ended.clone_from(&ended)).await
                }
                false => self.owns(place).await,
            };
            match noted {
                Ok(Ownership::Mine) => break,
                // Whoever has taken it over says how it ends.
                Ok(_) => return Ok(()),
                Err(error) if !passes(&error) => return Err(error),
                Err(_) => sleep(TELL_AGAIN).await,
            }
        }
        if let Outcome::Delivered {
            message: Some(message),
        } = &report.outcome
            && self.notes.contains_key(&place)
        {
            let whose = format!("{}/{place}", self.stored.task);
            let key = message_key(&message.0);
            let _ = self.session.known.put(key, whose.into()).await;
        }
        self.close(place, record);
        Ok(())
    }

    /// Whether a delivery's end is noted before the request's is.
    fn is_noted(&self, place: usize) -> bool {
        self.notes.contains_key(&place) || self.stored.open().len() > 1
    }

    /// A delivery has ended, here or by somebody else.
    fn close(&mut self, place: usize, record: Record) {
        if State::ended(&record.clone().report(place).outcome) == State::Dead {
            self.dead.insert(place);
        }
        self.open.remove(&place);
        self.ended.insert(place, record);
    }

    /// All has ended: says so to whom it may concern, and lets the message go.
    async fn finish(&mut self) {
        for (place, record) in &self.ended {
            self.stored.set_report(*place, record.clone());
        }
        while let Err(error) = self.say_ended().await {
            if !passes(&error) {
                return;
            }
            sleep(TELL_AGAIN).await;
        }
    }

    async fn say_ended(&mut self) -> Result<(), OutboxError> {
        let begun = Instant::now();
        if !self.dead.is_empty() {
            let letter = self.stored.dead_letter(&self.dead);
            let config = config_token(&self.stored.config);
            let subject = subjects::dead(&config, &self.stored.task);
            let id = format!("{}/{}", self.stored.task, self.sequence);
            let published = self.session.publish(subject, letter, &id).await;
            published.map_err(|_| self.missed(begun))?;
        }
        if let Some(key) = &self.stored.key {
            self.end_key(key, begun).await?;
        }
        let reply = self.reply.clone().unwrap_or_else(|| "none".into());
        let acknowledged = self
            .session
            .client
            .request(reply, Bytes::from_static(b"+ACK"));
        acknowledged.await.map_err(|_| self.missed(begun))?;
        if !self.notes.is_empty() {
            let purged = purge(&self.session.attempts, &attempt_keys(&self.stored.task)).await;
            purged.map_err(|_| self.missed(begun))?;
        }
        Ok(())
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
            known.ended = Some(now());
            known.reports = self.stored.reports().iter().map(Record::of).collect();
            let written = self
                .session
                .known
                .update(&name, json(&known), entry.revision);
            match written.await {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
                Err(_) => return Err(self.missed(begun)),
            }
        }
        Err(self.missed(begun))
    }

    async fn forget(&mut self) {
        if let Some(key) = &self.stored.key {
            let name = known_key(&self.stored.identity().scope, key);
            free_key(&self.session, &name).await;
        }
        if let Some(reply) = self.reply.clone() {
            let ack = Bytes::from_static(b"+ACK");
            let _ = self.session.client.request(reply, ack).await;
        }
    }

    async fn acknowledge(&self, how: &'static str) {
        if let Some(reply) = self.reply.clone() {
            let how = Bytes::from_static(how.as_bytes());
            let _ = self.session.client.publish(reply, how).await;
        }
    }

    fn key(&self, place: usize) -> String {
        attempt_key(&self.stored.task, place)
    }

    fn missed(&self, since: Instant) -> OutboxError {
        self.shared.servers.missed(&self.session, since)
    }
}

/// Whether it is only a matter of time.
fn passes(error: &OutboxError) -> bool {
    matches!(
        error.trouble,
        Trouble::Unreachable | Trouble::TooSlow | Trouble::Credentials
    )
}
