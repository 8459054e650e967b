//! How a request comes in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::claim::hold;
use super::consumer::ANY;
use super::idempotency::{KeyClaim, free_key, has_key, take_key};
use super::inbox::{Expected, Inboxes};
use super::order::KeyQueuePosition;
use super::server::{CallError, Session, StreamName};
use super::shared::Shared;
use super::stored::RequestRecord;
use super::subjects;
use super::subjects::{config_token, known_key};
use notifier_core::store::{Accepted, NewRequest, StoreError, StoreErrorKind, StoreFuture};

/// What a message has besides its payload: its subject and its id.
const ENVELOPE: usize = 1024;
const FETCH_WITHIN: Duration = Duration::from_millis(1500);
/// How soon a publication is repeated whose outcome is not known.
const PUBLISH_AGAIN: Duration = Duration::from_millis(500);

/// Whose a request is from now on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    Ours,
    Anyones,
}

/// A request on its way to the stream.
struct Publication<'a> {
    shared: &'a Arc<Shared>,
    inboxes: &'a Inboxes,
    request: &'a NewRequest,
    subject: String,
    payload: Bytes,
    /// The entry of its idempotency key.
    key: Option<String>,
    /// Among the requests of its dedup key, if this process is to deliver it.
    place: Option<Arc<KeyQueuePosition>>,
}

/// Takes a request. Withdraws it where its caller does not wait for the answer.
pub fn accept(
    shared: Arc<Shared>,
    inboxes: Arc<Inboxes>,
    request: NewRequest,
    whose: Assignment,
) -> StoreFuture<Accepted> {
    let stopped = shared.process.servers.error(StoreErrorKind::Stopped);
    // Nothing is done for a caller who never asks for the answer.
    Box::pin(async move {
        type HeldResult = (Result<Accepted, StoreError>, oneshot::Sender<()>);
        let (reply, answer) = oneshot::channel::<HeldResult>();
        let runtime = shared.process.runtime.clone();
        runtime.spawn(async move {
            let accepted = take(&shared, &inboxes, &request, whose).await;
            let is_kept = matches!(accepted, Ok(Accepted::New { .. } | Accepted::Elsewhere));
            let (heard, hears) = oneshot::channel();
            let _ = reply.send((accepted, heard));
            if is_kept && hears.await.is_err() {
                withdraw(&shared, &request, whose).await;
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
    inboxes: &Inboxes,
    request: &NewRequest,
    whose: Assignment,
) -> Result<Accepted, StoreError> {
    let mut session = shared.process.servers.session().await?;
    let stored = RequestRecord::of(request);
    let payload = stored.bytes();
    if payload.len() + ENVELOPE > session.max_payload() {
        return Err(shared.process.servers.error(StoreErrorKind::TooLarge));
    }
    let subject = subject(shared, &stored, whose);
    let key = match &request.identity.key {
        Some(_) => {
            let mut taken = take_key(&shared.process.servers, &*session, request, &subject).await;
            // Somebody may have deleted the bucket: it is made again.
            if taken
                .as_ref()
                .is_err_and(|error| error.kind == StoreErrorKind::NoLeader)
            {
                session = shared.process.servers.session().await?;
                taken = take_key(&shared.process.servers, &*session, request, &subject).await;
            }
            match taken? {
                KeyClaim::Free(key) => Some(key),
                KeyClaim::Taken(known) => return Ok(known),
            }
        }
        None => None,
    };
    let publication = Publication {
        shared,
        inboxes,
        request,
        subject,
        payload,
        key,
        place: match whose {
            Assignment::Ours => KeyQueuePosition::enter(&shared.process, &stored, 0),
            Assignment::Anyones => None,
        },
    };
    let accepted = match whose {
        Assignment::Ours => publication.publish_and_hold(&session).await,
        Assignment::Anyones => {
            let published = publication.publish(session.clone()).await;
            published.map(|_| Accepted::New { behind: Vec::new() })
        }
    };
    if let (Err(_), Some(key)) = (&accepted, &publication.key) {
        free_key(&*session, key).await;
    }
    accepted
}

fn subject(shared: &Shared, stored: &RequestRecord, whose: Assignment) -> String {
    let owner = match whose {
        Assignment::Ours => shared.process.owner.as_str(),
        Assignment::Anyones => ANY,
    };
    let config = config_token(&stored.config);
    subjects::work(owner, &config, stored.dedup_key.as_deref(), &stored.task)
}

impl Publication<'_> {
    /// Publishes the request, and gets it into this process's hand: where that takes too long, whoever claims it has it.
    async fn publish_and_hold(&self, session: &Arc<dyn Session>) -> Result<Accepted, StoreError> {
        let config = config_token(&self.request.config);
        let inbox = self.inboxes.of(self.shared, &**session, &config).await?;
        let expected: Expected = inbox.expect(&self.request.task);
        let sequence = self.publish(Arc::clone(session)).await?;
        let message = expected.within(FETCH_WITHIN);
        let (message, has_others) = join(message, self.has_others(&**session, sequence)).await;
        let Some(message) = message else {
            return Ok(Accepted::Elsewhere);
        };
        let Some(owned) = hold(self.shared, session, message, self.place.clone()).await else {
            return Ok(Accepted::Elsewhere);
        };
        owned.start();
        let place = self.place.as_ref();
        let behind = place.map(|place| place.line_up(has_others));
        Ok(Accepted::New {
            behind: behind.unwrap_or_default(),
        })
    }

    async fn has_others(&self, session: &dyn Session, sequence: u64) -> bool {
        match &self.place {
            Some(place) => place.has_others(session, sequence).await,
            None => false,
        }
    }

    /// Publishes the request until it is known whether it is in the stream: a publication without an answer may have arrived,
    /// or arrive yet. The stream takes its id once. Gives back its sequence; an error says that nothing of it is there.
    async fn publish(&self, mut session: Arc<dyn Session>) -> Result<u64, StoreError> {
        let servers = &self.shared.process.servers;
        let times = self.request.deliveries.iter();
        let times = times.filter_map(|delivery| Some(delivery.work.as_ref()?.time_left));
        let until = Instant::now() + times.max().unwrap_or_default();
        let (mut may_be_there, mut has_made_streams) = (false, false);
        loop {
            let begun = Instant::now();
            let (subject, payload) = (self.subject.clone(), self.payload.clone());
            let published = session
                .publish(subject, payload, Some(&self.request.task))
                .await;
            let error = match published {
                Ok(sequence) => return Ok(sequence),
                Err(error) => error,
            };
            if let CallError::Refused(kind) = error {
                return Err(servers.error(kind));
            }
            let missed = servers.missed(&*session, begun);
            // No stream took it: there is none, or it has no leader.
            let is_nowhere = error == CallError::NoTaker;
            if is_nowhere && !may_be_there {
                if has_made_streams {
                    return Err(servers.error(StoreErrorKind::NoLeader));
                }
                has_made_streams = true;
                let found = servers.session().await;
                session = found.map_err(|error| match error.kind {
                    // It would be asked about the stream.
                    StoreErrorKind::TooSlow => servers.error(StoreErrorKind::NoLeader),
                    _ => error,
                })?;
                continue;
            }
            may_be_there |= !is_nowhere;
            // A server that does not permit it sends no answer; what is too old is sent by nobody.
            if missed.kind == StoreErrorKind::NoPermission || Instant::now() >= until {
                return Err(missed);
            }
            sleep(PUBLISH_AGAIN).await;
            if let Ok(current) = servers.session().await {
                session = current;
                // After some time another request may have the key.
                if let Some(key) = &self.key
                    && has_key(&*session, key, &self.request.task).await == Some(false)
                {
                    return Err(servers.error(StoreErrorKind::TooSlow));
                }
            }
        }
    }
}

/// Takes a request back whose caller does not wait any more, if no other process was faster.
async fn withdraw(shared: &Arc<Shared>, request: &NewRequest, whose: Assignment) {
    let forgotten = shared.ask(&request.task, |request| request.forget().boxed());
    if let Some(forgotten) = forgotten {
        let _ = forgotten.await;
        return;
    }
    let Ok(session) = shared.process.servers.session().await else {
        return;
    };
    let subject = subject(shared, &RequestRecord::of(request), whose);
    let _ = session.purge(StreamName::Work, &subject).await;
    if let Some(key) = &request.identity.key {
        free_key(&*session, &known_key(&request.identity.scope, key)).await;
    }
}
