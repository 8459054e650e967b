//! The questions of one process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{self, BoxFuture};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use notifier_core::store::{LEASE, StoreError, StoreErrorKind};
use notifier_jetstream::server::{
    Acknowledgement, BucketEntry, CallError, Connect, Consumer, Pull, PulledMessage, ReplyFuture,
    Session, StreamInfo, StreamMessage, StreamName,
};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::servers::{Servers, State, matches, millis};

/// The way of one process to the servers.
#[derive(Clone)]
pub struct Link {
    servers: Servers,
    owner: String,
    cut: Arc<Mutex<Cut>>,
    was_cut: Arc<Notify>,
    /// The creation times of the streams that it found.
    found: i128,
}

#[derive(Default)]
struct Cut {
    asked: usize,
    /// The fault at each question, counted from one.
    at: Option<(usize, Fault)>,
    is_cut: bool,
}

/// The fault of a question. `arrives`: the servers perform it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed { arrives: bool },
    NoReply { arrives: bool },
}

/// The time limit for a reply.
const REPLY_WITHIN: Duration = Duration::from_millis(1500);

impl Link {
    pub(super) fn new(servers: &Servers, owner: &str) -> Self {
        Self {
            servers: servers.clone(),
            owner: owner.to_owned(),
            cut: Arc::default(),
            was_cut: Arc::default(),
            found: 0,
        }
    }

    /// Kills the process at its n-th question from now, counted from one: before the servers get it, or after they
    /// performed it.
    pub fn cut_at(&self, question: usize, arrives: bool) {
        let mut cut = self.cut.lock().unwrap();
        cut.at = Some((cut.asked + question, Fault::Killed { arrives }));
    }

    /// The n-th question from now, counted from one, has no reply.
    pub fn lose_reply_at(&self, question: usize, arrives: bool) {
        let mut cut = self.cut.lock().unwrap();
        cut.at = Some((cut.asked + question, Fault::NoReply { arrives }));
    }

    /// Returns whether it asked fewer questions than [`Link::lose_reply_at`] expects.
    pub fn is_waiting(&self) -> bool {
        let cut = self.cut.lock().unwrap();
        cut.at.is_some_and(|(at, _)| cut.asked < at)
    }

    pub fn cut(&self) {
        self.cut.lock().unwrap().is_cut = true;
        self.stop_answering();
    }

    /// Stops the heartbeat of the process, as if it were stopped for a while.
    pub fn stop_answering(&self) {
        self.servers.lock().alive.remove(&self.owner);
    }

    /// Waits until a question has cut it.
    pub async fn until_cut(&self) {
        self.was_cut.notified().await;
    }

    fn fault(&self) -> Option<Fault> {
        let mut cut = self.cut.lock().unwrap();
        if cut.is_cut {
            return Some(Fault::Killed { arrives: false });
        }
        cut.asked += 1;
        let (_, fault) = cut.at.filter(|(at, _)| *at == cut.asked)?;
        if let Fault::Killed { .. } = fault {
            cut.is_cut = true;
            self.was_cut.notify_one();
            self.servers.lock().alive.remove(&self.owner);
        }
        Some(fault)
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State, u64) -> Result<T, CallError> + Send + 'static,
    ) -> ReplyFuture<'_, T> {
        async move {
            let fault = self.fault();
            let done = match fault {
                Some(Fault::Killed { arrives } | Fault::NoReply { arrives }) if !arrives => {
                    Err(CallError::NoReply)
                }
                _ => {
                    let mut state = self.servers.lock();
                    work(&mut state, self.servers.now())
                }
            };
            self.servers.0.changed.notify_waiters();
            match fault {
                None => done,
                Some(Fault::Killed { .. }) => future::pending().await,
                Some(Fault::NoReply { .. }) => {
                    sleep(REPLY_WITHIN).await;
                    Err(CallError::NoReply)
                }
            }
        }
        .boxed()
    }
}

impl Connect for Link {
    fn location(&self) -> &str {
        "model"
    }

    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, StoreError>> {
        async {
            let mut state = self.servers.lock();
            state.alive.insert(self.owner.clone());
            let found = state.created;
            let session = Self {
                found,
                ..self.clone()
            };
            Ok(Arc::new(session) as Arc<dyn Session>)
        }
        .boxed()
    }
}

impl Session for Link {
    fn is_connected(&self) -> bool {
        true
    }

    fn refused_since(&self, _: Instant) -> Option<StoreErrorKind> {
        None
    }

    fn max_payload(&self) -> usize {
        1 << 20
    }

    fn reopen(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, StoreError>> {
        self.open()
    }

    fn created(&self, _: StreamName) -> i128 {
        self.found
    }

    fn info(&self, stream: StreamName) -> ReplyFuture<'_, StreamInfo> {
        self.ask(move |state, now| {
            let created = state.created;
            let messages = &state.streams.entry(stream).or_default().messages;
            Ok(StreamInfo {
                created,
                messages: messages.len() as u64,
                bytes: messages.values().map(|m| m.payload.len() as u64).sum(),
                now: Some(now),
            })
        })
    }

    fn publish(&self, subject: String, payload: Bytes, id: Option<&str>) -> ReplyFuture<'_, u64> {
        let id = id.map(str::to_owned);
        self.ask(move |state, now| {
            let stream = match subject.split('.').nth(1) {
                Some("work") => StreamName::Work,
                Some("dead") => StreamName::Dead,
                _ => StreamName::History,
            };
            state.append(stream, subject, payload, id, now)
        })
    }

    fn message(&self, stream: StreamName, sequence: u64) -> ReplyFuture<'_, Option<StreamMessage>> {
        self.ask(move |state, _| {
            let messages = &state.streams.entry(stream).or_default().messages;
            Ok(messages.get(&sequence).cloned())
        })
    }

    fn next_message(
        &self,
        stream: StreamName,
        subjects: &str,
        from: u64,
    ) -> ReplyFuture<'_, Option<StreamMessage>> {
        let subjects = subjects.to_owned();
        self.ask(move |state, _| {
            let messages = &state.streams.entry(stream).or_default().messages;
            let mut later = messages.range(from..).map(|(_, message)| message);
            Ok(later.find(|m| matches(&subjects, &m.subject)).cloned())
        })
    }

    fn last_message(
        &self,
        stream: StreamName,
        subject: &str,
    ) -> ReplyFuture<'_, Option<StreamMessage>> {
        let subject = subject.to_owned();
        self.ask(move |state, _| Ok(state.last(stream, &subject).cloned()))
    }

    fn subjects(&self, stream: StreamName, subjects: &str) -> ReplyFuture<'_, Vec<String>> {
        let filter = subjects.to_owned();
        self.ask(move |state, _| {
            let messages = state.streams.entry(stream).or_default().messages.values();
            let subjects = messages.map(|message| message.subject.clone());
            Ok(subjects
                .filter(|subject| matches(&filter, subject))
                .collect())
        })
    }

    fn delete_message(&self, stream: StreamName, sequence: u64) -> ReplyFuture<'_, ()> {
        self.ask(move |state, _| {
            let messages = &mut state.streams.entry(stream).or_default().messages;
            messages
                .remove(&sequence)
                .map(drop)
                .ok_or(CallError::NoReply)
        })
    }

    fn purge(&self, stream: StreamName, subjects: &str) -> ReplyFuture<'_, ()> {
        let filter = subjects.to_owned();
        self.ask(move |state, _| {
            let messages = &mut state.streams.entry(stream).or_default().messages;
            messages.retain(|_, message| !matches(&filter, &message.subject));
            Ok(())
        })
    }

    fn entry(&self, bucket: StreamName, key: &str) -> ReplyFuture<'_, Option<BucketEntry>> {
        let key = key.to_owned();
        self.ask(move |state, _| {
            Ok(state.last(bucket, &key).map(|message| BucketEntry {
                value: message.payload.clone(),
                revision: message.sequence,
                written: message.published,
            }))
        })
    }

    fn write(
        &self,
        bucket: StreamName,
        key: &str,
        value: Bytes,
        over: Option<u64>,
    ) -> ReplyFuture<'_, u64> {
        let key = key.to_owned();
        self.ask(move |state, now| {
            let current = state.last(bucket, &key).map_or(0, |last| last.sequence);
            match over.is_none_or(|over| over == current) {
                true => state.append(bucket, key, value, None, now),
                false => Err(CallError::Conflict),
            }
        })
    }

    fn consumers(&self) -> ReplyFuture<'_, Vec<Consumer>> {
        let link = self.clone();
        self.ask(move |state, _| {
            let work = state.streams.entry(StreamName::Work).or_default();
            let consumers = state.consumers.iter().map(|(name, consumer)| Consumer {
                name: name.clone(),
                subjects: consumer.subjects.clone(),
                pending: consumer.pending(work).count() as u64,
                unacknowledged: consumer.handed.len() as u64,
                acknowledged_before: consumer.acknowledged_before,
                last_used: consumer.last_used,
                pull: link.pull(name),
            });
            Ok(consumers.collect())
        })
    }

    fn make_consumer(&self, name: &str, subjects: &str) -> ReplyFuture<'_, Arc<dyn Pull>> {
        let (link, name, subjects) = (self.clone(), name.to_owned(), subjects.to_owned());
        self.ask(move |state, now| {
            let pull = link.pull(&name);
            let consumer = state.consumers.entry(name).or_default();
            consumer.subjects = subjects;
            consumer.last_used = now;
            Ok(pull)
        })
    }

    fn delete_consumer(&self, name: &str) -> ReplyFuture<'_, ()> {
        let name = name.to_owned();
        self.ask(move |state, _| {
            state.consumers.remove(&name);
            Ok(())
        })
    }

    fn acknowledge(&self, reply: &str, how: Acknowledgement) -> ReplyFuture<'_, ()> {
        let (name, sequence) = reply.split_once(' ').unwrap();
        let (name, sequence) = (name.to_owned(), sequence.parse::<u64>().unwrap());
        self.ask(move |state, now| {
            let consumer = state.consumers.get_mut(&name).ok_or(CallError::NoStream)?;
            consumer.last_used = now;
            // The servers answer every acknowledgement, also one of a message that is done.
            let Some(lease) = consumer.handed.get_mut(&sequence) else {
                return Ok(());
            };
            match how {
                Acknowledgement::InProgress => lease.until = now + millis(LEASE),
                Acknowledgement::Redeliver(after) => lease.until = now + after.map_or(0, millis),
                Acknowledgement::Done => {
                    consumer.handed.remove(&sequence);
                    let work = state.streams.entry(StreamName::Work).or_default();
                    work.messages.remove(&sequence);
                }
            }
            Ok(())
        })
    }

    fn is_alive(&self, owner: &str) -> BoxFuture<'_, bool> {
        let owner = owner.to_owned();
        async move {
            let alive = self.ask(move |state, _| Ok(state.alive.contains(&owner)));
            alive.await.unwrap_or(false)
        }
        .boxed()
    }
}

impl Link {
    fn pull(&self, name: &str) -> Arc<dyn Pull> {
        Arc::new(PullLink {
            link: self.clone(),
            consumer: name.to_owned(),
        })
    }
}

struct PullLink {
    link: Link,
    consumer: String,
}

impl Pull for PullLink {
    fn fetch(
        &self,
        limit: usize,
        wait: Option<Duration>,
    ) -> BoxStream<'static, Result<PulledMessage, CallError>> {
        let (link, name) = (self.link.clone(), self.consumer.clone());
        let deadline = Instant::now() + wait.unwrap_or_default();
        stream::unfold((0, link, name), move |(fetched, link, name)| async move {
            if fetched == limit {
                return None;
            }
            loop {
                let consumer = name.clone();
                let handed = link.ask(move |state, now| state.hand_out(&consumer, now));
                match handed.await {
                    Ok(Some(handed)) => return Some((Ok(handed), (fetched + 1, link, name))),
                    Err(error) => return Some((Err(error), (limit, link, name))),
                    Ok(None) => {}
                }
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                // A lease may expire meanwhile.
                let changed = link.servers.0.changed.notified();
                let _ = timeout(left.min(Duration::from_millis(100)), changed).await;
            }
        })
        .boxed()
    }
}
