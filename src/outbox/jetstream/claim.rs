//! How requests are taken over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{Info, PullConsumer, pull};
use async_nats::jetstream::kv::UpdateErrorKind;
use async_nats::jetstream::{AckKind, Message};
use futures_util::future::join_all;
use futures_util::{StreamExt, TryStreamExt};
use tokio::time::{Instant, sleep};

use super::owned::{OwnedRequest, Registration};
use super::server::{Session, lives};
use super::stored::{Note, Stored, json, now, read};
use super::subjects::{attempt_key, config_token, message_key};
use super::{ANY, Shared, TRIES, consumer_name};
use crate::model::outcome::MessageRef;
use crate::outbox::{DeliveryId, KeptRequest, LEASE, OutboxError};

/// When a message is looked at again that cannot be taken now.
const LATER: Duration = Duration::from_secs(60);
/// After so long without use the consumer of an owner that has left nothing is deleted.
const UNUSED_FOR: Duration = Duration::from_secs(24 * 3600);
/// Milliseconds in which an owner fetches what it has published.
const FRESH_FOR: i128 = 5000;

/// Asks for what other owners have left, and what is nobody's.
pub async fn claim(
    shared: &Arc<Shared>,
    config: &str,
    limit: usize,
) -> Result<Vec<KeptRequest>, OutboxError> {
    let session = shared.servers.session().await?;
    let begun = Instant::now();
    let config = config_token(config);
    let suffix = consumer_name("", &config);
    let own = consumer_name(&shared.owner, &config);
    let consumers = session.work.consumers().try_collect::<Vec<Info>>().await;
    let mut consumers = consumers.map_err(|_| shared.servers.missed(&session, begun))?;
    consumers.retain(|info| info.name.ends_with(&suffix) && info.name != own);
    // Whose messages are the oldest comes first.
    consumers.sort_by_key(|info| info.ack_floor.stream_sequence);
    let mut claimed = Vec::new();
    for info in consumers {
        if claimed.len() >= limit {
            break;
        }
        if info.num_pending == 0 && info.num_ack_pending == 0 {
            clean_up(&session, &info).await;
            continue;
        }
        let any = info.name == consumer_name(ANY, &config);
        // Its owner is about to fetch what it has just published: what may have lapsed there waits for a quieter moment.
        let owner = info.name.split('_').next().unwrap_or_default();
        if info.num_pending > 0 && !any && lives(&session.client, owner).await {
            continue;
        }
        let consumer = consumer_of(&session, info);
        let fetching = consumer.fetch().max_messages(limit - claimed.len());
        let Ok(mut messages) = fetching.messages().await else {
            continue;
        };
        let mut fetched = Vec::new();
        while let Some(Ok(message)) = messages.next().await {
            fetched.push(message);
        }
        let taken = fetched
            .into_iter()
            .map(|message| take(shared, &session, message, any));
        claimed.extend(join_all(taken).await.into_iter().flatten());
    }
    Ok(claimed)
}

fn consumer_of(session: &Session, info: Info) -> PullConsumer {
    let config = pull::Config {
        durable_name: Some(info.name.clone()),
        ..pull::Config::default()
    };
    PullConsumer::new(config, info, session.context.clone())
}

/// Of an owner that is no more, and has left nothing.
async fn clean_up(session: &Session, info: &Info) {
    let seen = [
        Some(info.created),
        info.delivered.last_active,
        info.ack_floor.last_active,
    ];
    let last = seen.into_iter().flatten().max();
    let last = last.map_or(0, |last| last.unix_timestamp_nanos() / 1_000_000);
    let unused = i128::from(now()) - last;
    let is_any = info.name.starts_with(&consumer_name(ANY, ""));
    if !is_any && u128::try_from(unused).is_ok_and(|unused| unused > UNUSED_FOR.as_millis()) {
        let _ = session.work.delete_consumer(&info.name).await;
    }
}

/// Takes over one request; `None`: not now.
async fn take(
    shared: &Arc<Shared>,
    session: &Arc<Session>,
    message: Message,
    any: bool,
) -> Option<KeptRequest> {
    let not_now = async |wait| {
        let _ = message.ack_with(AckKind::Nak(Some(wait))).await;
        None
    };
    // Its owner has published it a moment ago, and is about to fetch it.
    if !any && is_fresh(&message) {
        let _ = message.ack_with(AckKind::Nak(None)).await;
        return None;
    }
    let Some(stored) = Stored::read(&message.payload) else {
        return not_now(LATER).await;
    };
    // Another message of the same task: what is done of it here ends first.
    let Some(registration) = Registration::new(shared, &stored.task) else {
        return not_now(LEASE).await;
    };
    let first = message.info().is_ok_and(|info| info.delivered <= 1);
    let places = stored.open();
    let noted = places
        .iter()
        .map(|place| own(shared, session, &stored.task, *place, first));
    let mut notes = BTreeMap::new();
    for (place, noted) in places.iter().zip(join_all(noted).await) {
        match noted {
            Ok(Some(note)) => drop(notes.insert(*place, note)),
            Ok(None) => {}
            Err(()) => return not_now(Duration::from_secs(1)).await,
        }
    }
    let said = notes
        .iter()
        .map(|(place, (_, note))| (*place, note.clone()));
    let kept = stored.kept(&said.collect());
    let goes_on = kept
        .deliveries
        .iter()
        .any(|delivery| delivery.work.is_some());
    OwnedRequest::start(registration, Arc::clone(session), stored, message, notes);
    goes_on.then_some(kept)
}

/// Whether nobody has had it yet, and its owner may be about to.
fn is_fresh(message: &Message) -> bool {
    let Ok(info) = message.info() else {
        return false;
    };
    let age = i128::from(now()) - info.published.unix_timestamp_nanos() / 1_000_000;
    info.delivered <= 1 && age < FRESH_FOR
}

/// Notes that a delivery is this process's, before anything is done for it: who had it before is told at its next step.
/// Where nobody had it, and nothing is noted, it needs no note.
async fn own(
    shared: &Shared,
    session: &Session,
    task: &str,
    place: usize,
    first: bool,
) -> Result<Option<(u64, Note)>, ()> {
    let key = attempt_key(task, place);
    for _ in 0..TRIES {
        let entry = session.attempts.entry(&key).await.map_err(drop)?;
        let (revision, mut note) = match entry {
            Some(entry) => (
                entry.revision,
                read::<Note>(&entry.value).unwrap_or_default(),
            ),
            None if first => return Ok(None),
            None => (0, Note::default()),
        };
        if note.ended.is_some() {
            return Ok(Some((revision, note)));
        }
        note.owner.clone_from(&shared.owner);
        match session.attempts.update(&key, json(&note), revision).await {
            Ok(revision) => return Ok(Some((revision, note))),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                sleep(Duration::from_millis(10)).await;
            }
            Err(_) => return Err(()),
        }
    }
    Err(())
}

/// Which of a provider's messages belong to other deliveries.
pub async fn taken(
    shared: &Shared,
    delivery: &DeliveryId,
    messages: Vec<MessageRef>,
) -> Result<Vec<MessageRef>, OutboxError> {
    let session = shared.servers.session().await?;
    let begun = Instant::now();
    let own = format!("{}/{}", delivery.task, delivery.index);
    let mut taken = Vec::new();
    for message in messages {
        let entry = session.known.entry(message_key(&message.0)).await;
        let entry = entry.map_err(|_| shared.servers.missed(&session, begun))?;
        if entry.is_some_and(|entry| entry.value != own.as_bytes()) {
            taken.push(message);
        }
    }
    Ok(taken)
}
