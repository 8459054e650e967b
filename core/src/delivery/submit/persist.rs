//! A request is stored before anything of it leaves.

use std::sync::Arc;

use tokio::time::Instant;

use super::SubmitError;
use super::idempotency::Submission;
use super::start::AdmittedRequest;
use crate::delivery::Dispatcher;
use crate::delivery::progress::store::{Persistence, StoreAnswer, StoredTask};
use crate::delivery::progress::task::Task;
use crate::model::outcome::Reason;
use crate::model::plan::Identity;
use crate::observe::Event;
use crate::store::{Accepted, StoreFuture};

impl Dispatcher {
    /// Stores a request, then starts it. If the store is slow and may still store it, the request starts later.
    pub(super) async fn persist_and_start(
        &self,
        request: AdmittedRequest,
        persistence: &Persistence,
        identity: Identity,
    ) -> Result<Submission, SubmitError> {
        let asked = Instant::now();
        let stored = persistence.persist(
            &request.task,
            identity.clone(),
            &request.deliveries,
            &request.policy,
        );
        match stored.await {
            Ok(StoreAnswer::Known(accepted)) => {
                self.start_stored(request, persistence, &identity, accepted, asked)
            }
            Ok(StoreAnswer::Unknown(reply)) => {
                let task = Arc::clone(&request.task);
                request.wait_for_store(&persistence.too_slow());
                let (dispatcher, persistence) = (self.clone(), persistence.clone());
                tokio::spawn(async move {
                    dispatcher
                        .start_when_stored(request, &persistence, &identity, reply, asked)
                        .await;
                });
                Ok(Submission::New(task))
            }
            Err(error) => {
                self.0.idempotency.forget(&identity, &request.task);
                request.refuse(&self.0.services.sink, Reason::Outbox);
                Err(SubmitError::NotPersisted(error))
            }
        }
    }

    /// The caller got the response that it is pending. Waits until the result of storing is known.
    async fn start_when_stored(
        &self,
        request: AdmittedRequest,
        persistence: &Persistence,
        identity: &Identity,
        reply: StoreFuture<Accepted>,
        asked: Instant,
    ) {
        match reply.await {
            Ok(accepted) => {
                let _ = self.start_stored(request, persistence, identity, accepted, asked);
            }
            Err(error) => {
                self.0.idempotency.forget(identity, &request.task);
                let event = Event::StoreFailed {
                    destination: "the notification",
                    message: &format!("nothing was sent: {error} {}", error.hint()),
                };
                self.0.services.sink.emit(&request.task.log, &event);
                request.refuse(&self.0.services.sink, Reason::Outbox);
            }
        }
    }

    fn start_stored(
        &self,
        mut request: AdmittedRequest,
        persistence: &Persistence,
        identity: &Identity,
        accepted: Accepted,
        asked: Instant,
    ) -> Result<Submission, SubmitError> {
        let task = Arc::clone(&request.task);
        let idempotency = &self.0.idempotency;
        match accepted {
            Accepted::New { behind } if !persistence.for_others => {
                request.stored = Some(StoredTask {
                    outbox: Arc::clone(&persistence.outbox),
                    behind,
                    confirmed: asked,
                });
                self.start(request);
                Ok(Submission::New(task))
            }
            Accepted::New { .. } | Accepted::Enqueued => {
                // Only the outbox has its outcome: it answers a repeat.
                idempotency.forget(identity, &task);
                self.start(request.without_sends());
                Ok(Submission::InOutbox(task))
            }
            Accepted::Known(known) => {
                idempotency.forget(identity, &task);
                task.adopt(known.reports.clone());
                let first = Task::elsewhere(known.task, known.warnings, known.reports);
                Ok(Submission::Replayed(first))
            }
            // A caller that joined it in this moment learns that it was not sent.
            Accepted::Conflict => {
                idempotency.forget(identity, &task);
                request.refuse(&self.0.services.sink, Reason::InvalidConfig);
                Ok(Submission::Conflict)
            }
        }
    }
}
