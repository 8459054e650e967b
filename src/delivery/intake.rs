//! How requests come in: from a caller, or from an outbox that another process has left them in.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::bounds::{Full, Place};
use super::durability::{Keeping, Kept, KeptTask, NotKept, StoreAnswer};
use super::idempotency::{Accept, Admission};
use super::run::{Arriving, end_task, wait_until_noted};
use super::throttle::Batch;
use super::{Dispatcher, Task};
use crate::channels;
use crate::model::outcome::{Detail, Failure, Outcome, Reason};
use crate::model::plan::{Delivery, DeliveryPolicy, Identity, Plan, Sending, Work};
use crate::model::report::DeliveryReport;
use crate::model::secret::Redactor;
use crate::observe::{Event, LineLimiter, LogLevel, MAX_LINES, TaskLog};
use crate::outbox::{Accepted, OutboxError, Reply};

/// The rule that stands in answers and log lines.
const DEDUP_WINDOW: &str = "dedup_window";

/// A request on its way in.
pub struct Acceptance {
    pub task_id: String,
    pub identity: Identity,
    pub plan: Plan,
    pub policy: Arc<DeliveryPolicy>,
    pub log: TaskLog,
    pub warnings: Vec<String>,
    /// None: what is in flight ends with the process.
    pub keeping: Option<Keeping>,
    /// What it came with.
    pub batch: Option<Arc<Batch>>,
}

/// A request that an outbox has handed to this process, with the deliveries that are to be done.
pub struct TakenOver {
    pub task_id: String,
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
    Full(Full),
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

/// Deliveries of one request that end without being tried: one request may have ten thousand.
struct Untried<'a> {
    task: &'a Arc<Task>,
    lines: LineLimiter,
    /// For the errors of the status view.
    errors: LineLimiter,
    has_failed: bool,
}

/// Of the last errors that the status view shows, so many may be one request's.
const MAX_ERRORS: usize = 5;

impl<'a> Untried<'a> {
    const fn new(task: &'a Arc<Task>) -> Self {
        Self {
            task,
            lines: LineLimiter::new(MAX_LINES),
            errors: LineLimiter::new(MAX_ERRORS),
            has_failed: false,
        }
    }
}

impl Dispatcher {
    /// Takes charge of a plan, or of nothing of it, unless the request is known already.
    pub async fn accept(&self, mut acceptance: Acceptance) -> Result<Admission, NotAccepted> {
        let identity = acceptance.identity.clone();
        let window = acceptance.policy.dedup_window;
        let (policy, batch) = (Arc::clone(&acceptance.policy), acceptance.batch.clone());
        let keeping = acceptance.keeping.take();
        let mut ready = None;
        let take = |accept| {
            let prepared = self.prepare(acceptance, accept)?;
            let task = Arc::clone(&prepared.task);
            // What is to be kept is held until it is.
            let stored = keeping.as_ref().map(|keeping| self.room(keeping.size()));
            ready = Some((prepared, stored.transpose()?));
            Ok(task)
        };
        let admission = self
            .engine
            .idempotency
            .admit(identity.clone(), window, take)
            .map_err(|full| {
                self.engine.relieve(policy.max_in_flight, batch.as_deref());
                NotAccepted::Full(full)
            })?;
        let (Admission::New(_), Some((ready, _stored))) = (&admission, ready) else {
            return Ok(admission);
        };
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
            Accepted::New { behind } if !keeping.for_workers => {
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
                Ok(Admission::New(task))
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
        self.start(Ready {
            task: Arc::clone(&task),
            places: self.engine.bounds.reserve_accepted(&sizes, shared),
            deliveries,
            policy,
            kept: Some(kept),
            batch: None,
        });
        task
    }

    fn prepare(&self, acceptance: Acceptance, accept: Accept) -> Result<Ready, Full> {
        let Acceptance {
            task_id,
            plan,
            policy,
            log,
            warnings,
            batch,
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
        let places = bounds.reserve(&sizes, shared, policy.max_in_flight)?;
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
        Ok(Ready {
            task,
            deliveries,
            policy,
            places,
            kept: None,
            batch,
        })
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

    /// What cannot even be tried has ended.
    fn reject(
        &self,
        untried: &Untried<'_>,
        index: usize,
        sender: &str,
        failure: Failure,
        path: Option<&str>,
        kept: Option<Box<Kept>>,
    ) {
        let task = untried.task;
        let outcome = Outcome::Failed(failure.clone());
        if untried.lines.admit() {
            let line = task.log.log(&Event::NotTried {
                sender,
                failure: &failure,
                path,
            });
            if untried.errors.admit() {
                self.engine.errors.push(line);
            }
        }
        // The name is the caller's: only ours become labels.
        let known = channels::find(sender).map_or("unknown", |spec| spec.key);
        self.engine.metrics.ended(known, &outcome, Duration::ZERO);
        let note = end_task(task, index, outcome, kept.as_deref());
        if let Some((kept, note)) = kept.zip(note) {
            let (engine, task) = (Arc::clone(&self.engine), Arc::clone(task));
            tokio::spawn(async move { wait_until_noted(&engine, &task, index, &kept, note).await });
        }
    }

    fn ended_at_once(
        &self,
        untried: &Untried<'_>,
        index: usize,
        sender: &str,
        sending: &Sending,
        outcome: &Outcome,
    ) {
        self.engine.metrics.ended(sender, outcome, Duration::ZERO);
        if untried.lines.admit() {
            untried.task.log.log(&Event::Ended {
                destination: &sending.channel.destination().label,
                outcome,
                http_status: None,
                attempts: 0,
                elapsed: Duration::ZERO,
            });
        }
        untried.task.record(index);
    }
}

impl Untried<'_> {
    /// Says how many have no line of their own.
    fn sum_up(&self) {
        let lines = self.lines.left_out();
        if lines > 0 {
            self.task.log.log(&Event::LeftOut {
                level: match self.has_failed {
                    true => LogLevel::Error,
                    false => LogLevel::Info,
                },
                lines,
                what: "deliveries were not tried; the answer has an entry for each",
            });
        }
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
