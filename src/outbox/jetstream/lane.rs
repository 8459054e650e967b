//! The way of a process's own requests: published, and at once fetched again, so that they are in its hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{AckKind, Message};
use futures_util::StreamExt;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};

use super::server::Session;
use super::stored::Stored;
use super::{Asked, Shared, lock, make_consumer};
use crate::outbox::OutboxError;

/// Requests that are fetched at a time.
const BATCH: usize = 256;
const FETCH_WITHIN: Duration = Duration::from_secs(1);
/// How long a request is looked for of which it is not known whether it was stored, so that it goes again.
pub const LOOK_FOR: Duration = Duration::from_secs(60);
/// When the consumer is asked for anew: others delete it after a day without use.
const USED_FOR: Duration = Duration::from_secs(3600);

/// The process's own consumer under one configuration file, and who waits for what it brings.
pub struct Lane {
    /// With when it was last known to be there.
    consumer: Mutex<(PullConsumer, Instant)>,
    waiting: Mutex<HashMap<String, Expected>>,
    wake: Arc<Notify>,
}

enum Expected {
    Wanted(oneshot::Sender<Message>),
    /// Its caller was told that nothing was kept.
    Refused(Instant),
}

impl Lane {
    /// The process's own under a configuration file.
    pub async fn of(
        shared: &Arc<Shared>,
        session: &Session,
        config: &str,
    ) -> Result<Arc<Self>, OutboxError> {
        let known = lock(&shared.lanes).get(config).cloned();
        if let Some(lane) = &known
            && lock(&lane.consumer).1.elapsed() < USED_FOR
        {
            return Ok(Arc::clone(lane));
        }
        let consumer = make_consumer(&shared.servers, session, &shared.owner, config).await?;
        let mut lanes = lock(&shared.lanes);
        if let Some(lane) = lanes.get(config) {
            *lock(&lane.consumer) = (consumer, Instant::now());
            return Ok(Arc::clone(lane));
        }
        let lane = Arc::new(Self {
            consumer: Mutex::new((consumer, Instant::now())),
            waiting: Mutex::default(),
            wake: Arc::default(),
        });
        lanes.insert(config.to_owned(), Arc::clone(&lane));
        let fetching = fetch(
            Arc::downgrade(&lane),
            Arc::downgrade(shared),
            Arc::clone(&lane.wake),
        );
        shared.runtime.spawn(fetching);
        Ok(lane)
    }

    /// Tells that a request is about to be published.
    pub fn expect(&self, task: &str) -> oneshot::Receiver<Message> {
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(task.to_owned(), Expected::Wanted(sender));
        self.wake.notify_one();
        receiver
    }

    /// It is not wanted any more, should it have been stored.
    pub fn refuse(&self, task: &str) {
        let until = Instant::now() + LOOK_FOR;
        lock(&self.waiting).insert(task.to_owned(), Expected::Refused(until));
        self.wake.notify_one();
    }

    fn awaited(&self) -> usize {
        let mut waiting = lock(&self.waiting);
        let now = Instant::now();
        waiting.retain(|_, expected| !matches!(expected, Expected::Refused(until) if *until < now));
        waiting.len()
    }

    async fn arrived(&self, message: Message, shared: &Shared) {
        let task = Stored::read(&message.payload).map(|stored| stored.task);
        let Some(task) = task else { return };
        let expected = lock(&self.waiting).remove(&task);
        let unwanted = match expected {
            Some(Expected::Wanted(sender)) => match sender.send(message) {
                Ok(()) => return,
                Err(message) => message,
            },
            Some(Expected::Refused(_)) => message,
            None => {
                // Its lease ran out while the servers were away, and nobody has taken it over.
                match lock(&shared.owned).get(&task) {
                    Some(owned) => drop(owned.send(Asked::Again(message.reply.clone()))),
                    None => drop(message),
                }
                return;
            }
        };
        let _ = unwanted.ack_with(AckKind::Ack).await;
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

/// Fetches as many as are awaited, and no more: what nobody here waits for is another's to take over.
async fn fetch(lane: Weak<Lane>, shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        wake.notified().await;
        while let (Some(lane), Some(shared)) = (lane.upgrade(), shared.upgrade()) {
            let awaited = lane.awaited();
            if awaited == 0 {
                break;
            }
            let consumer = lock(&lane.consumer).0.clone();
            let batch = consumer
                .batch()
                .max_messages(awaited.min(BATCH))
                .expires(FETCH_WITHIN);
            let mut whole = false;
            if let Ok(mut messages) = batch.messages().await {
                whole = true;
                while let Some(message) = messages.next().await {
                    match message {
                        Ok(message) => lane.arrived(message, &shared).await,
                        Err(_) => whole = false,
                    }
                }
            }
            if !whole {
                sleep(Duration::from_millis(20)).await;
                // Somebody may have deleted it.
                lock(&lane.consumer).1 = Instant::now()
                    .checked_sub(USED_FOR)
                    .unwrap_or_else(Instant::now);
            }
        }
        if lane.strong_count() == 0 || shared.strong_count() == 0 {
            return;
        }
    }
}
