//! Fetches a process's own requests at once after it has published them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::consumer::make_consumer;
use super::server::{Pull, PulledMessage, Session};
use super::shared::Shared;
use super::stored::RequestRecord;
use notifier_core::panics::lock;
use notifier_core::store::StoreError;

/// Requests that are fetched at a time.
const BATCH: usize = 256;
const FETCH_WITHIN: Duration = Duration::from_secs(1);
/// The time of the next check of the consumer: other processes delete it after a day without use.
const USED_FOR: Duration = Duration::from_secs(3600);

/// The process's consumer for one configuration file, and the tasks that wait for its messages.
pub struct Inbox {
    config: String,
    /// The consumer, and when its existence was last confirmed.
    consumer: Mutex<(Arc<dyn Pull>, Instant)>,
    awaited: Mutex<HashMap<String, oneshot::Sender<PulledMessage>>>,
    /// Messages without a waiting task: another process held them, or this one stopped waiting.
    unexpected: Mutex<Vec<PulledMessage>>,
    wake: Arc<Notify>,
}

/// The inboxes of this process, by configuration file.
#[derive(Default)]
pub struct Inboxes(Mutex<HashMap<String, Arc<Inbox>>>);

impl Inboxes {
    pub fn get(&self, config: &str) -> Option<Arc<Inbox>> {
        lock(&self.0).get(config).cloned()
    }

    /// The inbox for a configuration file.
    pub async fn of(
        &self,
        shared: &Arc<Shared>,
        session: &dyn Session,
        config: &str,
    ) -> Result<Arc<Inbox>, StoreError> {
        let known = self.get(config);
        if let Some(inbox) = &known
            && lock(&inbox.consumer).1.elapsed() < USED_FOR
        {
            return Ok(Arc::clone(inbox));
        }
        let consumer = make_consumer(
            &shared.process.servers,
            session,
            &shared.process.owner,
            config,
        )
        .await?;
        let mut inboxes = lock(&self.0);
        if let Some(inbox) = inboxes.get(config) {
            *lock(&inbox.consumer) = (consumer, Instant::now());
            return Ok(Arc::clone(inbox));
        }
        let inbox = Arc::new(Inbox {
            config: config.to_owned(),
            consumer: Mutex::new((consumer, Instant::now())),
            awaited: Mutex::default(),
            unexpected: Mutex::default(),
            wake: Arc::default(),
        });
        inboxes.insert(config.to_owned(), Arc::clone(&inbox));
        let fetching = fetch(
            Arc::downgrade(&inbox),
            Arc::downgrade(shared),
            Arc::clone(&inbox.wake),
        );
        shared.process.runtime.spawn(fetching);
        Ok(inbox)
    }
}

impl Inbox {
    /// Registers a request that is about to be published.
    pub fn expect(self: &Arc<Self>, task: &str) -> ExpectedMessage {
        let (sender, message) = oneshot::channel();
        lock(&self.awaited).insert(task.to_owned(), sender);
        self.wake.notify_one();
        ExpectedMessage {
            inbox: Arc::clone(self),
            task: task.to_owned(),
            message,
        }
    }

    /// Creates the consumer again: an operator may have deleted it.
    async fn recreate_consumer(&self, shared: &Shared) {
        let servers = &shared.process.servers;
        if let Ok(session) = servers.session().await
            && let Ok(consumer) =
                make_consumer(servers, &*session, &shared.process.owner, &self.config).await
        {
            *lock(&self.consumer) = (consumer, Instant::now());
        }
    }

    pub fn awaited_count(&self) -> usize {
        lock(&self.awaited).len()
    }

    /// Takes the messages without a waiting task.
    pub fn unexpected(&self) -> Vec<PulledMessage> {
        std::mem::take(&mut lock(&self.unexpected))
    }

    fn handle_message(&self, message: PulledMessage, shared: &Shared) {
        let Some(stored) = RequestRecord::read(&message.message.payload) else {
            return;
        };
        let task = &stored.task;
        let message = match lock(&self.awaited).remove(task) {
            Some(sender) => match sender.send(message) {
                Ok(()) => return,
                Err(message) => message,
            },
            None => message,
        };
        // The lease expired while the servers were unreachable, and no process claimed the request.
        match shared.requests.lock().get(task) {
            Some(owned) if shared.process.runs(&stored) => {
                owned.redelivered(message.reply.clone());
            }
            _ => lock(&self.unexpected).push(message),
        }
    }
}

/// A request that is about to be published.
pub struct ExpectedMessage {
    inbox: Arc<Inbox>,
    task: String,
    message: oneshot::Receiver<PulledMessage>,
}

impl ExpectedMessage {
    /// `None`: the message did not arrive in time.
    pub async fn wait_for(mut self, time: Duration) -> Option<PulledMessage> {
        match timeout(time, &mut self.message).await {
            Ok(message) => message.ok(),
            Err(_) => None,
        }
    }
}

impl Drop for ExpectedMessage {
    fn drop(&mut self) {
        lock(&self.inbox.awaited).remove(&self.task);
        // The message may have just arrived.
        self.message.close();
        if let Ok(message) = self.message.try_recv() {
            lock(&self.inbox.unexpected).push(message);
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

/// Fetches only as many messages as tasks wait for: other processes may claim the rest.
async fn fetch(inbox: Weak<Inbox>, shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        wake.notified().await;
        while let (Some(inbox), Some(shared)) = (inbox.upgrade(), shared.upgrade()) {
            let awaited = inbox.awaited_count();
            if awaited == 0 {
                break;
            }
            let consumer = Arc::clone(&lock(&inbox.consumer).0);
            let mut messages = consumer.fetch(awaited.min(BATCH), Some(FETCH_WITHIN));
            let mut whole = true;
            while let Some(message) = messages.next().await {
                match message {
                    Ok(message) => inbox.handle_message(message, &shared),
                    Err(_) => whole = false,
                }
            }
            if !whole {
                sleep(Duration::from_millis(20)).await;
                inbox.recreate_consumer(&shared).await;
            }
        }
        if inbox.strong_count() == 0 || shared.strong_count() == 0 {
            return;
        }
    }
}
