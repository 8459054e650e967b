//! The streams, buckets and consumers, and their operations.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use notifier_core::store::{LEASE, MAX_HISTORY, MAX_LAST_NOTIFICATIONS, StoreErrorKind};
use notifier_jetstream::server::{CallError, PulledMessage, StreamMessage, StreamName};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Link;

/// The start of the model's clock, in milliseconds since 1970.
const EPOCH: u64 = 1_764_000_000_000;

/// Servers, shared by all links to them.
#[derive(Clone)]
pub struct Servers(pub(super) Arc<Inner>);

pub(super) struct Inner {
    state: Mutex<State>,
    /// A message came into the stream of requests, or may be handed out again.
    pub changed: Notify,
    started: Instant,
}

#[derive(Default)]
pub(super) struct State {
    pub streams: HashMap<StreamName, Messages>,
    pub consumers: BTreeMap<String, ConsumerState>,
    /// Owners of links that are not cut.
    pub alive: HashSet<String>,
    /// The streams that accept no messages.
    full: HashSet<StreamName>,
    /// Which streams these are: others of the same names have another number.
    pub created: i128,
}

#[derive(Default)]
pub(super) struct Messages {
    last_sequence: u64,
    pub messages: BTreeMap<u64, StreamMessage>,
    ids: HashMap<String, u64>,
    /// The last message of each subject, if it is still there.
    last: HashMap<String, u64>,
}

#[derive(Default)]
pub(super) struct ConsumerState {
    pub subjects: String,
    /// All older messages were handed out at least once.
    next: u64,
    pub handed: BTreeMap<u64, Lease>,
    pub acknowledged_before: u64,
    pub last_used: u64,
}

pub(super) struct Lease {
    deliveries: u64,
    /// By the model's clock. In the past: it may be handed out again.
    pub until: u64,
}

impl Default for Servers {
    fn default() -> Self {
        Self(Arc::new(Inner {
            state: Mutex::default(),
            changed: Notify::new(),
            started: Instant::now(),
        }))
    }
}

impl Servers {
    /// The way of a process with this name.
    pub fn link(&self, owner: &str) -> Link {
        Link::new(self, owner)
    }

    /// Every lease expires, and history rows become a minute older.
    pub fn lapse(&self) {
        let mut state = self.lock();
        for consumer in state.consumers.values_mut() {
            consumer
                .handed
                .values_mut()
                .for_each(|lease| lease.until = 0);
        }
        let rows = state.streams.entry(StreamName::History).or_default();
        for message in rows.messages.values_mut() {
            let mut row: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            row["stored"] = (row["stored"].as_u64().unwrap() - 60_000).into();
            message.payload = row.to_string().into();
        }
    }

    /// Returns the number of messages or entries of a stream.
    pub fn count(&self, stream: StreamName) -> usize {
        let mut state = self.lock();
        state.streams.entry(stream).or_default().messages.len()
    }

    /// Sets whether a stream refuses new messages.
    pub fn set_full(&self, stream: StreamName, is_full: bool) {
        let full = &mut self.lock().full;
        match is_full {
            true => full.insert(stream),
            false => full.remove(&stream),
        };
    }

    /// Somebody deletes all streams and makes them again.
    pub fn replace_streams(&self) {
        let mut state = self.lock();
        state.streams.clear();
        state.consumers.clear();
        state.created += 1;
    }

    /// Somebody deletes the consumers.
    pub fn delete_consumers(&self) {
        self.lock().consumers.clear();
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    pub(super) fn now(&self) -> u64 {
        EPOCH + millis(self.0.started.elapsed())
    }
}

impl State {
    pub fn append(
        &mut self,
        stream: StreamName,
        subject: String,
        payload: Bytes,
        id: Option<String>,
        published: u64,
    ) -> Result<u64, CallError> {
        if self.full.contains(&stream) {
            return Err(CallError::Refused(StoreErrorKind::NoSpace));
        }
        let kept = self.streams.entry(stream).or_default();
        if let Some(known) = id.as_ref().and_then(|id| kept.ids.get(id)) {
            return Ok(*known);
        }
        // The streams of requests and of dead letters keep every message of a subject, the others the last.
        if !matches!(stream, StreamName::Work | StreamName::Dead) {
            let before = kept.last.get(&subject);
            before.and_then(|before| kept.messages.remove(before));
        }
        kept.last_sequence += 1;
        let sequence = kept.last_sequence;
        kept.ids.extend(id.map(|id| (id, sequence)));
        kept.last.insert(subject.clone(), sequence);
        kept.messages.insert(
            sequence,
            StreamMessage {
                subject,
                sequence,
                payload,
                published,
            },
        );
        let most = match stream {
            StreamName::History => MAX_HISTORY,
            StreamName::LastNotifications => MAX_LAST_NOTIFICATIONS,
            _ => usize::MAX,
        };
        while kept.messages.len() > most {
            kept.messages.pop_first();
        }
        Ok(sequence)
    }

    pub fn last(&self, stream: StreamName, subject: &str) -> Option<&StreamMessage> {
        let kept = self.streams.get(&stream)?;
        kept.messages.get(kept.last.get(subject)?)
    }

    pub fn hand_out(&mut self, name: &str, now: u64) -> Result<Option<PulledMessage>, CallError> {
        let work = self.streams.entry(StreamName::Work).or_default();
        let consumer = self.consumers.get_mut(name).ok_or(CallError::NoStream)?;
        consumer.last_used = now;
        consumer
            .handed
            .retain(|sequence, _| work.messages.contains_key(sequence));
        let lapsed = consumer.handed.iter().find(|(_, lease)| lease.until <= now);
        let lapsed = lapsed.map(|(sequence, _)| *sequence);
        let sequence = lapsed.or_else(|| consumer.pending(work).next());
        let Some(sequence) = sequence else {
            return Ok(None);
        };
        consumer.next = consumer.next.max(sequence + 1);
        let lease = consumer.handed.entry(sequence);
        let lease = lease.or_insert(Lease {
            deliveries: 0,
            until: 0,
        });
        lease.deliveries += 1;
        lease.until = now + millis(LEASE);
        Ok(work.messages.get(&sequence).map(|message| PulledMessage {
            message: message.clone(),
            deliveries: lease.deliveries,
            reply: format!("{name} {sequence}"),
        }))
    }
}

impl ConsumerState {
    pub fn pending<'a>(&'a self, work: &'a Messages) -> impl Iterator<Item = u64> + 'a {
        let later = work.messages.range(self.next..);
        let pending = later.filter(|(_, message)| matches(&self.subjects, &message.subject));
        pending.map(|(sequence, _)| *sequence)
    }
}

/// Returns whether a pattern matches a subject.
pub(super) fn matches(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}
