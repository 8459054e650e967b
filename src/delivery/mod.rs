//! Runs plans: every delivery at once, each to its end, whatever becomes of the call that asked for it.

mod bounds;
mod digest;
mod durability;
mod idempotency;
mod last_sent;
mod lookup;
mod pacing;
mod queue;
mod retry;
mod task;
#[cfg(test)]
mod tests;
mod throttle;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use tokio::time::Instant;

use self::bounds::{Bounds, Place};
pub use self::bounds::{Full, MAX_BYTES, Room, WaitingCall};
use self::durability::Kept;
pub use self::durability::{Keeping, NotKept, config_of};
pub use self::idempotency::Admission;
use self::idempotency::{Accept, Idempotency};
use self::last_sent::LastSents;
use self::lookup::Claims;
pub use self::pacing::{Pacing, Wait};
use self::queue::Queues;
use self::retry::Run;
pub use self::task::Task;
pub use self::throttle::Batch;
use self::throttle::Minutes;
use crate::channels;
use crate::model::outcome::{Failure, Outcome, Reason};
use crate::model::plan::{Delivery, DeliveryPolicy, Identity, Plan, Sending, Work};
use crate::model::report::{DeliveryReport, Preview};
use crate::model::wire::Outbound;
use crate::observe::{Event, Gauges, LogLevel, Metrics, RecentErrors, TaskLog};
use crate::outbox::{Accepted, Outbox};
use crate::transport::Transport;

/// What all deliveries of the process share.
pub struct Engine {
    transport: Arc<dyn Transport>,
    metrics: Arc<Metrics>,
    errors: Arc<RecentErrors>,
    bounds: Arc<Bounds>,
    idempotency: Idempotency,
    queues: Queues,
    claims: Claims,
    last_sents: LastSents,
    minutes: Minutes,
    /// Deliveries whose call has been answered.
    pending: AtomicUsize,
}

/// Takes plans and runs them on the runtime that it is called on.
#[derive(Clone)]
pub struct Dispatcher {
    engine: Arc<Engine>,
}

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
    pub accepted: SystemTime,
    /// All of them, as they stand.
    pub reports: Vec<DeliveryReport>,
    /// By their places in the request.
    pub deliveries: Vec<(usize, Delivery)>,
    pub policy: Arc<DeliveryPolicy>,
    pub log: TaskLog,
    pub warnings: Vec<String>,
    pub outbox: Arc<dyn Outbox>,
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
    places: Vec<Place>,
    outbox: Option<Arc<dyn Outbox>>,
    batch: Option<Arc<Batch>>,
}

/// A delivery that is to be sent, with its place among those in flight.
struct Arriving {
    task: Arc<Task>,
    index: usize,
    sender: String,
    receiver: Option<String>,
    sending: Sending,
    policy: Arc<DeliveryPolicy>,
    place: Option<Place>,
    /// Where it is kept.
    outbox: Option<Arc<dyn Outbox>>,
}

impl Dispatcher {
    pub fn new(
        transport: Arc<dyn Transport>,
        metrics: Arc<Metrics>,
        errors: Arc<RecentErrors>,
    ) -> Self {
        Self {
            engine: Arc::new(Engine {
                transport,
                metrics,
                errors,
                bounds: Arc::default(),
                idempotency: Idempotency::default(),
                queues: Queues::default(),
                claims: Claims::default(),
                last_sents: LastSents::default(),
                minutes: Minutes::default(),
                pending: AtomicUsize::new(0),
            }),
        }
    }

    /// For notifications that come together: so many of them are sent one by one, and of the rest tells a digest.
    pub fn batch(&self) -> Arc<Batch> {
        Arc::new(Batch::new(Arc::clone(&self.engine)))
    }

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
            ready = Some(prepared);
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
        let (Admission::New(_), Some(ready)) = (&admission, ready) else {
            return Ok(admission);
        };
        let sends = |(_, delivery): &(usize, Delivery)| matches!(delivery.work, Work::Send(_));
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
        mut ready: Ready,
        keeping: &Keeping,
        identity: Identity,
    ) -> Result<Admission, NotAccepted> {
        let task = Arc::clone(&ready.task);
        let kept = keeping.keep(&task, identity.clone(), &ready.deliveries, &ready.policy);
        let known = match kept.await {
            Ok(Accepted::New) if keeping.for_workers => {
                // What becomes of it stands in the outbox alone: a repeat is answered from there.
                self.engine.idempotency.forget(&identity, &task);
                self.start(ready.without_work());
                return Ok(Admission::New(task));
            }
            Ok(Accepted::New) => {
                ready.outbox = Some(Arc::clone(&keeping.outbox));
                self.start(ready);
                return Ok(Admission::New(task));
            }
            Ok(Accepted::Known(known)) => Ok(Some(known)),
            Ok(Accepted::Conflict) => Ok(None),
            Err(not_kept) => Err(not_kept),
        };
        self.engine.idempotency.forget(&identity, &task);
        match known {
            Ok(Some(known)) => {
                task.adopt(known.reports.clone());
                let first = Task::elsewhere(known.task, known.warnings, known.reports);
                Ok(Admission::Replayed(first))
            }
            // Whoever joined it in this instant is told that it was not sent.
            Ok(None) => {
                ready.refuse(Reason::InvalidConfig);
                Ok(Admission::Conflict)
            }
            Err(not_kept) => {
                ready.refuse(Reason::Outbox);
                Err(NotAccepted::NotKept(not_kept))
            }
        }
    }

    /// Goes on with a request that was accepted once.
    pub fn take_over(&self, taken: TakenOver) -> Arc<Task> {
        let TakenOver {
            task_id,
            identity,
            accepted,
            mut reports,
            deliveries,
            policy,
            log,
            warnings,
            outbox,
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
        let age = accepted.elapsed().unwrap_or_default();
        let now = Instant::now();
        let accepted = now.checked_sub(age).unwrap_or(now);
        let task = Task::accepted_at(accepted, task_id, log, warnings, reports);
        let window = policy.dedup_window;
        self.engine.idempotency.remember(identity, window, &task);
        let sizes: Vec<usize> = sizes(&deliveries);
        self.start(Ready {
            task: Arc::clone(&task),
            places: self.engine.bounds.reserve_accepted(&sizes),
            deliveries,
            policy,
            outbox: Some(outbox),
            batch: None,
        });
        task
    }

    /// Whether there is so much room that deliveries of former processes are welcome too.
    pub fn has_much_room(&self, max_in_flight: usize) -> bool {
        self.engine.bounds.has_much_room(max_in_flight)
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
        let deliveries: Vec<_> = plan.deliveries.into_iter().enumerate().collect();
        let sizes = sizes(&deliveries);
        let places = self.engine.bounds.reserve(&sizes, policy.max_in_flight)?;
        log.log(&Event::Accepted {
            deliveries: deliveries.len(),
        });
        for warning in &warnings {
            log.log(&Event::Warning(warning));
        }
        let reports = deliveries
            .iter()
            .map(|(index, delivery)| delivery.report(*index));
        let task = Task::new(task_id, log, warnings, reports.collect());
        Ok(Ready {
            task,
            deliveries,
            policy,
            places,
            outbox: None,
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
            outbox,
            batch,
        } = ready;
        let mut places = places.into_iter();
        for (index, delivery) in deliveries {
            let outbox = outbox.clone();
            match delivery.work {
                Work::Preview(_) | Work::Ignore => {}
                Work::Suppress { sending, rule } => {
                    let outcome = Outcome::Suppressed { rule };
                    self.ended_at_once(&task, index, &delivery.sender, &sending, &outcome);
                }
                Work::Reject { failure, path } => {
                    let path = path.as_deref();
                    let sender = delivery.sender.as_str();
                    let outcome = Outcome::Failed(failure.clone());
                    let line = task.log.log(&Event::NotTried {
                        sender,
                        failure: &failure,
                        path,
                    });
                    self.engine.errors.push(line);
                    // The name is the caller's: only ours become labels.
                    let known = channels::find(sender).map_or("unknown", |spec| spec.key);
                    self.engine.metrics.ended(known, &outcome, Duration::ZERO);
                    task.end(index, outcome);
                    if let Some(outbox) = outbox {
                        let (engine, task) = (Arc::clone(&self.engine), Arc::clone(&task));
                        tokio::spawn(
                            async move { note_end(&engine, &*outbox, &task, index).await },
                        );
                    }
                }
                Work::Send(sending) => {
                    let arriving = Arriving {
                        task: Arc::clone(&task),
                        index,
                        sender: delivery.sender,
                        receiver: delivery.receiver,
                        sending,
                        policy: Arc::clone(&policy),
                        place: places.next(),
                        outbox,
                    };
                    if let Some(arriving) = self.engine.throttle(arriving, batch.as_deref()) {
                        self.engine.run(arriving);
                    }
                }
            }
        }
    }

    fn ended_at_once(
        &self,
        task: &Task,
        index: usize,
        sender: &str,
        sending: &Sending,
        outcome: &Outcome,
    ) {
        task.log.log(&Event::Ended {
            destination: &sending.channel.destination().label,
            outcome,
            http_status: None,
            attempts: 0,
            elapsed: Duration::ZERO,
        });
        self.engine.metrics.ended(sender, outcome, Duration::ZERO);
        task.record(index);
    }

    /// A place among the calls that wait; `None`: answer at once with what is known.
    pub fn waiting_call(&self) -> Option<WaitingCall> {
        self.engine.bounds.waiting_call()
    }

    /// Room for bytes that are to become deliveries.
    pub fn room(&self, bytes: usize) -> Result<Room, Full> {
        self.engine.bounds.room(bytes)
    }

    /// The call was answered; from now on what goes on is pending.
    pub fn answered(&self, task: &Arc<Task>) {
        if !task.has_ended() {
            let (dispatcher, task) = (self.clone(), Arc::clone(task));
            tokio::spawn(async move { dispatcher.follow(&[task]).await });
        }
    }

    /// Waits for the end of requests whose call was answered.
    pub async fn follow(&self, tasks: &[Arc<Task>]) {
        let pending = &self.engine.pending;
        let open: Vec<_> = tasks.iter().map(|task| task.unfinished()).collect();
        pending.fetch_add(open.iter().sum(), Ordering::Relaxed);
        for (task, open) in tasks.iter().zip(open) {
            task.ended().await;
            pending.fetch_sub(open, Ordering::Relaxed);
            task.log.close();
        }
    }

    pub fn gauges(&self) -> Gauges {
        Gauges {
            in_flight: self.engine.bounds.in_flight(),
            pending: self.engine.pending.load(Ordering::Relaxed),
            paused_destinations: self.engine.queues.paused(),
            outbox_depth: 0,
            dropped_history_rows: 0,
        }
    }
}

impl Engine {
    /// Must be called on a runtime.
    fn run(self: &Arc<Self>, arriving: Arriving) {
        let (run, place) = self.ready(arriving);
        tokio::spawn(to_the_end(run, place));
    }

    /// Lines a delivery up behind those that have come before.
    fn ready(self: &Arc<Self>, arriving: Arriving) -> (Box<Run>, Option<Place>) {
        let Arriving {
            task,
            index,
            sender,
            sending,
            policy,
            place,
            outbox,
            ..
        } = arriving;
        let queue = self.queues.get(sending.channel.destination());
        let ticket = queue.ticket();
        let dedup_key = sending.dedup_key.as_ref();
        let turn = dedup_key.map(|key| Box::new(queue.line_up(key, ticket, sending.state())));
        // Known when its turn has come.
        let deadline = task.accepted;
        let run = Box::new(Run {
            engine: Arc::clone(self),
            task,
            index,
            sender,
            sending,
            policy,
            queue,
            ticket,
            turn,
            outbox,
            deadline,
        });
        (run, place)
    }
}

/// Runs a delivery and says how it ended. A panic ends that delivery alone. Boxed, because a future keeps what it is given
/// twice, and ten thousand may be in flight.
async fn to_the_end(mut run: Box<Run>, place: Option<Place>) {
    let outcome = AssertUnwindSafe(run.deliver()).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| Some(Outcome::Failed(Failure::new(Reason::Internal))));
    let Run {
        engine,
        task,
        index,
        sender,
        sending,
        queue,
        turn,
        outbox,
        ..
    } = *run;
    drop(turn);
    let destination = sending.channel.destination();
    engine.queues.release(destination, queue);
    let Some(outcome) = outcome else {
        task.log.log(&Event::HandedOn {
            destination: &destination.label,
        });
        task.leave(index);
        return;
    };
    end(&engine, &task, index, &sender, &destination.label, outcome);
    // The place is kept until the end is, so that a slow disk holds back what comes and gathers nothing.
    if let Some(outbox) = outbox {
        // In a box of its own, as few deliveries are kept.
        Box::pin(note_end(&engine, &*outbox, &task, index)).await;
    }
    drop(place);
}

fn end(
    engine: &Engine,
    task: &Task,
    index: usize,
    sender: &str,
    destination: &str,
    outcome: Outcome,
) {
    let elapsed = task.accepted.elapsed();
    engine.metrics.ended(sender, &outcome, elapsed);
    // Whatever becomes of the line, the delivery ends.
    let say = || say_end(engine, task, index, destination, &outcome);
    let _ = std::panic::catch_unwind(AssertUnwindSafe(say));
    // Who waits for the end finds the log line there.
    task.end(index, outcome);
}

async fn note_end(engine: &Engine, outbox: &dyn Outbox, task: &Task, index: usize) {
    let Some(report) = task.report(index) else {
        return;
    };
    if let Err(error) = Kept::new(outbox, task, index).end(&report).await {
        let line = task.log.log(&Event::NotKept {
            destination: report.destination.as_deref().unwrap_or(&report.sender),
            what: &format!("its end was not noted: {error} {}", error.hint()),
        });
        engine.errors.push(line);
    }
}

impl Ready {
    /// What is to be sent is another process's.
    fn without_work(mut self) -> Self {
        let is_work = |delivery: &Delivery| matches!(delivery.work, Work::Send(_));
        for (index, delivery) in &self.deliveries {
            if is_work(delivery) {
                self.task.leave(*index);
            }
        }
        self.deliveries.retain(|(_, delivery)| !is_work(delivery));
        self.places.clear();
        self
    }

    /// Nothing of it is sent after all.
    fn refuse(self, reason: Reason) {
        for (index, delivery) in &self.deliveries {
            if let Work::Send(_) = delivery.work {
                self.task.end(*index, Outcome::Failed(Failure::new(reason)));
            }
        }
    }
}

fn sizes(deliveries: &[(usize, Delivery)]) -> Vec<usize> {
    deliveries
        .iter()
        .filter_map(|(_, delivery)| delivery.size())
        .collect()
}

fn say_end(engine: &Engine, task: &Task, index: usize, destination: &str, outcome: &Outcome) {
    let Some(report) = task.report(index) else {
        return;
    };
    let line = task.log.log(&Event::Ended {
        destination,
        outcome,
        http_status: report.http_status,
        attempts: report.attempts,
        elapsed: task.accepted.elapsed(),
    });
    if line.level == LogLevel::Error {
        engine.errors.push(line);
    }
}

impl Delivery {
    /// Messages that an earlier process has delivered.
    fn parts_done(&self) -> usize {
        match &self.work {
            Work::Send(sending) => sending.parts_done(),
            _ => 0,
        }
    }

    /// The bytes of a delivery that is to be sent.
    fn size(&self) -> Option<usize> {
        match &self.work {
            Work::Send(sending) => Some(sending.composition.size()),
            Work::Preview(_) | Work::Suppress { .. } | Work::Ignore | Work::Reject { .. } => None,
        }
    }

    /// How a delivery stands when it is accepted.
    fn report(&self, index: usize) -> DeliveryReport {
        let (outcome, sending, path) = match &self.work {
            Work::Send(sending) => (Outcome::Pending(None), Some(sending), None),
            Work::Preview(sending) => (Outcome::DryRun, Some(sending), None),
            Work::Suppress { sending, rule } => {
                let rule = rule.clone();
                (Outcome::Suppressed { rule }, Some(sending), None)
            }
            Work::Ignore => (Outcome::Ignored, None, None),
            Work::Reject { failure, path } => {
                (Outcome::Failed(failure.clone()), None, path.clone())
            }
        };
        let composition = sending.map(|sending| &sending.composition);
        DeliveryReport {
            index,
            sender: self.sender.clone(),
            receiver: self.receiver.clone(),
            destination: sending.map(|sending| sending.channel.destination().label.clone()),
            preview: match &self.work {
                Work::Preview(sending) => Some(preview(sending)),
                _ => None,
            },
            outcome,
            path,
            http_status: None,
            attempts: 0,
            parts: composition.map_or(0, |composition| composition.messages.len()),
            parts_delivered: 0,
            segments: composition.and_then(|composition| composition.segments),
            elapsed: Duration::ZERO,
            next_attempt_in: None,
        }
    }
}

/// What would have been sent: no URL, no headers.
fn preview(sending: &Sending) -> Preview {
    let messages = &sending.composition.messages;
    let bodies = messages
        .iter()
        .map(|message| sending.channel.preview(&message.body()));
    Preview {
        content_type: messages
            .first()
            .map_or("", Outbound::content_type)
            .to_owned(),
        body: bodies.collect::<Vec<_>>().join("\n"),
    }
}
