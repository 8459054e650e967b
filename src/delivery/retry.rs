//! The one retry loop.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use super::queue::{DestinationQueue, Entry, NotAdmitted, Permit, Turn};
use super::{Engine, Task};
use crate::model::outcome::{
    Failure, Gate, Judgement, MessageRef, Outcome, Reason, Scope, Verdict,
};
use crate::model::plan::{DeliveryPolicy, Sending};
use crate::model::policy::ClientKey;
use crate::model::wire::{Outbound, Repeat, Reply};
use crate::observe::Event;
use crate::transport::{SendError, Sent};

/// One delivery on its way.
pub struct Run {
    pub engine: Arc<Engine>,
    pub task: Arc<Task>,
    pub index: usize,
    pub sender: String,
    pub sending: Sending,
    pub policy: Arc<DeliveryPolicy>,
    pub queue: Arc<DestinationQueue>,
    pub ticket: u64,
    pub turn: Option<Turn>,
}

/// What ends a message other than its delivery.
enum Ending {
    Failed(Failure),
    Ambiguous(Failure),
}

impl Run {
    /// Sends all messages in order. A retry goes on at the message that failed.
    pub async fn deliver(&mut self) -> Outcome {
        let deadline = self.deadline().await;
        let mut messages = std::mem::take(&mut self.sending.composition.messages);
        let mut reference = None;
        for (part, message) in messages.iter_mut().enumerate() {
            match self.send(message, deadline).await {
                Ok(message) => reference = reference.or(message),
                Err(Ending::Failed(failure)) => return Outcome::Failed(failure),
                Err(Ending::Ambiguous(failure)) => return Outcome::Ambiguous(failure),
            }
            self.task
                .update(self.index, |report| report.parts_delivered = part + 1);
        }
        Outcome::Delivered { message: reference }
    }

    /// When the last try must have ended. A delivery whose turn comes late has one attempt all the same: a `resolved`
    /// must follow even the `firing` that took all the time there was.
    async fn deadline(&mut self) -> Instant {
        let deadline = self.task.accepted + self.policy.delivery_timeout;
        if let Some(turn) = &mut self.turn {
            turn.wait().await;
        }
        deadline.max(Instant::now() + self.one_attempt_late(deadline))
    }

    fn one_attempt_late(&self, deadline: Instant) -> Duration {
        match self.turn.is_some() && Instant::now() >= deadline {
            true => self.policy.attempt_timeout,
            false => Duration::ZERO,
        }
    }

    /// Tries one message until it is delivered, refused, or out of time.
    async fn send(
        &self,
        message: &mut Outbound,
        deadline: Instant,
    ) -> Result<Option<MessageRef>, Ending> {
        let mut tries = Tries::new(&self.policy);
        loop {
            // In a box of its own, which is gone by the time that most deliveries wait: for a connection, for a reply.
            let permit = Box::pin(self.enter(deadline, tries.last.as_ref())).await?;
            let judgement = self.attempt(message, deadline).await;
            let wait = tries.wait(&judgement);
            self.apply_gate(&permit, &judgement, wait);
            drop(permit);
            let (failure, counted) = match judgement.verdict {
                Verdict::Delivered { message } => return Ok(message),
                Verdict::Reject(failure) => return Err(Ending::Failed(failure)),
                Verdict::Ambiguous(failure) => return Err(Ending::Ambiguous(failure)),
                Verdict::Retry { failure, .. } => {
                    let counted = failure.reason != Reason::RateLimited;
                    (failure, counted)
                }
            };
            tries.made += u32::from(counted);
            let due = Instant::now() + wait;
            if tries.made >= self.policy.max_attempts || due >= deadline {
                return Err(Ending::Failed(failure));
            }
            self.say_retry(&failure, &mut tries, wait);
            self.task.pending(self.index, failure);
            self.task.waiting(self.index, due);
            sleep_until(due).await;
        }
    }

    /// The queue's permission for one attempt.
    async fn enter(&self, deadline: Instant, last: Option<&Failure>) -> Result<Permit, Ending> {
        let entry = Entry {
            ticket: self.ticket,
            deadline,
            rate: self.policy.rate_limit,
            patience: self.policy.delivery_timeout,
        };
        let waiting = |due| match due {
            Some(due) => self.task.waiting(self.index, due),
            None => self.task.active(self.index),
        };
        let admitted = self.queue.enter(entry, waiting).await;
        self.task.active(self.index);
        admitted.map_err(|why| {
            Ending::Failed(match why {
                NotAdmitted::Refused => Failure::new(Reason::DestinationDisabled),
                NotAdmitted::OutOfTime => last
                    .cloned()
                    .unwrap_or_else(|| Failure::new(Reason::RateLimited)),
            })
        })
    }

    async fn attempt(&self, message: &mut Outbound, deadline: Instant) -> Judgement {
        let _connection = self
            .engine
            .bounds
            .connection(self.policy.max_connections)
            .await;
        let left = deadline.saturating_duration_since(Instant::now());
        self.engine.metrics.attempt(&self.sender);
        self.task.update(self.index, |report| {
            report.attempts += 1;
            report.http_status = None;
        });
        let time = self.policy.attempt_timeout.min(left);
        self.sending.channel.sign(message, Timestamp::now());
        let transport = &self.engine.transport;
        match transport.send(message, &self.client(), time).await {
            Ok(reply) => {
                let Reply::Http(http) = &reply;
                let status = http.status;
                self.task
                    .update(self.index, |report| report.http_status = Some(status));
                self.sending.channel.judge(&reply)
            }
            Err(error) => without_reply(error, self.sending.channel.repeat()).into(),
        }
    }

    /// What must not be repeated never goes over a kept connection: one that died unnoticed would leave it unknown
    /// whether the message was taken.
    fn client(&self) -> ClientKey {
        ClientKey {
            private_addresses: self.sending.private_addresses,
            reuse: self.sending.channel.repeat() != Repeat::Never,
            connect_timeout: self.policy.connect_timeout,
            proxy: Arc::clone(&self.policy.proxy),
        }
    }

    fn apply_gate(&self, permit: &Permit, judgement: &Judgement, own: Duration) {
        match &judgement.gate {
            Some(Gate::Pause { wait, scope }) => permit.pause(wait.unwrap_or(own), *scope),
            Some(Gate::Refuse { wait }) => permit.refuse(*wait),
            None => {}
        }
        let limited = matches!(
            judgement.gate,
            Some(Gate::Pause {
                scope: Scope::Destination | Scope::Account,
                ..
            })
        );
        if matches!(
            judgement.verdict,
            Verdict::Delivered { .. } | Verdict::Reject(_)
        ) && !limited
        {
            permit.worked();
        }
    }

    /// One line for each new reason: a long outage fills no log.
    fn say_retry(&self, failure: &Failure, tries: &mut Tries, wait: Duration) {
        let known = tries.last.as_ref().map(|last| last.reason);
        if known != Some(failure.reason) {
            self.task.log.log(&Event::Retry {
                destination: &self.sending.channel.destination().label,
                failure,
                attempt: tries.made.max(1),
                wait,
            });
        }
        tries.last = Some(failure.clone());
    }
}

/// The tries of one message.
struct Tries {
    /// Those that count: a 429 does not.
    made: u32,
    last: Option<Failure>,
    backoff: ExponentialBackoff,
    longest: Duration,
}

impl Tries {
    fn new(policy: &DeliveryPolicy) -> Self {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(policy.initial_backoff)
            .with_max_delay(policy.max_backoff)
            .with_factor(2.0)
            .without_max_times()
            .build();
        Self {
            made: 0,
            last: None,
            backoff,
            longest: policy.max_backoff,
        }
    }

    /// How long to wait before the next try: what the provider asks for, or our own backoff, spread by a fifth so that
    /// those who failed together do not come back together.
    fn wait(&mut self, judgement: &Judgement) -> Duration {
        let Verdict::Retry { failure, after } = &judgement.verdict else {
            return Duration::ZERO;
        };
        match after {
            Some(after) if judgement.gate.is_some() => *after,
            Some(after) if failure.reason != Reason::ServerError => *after,
            // No sooner than a server in trouble asks for.
            Some(after) => self.own().max(*after),
            None => self.own(),
        }
    }

    fn own(&mut self) -> Duration {
        let delay = self.backoff.next().unwrap_or(self.longest);
        delay.mul_f64(0.8 + 0.4 * fastrand::f64())
    }
}

/// What it means that no reply came: not sent can be sent again; maybe sent depends on what a repeat does.
fn without_reply(error: SendError, repeat: Repeat) -> Verdict {
    if error.permanent {
        return Verdict::Reject(error.failure);
    }
    match (error.sent, repeat) {
        (Sent::Maybe, Repeat::Never) => Verdict::Ambiguous(lost(error.failure)),
        _ => Verdict::Retry {
            failure: error.failure,
            after: None,
        },
    }
}

/// A lost reply, with what became of it for a detail.
fn lost(failure: Failure) -> Failure {
    match failure.reason {
        Reason::MalformedReply => failure,
        reason => {
            let detail = failure.detail.or(Some(reason.sentence().into()));
            Failure::new(Reason::LostReply).with_detail(detail)
        }
    }
}
