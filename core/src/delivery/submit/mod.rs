//! Submits a request: unless it is known already, it gets its permits, is stored, and starts.

pub mod idempotency;
mod persist;
mod recover;
mod start;
pub mod throttle;
mod untried;

use std::sync::Arc;

use self::idempotency::{Submission, SubmitMode};
pub use self::recover::RecoveredRequest;
use self::start::AdmittedRequest;
use self::throttle::ThrottleBatch;
use super::Dispatcher;
use super::limits::capacity::{ByteReservation, CapacityError, InFlightPermit, Need, Usage};
use super::limits::pacing::Caller;
use super::progress::store::{PersistError, Persistence};
use super::progress::task::Task;
use crate::model::observer::DeliveryObserver;
use crate::model::plan::{DeliveryPolicy, Identity, Plan, PlannedDelivery};
use crate::observe::{Event, TaskLog};
use crate::store::StoreFuture;

/// The rule in answers and log lines.
const DEDUP_WINDOW: &str = "dedup_window";

/// A request on its way in.
pub struct SubmitRequest {
    pub task_id: String,
    /// The caller whose share of the limits it uses.
    pub caller: Caller,
    pub identity: Identity,
    pub plan: Plan,
    pub policy: Arc<DeliveryPolicy>,
    pub log: TaskLog,
    pub warnings: Vec<String>,
    /// None: its deliveries end with the process.
    pub persistence: Option<Persistence>,
    /// The batch that it belongs to.
    pub batch: Option<Arc<ThrottleBatch>>,
    pub capacity: CapacityPolicy,
    /// Learns how its deliveries end.
    pub observer: Option<Arc<dyn DeliveryObserver>>,
    /// The dispatcher sends nothing before the request is stored.
    pub after: Option<StoreFuture<()>>,
}

/// The treatment of a request without capacity.
#[derive(Default)]
pub enum CapacityPolicy {
    #[default]
    Refuse,
    /// The request is stored, and a process with free capacity recovers it. Needs [`SubmitRequest::persistence`].
    LeaveInStore,
    /// The permits that it has waited for.
    Reserved(Vec<InFlightPermit>),
}

/// The reason why a request was not accepted. Nothing of it was sent.
#[derive(Debug)]
pub enum SubmitError {
    NoCapacity(CapacityError, Need),
    NotPersisted(PersistError),
}

/// An admitted request.
struct Admission {
    request: AdmittedRequest,
    /// Capacity for the bytes while they are being stored. `None`: no capacity is free, so the request stays in the
    /// store.
    stored: Option<ByteReservation>,
}

impl Dispatcher {
    /// Returns the answer to a repeated request before anything is planned for it.
    pub fn answer_repeated(&self, identity: &Identity) -> Option<Submission> {
        self.0.idempotency.answer(identity)
    }

    /// Accepts all deliveries of a plan or none, unless the request is known already.
    pub async fn submit(&self, mut request: SubmitRequest) -> Result<Submission, SubmitError> {
        let observer = request.observer.clone();
        let task = observer.as_ref().map(|_| request.task_id.clone());
        let submission = match request.after.take() {
            Some(after) => match after.await {
                Ok(()) => self.submit_observed(request).await,
                Err(error) => Err(SubmitError::NotPersisted(PersistError::Outbox(error))),
            },
            None => self.submit_observed(request).await,
        };
        if let (Some(observer), Some(task)) = (observer, task)
            && !matches!(
                &submission,
                Ok(Submission::New(_) | Submission::InOutbox(_))
            )
        {
            observer.not_accepted(&task);
        }
        submission
    }

    async fn submit_observed(&self, mut request: SubmitRequest) -> Result<Submission, SubmitError> {
        let identity = request.identity.clone();
        let (policy, batch) = (Arc::clone(&request.policy), request.batch.clone());
        let mut persistence = request.persistence.take();
        let usage = self.0.services.capacity.usage(&request.caller);
        let stored_bytes = persistence.as_ref().map_or(0, Persistence::size);
        let mut admission = None;
        let take = |mode| {
            let admitted = self.admit(request, mode, &usage, stored_bytes)?;
            let task = Arc::clone(&admitted.request.task);
            admission = Some(admitted);
            Ok(task)
        };
        let window = policy.dedup_window;
        let idempotency = &self.0.idempotency;
        let submission = idempotency.submit(identity.clone(), window, take);
        let is_left = matches!(&admission, Some(Admission { stored: None, .. }));
        if is_left || submission.is_err() {
            self.relieve(&usage, policy.max_in_flight, batch.as_deref());
        }
        let submission = submission.map_err(|(full, need)| SubmitError::NoCapacity(full, need))?;
        let (Submission::New(_), Some(admission)) = (&submission, admission) else {
            return Ok(submission);
        };
        let Admission {
            request,
            stored: _stored,
        } = admission;
        if let Some(persistence) = &mut persistence {
            persistence.for_others |= is_left;
        }
        match persistence.filter(|_| request.has_something_to_send()) {
            Some(persistence) => {
                self.persist_and_start(request, &persistence, identity)
                    .await
            }
            None => {
                self.start(request);
                Ok(submission)
            }
        }
    }

    /// Reserves capacity and creates the task, or does neither.
    fn admit(
        &self,
        request: SubmitRequest,
        mode: SubmitMode,
        usage: &Arc<Usage>,
        stored_bytes: usize,
    ) -> Result<Admission, (CapacityError, Need)> {
        let SubmitRequest {
            task_id,
            plan,
            policy,
            log,
            warnings,
            batch,
            capacity,
            observer,
            ..
        } = request;
        let plan = match mode {
            SubmitMode::Send => plan,
            SubmitMode::Suppress => plan.suppressed(DEDUP_WINDOW),
        };
        let shared = plan.shared_bytes + Task::size_without_reports(&task_id, &warnings);
        let deliveries: Vec<_> = plan.deliveries.into_iter().enumerate().collect();
        let sizes = sizes(&deliveries);
        let may_be_left = matches!(capacity, CapacityPolicy::LeaveInStore);
        // The permits replace the reservation.
        drop(capacity);
        let limits = &self.0.services.capacity;
        let reserved = limits
            .reserve(usage, &sizes, shared, policy.max_in_flight)
            .and_then(|permits| Ok((permits, limits.reserve_bytes(usage, stored_bytes)?)));
        let (permits, stored) = match reserved {
            Ok((permits, stored)) => (permits, Some(stored)),
            Err(_) if may_be_left => (limits.reserve_accepted(usage, &sizes, shared), None),
            Err(full) => {
                let bytes = sizes.iter().sum::<usize>() + shared + stored_bytes;
                let deliveries = sizes.len();
                return Err((full, Need { deliveries, bytes }));
            }
        };
        self.announce(&log, &deliveries, &warnings);
        let reports = deliveries
            .iter()
            .map(|(index, delivery)| delivery.report(*index));
        let task = Task::new(task_id, log, warnings, reports, observer);
        let request = AdmittedRequest {
            task,
            deliveries,
            policy,
            permits,
            stored: None,
            batch,
        };
        Ok(Admission { request, stored })
    }

    /// Logs the acceptance of a request and the warnings for its caller.
    fn announce(
        &self,
        log: &TaskLog,
        deliveries: &[(usize, PlannedDelivery)],
        warnings: &[String],
    ) {
        let (sink, count) = (&self.0.services.sink, deliveries.len());
        if is_quiet(deliveries) {
            return;
        }
        sink.emit(log, &Event::Accepted { deliveries: count });
        for warning in warnings {
            sink.emit(log, &Event::Warning(warning));
        }
    }
}

/// Returns whether the request deserves no log line: each delivery reports an alert that fires as before.
fn is_quiet(deliveries: &[(usize, PlannedDelivery)]) -> bool {
    let mut all = deliveries.iter();
    !deliveries.is_empty() && all.all(|(_, delivery)| delivery.is_quiet())
}

/// Bytes that each delivery holds.
fn sizes(deliveries: &[(usize, PlannedDelivery)]) -> Vec<usize> {
    let sizes = deliveries.iter().map(|(_, delivery)| delivery.size());
    sizes.collect()
}
