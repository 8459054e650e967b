//! The way of a process's own requests: published, and at once fetched again, so that they are in its hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::consumer::make_consumer;
use super::server::{Handed, Pull, Session};
use super::shared::Shared;
use super::stored::RequestRecord;
use notifier_core::panics::lock;
use notifier_core::store::StoreError;

/// Requests that are fetched at a time.
const BATCH: usize = 256;
const FETCH_WITHIN: Duration = Duration::from_secs(1);
/// When the consumer is asked for anew: others delete it after a day without use.
const USED_FOR: Duration = Duration::from_secs(3600);

/// The process's own consumer under one configuration file, and who waits for what it brings.
pub struct Inbox {
    config: String,
    /// With when it was last known to be there.
    consumer: Mutex<(Arc<dyn Pull>, Instant)>,
    awaited: Mutex<HashMap<String, oneshot::Sender<Handed>>>,
    /// What nobody here waits for: another process held it, or this one did not wait long enough.
    strays: Mutex<Vec<Handed>>,
    wake: Arc<Notify>,
}

/// The inboxes of this process, by configuration file.
#[derive(Default)]
pub struct Inboxes(Mutex<HashMap<String, Arc<Inbox>>>);

impl Inboxes {
    pub fn get(&self, config: &str) -> Option<Arc<Inbox>> {
        lock(&self.0).get(config).cloned()
    }

    /// The process's own under a configuration file.
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
            strays: Mutex::default(),
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
    /// Tells that a request is about to be published.
    pub fn expect(self: &Arc<Self>, task: &str) -> Expected {
        let (sender, message) = oneshot::channel();
        lock(&self.awaited).insert(task.to_owned(), sender);
        self.wake.notify_one();
        Expected {
            inbox: Arc::clone(self),
            task: task.to_owned(),
            message,
        }
    }

    /// Somebody may have deleted the consumer.
    async fn make_again(&self, shared: &Shared) {
        let servers = &shared.process.servers;
        if let Ok(session) = servers.session().await
            && let Ok(consumer) =
                make_consumer(servers, &*session, &shared.process.owner, &self.config).await
        {
            *lock(&self.consumer) = (consumer, Instant::now());
        }
    }

    pub fn awaits(&self) -> usize {
        lock(&self.awaited).len()
    }

    /// What has come that nobody here waited for.
    pub fn strays(&self) -> Vec<Handed> {
        std::mem::take(&mut lock(&self.strays))
    }

    fn arrived(&self, message: Handed, shared: &Shared) {
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
        // Its lease ran out while the servers were away, and nobody has taken it over.
        match shared.requests.lock().get(task) {
            Some(owned) if shared.process.runs(&stored) => {
                owned.redelivered(message.reply.clone());
            }
            _ => lock(&self.strays).push(message),
        }
    }
}

/// A request that is about to be published.
pub struct Expected {
    inbox: Arc<Inbox>,
    task: String,
    message: oneshot::Receiver<Handed>,
}

impl Expected {
    /// `None`: it has not come within the time.
    pub async fn within(mut self, time: Duration) -> Option<Handed> {
        match timeout(time, &mut self.message).await {
            Ok(message) => message.ok(),
            Err(_) => None,
        }
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        lock(&self.inbox.awaited).remove(&self.task);
        // It may have come in this instant.
        self.message.close();
        if let Ok(message) = self.message.try_recv() {
            lock(&self.inbox.strays).push(message);
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

/// Fetches as many as are awaited, and no more: what nobody here waits for is another's to take over.
async fn fetch(inbox: Weak<Inbox>, shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        wake.notified().await;
        while let (Some(inbox), Some(shared)) = (inbox.upgrade(), shared.upgrade()) {
            let awaited = inbox.awaits();
            if awaited == 0 {
                break;
            }
            let consumer = Arc::clone(&lock(&inbox.consumer).0);
            let mut messages = consumer.fetch(awaited.min(BATCH), Some(FETCH_WITHIN));
            let mut whole = true;
            while let Some(message) = messages.next().await {
                match message {
                    Ok(message) => inbox.arrived(message, &shared),
                    Err(_) => whole = false,
                }
            }
            if !whole {
                sleep(Duration::from_millis(20)).await;
                inbox.make_again(&shared).await;
            }
        }
        if inbox.strong_count() == 0 || shared.strong_count() == 0 {
            return;
        }
    }
}
