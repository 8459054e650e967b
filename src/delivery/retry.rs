//! The one retry loop.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::queue::{DestinationQueue, Entry, NotAdmitted, Permit, Turn};
use super::{Engine, Task};
use crate::model::channel::Unanswered;
use crate::model::outcome::{
    Failure, Gate, Judgement, MessageRef, Outcome, Reason, Scope, Verdict,
};
use crate::model::plan::{DeliveryPolicy, OnAmbiguous, Sending};
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
    /// The earlier message is gone.
    Stale,
}

impl Run {
    /// Sends all messages in order. A retry goes on at the message that failed.
    pub async fn deliver(&mut self) -> Outcome {
        let deadline = self.deadline().await;
        let mut messages = std::mem::take(&mut self.sending.composition.messages);
        if let Some(mut update) = self.update() {
            // In a box of its own, as few have one.
            let update = std::slice::from_mut(&mut update);
            match Box::pin(self.send_all(update, deadline)).await {
                Err(Ending::Stale) => self.engine.earlier.forget(&self.sending),
                ended => return self.outcome(ended, 1),
            }
        }
        let parts = messages.len();
        let ended = self.send_all(&mut messages, deadline).await;
        self.outcome(ended, parts)
    }

    /// The one message that follows up on an earlier one. What would be split never does.
    fn update(&self) -> Option<Outbound> {
        let source = self.sending.source.as_ref()?;
        let earlier = self.engine.earlier.of(&self.sending)?;
        let composed = source.compose(self.sending.channel.as_ref(), Some(&earlier));
        let [message] = <[_; 1]>::try_from(composed.ok()?.messages).ok()?;
        Some(message)
    }

    async fn send_all(
        &self,
        messages: &mut [Outbound],
        deadline: Instant,
    ) -> Result<Option<MessageRef>, Ending> {
        let mut reference = None;
        for (part, message) in messages.iter_mut().enumerate() {
            reference = reference.or(self.send(message, deadline).await?);
            self.task
                .update(self.index, |report| report.parts_delivered = part + 1);
        }
        Ok(reference)
    }

    fn outcome(&self, ended: Result<Option<MessageRef>, Ending>, parts: usize) -> Outcome {
        match ended {
            Ok(message) => {
                let earlier = &self.engine.earlier;
                earlier.delivered(&self.sending, parts, message.as_ref());
                Outcome::Delivered { message }
            }
            Err(Ending::Failed(failure)) => Outcome::Failed(failure),
            Err(Ending::Ambiguous(failure)) => Outcome::Ambiguous(failure),
            // Nothing that could be gone was referred to.
            Err(Ending::Stale) => Outcome::Failed(Failure::new(Reason::Rejected)),
        }
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
        let mut tries = Tries::new(&self.policy, self.sending.channel.least_backoff());
        loop {
            // In a box of its own, which is gone by the time that most deliveries wait: for a connection, for a reply.
            let permit = Box::pin(self.enter(deadline, tries.last.as_ref())).await;
            let permit = permit.map_err(|failure| tries.end(failure))?;
            let at = SystemTime::now();
            let judgement = self.attempt(message, deadline, tries.last.as_ref()).await;
            let wait = tries.wait(&judgement);
            self.apply_gate(&permit, &judgement, wait);
            drop(permit);
            let verdict = match judgement.verdict {
                Verdict::Ambiguous(failure) => {
                    let sent = Unanswered { message, at };
                    let settled = Box::pin(self.settle(&sent, &failure, deadline)).await;
                    settled.unwrap_or_else(|| tries.not_found(failure, &self.policy))
                }
                verdict => verdict,
            };
            let failure = match verdict {
                Verdict::Delivered { message } => return Ok(message),
                Verdict::Reject(failure) => return Err(tries.end(failure)),
                Verdict::Ambiguous(failure) => return Err(Ending::Ambiguous(failure)),
                Verdict::Stale => return Err(Ending::Stale),
                Verdict::Retry { failure, .. } => failure,
            };
            tries.made += u32::from(failure.reason != Reason::RateLimited);
            let due = Instant::now() + wait;
            if tries.made >= self.policy.max_attempts || due >= deadline {
                return Err(tries.end(failure));
            }
            self.say_retry(&failure, &mut tries, wait);
            self.task.pending(self.index, failure);
            self.task.waiting(self.index, due);
            sleep_until(due).await;
        }
    }

    /// The queue's permission for one attempt.
    async fn enter(&self, deadline: Instant, last: Option<&Failure>) -> Result<Permit, Failure> {
        let entry = Entry {
            ticket: self.ticket,
            deadline,
            rate: self.sending.own.rate_limit.or(self.policy.rate_limit),
            patience: self.policy.delivery_timeout,
        };
        let waiting = |due| match due {
            Some(due) => self.task.waiting(self.index, due),
            None => self.task.active(self.index),
        };
        let admitted = self.queue.enter(entry, waiting).await;
        self.task.active(self.index);
        admitted.map_err(|why| match why {
            NotAdmitted::Refused => Failure::new(Reason::DestinationDisabled),
            NotAdmitted::OutOfTime => last
                .cloned()
                .unwrap_or_else(|| Failure::new(Reason::RateLimited)),
        })
    }

    async fn attempt(
        &self,
        message: &mut Outbound,
        deadline: Instant,
        last: Option<&Failure>,
    ) -> Judgement {
        let limit = self.policy.max_connections;
        let connection = timeout_at(deadline, self.engine.bounds.connection(limit)).await;
        let Ok(_connection) = connection else {
            let failure = last.cloned().unwrap_or_else(no_connection);
            return Verdict::Retry {
                failure,
                after: None,
            }
            .into();
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let time = self.policy.attempt_timeout.min(left);
        self.engine.metrics.attempt(&self.sender);
        self.task.update(self.index, |report| report.attempts += 1);
        self.sending.channel.sign(message, Timestamp::now());
        let under_way = self.must_not_repeat().then(|| {
            let twin = self.twin(message);
            self.engine.claims.attempt(twin)
        });
        let transport = &self.engine.transport;
        let judgement = match transport.send(message, &self.client(), time).await {
            Ok(reply) => {
                self.answered(match &reply {
                    Reply::Http(reply) => Some(reply.status),
                    Reply::Smtp(_) => None,
                });
                self.sending.channel.judge(&reply)
            }
            Err(error) => {
                let cut_short = time < self.policy.attempt_timeout;
                self.unanswered(error, last.filter(|_| cut_short)).into()
            }
        };
        if let Some(under_way) = under_way {
            under_way.ended(&judgement.verdict);
        }
        judgement
    }

    /// What it means that no reply came. `last` is the failure before, where the delivery's end cut the attempt short.
    fn unanswered(&self, error: SendError, last: Option<&Failure>) -> Verdict {
        let verdict = without_reply(error, self.sending.channel.repeat());
        match (verdict, last) {
            // What was known of the destination before says more.
            (Verdict::Retry { failure, .. }, Some(last)) if failure.reason == Reason::Timeout => {
                Verdict::Retry {
                    failure: last.clone(),
                    after: None,
                }
            }
            (verdict, _) => {
                self.answered(None);
                verdict
            }
        }
    }

    /// The last attempt's status.
    pub fn answered(&self, status: Option<u16>) {
        self.task
            .update(self.index, |report| report.http_status = status);
    }

    fn must_not_repeat(&self) -> bool {
        self.sending.channel.repeat() == Repeat::Never
    }

    /// What must not be repeated never goes over a kept connection: one that died unnoticed would leave it unknown
    /// whether the message was taken.
    pub fn client(&self) -> ClientKey {
        ClientKey {
            private_addresses: self.sending.private_addresses,
            reuse: !self.must_not_repeat(),
            connect_timeout: self.policy.connect_timeout,
            proxy: Arc::clone(
                self.sending
                    .own
                    .proxy
                    .as_ref()
                    .unwrap_or(&self.policy.proxy),
            ),
            tls: self.sending.own.tls.clone(),
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
            Verdict::Delivered { .. } | Verdict::Reject(_) | Verdict::Stale
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
    /// An earlier attempt may have been taken after all.
    lost: Option<Failure>,
    backoff: ExponentialBackoff,
    longest: Duration,
    least: Duration,
}

impl Tries {
    fn new(policy: &DeliveryPolicy, least: Duration) -> Self {
        let backoff = ExponentialBuilder::default()
            .with_min_delay(policy.initial_backoff)
            .with_max_delay(policy.max_backoff)
            .with_factor(2.0)
            .without_max_times()
            .build();
        Self {
            made: 0,
            last: None,
            lost: None,
            backoff,
            longest: policy.max_backoff,
            least,
        }
    }

    /// The provider does not know of a message that it may have taken.
    fn not_found(&mut self, failure: Failure, policy: &DeliveryPolicy) -> Verdict {
        if policy.on_ambiguous != OnAmbiguous::Resend {
            return Verdict::Ambiguous(failure);
        }
        self.lost = Some(failure.clone());
        Verdict::Retry {
            failure,
            after: Some(Duration::ZERO),
        }
    }

    /// How it ends when there is no further try.
    fn end(&self, failure: Failure) -> Ending {
        match &self.lost {
            Some(lost) => Ending::Ambiguous(lost.clone()),
            None => Ending::Failed(failure),
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
        delay.mul_f64(0.8 + 0.4 * fastrand::f64()).max(self.least)
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

fn no_connection() -> Failure {
    let detail = "no connection was free in time: max_connections were in use";
    Failure::new(Reason::Timeout).with_detail(Some(detail.into()))
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
