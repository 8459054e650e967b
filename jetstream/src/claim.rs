//! Claims requests.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::consumer::{ANY, consumer_name, make_consumer};
use super::inbox::Inboxes;
use super::order::KeyQueuePosition;
use super::owned::OwnedRequest;
use super::requests::Registration;
use super::server::{Acknowledgement, Consumer, PulledMessage, Session, StreamName};
use super::shared::Shared;
use super::stored::RequestRecord;
use super::subjects;
use super::subjects::{config_token, message_key};
use notifier_core::model::outcome::MessageRef;
use notifier_core::panics::lock;
use notifier_core::store::{DeliveryId, RENEW_EVERY, StoreError, StoredRequest};

/// The delay before the server redelivers a message that cannot be claimed now.
const RETRY_LATER: Duration = Duration::from_secs(60);
/// An unused consumer of an ended owner without messages is deleted after this time.
const DELETE_CONSUMER_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How long an owner may take to fetch a message that it published.
const FETCH_GRACE: Duration = Duration::from_secs(5);

/// Claims requests of ended owners, requests without an owner, and requests redelivered to this process.
pub async fn claim(
    shared: &Arc<Shared>,
    inboxes: &Inboxes,
    config: &str,
    limit: usize,
) -> Result<Vec<StoredRequest>, StoreError> {
    let session = shared.process.servers.session().await?;
    let begun = Instant::now();
    let config = config_token(config);
    let messages = shared.process.servers.overview(&*session).await?.messages;
    let missed = |_| shared.process.servers.missed(&*session, begun);
    let mut consumers = session.consumers().await.map_err(missed)?;
    if create_missing_consumers(shared, &*session, &config, &consumers, messages).await? {
        consumers = session.consumers().await.map_err(missed)?;
    }
    let suffix = consumer_name("", &config);
    consumers.retain(|info| info.name.ends_with(&suffix));
    // The consumer with the oldest messages comes first.
    consumers.sort_by_key(|info| info.acknowledged_before);
    let inbox = inboxes.get(&config);
    let mut claimed: Vec<ClaimedRequest> = Vec::new();
    for message in inbox.iter().flat_map(|inbox| inbox.unexpected()) {
        claimed.extend(take(shared, &session, message, false).await);
    }
    for info in consumers {
        if claimed.len() >= limit {
            break;
        }
        if info.pending == 0 && info.unacknowledged == 0 {
            delete_unused_consumer(shared, &*session, &info).await;
            continue;
        }
        let owner = info.name.split('_').next().unwrap_or_default();
        let is_unowned = owner == ANY;
        // The owner may be about to fetch a new message: expired ones wait for a later claim.
        let is_busy = match owner == shared.process.owner {
            true => inbox
                .as_ref()
                .is_some_and(|inbox| inbox.awaited_count() > 0),
            false if is_unowned || info.pending == 0 => false,
            false => session.is_alive(owner).await,
        };
        if is_busy {
            continue;
        }
        let mut messages = info.pull.fetch(limit - claimed.len(), None);
        let mut fetched = Vec::new();
        while let Some(Ok(message)) = messages.next().await {
            fetched.push(message);
        }
        let claims = fetched
            .into_iter()
            .map(|message| take(shared, &session, message, is_unowned));
        claimed.extend(join_all(claims).await.into_iter().flatten());
    }
    claimed.sort_by_key(|claimed| claimed.sequence);
    line_up(&*session, &mut claimed).await;
    Ok(claimed.into_iter().map(|claimed| claimed.request).collect())
}

/// A claimed request.
struct ClaimedRequest {
    sequence: u64,
    request: StoredRequest,
    queue_position: Option<Arc<KeyQueuePosition>>,
}

/// Decides which deliveries must wait for older ones, and queues those of this process in order.
async fn line_up(session: &dyn Session, claimed: &mut [ClaimedRequest]) {
    let looks = claimed.iter().map(|claimed| async {
        match &claimed.queue_position {
            Some(queue_position) => queue_position.has_others(session, claimed.sequence).await,
            None => false,
        }
    });
    let have_others = join_all(looks).await;
    for (claimed, has_others) in claimed.iter_mut().zip(have_others) {
        if let Some(queue_position) = &claimed.queue_position {
            claimed.request.behind = queue_position.line_up(has_others);
        }
    }
}

/// Creates missing consumers. Without them, their messages would stay in the stream for ever. Returns whether it
/// created any.
async fn create_missing_consumers(
    shared: &Shared,
    session: &dyn Session,
    config: &str,
    consumers: &[Consumer],
    messages: u64,
) -> Result<bool, StoreError> {
    let is_there = |owner: &str| {
        let (name, subjects) = (
            consumer_name(owner, config),
            subjects::works_of_owner(owner, config),
        );
        let mut named = consumers.iter().filter(|info| info.name == name);
        named.any(|info| info.subjects == subjects)
    };
    if !is_there(ANY) {
        make_consumer(&shared.process.servers, session, ANY, config).await?;
        return Ok(true);
    }
    let counted: u64 = consumers
        .iter()
        .map(|info| info.pending + info.unacknowledged)
        .sum();
    // The two numbers are of different moments: only a difference that stays means something.
    let is_missing = {
        let mut since = lock(&shared.process.uncounted_since);
        *since = since
            .or(Some(Instant::now()))
            .filter(|_| messages > counted);
        since.is_some_and(|since| since.elapsed() >= RENEW_EVERY)
    };
    if !is_missing {
        return Ok(false);
    }
    *lock(&shared.process.uncounted_since) = None;
    let begun = Instant::now();
    let filter = subjects::works_of_owner("*", config);
    let subjects = session.subjects(StreamName::Work, &filter).await;
    let subjects = subjects.map_err(|_| shared.process.servers.missed(session, begun))?;
    let owners = subjects
        .iter()
        .filter_map(|subject| subject.split('.').nth(2));
    let owners: BTreeSet<_> = owners.collect();
    for owner in owners.into_iter().filter(|owner| !is_there(owner)) {
        make_consumer(&shared.process.servers, session, owner, config).await?;
    }
    Ok(true)
}

/// Deletes the consumer of an ended owner without messages.
async fn delete_unused_consumer(shared: &Shared, session: &dyn Session, info: &Consumer) {
    let unused = shared.process.servers.now().saturating_sub(info.last_used);
    let is_kept =
        [ANY, &shared.process.owner].map(|owner| info.name.starts_with(&consumer_name(owner, "")));
    if is_kept == [false, false] && u128::from(unused) > DELETE_CONSUMER_AFTER.as_millis() {
        let _ = session.delete_consumer(&info.name).await;
    }
}

/// Claims one request; `None`: not now.
async fn take(
    shared: &Arc<Shared>,
    session: &Arc<dyn Session>,
    message: PulledMessage,
    is_unowned: bool,
) -> Option<ClaimedRequest> {
    // The owner has just published it and is about to fetch it.
    if !is_unowned && may_be_fetched_by_owner(shared, &message) {
        let at_once = Acknowledgement::Redeliver(None);
        let _ = session.acknowledge(&message.reply, at_once).await;
        return None;
    }
    let owned = hold(shared, session, message, None).await?;
    let claimed = owned.stored_request().map(|request| ClaimedRequest {
        sequence: owned.sequence,
        request,
        queue_position: owned.queue_position().cloned(),
    });
    owned.start();
    claimed
}

/// Returns whether no process has fetched it yet and its owner may do so soon.
fn may_be_fetched_by_owner(shared: &Shared, message: &PulledMessage) -> bool {
    let age = shared
        .process
        .servers
        .now()
        .saturating_sub(message.message.published);
    message.deliveries <= 1 && u128::from(age) < FETCH_GRACE.as_millis()
}

/// Registers a fetched request as held by this process, with its queue position if it already has one. `None`: not now.
pub async fn hold(
    shared: &Arc<Shared>,
    session: &Arc<dyn Session>,
    message: PulledMessage,
    queue_position: Option<Arc<KeyQueuePosition>>,
) -> Option<OwnedRequest> {
    let not_now = async |wait| {
        let later = Acknowledgement::Redeliver(Some(wait));
        let _ = session.acknowledge(&message.reply, later).await;
    };
    let sequence = message.message.sequence;
    let Some(stored) = RequestRecord::read(&message.message.payload) else {
        not_now(RETRY_LATER).await;
        return None;
    };
    let registered = registration(shared, &stored, &message, sequence, queue_position);
    let Some(registration) = registered.await else {
        if !is_owned(shared, &stored.task, sequence) {
            not_now(RENEW_EVERY).await;
        }
        return None;
    };
    let mut owned = OwnedRequest::first(
        registration,
        &shared.process,
        Arc::clone(session),
        stored,
        &message,
    );
    let is_owned = match owned.owns_key().await {
        Some(false) => {
            // Another request owns the key: this one was published after the key had been released.
            let done = Acknowledgement::Done;
            let _ = session.acknowledge(&message.reply, done).await;
            return None;
        }
        Some(true) if message.deliveries <= 1 => Some(()),
        Some(true) => owned.take_over().await,
        None => None,
    };
    if is_owned.is_none() {
        not_now(Duration::from_secs(1)).await;
        return None;
    }
    Some(owned)
}

/// `None`: the process already holds the request, or runs deliveries of its task. It then continues to hold it by the
/// new message.
async fn registration(
    shared: &Arc<Shared>,
    stored: &RequestRecord,
    message: &PulledMessage,
    sequence: u64,
    queue_position: Option<Arc<KeyQueuePosition>>,
) -> Option<Registration<OwnedRequest>> {
    let abandoned = {
        let owned = shared.requests.lock();
        let owned = owned.get(&stored.task);
        let owned = owned.filter(|owned| owned.sequence == sequence);
        if shared.process.runs(stored) {
            owned?.redelivered(message.reply.clone());
            return None;
        }
        // The process owns it and runs none of it: it starts again.
        owned.map(|owned| owned.ask(|request| request.abandon().boxed()))
    };
    if let Some(abandoned) = abandoned {
        let _ = abandoned.await;
    }
    let queue_position =
        || queue_position.or_else(|| KeyQueuePosition::insert(&shared.process, stored, sequence));
    Registration::new(&shared.requests, &stored.task, sequence, queue_position)
}

fn is_owned(shared: &Shared, task: &str, sequence: u64) -> bool {
    let owned = shared.requests.lock();
    owned
        .get(task)
        .is_some_and(|owned| owned.sequence == sequence)
}

/// The messages at the provider that other deliveries have claimed.
pub async fn claimed_by_others(
    shared: &Shared,
    delivery: &DeliveryId,
    messages: Vec<MessageRef>,
) -> Result<Vec<MessageRef>, StoreError> {
    let session = shared.process.servers.session().await?;
    let begun = Instant::now();
    let own = format!("{}/{}", delivery.task, delivery.index);
    let mut claimed = Vec::new();
    for message in messages {
        let entry = session
            .entry(StreamName::IdempotencyKeys, &message_key(&message.0))
            .await;
        let entry = entry.map_err(|_| shared.process.servers.missed(&*session, begun))?;
        if entry.is_some_and(|entry| entry.value != own.as_bytes()) {
            claimed.push(message);
        }
    }
    Ok(claimed)
}
