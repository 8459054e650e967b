//! The stored form of a request and its deliveries, and the store calls of a delivery.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep, timeout};

use super::task::Task;
use crate::delivery::last_notifications;
use crate::model::channel::ProviderMessage;
use crate::model::notification::DedupKey;
use crate::model::outcome::AttemptResult;
use crate::model::plan::{ConfiguredIn, DeliveryPolicy, Disposition, Identity, PlannedDelivery};
use crate::model::report::DeliveryReport;
use crate::observe::{OnWritten, StoreRow};
use crate::panics::lock;
use crate::store::{
    Accepted, DeliveryId, HistoryRow, HistoryStore, LastNotificationStore, NewDelivery, NewRequest,
    Ownership, RunningDelivery, Seal, Store, StoreError, StoreErrorKind, StoreFuture, StoredWork,
    Target,
};

/// How long a call waits until its request is stored.
pub const PERSIST_TIMEOUT: Duration = Duration::from_secs(2);
/// The wait before another try to store an outcome.
const NOTE_AGAIN: Duration = Duration::from_secs(2);
/// How long a confirmed lease needs no other check. This is much shorter than a lease. A process that was stopped in
/// between checks again.
const CONFIRMED_FOR: Duration = Duration::from_secs(1);

/// The store of a request's deliveries, and how to use it.
#[derive(Clone)]
pub struct Persistence {
    pub outbox: Arc<dyn Store>,
    /// Encrypts the destinations that requests contain.
    pub seal: Option<Arc<Seal>>,
    /// The trigger's arguments.
    pub arguments: BTreeMap<String, String>,
    /// The request's JSON without its destinations.
    pub request_json: String,
    /// Whether another process delivers it: a worker, or a process with free capacity.
    pub for_others: bool,
    /// How long the call waits for the result of storing. `None`: no call waits.
    pub wait: Option<Duration>,
}

/// The store's result within the time that the call waits.
pub enum StoreAnswer {
    Known(Accepted),
    /// The store may have the request, or get it later.
    Unknown(StoreFuture<Accepted>),
}

/// The reason why a request was not stored. Nothing of it was sent.
#[derive(Debug)]
pub enum PersistError {
    Outbox(StoreError),
    /// The request contains destinations, but no key to encrypt them is set.
    NoKey,
}

impl Persistence {
    /// Bytes that are stored besides the deliveries.
    pub fn size(&self) -> usize {
        let arguments = self.arguments.iter();
        let arguments = arguments.map(|(name, value)| name.len() + value.len());
        self.request_json.len() + arguments.sum::<usize>()
    }

    /// Stores a request that has something to send.
    pub async fn persist(
        &self,
        task: &Task,
        identity: Identity,
        deliveries: &[(usize, PlannedDelivery)],
        policy: &DeliveryPolicy,
    ) -> Result<StoreAnswer, PersistError> {
        let request = NewRequest {
            task: task.id.clone(),
            identity,
            config: config_of(&self.arguments),
            arguments: self.arguments.clone(),
            request_json: self.request_json.clone(),
            dedup_key: dedup_key(deliveries),
            warnings: task.warnings(),
            accepted: SystemTime::now(),
            deliveries: deliveries
                .iter()
                .zip(task.reports())
                .map(|((index, delivery), report)| {
                    let id = delivery_id(task, *index);
                    let work = self.work(&id, delivery, policy)?;
                    Ok(NewDelivery { report, work })
                })
                .collect::<Result<_, PersistError>>()?,
        };
        let mut stored = match self.for_others {
            true => self.outbox.enqueue(request),
            false => self.outbox.accept(request),
        };
        let Some(wait) = self.wait else {
            return stored
                .await
                .map(StoreAnswer::Known)
                .map_err(PersistError::Outbox);
        };
        match timeout(wait, &mut stored).await {
            Ok(stored) => stored.map(StoreAnswer::Known).map_err(PersistError::Outbox),
            Err(_) if self.outbox.can_withdraw() => Err(PersistError::Outbox(self.too_slow())),
            Err(_) => Ok(StoreAnswer::Unknown(stored)),
        }
    }

    pub fn too_slow(&self) -> StoreError {
        StoreError::new(self.outbox.location(), StoreErrorKind::TimedOut)
    }

    fn work(
        &self,
        id: &DeliveryId,
        delivery: &PlannedDelivery,
        policy: &DeliveryPolicy,
    ) -> Result<Option<StoredWork>, PersistError> {
        let Disposition::Send(sending) = &delivery.disposition else {
            return Ok(None);
        };
        let target = match sending.configured_in.as_deref() {
            Some(ConfiguredIn::Receiver { name, index }) => Target::Receiver {
                name: name.clone(),
                index: *index,
            },
            Some(ConfiguredIn::Request(own)) => {
                let seal = self.seal.as_ref().ok_or(PersistError::NoKey)?;
                let sealed = seal.seal(id, own);
                Target::Sealed(sealed.ok_or_else(|| {
                    PersistError::Outbox(StoreError::new(
                        self.outbox.location(),
                        StoreErrorKind::IoFailed,
                    ))
                })?)
            }
            None => return Ok(None),
        };
        Ok(Some(StoredWork {
            target,
            time_left: policy.delivery_timeout,
            order_key: last_notifications::order_key(sending),
            composition_hash: sending.messages.hash(),
            attempt_began: None,
        }))
    }
}

/// The dedup key that all deliveries of a request share.
fn dedup_key(deliveries: &[(usize, PlannedDelivery)]) -> Option<DedupKey> {
    deliveries
        .iter()
        .find_map(|(_, delivery)| match &delivery.disposition {
            Disposition::Send(sending) => sending.dedup_key.clone(),
            _ => None,
        })
}

/// Under which configuration file a trigger's requests are stored.
pub fn config_of(arguments: &BTreeMap<String, String>) -> String {
    let path = arguments.get("config_file_path").map(|path| path.trim());
    path.unwrap_or_default().to_owned()
}

fn delivery_id(task: &Task, index: usize) -> DeliveryId {
    DeliveryId {
        task: task.id.clone(),
        index,
    }
}

/// The end of a delivery, on its way to the store.
pub struct EndNote {
    report: DeliveryReport,
    row: Option<HistoryRow>,
    reply: StoreFuture<()>,
}

/// Stores the history rows of deliveries that are not stored themselves.
pub fn store_rows(outbox: Arc<dyn HistoryStore>) -> StoreRow {
    Arc::new(move |row| {
        // Not awaited: the delivery has ended, and a store that refuses the row reports that itself.
        drop(outbox.store_history(row));
        forget_row(Arc::clone(&outbox))
    })
}

/// Called when a history row of this store is written, or was given up.
pub fn forget_row(outbox: Arc<dyn HistoryStore>) -> OnWritten {
    // Does not wait for the result: a row that is written twice remains one row.
    Box::new(move |row| drop(outbox.history_written(&row)))
}

/// A stored request of this process.
pub struct StoredTask {
    pub outbox: Arc<dyn Store>,
    /// Places of deliveries that wait for older ones which the store has, in ascending order.
    pub behind: Vec<usize>,
    /// When this process asked for the request. Its lease counts from then.
    pub confirmed: Instant,
}

impl StoredTask {
    /// Adds one of its deliveries. `None` if it already runs in this process.
    pub fn entry(&self, task: &Task, index: usize) -> Option<Box<StoreEntry>> {
        let running = self.outbox.running().start(delivery_id(task, index))?;
        Some(Box::new(StoreEntry {
            outbox: Arc::clone(&self.outbox),
            running,
            is_behind: self.behind.binary_search(&index).is_ok(),
            confirmed: Mutex::new(self.confirmed),
        }))
    }
}

/// A stored delivery that runs in this process. While this exists, it is not started a second time.
pub struct StoreEntry {
    outbox: Arc<dyn Store>,
    running: RunningDelivery,
    /// Whether the store may contain an older delivery of its key that is in no queue of this process.
    pub is_behind: bool,
    /// When the store last confirmed the lease.
    confirmed: Mutex<Instant>,
}

impl StoreEntry {
    pub fn last_notifications(&self) -> &dyn LastNotificationStore {
        &*self.outbox
    }

    pub fn shared_last_notifications(&self) -> Arc<dyn LastNotificationStore> {
        Arc::<dyn Store>::clone(&self.outbox)
    }

    /// Returns whether this process still has the lease. Asks the store, unless it just confirmed the lease.
    pub async fn owns(&self) -> Result<Ownership, StoreError> {
        if self.outbox.running().is_released() {
            return Ok(Ownership::Lost);
        }
        let now = Instant::now();
        if now.saturating_duration_since(*lock(&self.confirmed)) < CONFIRMED_FOR {
            return Ok(Ownership::Owned);
        }
        let ownership = self.outbox.check_lease(self.running.id()).await?;
        *lock(&self.confirmed) = now;
        Ok(ownership)
    }

    /// Writes that an attempt begins which must not be repeated.
    pub async fn attempting(&self, at: SystemTime) -> Result<Ownership, StoreError> {
        if self.outbox.running().is_released() {
            return Ok(Ownership::Lost);
        }
        self.outbox.begin_attempt(self.running.id(), at).await
    }

    /// Returns whether an older delivery of the same key is open. `false` if the store does not respond.
    pub async fn has_older(&self) -> bool {
        let asked = self.outbox.has_older(self.running.id()).await;
        asked.unwrap_or(false)
    }

    /// Stores the result of such an attempt. Does not wait: if the write is lost, the dispatcher asks the provider.
    pub fn attempted(&self, result: &AttemptResult) {
        if let AttemptResult::Retry { .. } = result {
            drop(self.outbox.attempt_failed(self.running.id()));
        }
    }

    /// Writes how many messages the destination has.
    pub async fn parts_done(&self, parts: usize) {
        let _ = self.outbox.parts_done(self.running.id(), parts).await;
    }

    /// Asks the store to write the end of the delivery. The store does this before later requests.
    pub fn end(&self, report: DeliveryReport, row: Option<HistoryRow>) -> EndNote {
        let reply = self
            .outbox
            .complete(self.running.id(), &report, row.as_ref());
        EndNote { report, row, reply }
    }

    /// Waits until the outcome is stored. Retries without end if only disk space or a lock is missing: otherwise a
    /// restart would repeat the delivery. `failed` receives the first error.
    pub async fn noted(&self, note: EndNote, failed: impl FnOnce(&StoreError)) {
        let EndNote { report, row, reply } = note;
        let Err(mut error) = reply.await else {
            return;
        };
        failed(&error);
        while error.is_transient() {
            sleep(NOTE_AGAIN).await;
            match self
                .outbox
                .complete(self.running.id(), &report, row.as_ref())
                .await
            {
                Ok(()) => return,
                Err(next) => error = next,
            }
        }
    }

    /// Called when a history row is written, or was given up.
    pub fn forget_row(&self) -> OnWritten {
        forget_row(Arc::<dyn Store>::clone(&self.outbox))
    }

    /// The messages that belong to no other delivery. Empty if the store does not answer: ambiguous is better than
    /// counted twice.
    pub async fn unclaimed(&self, found: Vec<ProviderMessage>) -> Vec<ProviderMessage> {
        let names = found.iter().map(|found| found.message.clone()).collect();
        match self
            .outbox
            .claimed_by_others(self.running.id(), names)
            .await
        {
            Ok(claimed) => found
                .into_iter()
                .filter(|found| !claimed.contains(&found.message))
                .collect(),
            Err(_) => Vec::new(),
        }
    }
}
