//! Runs plans: every delivery at once, each to its end, whatever becomes of the call that asked for it.

mod bounds;
mod earlier;
mod idempotency;
mod lookup;
mod pacing;
mod queue;
mod retry;
mod task;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;

use self::bounds::{Bounds, Place};
pub use self::bounds::{Full, WaitingCall};
use self::earlier::Earlier;
pub use self::idempotency::Admission;
use self::idempotency::{Accept, Idempotency};
use self::lookup::Claims;
pub use self::pacing::{Pacing, Wait};
use self::queue::Queues;
use self::retry::Run;
pub use self::task::Task;
use crate::channels;
use crate::model::outcome::{Failure, Outcome, Reason};
use crate::model::plan::{Delivery, DeliveryPolicy, Identity, Plan, Sending, Work};
use crate::model::report::{DeliveryReport, Preview};
use crate::model::wire::Outbound;
use crate::observe::{Event, Gauges, LogLevel, Metrics, RecentErrors, TaskLog};
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
    earlier: Earlier,
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
                earlier: Earlier::default(),
                pending: AtomicUsize::new(0),
            }),
        }
    }

    /// Takes charge of a plan, or of nothing of it, unless the request is known already. Must be called on a runtime.
    pub fn accept(&self, acceptance: Acceptance) -> Result<Admission, Full> {
        let identity = acceptance.identity.clone();
        let window = acceptance.policy.dedup_window;
        let take = |accept| self.take(acceptance, accept);
        self.engine.idempotency.admit(identity, window, take)
    }

    fn take(&self, acceptance: Acceptance, accept: Accept) -> Result<Arc<Task>, Full> {
        let Acceptance {
            task_id,
            plan,
            policy,
            log,
            warnings,
            ..
        } = acceptance;
        let plan = match accept {
            Accept::Send => plan,
            Accept::Suppress => plan.suppressed(DEDUP_WINDOW),
        };
        let sizes: Vec<usize> = plan.deliveries.iter().filter_map(Delivery::size).collect();
        let places = self.engine.bounds.reserve(&sizes, policy.max_in_flight)?;
        log.log(&Event::Accepted {
            deliveries: plan.deliveries.len(),
        });
        for warning in &warnings {
            log.log(&Event::Warning(warning));
        }
        let reports = plan
            .deliveries
            .iter()
            .enumerate()
            .map(|(index, delivery)| delivery.report(index));
        let task = Task::new(task_id, log, warnings, reports.collect());
        self.start(&task, plan, &policy, places);
        Ok(task)
    }

    fn start(
        &self,
        task: &Arc<Task>,
        plan: Plan,
        policy: &Arc<DeliveryPolicy>,
        places: Vec<Place>,
    ) {
        let mut places = places.into_iter();
        for (index, delivery) in plan.deliveries.into_iter().enumerate() {
            match delivery.work {
                Work::Preview(_) | Work::Ignore => {}
                Work::Suppress { sending, rule } => {
                    let outcome = Outcome::Suppressed { rule };
                    self.ended_at_once(task, &delivery.sender, &sending, &outcome);
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
                }
                Work::Send(sending) => {
                    let queue = self.engine.queues.get(sending.channel.destination());
                    let ticket = queue.ticket();
                    let turn = sending
                        .dedup_key
                        .as_ref()
                        .map(|key| queue.line_up(key, ticket));
                    let run = Box::new(Run {
                        engine: Arc::clone(&self.engine),
                        task: Arc::clone(task),
                        index,
                        sender: delivery.sender,
                        sending,
                        policy: Arc::clone(policy),
                        queue,
                        ticket,
                        turn,
                    });
                    tokio::spawn(to_the_end(run, places.next()));
                }
            }
        }
    }

    fn ended_at_once(&self, task: &Task, sender: &str, sending: &Sending, outcome: &Outcome) {
        task.log.log(&Event::Ended {
            destination: &sending.channel.destination().label,
            outcome,
            http_status: None,
            attempts: 0,
            elapsed: Duration::ZERO,
        });
        self.engine.metrics.ended(sender, outcome, Duration::ZERO);
    }

    /// A place among the calls that wait; `None`: answer at once with what is known.
    pub fn waiting_call(&self) -> Option<WaitingCall> {
        self.engine.bounds.waiting_call()
    }

    /// The call was answered; from now on what goes on is pending.
    pub fn answered(&self, task: &Arc<Task>) {
        let open = task
            .reports()
            .iter()
            .filter(|report| matches!(report.outcome, Outcome::Pending(_)))
            .count();
        if open == 0 {
            return;
        }
        let (engine, task) = (Arc::clone(&self.engine), Arc::clone(task));
        engine.pending.fetch_add(open, Ordering::Relaxed);
        tokio::spawn(async move {
            task.ended().await;
            engine.pending.fetch_sub(open, Ordering::Relaxed);
            task.log.close();
        });
    }

    pub fn gauges(&self) -> Gauges {
        Gauges {
            in_flight: self.engine.bounds.in_flight(),
            pending: self.engine.pending.load(Ordering::Relaxed),
            paused_destinations: self.engine.queues.paused(),
        }
    }
}

/// Runs a delivery and says how it ended. A panic ends that delivery alone. Boxed, because a future keeps what it is given
/// twice, and ten thousand may be in flight.
async fn to_the_end(mut run: Box<Run>, place: Option<Place>) {
    let outcome = AssertUnwindSafe(run.deliver()).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| Outcome::Failed(Failure::new(Reason::Internal)));
    let Run {
        engine,
        task,
        index,
        sender,
        sending,
        queue,
        turn,
        ..
    } = *run;
    drop(turn);
    let destination = sending.channel.destination();
    engine.queues.release(destination, queue);
    drop(place);
    engine
        .metrics
        .ended(&sender, &outcome, task.accepted.elapsed());
    // Whatever becomes of the line, the delivery ends.
    let say = || say_end(&engine, &task, index, &destination.label, &outcome);
    let _ = std::panic::catch_unwind(AssertUnwindSafe(say));
    // Last: who waits for the end finds the log line there.
    task.end(index, outcome);
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
    /// The bytes of a delivery that is to be sent.
    fn size(&self) -> Option<usize> {
        match &self.work {
            Work::Send(sending) => Some(
                sending
                    .composition
                    .messages
                    .iter()
                    .map(Outbound::size)
                    .sum(),
            ),
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
    let bodies: Vec<_> = messages
        .iter()
        .map(|message| match message {
            Outbound::Http(request) => sending.channel.preview(&request.body),
            Outbound::Mail(mail) => {
                let html = mail.html.iter().flat_map(|html| ["\n\n", html]);
                let parts = ["Subject: ", &mail.subject, "\n\n", &mail.text].into_iter();
                parts.chain(html).collect()
            }
        })
        .collect();
    Preview {
        content_type: messages.first().map_or("", content_type).to_owned(),
        body: bodies.join("\n"),
    }
}

fn content_type(message: &Outbound) -> &str {
    match message {
        Outbound::Http(request) => {
            let value = request.headers.get(http::header::CONTENT_TYPE);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        }
        Outbound::Mail(mail) if mail.html.is_some() => "multipart/alternative",
        Outbound::Mail(_) => "text/plain; charset=utf-8",
    }
}
