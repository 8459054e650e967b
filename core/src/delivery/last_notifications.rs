//! The last notification that each destination got under each dedup key: the next one edits or answers it, or repeats it.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use hashlink::LinkedHashMap;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};

use crate::model::notification::{AlertState, AlertStatus};
use crate::model::outcome::MessageRef;
use crate::model::plan::PlannedSend;
use crate::panics::lock;
use crate::secret::digest;
use crate::store::{LastNotification, LastNotificationStore, MAX_LAST_NOTIFICATIONS, OrderKey};

/// The rule in answers and log lines.
pub const REPEAT_INTERVAL: &str = "repeat_interval";

/// How long later messages may refer to a message.
const KEEP_MESSAGE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a delivery waits for the outbox's reply.
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// The last notifications in this process: about three megabytes. With an outbox, the processes share them in the
/// store.
#[derive(Default)]
pub struct LastNotificationCache {
    /// The oldest first.
    lasts: Mutex<LinkedHashMap<String, (LastNotification, Instant)>>,
}

/// A delivered notification.
pub struct DeliveredNotification<'a> {
    pub parts: usize,
    pub message: Option<&'a MessageRef>,
    /// Whether the settings have a `repeat_interval`.
    pub suppresses_repeats: bool,
}

/// The last notification of a key at a destination, and its age. `None`: the clock has jumped.
pub struct EarlierNotification {
    pub last: LastNotification,
    age: Option<Duration>,
}

/// The key under which a notification is remembered; `None`: it is not.
pub fn key(sending: &PlannedSend) -> Option<String> {
    let dedup_key = sending.dedup_key.as_ref()?;
    sending.input.as_ref()?;
    let destination = &sending.channel.destination().key;
    Some(digest(&format!("{destination}\0{}", &**dedup_key)))
}

/// The key of deliveries that must leave in the order of their acceptance: the destination and the dedup key, under one
/// configuration file. Deliveries under other files do not block it, since perhaps no process ever claims them.
pub fn order_key(sending: &PlannedSend) -> Option<OrderKey> {
    let dedup_key = sending.dedup_key.as_ref()?;
    let destination = &sending.channel.destination().key;
    let hash = Sha256::digest(format!("{destination}\0{dedup_key}"));
    Some(hash.into())
}

impl LastNotificationCache {
    /// Returns the last notification that this process knows.
    pub fn known(&self, key: &str) -> Option<EarlierNotification> {
        let lasts = self.lock();
        let (last, since) = lasts.get(key)?;
        Some(EarlierNotification {
            last: last.clone(),
            age: Some(since.elapsed()),
        })
    }

    /// Reads the outbox, if there is one, because other processes write their notifications there. Uses memory if the
    /// outbox does not respond: no delivery waits for a store that hangs.
    pub async fn get(
        &self,
        key: &str,
        outbox: Option<&dyn LastNotificationStore>,
    ) -> Option<EarlierNotification> {
        let Some(outbox) = outbox else {
            return self.known(key);
        };
        match timeout(ASK_WITHIN, outbox.last_notification(key)).await {
            Ok(Ok(last)) => last.map(|last| EarlierNotification {
                age: SystemTime::now().duration_since(last.at).ok(),
                last,
            }),
            _ => self.known(key),
        }
    }

    /// Stores the state of a delivered notification. A resolved alert has no message to follow up on; its state is
    /// stored only if repeats are suppressed. A split message cannot be followed up.
    pub fn delivered(
        &self,
        key: &str,
        sending: &PlannedSend,
        delivered: DeliveredNotification<'_>,
        outbox: Option<&dyn LastNotificationStore>,
    ) {
        let Some(state) = sending.state() else {
            return;
        };
        let is_resolved = state.status == Some(AlertStatus::Resolved);
        let has_message = sending.channel.capabilities().refers_to_earlier()
            && delivered.parts == 1
            && !is_resolved;
        let last = (!is_resolved || delivered.suppresses_repeats).then(|| LastNotification {
            message: delivered.message.filter(|_| has_message).cloned(),
            state: Some(state),
            at: SystemTime::now(),
        });
        self.set(key, last, outbox);
    }

    /// Forgets the state but keeps the message. The destination may know another state, so the next notification is
    /// always sent.
    pub async fn forget_state(&self, key: &str, outbox: Option<&dyn LastNotificationStore>) {
        if let Some(known) = self.get(key, outbox).await {
            let state = None;
            let last = LastNotification {
                state,
                ..known.last
            };
            self.set(key, Some(last), outbox);
        }
    }

    /// Stores the notification for later deliveries. Does not wait for the outbox, which keeps the order of the calls.
    pub fn set(
        &self,
        key: &str,
        last: Option<LastNotification>,
        outbox: Option<&dyn LastNotificationStore>,
    ) {
        if let Some(outbox) = outbox {
            drop(outbox.set_last_notification(key, last.as_ref()));
        }
        let mut lasts = self.lock();
        // Moves the entry to the end, even if it exists.
        lasts.remove(key);
        let Some(last) = last else { return };
        while lasts.len() >= MAX_LAST_NOTIFICATIONS {
            lasts.pop_front();
        }
        lasts.insert(key.to_owned(), (last, Instant::now()));
    }

    fn lock(&self) -> MutexGuard<'_, LinkedHashMap<String, (LastNotification, Instant)>> {
        lock(&self.lasts)
    }
}

impl EarlierNotification {
    /// The message that may be edited or answered.
    pub fn message(&self) -> Option<&MessageRef> {
        let fresh = self.age.is_some_and(|age| age < KEEP_MESSAGE);
        self.last.message.as_ref().filter(|_| fresh)
    }

    /// Whether the destination knows the alert as open.
    pub fn is_open(&self) -> bool {
        let status = self.last.state.and_then(|state| state.status);
        status != Some(AlertStatus::Resolved)
    }

    /// Returns whether this state repeats the notification within the interval. After a clock jump, a notification from
    /// the future has no repeats.
    pub fn is_repeat(&self, state: AlertState, interval: Duration) -> bool {
        let fresh = self.age.is_some_and(|age| age < interval);
        fresh && self.last.state == Some(state)
    }
}
