//! The outbox on NATS JetStream, shared by the processes of many machines.
//!
//! An accepted request is one message of the work-queue stream. Whoever has it, first the process that accepted it, says every
//! [`RENEW_EVERY`] that it lives, and acknowledges the message when the last delivery has ended. Where it says nothing for a
//! [`LEASE`] the server hands the message to the next who asks.
//!
//! What happens to a delivery meanwhile is noted in a key-value bucket under `attempt.TASK.SEQUENCE.INDEX`, before the first
//! byte of what must not be repeated; `SEQUENCE` is the request's in the stream. A note names its owner, and is written only
//! over the one that its writer knows: so of two processes that believe that a delivery is theirs one is told that it is not.
//!
//! The dedup key's hash is a token of the request's subject: a delivery finds the older ones of its key in the stream, and
//! waits for them ([`order`]). Rows of the history are in a stream of their own until they are written ([`history`]).
//!
//! Idempotency keys are entries of another bucket, since a key of which everything failed is free again; the stream's own
//! duplicate window, by the task's id, makes a publication that is repeated one.

mod accept;
mod claim;
mod history;
mod idempotency;
mod lane;
mod last_sent;
mod line;
pub mod operator;
mod order;
mod owned;
mod server;
mod stored;
mod subjects;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_nats::ConnectOptions;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot::Receiver;
use tokio::time::{Instant, timeout};

use self::accept::Whose;
use self::lane::Lane;
use self::last_sent::LastSents;
use self::order::{Lines, PlaceInLine};
use self::owned::{Owned, OwnedRequest};
use self::server::{Servers, Session};
use self::stored::Stored;
use super::{
    Accepted, DeliveryId, HistoryRow, KeptRequest, LEASE, LastSent, NewRequest, Outbox,
    OutboxError, Ownership, Reply, Running, Trouble,
};
use crate::model::outcome::MessageRef;
use crate::model::report::DeliveryReport;
use crate::model::secret::Secret;

/// How often something is written that meets what another has written.
const TRIES: usize = 5;
/// How long a process that stops tries to give up what it has.
const RELEASE_WITHIN: Duration = Duration::from_secs(5);

/// How the servers are reached.
#[derive(Clone)]
pub struct Nats {
    /// URLs without a user: `nats://host:4222`, `tls://host:4222`.
    pub servers: Vec<String>,
    pub credentials: Option<Credentials>,
    pub tls: Option<rustls::ClientConfig>,
}

/// What `nats_credentials` says: the text of a `.creds` file, an nkey's seed, `user:password`, or a token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(Secret);

impl Credentials {
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    fn apply(&self, options: ConnectOptions) -> Option<ConnectOptions> {
        let text = self.0.expose().trim();
        if text.contains("-----BEGIN") {
            return options.credentials(text).ok();
        }
        let is_seed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        if text.len() == 58 && text.starts_with("SU") && text.chars().all(is_seed) {
            return Some(options.nkey(text.to_owned()));
        }
        Some(match text.split_once(':') {
            Some((user, password)) => {
                options.user_and_password(user.to_owned(), password.to_owned())
            }
            None if text.is_empty() => return None,
            None => options.token(text.to_owned()),
        })
    }
}

/// This process's use of the streams.
pub struct JetStreamOutbox {
    shared: Arc<Shared>,
    last_sents: LastSents,
}

/// What all who work for it share.
struct Shared {
    servers: Servers,
    runtime: Handle,
    /// No name that another process could have too.
    owner: String,
    /// The way to each request that this process holds, by its task.
    owned: Mutex<HashMap<String, Owned>>,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
    running: Running,
    lines: Lines,
    /// By configuration file.
    history: Mutex<HashMap<String, history::Progress>>,
    /// Since when the stream has held more than its consumers know of.
    uncounted_since: Mutex<Option<Instant>>,
}

/// What a request answers, which this process holds.
type Answer<'a, T> = BoxFuture<'a, Result<T, OutboxError>>;

impl Shared {
    /// Has something done with a request; `None`: this process does not hold it.
    fn ask<T: Send + 'static>(
        &self,
        task: &str,
        work: impl for<'a> FnOnce(&'a mut OwnedRequest) -> BoxFuture<'a, T> + Send + 'static,
    ) -> Option<Receiver<T>> {
        Some(lock(&self.owned).get(task)?.ask(work))
    }

    /// Whether this process runs one of a request's deliveries.
    fn runs(&self, stored: &Stored) -> bool {
        stored.open().into_iter().any(|index| {
            let task = stored.task.clone();
            self.running.contains(&DeliveryId { task, index })
        })
    }
}

impl JetStreamOutbox {
    /// Reaches for nothing yet: servers that are away now may be there when a notification comes.
    pub fn new(nats: Nats, runtime: Handle) -> Self {
        let owner = uuid::Uuid::new_v4().simple().to_string();
        let shared = Arc::new(Shared {
            servers: Servers::of_owner(nats, &owner),
            runtime: runtime.clone(),
            owner,
            owned: Mutex::default(),
            lanes: Mutex::default(),
            running: Running::default(),
            lines: Lines::default(),
            history: Mutex::default(),
            uncounted_since: Mutex::default(),
        });
        Self {
            last_sents: LastSents::start(Arc::clone(&shared), &runtime),
            shared,
        }
    }

    /// Asks whoever has the request; without one it is another's.
    fn ask<T: Send + 'static>(
        &self,
        delivery: &DeliveryId,
        of_anothers: T,
        work: impl for<'a> FnOnce(&'a mut OwnedRequest) -> Answer<'a, T> + Send + 'static,
    ) -> Reply<T> {
        // Asked now: what is asked of one request is done in the order of asking.
        let answer = self.shared.ask(&delivery.task, work);
        Box::pin(async move {
            match answer {
                Some(answer) => answer.await.unwrap_or(Ok(of_anothers)),
                None => Ok(of_anothers),
            }
        })
    }

    /// `None`: its request has no dedup key, or is another's.
    fn place_in_line(&self, delivery: &DeliveryId) -> Option<Arc<PlaceInLine>> {
        lock(&self.shared.owned).get(&delivery.task)?.place.clone()
    }

    fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, OutboxError>> + Send + 'static,
    ) -> Reply<T> {
        let stopped = self.shared.servers.error(Trouble::Stopped);
        let runtime = self.shared.runtime.clone();
        Box::pin(async move { runtime.spawn(work).await.unwrap_or(Err(stopped)) })
    }

    /// [`Self::on_runtime`], begun at once: nobody may wait for the reply.
    fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, OutboxError>> + Send + 'static,
    ) -> Reply<T> {
        let stopped = self.shared.servers.error(Trouble::Stopped);
        let begun = self.shared.runtime.spawn(work);
        Box::pin(async move { begun.await.unwrap_or(Err(stopped)) })
    }
}

impl Outbox for JetStreamOutbox {
    fn place(&self) -> String {
        self.shared.servers.place().to_owned()
    }

    fn accept(&self, request: NewRequest) -> Reply<Accepted> {
        accept::accept(Arc::clone(&self.shared), request, Whose::Ours)
    }

    fn leave(&self, request: NewRequest) -> Reply<Accepted> {
        accept::accept(Arc::clone(&self.shared), request, Whose::Anyones)
    }

    fn claim(&self, config: &str, limit: usize) -> Reply<Vec<KeptRequest>> {
        let (shared, config) = (Arc::clone(&self.shared), config.to_owned());
        self.on_runtime(async move { claim::claim(&shared, &config, limit).await })
    }

    fn owns(&self, delivery: &DeliveryId) -> Reply<Ownership> {
        let place = delivery.index;
        self.ask(delivery, Ownership::Lost, move |request| {
            request.owns(place).boxed()
        })
    }

    fn attempting(&self, delivery: &DeliveryId, at: SystemTime) -> Reply<Ownership> {
        let place = delivery.index;
        self.ask(delivery, Ownership::Lost, move |request| {
            request.attempting(place, at).boxed()
        })
    }

    fn not_taken(&self, delivery: &DeliveryId) -> Reply<()> {
        let place = delivery.index;
        self.ask(delivery, (), move |request| {
            request.not_taken(place).boxed()
        })
    }

    fn parts_done(&self, delivery: &DeliveryId, parts: usize) -> Reply<()> {
        let place = delivery.index;
        self.ask(delivery, (), move |request| {
            request.parts_done(place, parts).boxed()
        })
    }

    fn end(
        &self,
        delivery: &DeliveryId,
        report: &DeliveryReport,
        row: Option<&HistoryRow>,
    ) -> Reply<()> {
        let (place, report, row) = (delivery.index, report.clone(), row.cloned());
        if let Some(line) = self.place_in_line(delivery) {
            line.is_ending(place);
        }
        self.ask(delivery, (), move |request| {
            request.end(place, report, row).boxed()
        })
    }

    fn has_older(&self, delivery: &DeliveryId) -> Reply<bool> {
        let (line, place) = (self.place_in_line(delivery), delivery.index);
        self.on_runtime(async move {
            match line {
                Some(line) => line.has_older(place).await,
                None => Ok(false),
            }
        })
    }

    fn store_history(&self, row: &HistoryRow) -> Reply<()> {
        let (shared, row) = (Arc::clone(&self.shared), row.clone());
        self.begin(async move {
            let session = shared.servers.session().await?;
            let begun = Instant::now();
            match history::store(&shared, &session, &row).await {
                true => Ok(()),
                false => Err(shared.servers.missed(&session, begun)),
            }
        })
    }

    fn claim_history(&self, config: &str, limit: usize) -> Reply<Vec<HistoryRow>> {
        let (shared, config) = (Arc::clone(&self.shared), config.to_owned());
        self.on_runtime(async move { history::claim(&shared, &config, limit).await })
    }

    fn history_written(&self, row: &HistoryRow) -> Reply<()> {
        let (shared, row) = (Arc::clone(&self.shared), row.clone());
        self.begin(async move { history::forget(&shared, &row).await })
    }

    fn can_withdraw(&self) -> bool {
        false
    }

    fn warning(&self) -> Option<String> {
        self.shared.servers.warning()
    }

    fn running(&self) -> &Running {
        &self.shared.running
    }

    fn taken(&self, delivery: &DeliveryId, messages: Vec<MessageRef>) -> Reply<Vec<MessageRef>> {
        let (shared, delivery) = (Arc::clone(&self.shared), delivery.clone());
        self.on_runtime(async move { claim::taken(&shared, &delivery, messages).await })
    }

    fn last_sent(&self, key: &str) -> Reply<Option<LastSent>> {
        self.last_sents.get(key)
    }

    fn set_last_sent(&self, key: &str, last: Option<&LastSent>) -> Reply<()> {
        self.last_sents.set(key, last)
    }

    fn depth(&self) -> Reply<usize> {
        let shared = Arc::clone(&self.shared);
        self.on_runtime(async move {
            let session = shared.servers.session().await?;
            let begun = Instant::now();
            let info = session.work.get_info().await;
            let info = info.map_err(|_| shared.servers.missed(&session, begun))?;
            Ok(usize::try_from(info.state.messages).unwrap_or(usize::MAX))
        })
    }

    fn release(&self) -> Reply<()> {
        let shared = Arc::clone(&self.shared);
        self.on_runtime(async move {
            let owned: BTreeMap<_, _> = lock(&shared.owned)
                .iter()
                .map(|(task, owned)| (owned.sequence, task.clone()))
                .collect();
            // The server hands them out in the order in which they are given back.
            let release = async {
                for task in owned.values() {
                    if let Some(released) = shared.ask(task, |request| request.release().boxed()) {
                        let _ = released.await;
                    }
                }
            };
            // Where the servers are away nothing can be told to them, and the leases run out by themselves.
            let _ = timeout(RELEASE_WITHIN, release).await;
            Ok(())
        })
    }
}

/// What whoever reads the requests of one owner under one configuration file is called at the servers.
fn consumer_name(owner: &str, config: &str) -> String {
    format!("{owner}_{config}")
}

fn consumer(owner: &str, config: &str) -> pull::Config {
    pull::Config {
        durable_name: Some(consumer_name(owner, config)),
        filter_subject: subjects::works(owner, config),
        ack_policy: AckPolicy::Explicit,
        ack_wait: LEASE,
        max_ack_pending: -1,
        ..pull::Config::default()
    }
}

/// Makes the consumer where it is not there.
async fn make_consumer(
    servers: &Servers,
    session: &Session,
    owner: &str,
    config: &str,
) -> Result<PullConsumer, OutboxError> {
    let begun = Instant::now();
    let name = consumer_name(owner, config);
    let missed = |_| servers.missed(session, begun);
    let needed = consumer(owner, config);
    let found = session.work.get_or_create_consumer(&name, needed.clone());
    let found = found.await.map_err(missed)?;
    if found.cached_info().config.filter_subject == needed.filter_subject {
        return Ok(found);
    }
    // An older version made it, for subjects of another form.
    let made = session.work.create_consumer(needed).await;
    made.map_err(missed)
}

/// Requests of nobody: those that were left to workers, and those that an operator has put back.
const ANY: &str = "any";

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
