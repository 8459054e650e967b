//! How a request comes in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::kv::UpdateErrorKind;
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::idempotency::{Key, free_key, take_key};
use super::lane::{LOOK_FOR, Lane};
use super::owned::{Asked, OwnedRequest, Registration};
use super::server::{Session, of_publication, purge};
use super::stored::{Note, Stored, json};
use super::subjects::{attempt_key, attempt_keys, config_token, known_key};
use super::{ANY, Shared, lock, make_consumer, subjects};
use crate::outbox::operator::dropped;
use crate::outbox::record::Record;
use crate::outbox::{Accepted, NewRequest, OutboxError, Reply, Trouble};

/// What a message has besides its payload: its subject and its id.
const ENVELOPE: usize = 1024;
/// Who has noted that a request is none.
const REFUSED: &str = "refused";
const FETCH_WITHIN: Duration = Duration::from_millis(1500);

/// Whose a request is from now on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Ours,
    Anyones,
}

/// Takes a request; gives it back where its caller does not hear of it.
pub fn accept(shared: Arc<Shared>, request: NewRequest, whose: Whose) -> Reply<Accepted> {
    let stopped = shared.servers.error(Trouble::Stopped);
    // Nothing is done for a caller who never asks for the answer.
    Box::pin(async move {
        type Answer = (Result<Accepted, OutboxError>, oneshot::Sender<()>);
        let (reply, answer) = oneshot::channel::<Answer>();
        let runtime = shared.runtime.clone();
        runtime.spawn(async move {
            let accepted = take(&shared, &request, whose).await;
            let is_new = matches!(accepted, Ok(Accepted::New { .. }));
            let (heard, hears) = oneshot::channel();
            let _ = reply.send((accepted, heard));
            if is_new && hears.await.is_err() {
                match whose {
                    Whose::Ours => forget(&shared, &request.task).await,
                    Whose::Anyones => forget_left(&shared, &request).await,
                }
            }
        });
        match answer.await {
            Ok((accepted, heard)) => {
                let _ = heard.send(());
                accepted
            }
            Err(_) => Err(stopped),
        }
    })
}

async fn take(
    shared: &Arc<Shared>,
    request: &NewRequest,
    whose: Whose,
) -> Result<Accepted, OutboxError> {
    let session = shared.servers.session().await?;
    let config = config_token(&request.config);
    let owner = match whose {
        Whose::Ours => shared.owner.as_str(),
        Whose::Anyones => ANY,
    };
    let subject = subjects::work(owner, &config, &request.task);
    let stored = Stored::of(request);
    let bytes = stored.bytes();
    if bytes.len() + ENVELOPE > session.client.max_payload() {
        return Err(shared.servers.error(Trouble::TooLarge));
    }
    let key = match &request.identity.key {
        Some(_) => match take_key(&shared.servers, &session, request, &subject).await? {
            Key::Free(key) => Some(key),
            Key::Taken(known) => return Ok(known),
        },
        None => None,
    };
    let begun = Instant::now();
    let kept = match whose {
        Whose::Ours => fetch(shared, &session, &config, &subject, bytes, &request.task).await,
        Whose::Anyones => {
            let left = leave(shared, &session, &config, &subject, bytes, &request.task).await;
            left.map(|()| None)
        }
    };
    match kept {
        Ok(Some(message)) => {
            // A new task's name is its own.
            if let Some(registration) = Registration::new(shared, &request.task) {
                OwnedRequest::start(registration, session, stored, message, BTreeMap::new());
            }
        }
        Ok(None) => {}
        Err(error) => {
            if let Some(key) = key {
                free_key(&session, &key).await;
            }
            shared.runtime.spawn(refuse(Arc::clone(&session), stored));
            return Err(match error.and_then(|error| of_publication(&error)) {
                Some(trouble) => {
                    shared.servers.again(trouble).await;
                    shared.servers.error(trouble)
                }
                None => shared.servers.missed(&session, begun),
            });
        }
    }
    Ok(Accepted::New { behind: Vec::new() })
}

/// Publishes a request, and gets it into this process's hand. The error is that of the publication, where it is known.
async fn fetch(
    shared: &Arc<Shared>,
    session: &Session,
    config: &str,
    subject: &str,
    bytes: Bytes,
    task: &str,
) -> Result<Option<Message>, Option<PublishError>> {
    let lane = Lane::of(shared, session, config).await.map_err(|_| None)?;
    let coming = lane.expect(task);
    let arrived = match session.publish(subject.to_owned(), bytes, task).await {
        Ok(()) => match timeout(FETCH_WITHIN, coming).await {
            Ok(Ok(message)) => return Ok(Some(message)),
            _ => None,
        },
        Err(error) => Some(error),
    };
    lane.refuse(task);
    Err(arrived)
}

/// Publishes a request for anyone.
async fn leave(
    shared: &Arc<Shared>,
    session: &Session,
    config: &str,
    subject: &str,
    bytes: Bytes,
    task: &str,
) -> Result<(), Option<PublishError>> {
    if !lock(&shared.any).contains(config) {
        let made = make_consumer(&shared.servers, session, ANY, config).await;
        made.map_err(|_| None)?;
        lock(&shared.any).insert(config.to_owned());
    }
    let published = session.publish(subject.to_owned(), bytes, task).await;
    published.map_err(Some)
}

/// What nobody has heard of is not kept.
async fn forget(shared: &Shared, task: &str) {
    let owned = lock(&shared.owned).get(task).cloned();
    let (reply, done) = oneshot::channel();
    if owned.is_some_and(|owned| owned.send(Asked::Forget(reply)).is_ok()) {
        let _ = done.await;
    }
}

/// What nobody has heard of is taken back, if no worker was faster.
async fn forget_left(shared: &Arc<Shared>, request: &NewRequest) {
    let Ok(session) = shared.servers.session().await else {
        return;
    };
    let subject = subjects::work(ANY, &config_token(&request.config), &request.task);
    let _ = session.work.purge().filter(subject).await;
    if let Some(key) = &request.identity.key {
        free_key(&session, &known_key(&request.identity.scope, key)).await;
    }
    shared.runtime.spawn(refuse(session, Stored::of(request)));
}

/// Sees to it that nobody delivers what its caller was told is not kept, should it have been stored all the same.
async fn refuse(session: Arc<Session>, stored: Stored) {
    let until = Instant::now() + LOOK_FOR;
    let notes = stored.reports().into_iter().map(|report| {
        let note = Note {
            owner: REFUSED.to_owned(),
            ended: Some(Record::of(&dropped(&report))),
            ..Note::default()
        };
        json(&note)
    });
    for (place, note) in notes.enumerate() {
        let key = attempt_key(&stored.task, place);
        while let Err(error) = session.attempts.update(&key, note.clone(), 0).await {
            if error.kind() == UpdateErrorKind::WrongLastRevision || Instant::now() > until {
                break;
            }
            sleep(Duration::from_millis(500)).await;
        }
    }
    sleep_until(until).await;
    let _ = purge(&session.attempts, &attempt_keys(&stored.task)).await;
}
