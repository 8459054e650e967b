//! How requests come in: from a caller, or from an outbox that another process has left them in.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::arriving::Arriving;
use super::bounds::{Full, Need, Place, Room, Usage};
use super::durability::{Keeping, KeptTask, NotKept, StoreAnswer};
use super::idempotency::{Accept, Admission};
use super::throttle::Batch;
use super::untried::Untried;
use super::{Caller, Dispatcher, Task};
use crate::model::outcome::{Detail, Failure, Outcome, Reason};
use crate::model::plan::{Delivery, DeliveryPolicy, Identity, Plan, Sending, Work};
use crate::model::report::DeliveryReport;
use crate::observe::{Event, TaskLog};
use crate::outbox::{Accepted, OutboxError, Reply};
use crate::secret::Redactor;

/// The rule that stands in answers and log lines.
const DEDUP_WINDOW: &str = "dedup_window";

/// A request on its way in.
pub struct Acceptance {
    pub task_id: String,
    /// Whose share of the limits it takes.
    pub caller: Caller,
    pub identity: Identity,
    pub plan: Plan,
    pub policy: Arc<DeliveryPolicy>,
    pub log: TaskLog,
    pub warnings: Vec<String>,
    /// None: what is in flight ends with the process.
    pub keeping: Option<Keeping>,
    /// What it came with.
    pub batch: Option<Arc<Batch>>,
    pub room: RoomPolicy,
}

/// What becomes of a request for which there is no room.
#[derive(Default)]
pub enum RoomPolicy {
    #[default]
    Refuse,
    /// It is stored, and whoever has room takes it over. Needs [`Acceptance::keeping`].
    LeaveInStore,
    /// The room that it has waited for.
    Reserved(Vec<Place>),
}

/// A request that an outbox has handed to this process, with the deliveries that are to be done.
pub struct TakenOver {
    pub task_id: String,
    /// Whose share of the limits it takes.
    pub caller: Caller,
    pub identity: Identity,
    /// How long ago it was accepted.
    pub age: Duration,
    /// All of them, as they stand.
    pub reports: Vec<DeliveryReport>,
    /// By their places in the request.
    pub deliveries: Vec<(usize, Delivery)>,
    /// Bytes that they hold together.
    pub shared_bytes: usize,
    pub policy: Arc<DeliveryPolicy>,
    pub log: TaskLog,
    pub warnings: Vec<String>,
    pub kept: KeptTask,
}

/// Why a request was not accepted. Nothing of it was sent.
#[derive(Debug)]
pub enum NotAccepted {
    Full(Full, Need),
    NotKept(NotKept),
}

/// A request that has its places, and of which nothing was sent yet.
struct Ready {
    task: Arc<Task>,
    deliveries: Vec<(usize, Delivery)>,
    policy: Arc<DeliveryPolicy>,
    /// One for each delivery.
    places: Vec<Place>,
    kept: Option<KeptTask>,
    batch: Option<Arc<Batch>>,
}

/// A request that has gone through the bounds.
struct Prepared {
    ready: Ready,
    /// Room for what is to be stored, until it is. `None`: there is no room, so it is left in the store.
    stored: Option<Room>,
}

impl Dispatcher {
    /// Takes charge of a plan, or of nothing of it, unless the request is known already.
    pub async fn accept(&self, mut acceptance: Acceptance) -> Result<Admission, NotAccepted> {
        let identity = acceptance.identity.clone();
        let window = acceptance.policy.dedup_window;
        let (policy, batch) = (Arc::clone(&acceptance.policy), acceptance.batch.clone());
        let mut keeping = acceptance.keeping.take();
        let own = self.engine.bounds.usage(&acceptance.caller);
        let stored_bytes = keeping.as_ref().map_or(0, Keeping::size);
        let mut prepared = None;
        let take = |accept| {
            let new = self.prepare(acceptance, accept, &own, stored_bytes)?;
            let task = Arc::clone(&new.ready.task);
            prepared = Some(new);
            Ok(task)
        };
        let admission = self
            .engine
            .idempotency
            .admit(identity.clone(), window, take);
        let is_left = matches!(&prepared, Some(Prepared { stored: None, .. }));
        if is_left || admission.is_err() {
            let limit = policy.max_in_flight;
            self.engine.relieve(&own, limit, batch.as_deref());
        }
        let admission = admission.map_err(|(full, need)| NotAccepted::Full(full, need))?;
        let (Admission::New(_), Some(prepared)) = (&admission, prepared) else {
            return Ok(admission);
        };
        let Prepared {
            ready,
            stored: _stored,
        } = prepared;
        if let Some(keeping) = &mut keeping {
            keeping.for_others |= is_left;
        }
        let sends = |(_, delivery): &(usize, Delivery)| delivery.work.is_to_send();
        match keeping.filter(|_| ready.deliveries.iter().any(sends)) {
            Some(keeping) => self.keep_and_start(ready, &keeping, identity).await,
            None => {
                self.start(ready);
                Ok(admission)
            }
        }
    }

    /// Nothing leaves before it is kept.
    async fn keep_and_start(
        &self,
        ready: Ready,
        keeping: &Keeping,
        identity: Identity,
    ) -> Result<Admission, NotAccepted> {
        let asked = Instant::now();
        let kept = keeping.keep(
            &ready.task,
            identity.clone(),
            &ready.deliveries,
            &ready.policy,
        );
        match kept.await {
            Ok(StoreAnswer::Known(accepted)) => {
                self.go_on_with(ready, keeping, &identity, accepted, asked)
            }
            Ok(StoreAnswer::Unknown(reply)) => {
                let task = Arc::clone(&ready.task);
                ready.wait_for_store(&keeping.too_slow());
                let (dispatcher, keeping) = (self.clone(), keeping.clone());
                tokio::spawn(async move {
                    dispatcher
                        .go_on_later(ready, &keeping, &identity, reply, asked)
                        .await;
                });
                Ok(Admission::New(task))
            }
            Err(not_kept) => {
                self.engine.idempotency.forget(&identity, &ready.task);
                ready.refuse(Reason::Outbox);
                Err(NotAccepted::NotKept(not_kept))
            }
        }
    }

    /// Its caller has been told that it is pending. Waits until it is known whether the store has it.
    async fn go_on_later(
        &self,
        ready: Ready,
        keeping: &Keeping,
        identity: &Identity,
        reply: Reply<Accepted>,
        asked: Instant,
    ) {
        match reply.await {
            Ok(accepted) => {
                let _ = self.go_on_with(ready, keeping, identity, accepted, asked);
            }
            Err(error) => {
                self.engine.idempotency.forget(identity, &ready.task);
                let line = ready.task.log.log(&Event::NotKept {
                    destination: "the notification",
                    what: &format!("nothing was sent: {error} {}", error.hint()),
                });
                self.engine.errors.push(line);
                ready.refuse(Reason::Outbox);
            }
        }
    }

    fn go_on_with(
        &self,
        mut ready: Ready,
        keeping: &Keeping,
        identity: &Identity,
        accepted: Accepted,
        asked: Instant,
    ) -> Result<Admission, NotAccepted> {
        let task = Arc::clone(&ready.task);
        match accepted {
            Accepted::New { behind } if !keeping.for_others => {
                ready.kept = Some(KeptTask {
                    outbox: Arc::clone(&keeping.outbox),
                    behind,
                    confirmed: asked,
                });
                self.start(ready);
                Ok(Admission::New(task))
            }
            Accepted::New { .. } | Accepted::Elsewhere => {
                // What becomes of it stands in the outbox alone: a repeat is answered from there.
                self.engine.idempotency.forget(identity, &task);
                self.start(ready.without_work());
                Ok(Admission::Left(task))
            }
            Accepted::Known(known) => {
                self.engine.idempotency.forget(identity, &task);
                task.adopt(known.reports.clone());
                let first = Task::elsewhere(known.task, known.warnings, known.reports);
                Ok(Admission::Replayed(first))
            }
            // Whoever joined it in this instant is told that it was not sent.
            Accepted::Conflict => {
                self.engine.idempotency.forget(identity, &task);
                ready.refuse(Reason::InvalidConfig);
                Ok(Admission::Conflict)
            }
        }
    }

    /// Goes on with a request that was accepted once.
    pub fn take_over(&self, taken: TakenOver) -> Arc<Task> {
        let TakenOver {
            task_id,
            caller,
            identity,
            age,
            mut reports,
            deliveries,
            shared_bytes,
            policy,
            log,
            warnings,
            kept,
        } = taken;
        log.log(&Event::TakenOver {
            deliveries: deliveries.len(),
        });
        for (index, delivery) in &deliveries {
            if let Some(report) = reports.get_mut(*index) {
                let before = report.clone();
                *report = delivery.report(*index);
                report.attempts = before.attempts;
                report.parts_delivered = delivery.parts_done();
                // Its end is still to be said.
                report.outcome = Outcome::Pending(before.outcome.failure().cloned());
            }
        }
        let now = Instant::now();
        let accepted = now.checked_sub(age).unwrap_or(now);
        let task = Task::accepted_at(accepted, task_id, log, warnings, reports);
        let window = policy.dedup_window;
        self.engine.idempotency.remember(identity, window, &task);
        let sizes: Vec<usize> = sizes(&deliveries);
        let shared = shared_bytes + Task::size_without_reports(&task.id, &task.warnings());
        let bounds = &self.engine.bounds;
        self.start(Ready {
            task: Arc::clone(&task),
            places: bounds.reserve_accepted(&bounds.usage(&caller), &sizes, shared),
            deliveries,
            policy,
            kept: Some(kept),
            batch: None,
        });
        task
    }

    fn prepare(
        &self,
        acceptance: Acceptance,
        accept: Accept,
        own: &Arc<Usage>,
        stored_bytes: usize,
    ) -> Result<Prepared, (Full, Need)> {
        let Acceptance {
            task_id,
            plan,
            policy,
            log,
            warnings,
            batch,
            room,
            ..
        } = acceptance;
        let plan = match accept {
            Accept::Send => plan,
            Accept::Suppress => plan.suppressed(DEDUP_WINDOW),
        };
        let shared = plan.shared_bytes + Task::size_without_reports(&task_id, &warnings);
        let deliveries: Vec<_> = plan.deliveries.into_iter().enumerate().collect();
        let sizes = sizes(&deliveries);
        let bounds = &self.engine.bounds;
        let may_be_left = matches!(room, RoomPolicy::LeaveInStore);
        // What was reserved is used now.
        drop(room);
        let reserved = bounds
            .reserve(own, &sizes, shared, policy.max_in_flight)
            .and_then(|places| Ok((places, bounds.room(own, stored_bytes)?)));
        let (places, stored) = match reserved {
            Ok((places, stored)) => (places, Some(stored)),
            Err(_) if may_be_left => (bounds.reserve_accepted(own, &sizes, shared), None),
            Err(full) => {
                let bytes = sizes.iter().sum::<usize>() + shared + stored_bytes;
                let deliveries = sizes.len();
                return Err((full, Need { deliveries, bytes }));
            }
        };
        log.log(&Event::Accepted {
            deliveries: deliveries.len(),
        });
        for warning in &warnings {
            log.log(&Event::Warning(warning));
        }
        let reports = deliveries
            .iter()
            .map(|(index, delivery)| delivery.report(*index));
        let task = Task::new(task_id, log, warnings, reports);
        let ready = Ready {
            task,
            deliveries,
            policy,
            places,
            kept: None,
            batch,
        };
        Ok(Prepared { ready, stored })
    }

    /// Must be called on a runtime.
    fn start(&self, ready: Ready) {
        let Ready {
            task,
            deliveries,
            policy,
            places,
            kept,
            batch,
        } = ready;
        let mut untried = Untried::new(&task);
        let claimed = kept.as_ref().map_or(task.accepted, |kept| kept.confirmed);
        for ((index, delivery), place) in deliveries.into_iter().zip(places) {
            let registered = kept.as_ref().map(|kept| kept.delivery(&task, index));
            let Some(kept) = registered.map_or(Some(None), |kept| kept.map(Some)) else {
                // It runs already, and goes on as it is.
                task.leave(index);
                continue;
            };
            match delivery.work {
                Work::Preview(_) | Work::Ignore => {}
                Work::Suppress { sending, rule } => {
                    let outcome = Outcome::Suppressed { rule };
                    let sender = &delivery.sender;
                    self.ended_at_once(&untried, index, sender, &sending, &outcome);
                }
                Work::Reject { failure, path } => {
                    untried.has_failed = true;
                    let sender = &delivery.sender;
                    let path = path.as_deref();
                    self.reject(&untried, index, sender, failure, path, kept);
                }
                Work::Send(sending) => {
                    let deadline = deadline(&sending, &policy, &task, claimed);
                    let arriving = Arriving {
                        task: Arc::clone(&task),
                        index,
                        sender: delivery.sender,
                        receiver: delivery.receiver,
                        sending,
                        policy: Arc::clone(&policy),
                        place: Some(place),
                        kept,
                        deadline,
                        ahead_of: Vec::new(),
                    };
                    if let Some(arriving) = self.engine.throttle(arriving, batch.as_deref()) {
                        self.engine.run(arriving);
                    }
                }
            }
        }
        untried.sum_up();
    }
}

impl Ready {
    /// What is to be sent is another process's.
    fn without_work(self) -> Self {
        let all = self.deliveries.into_iter().zip(self.places);
        let (deliveries, places) = all
            .filter(|((index, delivery), _)| {
                let is_to_send = delivery.work.is_to_send();
                if is_to_send {
                    self.task.leave(*index);
                }
                !is_to_send
            })
            .unzip();
        Self {
            task: self.task,
            deliveries,
            places,
            policy: self.policy,
            kept: self.kept,
            batch: self.batch,
        }
    }

    /// Says of what is to be sent why it is not yet.
    fn wait_for_store(&self, error: &OutboxError) {
        for (index, delivery) in &self.deliveries {
            if delivery.work.is_to_send() {
                let detail = Detail::new(&error.to_string(), &Redactor::default());
                let failure = Failure::new(Reason::Outbox).with_detail(detail);
                self.task.pending(*index, failure);
            }
        }
    }

    /// Nothing of it is sent after all. The answer of its call says why.
    fn refuse(self, reason: Reason) {
        for (index, delivery) in &self.deliveries {
            if delivery.work.is_to_send() {
                self.task.end(*index, Outcome::Failed(Failure::new(reason)));
            }
        }
    }
}

/// When the last attempt must have ended.
fn deadline(sending: &Sending, policy: &DeliveryPolicy, task: &Task, claimed: Instant) -> Instant {
    match &sending.resume {
        Some(resume) => claimed + resume.time_left,
        None => task.accepted + policy.delivery_timeout,
    }
}

fn sizes(deliveries: &[(usize, Delivery)]) -> Vec<usize> {
    deliveries
        .iter()
        .map(|(_, delivery)| delivery.size())
        .collect()
}
