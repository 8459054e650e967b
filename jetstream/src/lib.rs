//! The outbox on NATS JetStream, shared by processes on many machines.
//!
//! An accepted request is one message of a work-queue stream. Its owner, first the process that accepted it, renews the
//! lease every [`RENEW_EVERY`]. It acknowledges the message after the last delivery has ended. Without a renewal for a
//! [`LEASE`], the server gives the message to the next process that asks.
//!
//! A key-value bucket has the progress of a delivery under `attempt.TASK.SEQUENCE.INDEX`. The owner writes it before
//! the first byte of a message that must not be repeated. `SEQUENCE` is that of the request in the stream. A note names
//! its owner, and replaces only the revision that its writer knows. If two processes claim a delivery, the write of one
//! of them fails.
//!
//! The dedup key's hash is a token of the request's subject. So a delivery finds the older ones of its key in the
//! stream, and waits for them ([`order`]). History rows are in a separate stream until they are written ([`history`]).
//!
//! Idempotency keys are entries of another bucket, because a key is free again when all its deliveries failed. The
//! stream's duplicate window, by the task's id, makes repeated publications one.

mod accept;
mod backend;
mod claim;
mod consumer;
mod history;
mod idempotency;
mod inbox;
mod key_queue;
mod last_notifications;
mod nats;
mod operator;
mod order;
mod owned;
mod process;
mod requests;
pub mod server;
mod shared;
mod stored;
mod subjects;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use self::accept::Assignment;
pub use self::backend::JetStream;
use self::inbox::Inboxes;
use self::last_notifications::LastNotifications;
use self::nats::Nats;
use self::order::KeyQueuePosition;
use self::owned::OwnedRequest;
use self::process::ProcessState;
use self::requests::Requests;
use self::server::{Connect, Servers, StreamName};
use self::shared::Shared;
use notifier_core::model::outcome::MessageRef;
use notifier_core::model::report::DeliveryReport;
use notifier_core::store::{
    Accepted, DeliveryId, HistoryRow, HistoryStore, LastNotification, LastNotificationStore,
    NewRequest, OutboxServers, Ownership, RequestStore, Running, Store, StoreError, StoreErrorKind,
    StoreFuture, StoredRequest,
};

/// How long a stopping process tries to release its requests.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

/// A store in the streams of NATS servers.
pub struct JetStreamStore {
    shared: Arc<Shared>,
    inboxes: Arc<Inboxes>,
    last_notifications: LastNotifications,
}

/// The reply of a request that this process owns.
type HeldResult<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

impl JetStreamStore {
    /// Does not connect yet: the servers may become reachable later.
    fn new(servers: OutboxServers, runtime: Handle) -> Self {
        let owner = uuid::Uuid::new_v4().simple().to_string();
        let connector = Box::new(Nats::of_owner(servers, &owner));
        Self::with_connector(connector, owner, runtime)
    }

    /// Like `new`, with the given connector. The owner's name must be unique.
    pub fn with_connector(connector: Box<dyn Connect>, owner: String, runtime: Handle) -> Self {
        let servers = Servers::new(connector);
        let process = Arc::new(ProcessState::new(servers, runtime.clone(), owner));
        Self {
            last_notifications: LastNotifications::start(Arc::clone(&process), &runtime),
            shared: Arc::new(Shared {
                process,
                requests: Requests::default(),
            }),
            inboxes: Arc::default(),
        }
    }

    /// Asks the task that owns the request. `Lost`: this process does not own it.
    fn ask<T: Send + 'static>(
        &self,
        delivery: &DeliveryId,
        of_anothers: T,
        work: impl for<'a> FnOnce(&'a mut OwnedRequest) -> HeldResult<'a, T> + Send + 'static,
    ) -> StoreFuture<T> {
        // Submit now: operations on one request run in the order of the calls.
        let answer = self.shared.ask(&delivery.task, work);
        Box::pin(async move {
            match answer {
                Some(answer) => answer.await.unwrap_or(Ok(of_anothers)),
                None => Ok(of_anothers),
            }
        })
    }

    /// `None`: the request has no dedup key, or another process owns it.
    fn queue_position(&self, delivery: &DeliveryId) -> Option<Arc<KeyQueuePosition>> {
        self.shared
            .requests
            .lock()
            .get(&delivery.task)?
            .queue_position
            .clone()
    }

    fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> StoreFuture<T> {
        let stopped = self.shared.process.servers.error(StoreErrorKind::Stopped);
        let runtime = self.shared.process.runtime.clone();
        Box::pin(async move { runtime.spawn(work).await.unwrap_or(Err(stopped)) })
    }

    /// Like [`Self::on_runtime`], started at once, even if no caller waits for the reply.
    fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> StoreFuture<T> {
        let stopped = self.shared.process.servers.error(StoreErrorKind::Stopped);
        let begun = self.shared.process.runtime.spawn(work);
        Box::pin(async move { begun.await.unwrap_or(Err(stopped)) })
    }
}

impl Store for JetStreamStore {
    fn location(&self) -> String {
        self.shared.process.servers.location().to_owned()
    }

    fn warning(&self) -> Option<String> {
        self.shared.process.servers.warning()
    }
}

impl RequestStore for JetStreamStore {
    fn accept(&self, request: NewRequest) -> StoreFuture<Accepted> {
        let (shared, inboxes) = (Arc::clone(&self.shared), Arc::clone(&self.inboxes));
        accept::accept(shared, inboxes, request, Assignment::ThisProcess)
    }

    fn enqueue(&self, request: NewRequest) -> StoreFuture<Accepted> {
        let (shared, inboxes) = (Arc::clone(&self.shared), Arc::clone(&self.inboxes));
        accept::accept(shared, inboxes, request, Assignment::AnyProcess)
    }

    fn claim(&self, config: &str, limit: usize) -> StoreFuture<Vec<StoredRequest>> {
        let (shared, inboxes) = (Arc::clone(&self.shared), Arc::clone(&self.inboxes));
        let config = config.to_owned();
        self.on_runtime(async move { claim::claim(&shared, &inboxes, &config, limit).await })
    }

    fn check_lease(&self, delivery: &DeliveryId) -> StoreFuture<Ownership> {
        let index = delivery.index;
        self.ask(delivery, Ownership::Lost, move |request| {
            request.check_lease(index).boxed()
        })
    }

    fn begin_attempt(&self, delivery: &DeliveryId, at: SystemTime) -> StoreFuture<Ownership> {
        let index = delivery.index;
        self.ask(delivery, Ownership::Lost, move |request| {
            request.begin_attempt(index, at).boxed()
        })
    }

    fn attempt_failed(&self, delivery: &DeliveryId) -> StoreFuture<()> {
        let index = delivery.index;
        self.ask(delivery, (), move |request| {
            request.attempt_failed(index).boxed()
        })
    }

    fn parts_done(&self, delivery: &DeliveryId, parts: usize) -> StoreFuture<()> {
        let index = delivery.index;
        self.ask(delivery, (), move |request| {
            request.parts_done(index, parts).boxed()
        })
    }

    fn complete(
        &self,
        delivery: &DeliveryId,
        report: &DeliveryReport,
        row: Option<&HistoryRow>,
    ) -> StoreFuture<()> {
        let (index, report, row) = (delivery.index, report.clone(), row.cloned());
        if let Some(line) = self.queue_position(delivery) {
            line.mark_ending(index);
        }
        self.ask(delivery, (), move |request| {
            request.complete(index, report, row).boxed()
        })
    }

    fn has_older(&self, delivery: &DeliveryId) -> StoreFuture<bool> {
        let (line, index) = (self.queue_position(delivery), delivery.index);
        self.on_runtime(async move {
            match line {
                Some(line) => line.has_older(index).await,
                None => Ok(false),
            }
        })
    }

    fn claimed_by_others(
        &self,
        delivery: &DeliveryId,
        messages: Vec<MessageRef>,
    ) -> StoreFuture<Vec<MessageRef>> {
        let (shared, delivery) = (Arc::clone(&self.shared), delivery.clone());
        self.on_runtime(async move { claim::claimed_by_others(&shared, &delivery, messages).await })
    }

    fn depth(&self) -> StoreFuture<usize> {
        let shared = Arc::clone(&self.shared);
        self.on_runtime(async move {
            let session = shared.process.servers.session().await?;
            let begun = Instant::now();
            let info = session.info(StreamName::Work).await;
            let info = info.map_err(|_| shared.process.servers.missed(&*session, begun))?;
            Ok(usize::try_from(info.messages).unwrap_or(usize::MAX))
        })
    }

    fn release(&self) -> StoreFuture<()> {
        let shared = Arc::clone(&self.shared);
        self.on_runtime(async move {
            let owned: BTreeMap<_, _> = shared
                .requests
                .lock()
                .iter()
                .map(|(task, owned)| (owned.sequence, task.clone()))
                .collect();
            // The server redelivers messages in the order of their release.
            let release = async {
                for task in owned.values() {
                    if let Some(released) = shared.ask(task, |request| request.release().boxed()) {
                        let _ = released.await;
                    }
                }
            };
            // If the servers are unreachable, the leases expire.
            let _ = timeout(RELEASE_WITHIN, release).await;
            Ok(())
        })
    }

    fn running(&self) -> &Running {
        &self.shared.process.running
    }

    fn can_withdraw(&self) -> bool {
        false
    }
}

impl HistoryStore for JetStreamStore {
    fn store_history(&self, row: &HistoryRow) -> StoreFuture<()> {
        let (process, row) = (Arc::clone(&self.shared.process), row.clone());
        self.begin(async move {
            let session = process.servers.session().await?;
            let begun = Instant::now();
            match history::store(&process, &*session, &row).await {
                true => Ok(()),
                false => Err(process.servers.missed(&*session, begun)),
            }
        })
    }

    fn claim_history(&self, config: &str, limit: usize) -> StoreFuture<Vec<HistoryRow>> {
        let (process, config) = (Arc::clone(&self.shared.process), config.to_owned());
        self.on_runtime(async move { history::claim(&process, &config, limit).await })
    }

    fn history_written(&self, row: &HistoryRow) -> StoreFuture<()> {
        let (process, row) = (Arc::clone(&self.shared.process), row.clone());
        self.begin(async move { history::forget(&process, &row).await })
    }
}

impl LastNotificationStore for JetStreamStore {
    fn last_notification(&self, key: &str) -> StoreFuture<Option<LastNotification>> {
        self.last_notifications.get(key)
    }

    fn set_last_notification(&self, key: &str, last: Option<&LastNotification>) -> StoreFuture<()> {
        self.last_notifications.set(key, last)
    }
}
