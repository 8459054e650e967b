//! Accepts a request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::claim::hold;
use super::consumer::ANY;
use super::idempotency::{KeyClaim, claim_key, has_key, release_key};
use super::inbox::{ExpectedMessage, Inboxes};
use super::order::KeyQueuePosition;
use super::server::{CallError, Session, StreamName};
use super::shared::Shared;
use super::stored::RequestRecord;
use super::subjects;
use super::subjects::{config_token, idempotency_entry_key};
use notifier_core::store::{Accepted, NewRequest, StoreError, StoreErrorKind, StoreFuture};

/// Bytes of a message besides its payload: its subject and its id.
const ENVELOPE_BYTES: usize = 1024;
const FETCH_WITHIN: Duration = Duration::from_millis(1500);
/// The wait before a publication with an unknown result is repeated.
const REPUBLISH_AFTER: Duration = Duration::from_millis(500);

/// Which process delivers an accepted request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Assignment {
    ThisProcess,
    AnyProcess,
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
    /// The position among the requests of its dedup key, if this process delivers it.
    queue_position: Option<Arc<KeyQueuePosition>>,
}

/// Accepts a request. Withdraws it if the caller stops waiting for the reply.
pub fn accept(
    shared: Arc<Shared>,
    inboxes: Arc<Inboxes>,
    request: NewRequest,
    assignment: Assignment,
) -> StoreFuture<Accepted> {
    let stopped = shared.process.servers.error(StoreErrorKind::Stopped);
    // A caller that never polls the future gets no request accepted.
    Box::pin(async move {
        type HeldResult = (Result<Accepted, StoreError>, oneshot::Sender<()>);
        let (reply, answer) = oneshot::channel::<HeldResult>();
        let runtime = shared.process.runtime.clone();
        runtime.spawn(async move {
            let accepted = accept_request(&shared, &inboxes, &request, assignment).await;
            let is_kept = matches!(accepted, Ok(Accepted::New { .. } | Accepted::Enqueued));
            let (received, was_received) = oneshot::channel();
            let _ = reply.send((accepted, received));
            if is_kept && was_received.await.is_err() {
                withdraw(&shared, &request, assignment).await;
            }
        });
        match answer.await {
            Ok((accepted, received)) => {
                let _ = received.send(());
                accepted
            }
            Err(_) => Err(stopped),
        }
    })
}

async fn accept_request(
    shared: &Arc<Shared>,
    inboxes: &Inboxes,
    request: &NewRequest,
    assignment: Assignment,
) -> Result<Accepted, StoreError> {
    let mut session = shared.process.servers.session().await?;
    let stored = RequestRecord::of(request);
    let payload = stored.bytes();
    if payload.len() + ENVELOPE_BYTES > session.max_payload() {
        return Err(shared.process.servers.error(StoreErrorKind::TooLarge));
    }
    let subject = subject(shared, &stored, assignment);
    let key = match &request.identity.key {
        Some(_) => {
            let mut claim = claim_key(&shared.process.servers, &*session, request, &subject).await;
            // An operator may have deleted the bucket: the store recreates it.
            if claim
                .as_ref()
                .is_err_and(|error| error.kind == StoreErrorKind::NoLeader)
            {
                session = shared.process.servers.session().await?;
                claim = claim_key(&shared.process.servers, &*session, request, &subject).await;
            }
            match claim? {
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
        queue_position: match assignment {
            Assignment::ThisProcess => KeyQueuePosition::insert(&shared.process, &stored, 0),
            Assignment::AnyProcess => None,
        },
    };
    let accepted = match assignment {
        Assignment::ThisProcess => publication.publish_and_hold(&session).await,
        Assignment::AnyProcess => {
            let published = publication.publish(session.clone()).await;
            published.map(|_| Accepted::New { behind: Vec::new() })
        }
    };
    if let (Err(_), Some(key)) = (&accepted, &publication.key) {
        release_key(&*session, key).await;
    }
    accepted
}

fn subject(shared: &Shared, stored: &RequestRecord, assignment: Assignment) -> String {
    let owner = match assignment {
        Assignment::ThisProcess => shared.process.owner.as_str(),
        Assignment::AnyProcess => ANY,
    };
    let config = config_token(&stored.config);
    subjects::work(owner, &config, stored.dedup_key.as_deref(), &stored.task)
}

impl Publication<'_> {
    /// Publishes the request and fetches it for this process. If that takes too long, the process that claims it delivers it.
    async fn publish_and_hold(&self, session: &Arc<dyn Session>) -> Result<Accepted, StoreError> {
        let config = config_token(&self.request.config);
        let inbox = self.inboxes.of(self.shared, &**session, &config).await?;
        let expected: ExpectedMessage = inbox.expect(&self.request.task);
        let sequence = self.publish(Arc::clone(session)).await?;
        let message = expected.wait_for(FETCH_WITHIN);
        let (message, has_others) = join(message, self.has_others(&**session, sequence)).await;
        let Some(message) = message else {
            return Ok(Accepted::Enqueued);
        };
        let Some(owned) = hold(self.shared, session, message, self.queue_position.clone()).await
        else {
            return Ok(Accepted::Enqueued);
        };
        owned.start();
        let queue_position = self.queue_position.as_ref();
        let behind = queue_position.map(|queue_position| queue_position.line_up(has_others));
        Ok(Accepted::New {
            behind: behind.unwrap_or_default(),
        })
    }

    async fn has_others(&self, session: &dyn Session, sequence: u64) -> bool {
        match &self.queue_position {
            Some(queue_position) => queue_position.has_others(session, sequence).await,
            None => false,
        }
    }

    /// Publishes the request until its fate is known. A publication without a reply may have arrived, or may arrive
    /// later; the stream accepts its id once. Returns its sequence. After an error the stream does not contain the
    /// request.
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
            // No stream stored it: the stream is missing, or has no leader.
            let is_nowhere = error == CallError::NoStream;
            if is_nowhere && !may_be_there {
                if has_made_streams {
                    return Err(servers.error(StoreErrorKind::NoLeader));
                }
                has_made_streams = true;
                let found = servers.session().await;
                session = found.map_err(|error| match error.kind {
                    // The next question is about the stream.
                    StoreErrorKind::TimedOut => servers.error(StoreErrorKind::NoLeader),
                    _ => error,
                })?;
                continue;
            }
            may_be_there |= !is_nowhere;
            // A server that denies permission sends no reply; an expired publication is not sent again.
            if missed.kind == StoreErrorKind::NoPermission || Instant::now() >= until {
                return Err(missed);
            }
            sleep(REPUBLISH_AFTER).await;
            if let Ok(current) = servers.session().await {
                session = current;
                // After some time another request may own the key.
                if let Some(key) = &self.key
                    && has_key(&*session, key, &self.request.task).await == Some(false)
                {
                    return Err(servers.error(StoreErrorKind::TimedOut));
                }
            }
        }
    }
}

/// Withdraws a request whose caller stopped waiting, unless another process has claimed it.
async fn withdraw(shared: &Arc<Shared>, request: &NewRequest, assignment: Assignment) {
    let forgotten = shared.ask(&request.task, |request| request.forget().boxed());
    if let Some(forgotten) = forgotten {
        let _ = forgotten.await;
        return;
    }
    let Ok(session) = shared.process.servers.session().await else {
        return;
    };
    let subject = subject(shared, &RequestRecord::of(request), assignment);
    let _ = session.purge(StreamName::Work, &subject).await;
    if let Some(key) = &request.identity.key {
        release_key(
            &*session,
            &idempotency_entry_key(&request.identity.scope, key),
        )
        .await;
    }
}
