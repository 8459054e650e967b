//! The order of deliveries with the same configuration file, dedup key and destination, across processes.
//!
//! The stream defines the order. The dedup key's hash is a token of each request's subject, so the stream's leader
//! finds the older requests of a key. A process also remembers its own ones ([`KeyQueue`]). Nothing else is stored, so
//! a process leaves nothing behind when it ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::key_queue::{KeyQueue, OlderOfProcess};
use super::process::ProcessState;
use super::server::{Session, StreamName};
use super::stored::{DeliveryNote, RequestRecord, read};
use super::subjects::{self, attempt_key, config_token};
use notifier_core::panics::lock;
use notifier_core::store::{OrderKey, StoreError, StoreErrorKind};

/// How long a delivery waits for servers that do not reply.
const LOOK_WITHIN: Duration = Duration::from_secs(2);
/// Own requests that one search skips. A delivery behind more of them asks again before it is sent.
const MAX_QUESTIONS: usize = 16;

/// The place of a request with a dedup key that this process publishes or holds. Given up when it is dropped.
pub struct KeyQueuePosition {
    process: Arc<ProcessState>,
    /// The subjects of all requests of the queue.
    subjects: String,
    token: String,
    older: tokio::sync::Mutex<OlderRequests>,
}

impl KeyQueuePosition {
    /// `None`: the request has no dedup key. A sequence of zero means that it is not published yet.
    pub fn insert(
        process: &Arc<ProcessState>,
        stored: &RequestRecord,
        sequence: u64,
    ) -> Option<Arc<Self>> {
        let queued = Self {
            process: Arc::clone(process),
            subjects: subjects::works_of_key(
                &config_token(&stored.config),
                stored.dedup_key.as_deref()?,
            ),
            token: subjects::token(&stored.task),
            older: tokio::sync::Mutex::default(),
        };
        queued.with(|line, token| line.insert(token, &stored.task, sequence, stored.orders()));
        Some(Arc::new(queued))
    }

    /// Queues the deliveries of a new request. Returns those that must ask for older ones before they are sent.
    pub fn line_up(&self, has_others: bool) -> Vec<usize> {
        let running = &self.process.running;
        self.with(|line, token| line.line_up(token, has_others, running))
    }

    /// Returns whether another process may have an older request of the key. Usually asks the stream once. Without a
    /// reply, the answer is yes.
    pub async fn has_others(&self, session: &dyn Session, sequence: u64) -> bool {
        let look = self.look_for_others(session, sequence);
        timeout(LOOK_WITHIN, look).await.unwrap_or(true)
    }

    async fn look_for_others(&self, session: &dyn Session, sequence: u64) -> bool {
        let mut from = self.with(|line, token| {
            line.set_sequence(token, sequence);
            line.clear_before()
        });
        for _ in 0..MAX_QUESTIONS {
            match session
                .next_message(StreamName::Work, &self.subjects, from)
                .await
            {
                Ok(Some(message)) if message.sequence < sequence => {
                    let token = message.subject.rsplit('.').next().unwrap_or_default();
                    let at = message.sequence;
                    if !self.with(|line, _| line.has_lined_up(token, at)) {
                        return true;
                    }
                    from = at + 1;
                }
                Ok(_) => {
                    self.with(|line, _| line.set_clear_before(sequence));
                    return false;
                }
                Err(_) => return true,
            }
        }
        true
    }

    /// Returns whether an older delivery of the same order is open in any process. Waits for one of this process whose
    /// outcome is being written.
    pub async fn has_older(&self, index: usize) -> Result<bool, StoreError> {
        let look = timeout(LOOK_WITHIN, self.look_for_older(index)).await;
        look.unwrap_or_else(|_| Err(self.process.servers.error(StoreErrorKind::TimedOut)))
    }

    async fn look_for_older(&self, index: usize) -> Result<bool, StoreError> {
        let (position, order) = loop {
            let changed = self.process.lines.changed.notified();
            let state = self.with(|line, token| {
                let (sequence, order) = line.position(token, index)?;
                let position = (sequence, index);
                Some((position, order, line.older_in_process(order, position)))
            });
            match state {
                Some((_, _, OlderOfProcess::Open)) => return Ok(true),
                Some((_, _, OlderOfProcess::Ending)) => changed.await,
                Some((position, order, OlderOfProcess::None)) => break (position, order),
                None => return Ok(false),
            }
        };
        let servers = &self.process.servers;
        let session = servers.session().await?;
        let begun = Instant::now();
        let mut older = self.older.lock().await;
        older.begin_at(self.with(|line, _| line.clear_before()));
        let look = older.has_open(&*session, &self.subjects, position.0, order);
        let has_open = look.await.map_err(|()| servers.missed(&*session, begun))?;
        if !has_open {
            self.with(|line, token| line.mark_first(token, index));
        }
        Ok(has_open)
    }

    /// Records that the end of a delivery is being written.
    pub fn mark_ending(&self, index: usize) {
        self.with(|line, token| line.mark_ending(token, index));
    }

    /// Records that the end of a delivery is written.
    pub fn ended(&self, index: usize) {
        self.change(|line, token| line.ended(token, index));
    }

    /// Records that another process owns a delivery.
    pub fn lost(&self, index: usize) {
        self.change(|line, token| line.lost(token, index));
    }

    /// Records that the request is no longer in the stream.
    pub fn finished(&self) {
        self.change(KeyQueue::finished);
    }

    fn change(&self, change: impl FnOnce(&mut KeyQueue, &str)) {
        self.with(change);
        self.process.lines.changed.notify_waiters();
    }

    fn with<T>(&self, work: impl FnOnce(&mut KeyQueue, &str) -> T) -> T {
        let mut lines = lock(&self.process.lines.lines);
        work(lines.entry(self.subjects.clone()).or_default(), &self.token)
    }
}

impl Drop for KeyQueuePosition {
    fn drop(&mut self) {
        self.change(KeyQueue::remove);
        let mut lines = lock(&self.process.lines.lines);
        if lines.get(&self.subjects).is_some_and(KeyQueue::is_empty) {
            lines.remove(&self.subjects);
        }
    }
}

/// The older requests of a key that this process has found in the stream.
#[derive(Default)]
struct OlderRequests {
    begins_at: u64,
    next: u64,
    found: Vec<OlderRequest>,
}

struct OlderRequest {
    sequence: u64,
    subject: String,
    task: String,
    orders: Vec<(usize, OrderKey)>,
}

impl OlderRequests {
    /// Restarts the search at requests that this process may no longer own.
    fn begin_at(&mut self, sequence: u64) {
        if self.next == 0 || sequence < self.begins_at {
            *self = Self {
                begins_at: sequence,
                next: sequence,
                found: Vec::new(),
            };
        }
    }

    /// Continues the search until it finds an open delivery with this order key, or its own request.
    async fn has_open(
        &mut self,
        session: &dyn Session,
        subjects: &str,
        own: u64,
        order: OrderKey,
    ) -> Result<bool, ()> {
        let mut at = 0;
        loop {
            while let Some(request) = self.found.get_mut(at) {
                if request.has_open(session, order).await? {
                    return Ok(true);
                }
                at += 1;
            }
            let next = session
                .next_message(StreamName::Work, subjects, self.next)
                .await;
            match next.map_err(drop)? {
                Some(message) if message.sequence < own => {
                    self.next = message.sequence + 1;
                    // A request of a newer version delays nothing.
                    let stored = RequestRecord::read(&message.payload);
                    self.found.extend(stored.map(|stored| OlderRequest {
                        sequence: message.sequence,
                        subject: message.subject,
                        orders: stored.orders().collect(),
                        task: stored.task,
                    }));
                }
                _ => return Ok(false),
            }
        }
    }
}

impl OlderRequest {
    /// Returns whether one of its deliveries has this order and is open: its outcome is not noted, and the request is
    /// in the stream.
    async fn has_open(&mut self, session: &dyn Session, order: OrderKey) -> Result<bool, ()> {
        for (index, found) in &self.orders {
            if *found != order {
                continue;
            }
            let key = attempt_key(&self.task, self.sequence, *index);
            let entry = session
                .entry(StreamName::Attempts, &key)
                .await
                .map_err(drop)?;
            let note = entry.and_then(|entry| read::<DeliveryNote>(&entry.value));
            if note.is_some_and(|note| note.ended.is_some()) {
                continue;
            }
            let found = session
                .message(StreamName::Work, self.sequence)
                .await
                .map_err(drop)?;
            if found.is_some_and(|found| found.subject == self.subject) {
                return Ok(true);
            }
            self.orders.clear();
            return Ok(false);
        }
        Ok(false)
    }
}
