//! One request that this process holds, until all its deliveries have ended. Answers questions about it in their order.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::Subject;
use async_nats::jetstream::Message;
use async_nats::jetstream::kv::UpdateErrorKind;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::fence::{Answer as Known, Fence, Inquiry, Next, Question};
use super::idempotency::has_key;
use super::order::PlaceInLine;
use super::server::Session;
use super::stored::{Note, Stored, json, millis, read};
use super::subjects::{attempt_key, known_key, message_key};
use super::{Shared, TRIES, history, lock};
use crate::model::outcome::Outcome;
use crate::model::report::DeliveryReport;
use crate::outbox::record::Record;
use crate::outbox::{HistoryRow, KeptRequest, LEASE, OutboxError, Ownership, RENEW_EVERY, Trouble};

type Reply<T> = oneshot::Sender<Result<T, OutboxError>>;

/// What is asked of a request, by the places of its deliveries.
pub enum Asked {
    Owns(usize, Reply<Ownership>),
    Attempting(usize, SystemTime, Reply<Ownership>),
    NotTaken(usize, Reply<()>),
    PartsDone(usize, usize, Reply<()>),
    End(usize, Box<(DeliveryReport, Option<HistoryRow>)>, Reply<()>),
    /// The server has handed the request to this process once more.
    Redelivered(Option<Subject>),
    /// Its caller does not wait any more: nothing of it stays.
    Forget(oneshot::Sender<()>),
    /// This process begins anew with it.
    Abandon(oneshot::Sender<()>),
    /// Let another process have it at once.
    Release(oneshot::Sender<()>),
}

/// How long to wait before servers that did not answer are told again what has happened.
const TELL_AGAIN: Duration = Duration::from_millis(500);
/// Notes that are taken at a time.
const NOTES_AT_ONCE: usize = 256;

/// That this process holds a request, and the questions about it. Given up when it is dropped.
pub struct Registration {
    shared: Arc<Shared>,
    task: String,
    sequence: u64,
    asked: UnboundedReceiver<Asked>,
    place: Option<Arc<PlaceInLine>>,
}

/// The way to a request that this process holds.
pub struct Owned {
    pub sequence: u64,
    pub asked: UnboundedSender<Asked>,
    /// `None`: it has no dedup key.
    pub place: Option<Arc<PlaceInLine>>,
}

impl Registration {
    /// `None`: the process holds the request already, by another message.
    pub fn new(
        shared: &Arc<Shared>,
        stored: &Stored,
        sequence: u64,
        place: Option<Arc<PlaceInLine>>,
    ) -> Option<Self> {
        let mut owned = lock(&shared.owned);
        let Entry::Vacant(entry) = owned.entry(stored.task.clone()) else {
            return None;
        };
        let place = place.or_else(|| PlaceInLine::enter(shared, stored, sequence));
        let (sender, asked) = unbounded_channel();
        entry.insert(Owned {
            sequence,
            asked: sender,
            place: place.clone(),
        });
        Some(Self {
            shared: Arc::clone(shared),
            task: stored.task.clone(),
            sequence,
            asked,
            place,
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        lock(&self.shared.owned).remove(&self.task);
    }
}

/// A request that this process holds.
pub struct OwnedRequest {
    registration: Registration,
    pub(super) shared: Arc<Shared>,
    pub(super) session: Arc<Session>,
    pub(super) stored: Stored,
    pub(super) sequence: u64,
    pub(super) subject: Subject,
    /// When the stream took it.
    published: u64,
    /// Where the message is acknowledged.
    pub(super) reply: Option<Subject>,
    pub(super) deliveries: BTreeMap<usize, Held>,
    /// When the server was last asked to renew the lease, and did.
    renewed: Instant,
    /// Another stream is in the place of the one that has handed out the request.
    pub(super) is_orphan: bool,
}

/// A delivery of it.
pub(super) struct Held {
    fence: Fence,
    /// As this process last wrote it, or would.
    note: Note,
    pub state: HeldState,
    /// Whether a note may stand at the servers.
    pub is_noted: bool,
}

pub(super) enum HeldState {
    Open,
    Ended(Box<Record>),
    /// Another process has it.
    Lost,
}

impl OwnedRequest {
    /// The process that accepted the request, or the first that was handed it: no other can hold it.
    pub fn first(
        registration: Registration,
        session: Arc<Session>,
        stored: Stored,
        message: &Message,
    ) -> Self {
        let shared = Arc::clone(&registration.shared);
        let note = Note {
            owner: shared.owner.clone(),
            ..Note::default()
        };
        let open = stored.open().into_iter().map(|place| {
            let held = Held {
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
            shared,
            session,
            subject: message.subject.clone(),
            published: published(message),
            reply: message.reply.clone(),
            stored,
            renewed: Instant::now(),
            is_orphan: false,
        }
    }

    /// Takes the deliveries over from whoever held them: each gets a note of a new holder, and the request must be in the
    /// stream after that. `None`: not now.
    pub async fn take_over(&mut self) -> Option<()> {
        let keys = self.deliveries.keys().map(|place| self.key(*place));
        let attempts = &self.session.attempts;
        let entries = stream::iter(keys.collect::<Vec<_>>())
            .map(|key| async move { attempts.entry(key).await })
            .buffered(NOTES_AT_ONCE);
        let entries: Vec<_> = entries.collect().await;
        let mut revisions = Vec::new();
        for (held, entry) in self.deliveries.values_mut().zip(entries) {
            let entry = entry.ok()?;
            revisions.push(entry.as_ref().map_or(0, |entry| entry.revision));
            if let Some(note) = entry.and_then(|entry| read::<Note>(&entry.value)) {
                held.is_noted = true;
                held.note = note;
            }
        }
        let fence = self.deliveries.values().map(|held| held.note.fence).max();
        let fence = fence.unwrap_or_default() + 1;
        let mut writes = Vec::new();
        for ((place, held), revision) in self.deliveries.iter_mut().zip(revisions) {
            if let Some(ended) = held.note.ended.clone() {
                held.state = HeldState::Ended(Box::new(ended));
                if let Some(line) = &self.registration.place {
                    line.ended(*place);
                }
                continue;
            }
            held.note.owner.clone_from(&self.shared.owner);
            held.note.fence = fence;
            held.is_noted = true;
            let key = attempt_key(&self.stored.task, self.sequence, *place);
            writes.push((*place, key, json(&held.note), Fence::take(revision)));
        }
        let written =
            stream::iter(writes).map(|(place, key, note, (inquiry, question))| async move {
                let Question::Write { over } = question else {
                    return None;
                };
                let revision = attempts.update(key, note, over).await.ok()?;
                Some((place, inquiry, revision))
            });
        let written: Vec<_> = written.buffered(NOTES_AT_ONCE).collect().await;
        if written.is_empty() {
            return Some(());
        }
        let is_there = self.find_request().await.ok()?;
        for written in written {
            let (place, mut inquiry, revision) = written?;
            let fence = &mut self.deliveries.get_mut(&place)?.fence;
            inquiry.next(fence, Known::Written { revision });
            if inquiry.next(fence, Known::Request { is_there }) != Next::Own {
                return None;
            }
        }
        Some(())
    }

    /// Whether its idempotency key is still its own; `None`: not known. A request that was a dead letter needs none.
    pub async fn has_its_key(&self) -> Option<bool> {
        match &self.stored.key {
            Some(key) if !self.stored.is_retried => {
                let name = known_key(&self.stored.identity().scope, key);
                has_key(&self.session, &name, &self.stored.task).await
            }
            _ => Some(true),
        }
    }

    /// What delivery code goes on with; `None`: all has ended.
    pub fn kept(&self) -> Option<KeptRequest> {
        let notes = self.deliveries.iter().filter(|(_, held)| held.is_noted);
        let notes = notes.map(|(place, held)| (*place, held.note.clone()));
        let now = self.shared.servers.now();
        let kept = self.stored.kept(&notes.collect(), self.published, now);
        let is_open = kept
            .deliveries
            .iter()
            .any(|delivery| delivery.work.is_some());
        is_open.then_some(kept)
    }

    /// From now on the process answers questions about it.
    pub fn start(self) {
        let runtime = self.shared.runtime.clone();
        runtime.spawn(self.serve());
    }

    async fn serve(mut self) {
        let mut renewal = interval_at(Instant::now() + RENEW_EVERY, RENEW_EVERY);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.goes_on().await {
            tokio::select! {
                asked = self.registration.asked.recv() => match asked {
                    Some(Asked::Forget(reply)) => {
                        self.forget().await;
                        let _ = reply.send(());
                        return;
                    }
                    Some(Asked::Release(reply)) => {
                        self.release().await;
                        let _ = reply.send(());
                        return;
                    }
                    Some(Asked::Abandon(reply)) => {
                        drop(self);
                        let _ = reply.send(());
                        return;
                    }
                    Some(Asked::End(place, end, reply)) => {
                        let (report, row) = *end;
                        let ended = self.end(place, &report, row.as_ref()).await;
                        let goes_on = self.goes_on().await;
                        let _ = reply.send(ended);
                        if !goes_on {
                            return;
                        }
                    }
                    Some(asked) => self.answer(asked).await,
                    None => return,
                },
                _ = renewal.tick() => self.renew().await,
            }
        }
    }

    /// Whether a delivery is open. Where all have ended, finishes the request; what others hold is theirs to finish.
    async fn goes_on(&mut self) -> bool {
        let mut states = self.deliveries.values().map(|held| &held.state);
        if states.any(|state| matches!(state, HeldState::Open)) {
            return true;
        }
        let mut states = self.deliveries.values().map(|held| &held.state);
        if states.all(|state| matches!(state, HeldState::Ended(_))) {
            self.finish().await;
        }
        false
    }

    async fn answer(&mut self, asked: Asked) {
        match asked {
            Asked::Owns(place, reply) => {
                let _ = reply.send(self.owns(place).await);
            }
            Asked::Attempting(place, at, reply) => {
                let at = Some(millis(at));
                let noted = self.note(place, |note| note.attempting = at).await;
                let _ = reply.send(noted);
            }
            Asked::NotTaken(place, reply) => {
                let noted = match self.is_noted(place) {
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
            Asked::Redelivered(reply) => self.reply = reply,
            Asked::End(..) | Asked::Forget(_) | Asked::Abandon(_) | Asked::Release(_) => {}
        }
    }

    /// Whether the delivery is still this process's.
    async fn owns(&mut self, place: usize) -> Result<Ownership, OutboxError> {
        let Some(held) = self.open(place) else {
            return Ok(Ownership::Lost);
        };
        let (inquiry, question) = held.fence.check();
        let note = held.note.clone();
        self.inquire(place, inquiry, question, note).await
    }

    /// Notes something of a delivery, if it is still this process's.
    async fn note(
        &mut self,
        place: usize,
        change: impl FnOnce(&mut Note),
    ) -> Result<Ownership, OutboxError> {
        let Some(held) = self.open(place) else {
            return Ok(Ownership::Lost);
        };
        held.is_noted = true;
        let (inquiry, question) = held.fence.write();
        let mut note = held.note.clone();
        change(&mut note);
        self.inquire(place, inquiry, question, note).await
    }

    /// Asks until it is known whose the delivery is. An error says that it is not known.
    async fn inquire(
        &mut self,
        place: usize,
        mut inquiry: Inquiry,
        mut question: Question,
        note: Note,
    ) -> Result<Ownership, OutboxError> {
        let begun = Instant::now();
        if self.is_orphan {
            return Ok(Ownership::Gone);
        }
        for _ in 0..4 * TRIES {
            let (known, ended) = self.ask(place, question, &note, begun).await?;
            let Some(held) = self.open(place) else {
                return Ok(Ownership::Lost);
            };
            match inquiry.next(&mut held.fence, known) {
                Next::Ask(next) => question = next,
                Next::Own => {
                    held.note = note;
                    return Ok(Ownership::Mine);
                }
                Next::Lost => {
                    if question == Question::FindRequest && self.is_replaced().await? {
                        return Ok(Ownership::Gone);
                    }
                    if let Some(held) = self.open(place) {
                        // An operator has dropped it.
                        let ended = ended.map(|ended| HeldState::Ended(Box::new(ended)));
                        held.state = ended.unwrap_or(HeldState::Lost);
                    }
                    if let Some(line) = self.place_in_line() {
                        line.lost(place);
                    }
                    return Ok(Ownership::Lost);
                }
            }
        }
        Err(self.missed(begun))
    }

    /// Puts one question to the servers. Gives back the end that another's note tells, too.
    async fn ask(
        &self,
        place: usize,
        question: Question,
        note: &Note,
        begun: Instant,
    ) -> Result<(Known, Option<Record>), OutboxError> {
        let key = self.key(place);
        let attempts = &self.session.attempts;
        let known = match question {
            Question::Write { over } => match attempts.update(key, json(note), over).await {
                Ok(revision) => Known::Written { revision },
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Known::Conflict,
                Err(error) => return Err(self.failed(begun, &error)),
            },
            Question::ReadNote => {
                let entry = attempts.entry(key).await.map_err(|_| self.missed(begun))?;
                let Some(entry) = entry else {
                    return Ok((Known::NoNote, None));
                };
                let found: Note = read(&entry.value).unwrap_or_default();
                let known = Known::Note {
                    revision: entry.revision,
                    is_own: (&found.owner, found.fence) == (&note.owner, note.fence),
                };
                return Ok((known, found.ended));
            }
            Question::FindRequest => Known::Request {
                is_there: self.find_request().await?,
            },
        };
        Ok((known, None))
    }

    /// Whether the request is in the stream; asks its leader.
    pub(super) async fn find_request(&self) -> Result<bool, OutboxError> {
        let begun = Instant::now();
        let found = self.session.find(self.sequence).await;
        let found = found.map_err(|()| self.missed(begun))?;
        Ok(found.is_some_and(|message| message.subject == self.subject))
    }

    /// Whether the request is missing because somebody has put another stream in the place of its own. This process goes on
    /// without it if nobody else can hold the request: its lease has not run out. Else that is an error.
    async fn is_replaced(&mut self) -> Result<bool, OutboxError> {
        let begun = Instant::now();
        let info = self.session.work.get_info().await;
        let info = info.map_err(|_| self.missed(begun))?;
        if info.created == self.session.work.cached_info().created {
            return Ok(false);
        }
        if self.renewed.elapsed() >= LEASE {
            return Err(self.shared.servers.error(Trouble::NoOutbox));
        }
        self.is_orphan = true;
        Ok(true)
    }

    /// Renews the lease. Where it may have run out, asks first whether another process has the request by now: a renewal
    /// would keep it from whoever comes after that process. What this process holds and does not run is handed out again.
    async fn renew(&mut self) {
        if self.is_orphan || !self.shared.runs(&self.stored) {
            return;
        }
        if self.renewed.elapsed() >= LEASE {
            let open: Vec<_> = self.open_places().collect();
            for place in open {
                if self.owns(place).await.is_err() {
                    return;
                }
            }
            if self.open_places().next().is_none() {
                return;
            }
        }
        let asked = Instant::now();
        match self.acknowledge("+WPI").await {
            Ok(()) => self.renewed = asked,
            Err(()) => {
                // The next call finds out what is wrong.
                let _ = self.missed(asked);
                let _ = self.find_replaced().await;
            }
        }
    }

    /// Notices in time that the stream is another.
    async fn find_replaced(&mut self) -> Result<(), OutboxError> {
        if !self.find_request().await? {
            self.is_replaced().await?;
        }
        Ok(())
    }

    /// Notes the end of a delivery, until the servers have heard it. The history row comes first: a process that is killed
    /// between the two has its delivery done again, and the row may be there twice.
    async fn end(
        &mut self,
        place: usize,
        report: &DeliveryReport,
        mut row: Option<&HistoryRow>,
    ) -> Result<(), OutboxError> {
        let record = Record::of(report);
        loop {
            if let Some(stored) = row
                && history::store(&self.shared, &self.session, stored).await
            {
                row = None;
            }
            let noted = match self.is_noted(place) || self.deliveries.len() > 1 {
                true => {
                    let ended = record.clone();
                    self.note(place, |note| note.ended = Some(ended)).await
                }
                false => self.owns(place).await,
            };
            match noted {
                Ok(Ownership::Mine | Ownership::Gone) => break,
                // Whoever has taken it over says how it ends.
                Ok(Ownership::Lost) => return Ok(()),
                Err(error) if !passes(&error) => return Err(error),
                Err(_) => sleep(TELL_AGAIN).await,
            }
        }
        if let Outcome::Delivered {
            message: Some(message),
        } = &report.outcome
            && self.is_noted(place)
        {
            let whose = format!("{}/{place}", self.stored.task);
            let key = message_key(&message.0);
            let _ = self.session.known.put(key, whose.into()).await;
        }
        if let Some(held) = self.open(place) {
            held.state = HeldState::Ended(Box::new(record));
        }
        // Without a note, the end is known once the request is gone.
        if let Some(line) = self.place_in_line()
            && self.is_noted(place)
        {
            line.ended(place);
        }
        Ok(())
    }

    /// All has ended: says so to everyone, until they have heard it.
    async fn finish(&mut self) {
        while let Err(error) = self.say_ended().await {
            if !passes(&error) {
                return;
            }
            sleep(TELL_AGAIN).await;
        }
        if let Some(line) = self.place_in_line() {
            line.finished();
        }
    }

    /// Nothing of it was sent, and its caller knows that.
    async fn forget(&mut self) {
        self.free_key().await;
        let _ = self.acknowledge("+ACK").await;
    }

    async fn release(&mut self) {
        let _ = self.acknowledge("-NAK").await;
    }

    /// Acknowledges the message in one of the server's ways, and waits until it has done so.
    pub(super) async fn acknowledge(&self, how: &'static str) -> Result<(), ()> {
        let reply = self.reply.clone().ok_or(())?;
        let how = Bytes::from_static(how.as_bytes());
        let answered = self.session.client.request(reply, how).await;
        answered.map(drop).map_err(drop)
    }

    pub fn place_in_line(&self) -> Option<&Arc<PlaceInLine>> {
        self.registration.place.as_ref()
    }

    fn open(&mut self, place: usize) -> Option<&mut Held> {
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

    pub(super) fn failed(
        &self,
        since: Instant,
        error: &(dyn std::error::Error + 'static),
    ) -> OutboxError {
        self.shared.servers.failed(&self.session, since, error)
    }

    pub(super) fn missed(&self, since: Instant) -> OutboxError {
        self.shared.servers.missed(&self.session, since)
    }
}

/// Milliseconds since 1970 by the stream's clock.
pub fn published(message: &Message) -> u64 {
    message.info().map_or(0, |info| {
        let nanos = info.published.unix_timestamp_nanos();
        u64::try_from(nanos / 1_000_000).unwrap_or(0)
    })
}

/// Whether it is only a matter of time.
fn passes(error: &OutboxError) -> bool {
    !matches!(error.trouble, Trouble::NoPermission | Trouble::TooLarge)
}
