//! How requests are taken over.

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
use super::server::{Acknowledgement, Consumer, Handed, Session, StreamName};
use super::shared::Shared;
use super::stored::RequestRecord;
use super::subjects;
use super::subjects::{config_token, message_key};
use notifier_core::model::outcome::MessageRef;
use notifier_core::panics::lock;
use notifier_core::store::{DeliveryId, RENEW_EVERY, StoreError, StoredRequest};

/// When a message is looked at again that cannot be taken now.
const LATER: Duration = Duration::from_secs(60);
/// After so long without use the consumer of an owner that has left nothing is deleted.
const UNUSED_FOR: Duration = Duration::from_secs(24 * 3600);
/// How long an owner may take to fetch what it has published.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// Asks for what other owners have left, what is nobody's, and what has come back to this process.
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
    if make_missing(shared, &*session, &config, &consumers, messages).await? {
        consumers = session.consumers().await.map_err(missed)?;
    }
    let suffix = consumer_name("", &config);
    consumers.retain(|info| info.name.ends_with(&suffix));
    // Whose messages are the oldest comes first.
    consumers.sort_by_key(|info| info.acknowledged_before);
    let inbox = inboxes.get(&config);
    let mut claimed: Vec<Claimed> = Vec::new();
    for message in inbox.iter().flat_map(|inbox| inbox.strays()) {
        claimed.extend(take(shared, &session, message, false).await);
    }
    for info in consumers {
        if claimed.len() >= limit {
            break;
        }
        if info.pending == 0 && info.unacknowledged == 0 {
            clean_up(shared, &*session, &info).await;
            continue;
        }
        let owner = info.name.split('_').next().unwrap_or_default();
        let is_anyones = owner == ANY;
        // Its owner is about to fetch what it has just published: what may have lapsed there waits for a quieter moment.
        let is_busy = match owner == shared.process.owner {
            true => inbox.as_ref().is_some_and(|inbox| inbox.awaits() > 0),
            false if is_anyones || info.pending == 0 => false,
            false => session.lives(owner).await,
        };
        if is_busy {
            continue;
        }
        let mut messages = info.pull.fetch(limit - claimed.len(), None);
        let mut fetched = Vec::new();
        while let Some(Ok(message)) = messages.next().await {
            fetched.push(message);
        }
        let taken = fetched
            .into_iter()
            .map(|message| take(shared, &session, message, is_anyones));
        claimed.extend(join_all(taken).await.into_iter().flatten());
    }
    claimed.sort_by_key(|claimed| claimed.sequence);
    line_up(&*session, &mut claimed).await;
    Ok(claimed.into_iter().map(|claimed| claimed.kept).collect())
}

/// A request that was taken over.
struct Claimed {
    sequence: u64,
    kept: StoredRequest,
    place: Option<Arc<KeyQueuePosition>>,
}

/// Finds out which deliveries must wait for older ones. Those of this process are lined up in their order.
async fn line_up(session: &dyn Session, claimed: &mut [Claimed]) {
    let looks = claimed.iter().map(|claimed| async {
        match &claimed.place {
            Some(place) => place.has_others(session, claimed.sequence).await,
            None => false,
        }
    });
    let have_others = join_all(looks).await;
    for (claimed, has_others) in claimed.iter_mut().zip(have_others) {
        if let Some(place) = &claimed.place {
            claimed.kept.behind = place.line_up(has_others);
        }
    }
}

/// Makes consumers that are not there yet, or that somebody has deleted: what they would hand out would stay in the stream for
/// ever. Gives back whether it made any.
async fn make_missing(
    shared: &Shared,
    session: &dyn Session,
    config: &str,
    consumers: &[Consumer],
    messages: u64,
) -> Result<bool, StoreError> {
    let is_there = |owner: &str| {
        let (name, subjects) = (consumer_name(owner, config), subjects::works(owner, config));
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
    let filter = subjects::works("*", config);
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

/// Deletes the consumer of an owner that is no more, and has left nothing.
async fn clean_up(shared: &Shared, session: &dyn Session, info: &Consumer) {
    let unused = shared.process.servers.now().saturating_sub(info.last_used);
    let is_kept =
        [ANY, &shared.process.owner].map(|owner| info.name.starts_with(&consumer_name(owner, "")));
    if is_kept == [false, false] && u128::from(unused) > UNUSED_FOR.as_millis() {
        let _ = session.delete_consumer(&info.name).await;
    }
}

/// Takes over one request; `None`: not now.
async fn take(
    shared: &Arc<Shared>,
    session: &Arc<dyn Session>,
    message: Handed,
    is_anyones: bool,
) -> Option<Claimed> {
    // Its owner has published it a moment ago, and is about to fetch it.
    if !is_anyones && is_fresh(shared, &message) {
        let at_once = Acknowledgement::NotNow(None);
        let _ = session.acknowledge(&message.reply, at_once).await;
        return None;
    }
    let owned = hold(shared, session, message, None).await?;
    let claimed = owned.kept().map(|kept| Claimed {
        sequence: owned.sequence,
        kept,
        place: owned.place_in_line().cloned(),
    });
    owned.start();
    claimed
}

/// Whether nobody has had it yet, and its owner may be about to.
fn is_fresh(shared: &Shared, message: &Handed) -> bool {
    let age = shared
        .process
        .servers
        .now()
        .saturating_sub(message.message.published);
    message.deliveries <= 1 && u128::from(age) < FRESH_FOR.as_millis()
}

/// Takes a request that a consumer has handed out into this process's hand, with its place in line where it has one already;
/// `None`: not now.
pub async fn hold(
    shared: &Arc<Shared>,
    session: &Arc<dyn Session>,
    message: Handed,
    place: Option<Arc<KeyQueuePosition>>,
) -> Option<OwnedRequest> {
    let not_now = async |wait| {
        let later = Acknowledgement::NotNow(Some(wait));
        let _ = session.acknowledge(&message.reply, later).await;
    };
    let sequence = message.message.sequence;
    let Some(stored) = RequestRecord::read(&message.message.payload) else {
        not_now(LATER).await;
        return None;
    };
    let registered = registration(shared, &stored, &message, sequence, place);
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
    let taken = match owned.has_its_key().await {
        Some(false) => {
            // Another request has the same key: it was published so late that the key was free again.
            let done = Acknowledgement::Done;
            let _ = session.acknowledge(&message.reply, done).await;
            return None;
        }
        Some(true) if message.deliveries <= 1 => Some(()),
        Some(true) => owned.take_over().await,
        None => None,
    };
    if taken.is_none() {
        not_now(Duration::from_secs(1)).await;
        return None;
    }
    Some(owned)
}

/// `None`: the process holds the request, or runs deliveries of its task. What it runs it goes on holding by the new message.
async fn registration(
    shared: &Arc<Shared>,
    stored: &RequestRecord,
    message: &Handed,
    sequence: u64,
    place: Option<Arc<KeyQueuePosition>>,
) -> Option<Registration<OwnedRequest>> {
    let abandoned = {
        let owned = shared.requests.lock();
        let owned = owned.get(&stored.task);
        let owned = owned.filter(|owned| owned.sequence == sequence);
        if shared.process.runs(stored) {
            owned?.redelivered(message.reply.clone());
            return None;
        }
        // It is held, and nothing of it runs: it begins anew.
        owned.map(|owned| owned.ask(|request| request.abandon().boxed()))
    };
    if let Some(abandoned) = abandoned {
        let _ = abandoned.await;
    }
    let place = || place.or_else(|| KeyQueuePosition::enter(&shared.process, stored, sequence));
    Registration::new(&shared.requests, &stored.task, sequence, place)
}

fn is_owned(shared: &Shared, task: &str, sequence: u64) -> bool {
    let owned = shared.requests.lock();
    owned
        .get(task)
        .is_some_and(|owned| owned.sequence == sequence)
}

/// Which of a provider's messages belong to other deliveries.
pub async fn claimed_by_others(
    shared: &Shared,
    delivery: &DeliveryId,
    messages: Vec<MessageRef>,
) -> Result<Vec<MessageRef>, StoreError> {
    let session = shared.process.servers.session().await?;
    let begun = Instant::now();
    let own = format!("{}/{}", delivery.task, delivery.index);
    let mut taken = Vec::new();
    for message in messages {
        let entry = session
            .entry(StreamName::Known, &message_key(&message.0))
            .await;
        let entry = entry.map_err(|_| shared.process.servers.missed(&*session, begun))?;
        if entry.is_some_and(|entry| entry.value != own.as_bytes()) {
            taken.push(message);
        }
    }
    Ok(taken)
}
