//! The one retry loop: a message, until it is delivered, refused, or out of time.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;
use super::connections::Connection;
use super::durability::Kept;
use super::queue::{Entry, NotAdmitted, Pause, PauseAfter, Permit};
use super::run::Run;
use crate::model::channel::Unanswered;
use crate::model::outcome::{Detail, Failure, Gate, Judgement, MessageRef, Reason, Scope, Verdict};
use crate::model::plan::{DeliveryPolicy, OnAmbiguous};
use crate::model::policy::ClientKey;
use crate::model::wire::{Outbound, Repeat, Reply};
use crate::observe::Event;
use crate::outbox::Ownership;
use crate::secret::Redactor;
use crate::transport::{SendError, Sent};

/// An attempt that holds its connection for so long was slow, whatever came of it; and so was one that timed out.
const SLOW: Duration = Duration::from_secs(5);

/// What ends a message other than its delivery.
pub enum Ending {
    Failed(Failure),
    Ambiguous(Failure),
    HandedOn,
    /// The earlier message is gone or cannot be changed.
    Stale(Failure),
}

/// Another process has taken the delivery over, or an operator has dropped it.
struct HandedOn;

impl Run {
    /// For a message that has not been tried.
    pub fn tries(&self) -> Tries {
        Tries::new(Backoff {
            initial: self.policy.initial_backoff,
            max: self.policy.max_backoff,
            least: self.sending.channel.least_backoff(),
        })
    }

    /// Tries one message until it is delivered, refused, or out of time. It begins with the question what became of it
    /// where another process has begun an attempt then, and said no more.
    pub async fn send(
        &self,
        message: &mut Outbound,
        tries: &mut Tries,
        mut unanswered: Option<SystemTime>,
    ) -> Result<Option<MessageRef>, Ending> {
        let mut has_moved = false;
        loop {
            let begun = unanswered.take();
            let at = begun.unwrap_or_else(SystemTime::now);
            let verdict = match begun {
                Some(_) => Verdict::Ambiguous(interrupted()),
                None => self.try_once(message, tries, at).await?,
            };
            let verdict = match verdict {
                Verdict::Delivered { message } => return Ok(message),
                // Once: what has moved again is not there.
                Verdict::Moved { ref to, .. } if !has_moved && self.follow_move(message, to) => {
                    has_moved = true;
                    continue;
                }
                verdict => verdict,
            };
            let sent = Unanswered { message, at };
            // In a box of its own: ten thousand may be in flight, most of them in their first attempt.
            let next = Box::pin(self.until_next(&sent, tries, verdict)).await;
            if let ControlFlow::Break(ended) = next {
                return ended;
            }
        }
    }

    /// After an attempt that has not delivered: how it ends, or the wait for the next.
    async fn until_next(
        &self,
        sent: &Unanswered<'_>,
        tries: &mut Tries,
        verdict: Verdict,
    ) -> ControlFlow<Result<Option<MessageRef>, Ending>> {
        let attempted = Instant::now();
        let verdict = match verdict {
            Verdict::Ambiguous(failure) => {
                let settled = self.settle(sent, &failure).await;
                settled.unwrap_or_else(|| tries.not_found(failure, &self.policy))
            }
            verdict => verdict,
        };
        let asked = tries.asked(&verdict);
        let failure = match verdict {
            Verdict::Delivered { message } => return ControlFlow::Break(Ok(message)),
            Verdict::Reject(failure) | Verdict::Moved { failure, .. } => {
                return ControlFlow::Break(Err(tries.end(failure)));
            }
            Verdict::Ambiguous(failure) => {
                return ControlFlow::Break(Err(Ending::Ambiguous(failure)));
            }
            Verdict::Stale(failure) => return ControlFlow::Break(Err(Ending::Stale(failure))),
            Verdict::Retry { failure, .. } => failure,
        };
        let wait = tries.failed(&failure, asked, self.queue.limits());
        let now = Instant::now();
        let may_retry = tries.made < self.policy.max_attempts;
        // A provider may ask for a wait that no clock can tell.
        let due = attempted.checked_add(wait).map(|due| due.max(now));
        let Some(due) = due.filter(|due| may_retry && *due < self.deadline) else {
            return ControlFlow::Break(Err(tries.end(failure)));
        };
        self.say_retry(&failure, tries, due - now);
        self.task.pending(self.index, failure);
        self.task.waiting(self.index, due);
        sleep_until(due).await;
        ControlFlow::Continue(())
    }

    /// One attempt.
    async fn try_once(
        &self,
        message: &mut Outbound,
        tries: &mut Tries,
        at: SystemTime,
    ) -> Result<Verdict, Ending> {
        // In a box of its own, which is gone by the time that most deliveries wait: for a connection, for a reply.
        let permit = Box::pin(self.enter(tries.last.as_deref())).await;
        let permit = permit.map_err(|failure| tries.end(failure))?;
        let attempt = self.attempt(message, tries, at, &permit).await;
        let judgement = attempt.map_err(|HandedOn| Ending::HandedOn)?;
        if let Some(what) = judgement.warning {
            self.warn(what);
        }
        apply_gate(&permit, &judgement, tries);
        Ok(judgement.verdict)
    }

    /// The queue's permission for one attempt.
    async fn enter(&self, last: Option<&Failure>) -> Result<Permit, Failure> {
        let entry = Entry {
            ticket: self.ticket,
            deadline: self.deadline,
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
        tries: &Tries,
        at: SystemTime,
        permit: &Permit,
    ) -> Result<Judgement, HandedOn> {
        let last = tries.last.as_deref();
        // The first attempt has the time that it would have without the wait for a connection. Whoever holds one gives it back
        // within an attempt's time.
        let (asked, mut deadline) = (Instant::now(), self.deadline);
        let until = match last {
            None => deadline + self.policy.attempt_timeout,
            Some(_) => deadline,
        };
        let mut client = self.client();
        let connection = self.connection(message, &client, permit.is_slow(), until);
        let connection = connection.await;
        let Some(connection) = connection else {
            return Ok(retry(last.cloned().unwrap_or_else(no_connection)));
        };
        if last.is_none() {
            deadline += asked.elapsed();
        }
        if let Some(kept) = &self.kept
            && let Some(failure) = Box::pin(self.permitted(kept, at)).await?
        {
            return Ok(retry(failure));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let time = self.policy.attempt_timeout.min(left);
        self.engine.metrics.attempt(&self.sender);
        self.task.update(self.index, |report| report.attempts += 1);
        self.sending.channel.sign(message, Timestamp::now());
        let under_way = self.must_not_repeat().then(|| {
            let twin = self.twin(message);
            self.engine.claims.attempt(twin)
        });
        client.reuse = connection.is_reusable();
        self.engine
            .transport
            .expect(message, connection.is_one_of_many());
        let begun = Instant::now();
        // In a box of its own: most of ten thousand deliveries wait for a connection.
        let sent = Box::pin(self.exchange(message, &client, time, connection)).await;
        let timed_out = matches!(&sent, Err(error) if error.failure.reason == Reason::Timeout);
        permit.was_slow(timed_out || begun.elapsed() >= SLOW);
        let judgement = match sent {
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
            if let Some(kept) = &self.kept {
                kept.attempted(&judgement.verdict);
            }
        }
        Ok(judgement)
    }

    /// Sends the message and gives the connection back.
    async fn exchange(
        &self,
        message: &Outbound,
        client: &ClientKey,
        time: Duration,
        connection: Connection,
    ) -> Result<Reply, SendError> {
        let sent = self.engine.transport.send(message, client, time).await;
        connection.give_back().await;
        sent
    }

    /// Asks the outbox for an attempt, be it the first or not: the delivery may have waited for long, or its process may have
    /// been stopped. Gives back why it cannot be made now: what must not be repeated is not sent where it cannot be noted; all
    /// else is sent rather than not.
    async fn permitted(&self, kept: &Kept, at: SystemTime) -> Result<Option<Failure>, HandedOn> {
        let ownership = match self.must_not_repeat() {
            true => kept.attempting(at).await,
            false => kept.owns().await,
        };
        match ownership {
            Ok(Ownership::Mine | Ownership::Gone) => Ok(None),
            Ok(Ownership::Lost) => Err(HandedOn),
            Err(_) if !self.must_not_repeat() => Ok(None),
            Err(error) => {
                let detail = Detail::new(&error.to_string(), &Redactor::default());
                Ok(Some(Failure::new(Reason::Outbox).with_detail(detail)))
            }
        }
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

    /// One line for each new reason: a long outage fills no log.
    fn say_retry(&self, failure: &Failure, tries: &mut Tries, wait: Duration) {
        let known = tries.last.as_deref().map(|last| last.reason);
        if known != Some(failure.reason) {
            self.task.log.log(&Event::Retry {
                destination: &self.sending.channel.destination().label,
                failure,
                attempt: tries.made.max(1),
                wait,
            });
        }
        tries.last = Some(Box::new(failure.clone()));
    }
}

/// What a reply means for the others at its destination.
fn apply_gate(permit: &Permit, judgement: &Judgement, tries: &Tries) {
    let Judgement { verdict, gate, .. } = judgement;
    if let Some(pause) = pause(judgement, tries) {
        return permit.pause(&pause);
    }
    if let Some(Gate::Refuse { wait }) = gate {
        permit.refuse(*wait);
    }
    if has_worked(verdict) {
        permit.worked();
    }
}

/// The pause that a reply asks for. A rate limit always asks for one.
fn pause(judgement: &Judgement, tries: &Tries) -> Option<Pause> {
    let Judgement { verdict, gate, .. } = judgement;
    let after = match verdict {
        Verdict::Retry { failure, .. } if failure.reason == Reason::RateLimited => {
            PauseAfter::RateLimit
        }
        verdict if has_worked(verdict) => PauseAfter::Success,
        _ => PauseAfter::Failure,
    };
    let (asked, scope) = match gate {
        Some(Gate::Pause { wait, scope }) => (tries.bounded(*wait, verdict), *scope),
        _ if after == PauseAfter::RateLimit => (tries.asked(verdict), Scope::Destination),
        _ => return None,
    };
    Some(Pause {
        asked,
        scope,
        backoff: tries.backoff,
        after,
    })
}

/// Whether the destination took the message or refused it for what it is. A stale edit says nothing of the next message.
const fn has_worked(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Delivered { .. } | Verdict::Reject(_))
}

/// The tries of one message.
pub struct Tries {
    /// Those that count: a 429 does not.
    made: u32,
    /// Failures that are no rate limit: those make the destination's queue wait.
    failures: u32,
    last: Option<Box<Failure>>,
    /// An earlier attempt may have been taken after all.
    lost: Option<Box<Failure>>,
    backoff: Backoff,
}

impl Tries {
    const fn new(backoff: Backoff) -> Self {
        Self {
            made: 0,
            failures: 0,
            last: None,
            lost: None,
            backoff,
        }
    }

    /// The provider does not know of a message that it may have taken.
    fn not_found(&mut self, failure: Failure, policy: &DeliveryPolicy) -> Verdict {
        if policy.on_ambiguous != OnAmbiguous::Resend {
            return Verdict::Ambiguous(failure);
        }
        self.lost = Some(Box::new(failure.clone()));
        Verdict::Retry {
            failure,
            after: None,
        }
    }

    /// How it ends when there is no further try.
    fn end(&self, failure: Failure) -> Ending {
        match &self.lost {
            Some(lost) => Ending::Ambiguous(lost.as_ref().clone()),
            None => Ending::Failed(failure),
        }
    }

    /// Counts a failed attempt. Gives the wait from its end to the next: what the provider asks for, but never less than our
    /// own backoff. `limits` is how many rate limits in a row the destination has answered with.
    fn failed(&mut self, failure: &Failure, asked: Option<Duration>, limits: u32) -> Duration {
        // Neither is an attempt that says something of the destination.
        let counts = !matches!(failure.reason, Reason::RateLimited | Reason::Outbox);
        self.made += u32::from(counts);
        self.failures += u32::from(failure.reason != Reason::RateLimited);
        let floor = self.backoff.after(self.failures.saturating_add(limits));
        asked.unwrap_or_default().max(floor)
    }

    /// The wait before the next attempt that the provider asks for.
    fn asked(&self, verdict: &Verdict) -> Option<Duration> {
        match verdict {
            Verdict::Retry { after, .. } => self.bounded(*after, verdict),
            _ => None,
        }
    }

    /// Only a rate limit may ask for more than our own longest wait: a server in trouble that names a day must not end a
    /// delivery that has minutes.
    fn bounded(&self, asked: Option<Duration>, verdict: &Verdict) -> Option<Duration> {
        match verdict {
            Verdict::Retry { failure, .. } if failure.reason != Reason::RateLimited => {
                asked.map(|asked| asked.min(self.backoff.max))
            }
            _ => asked,
        }
    }
}

/// What it means that no reply came: not sent can be sent again; maybe sent depends on what a repeat does. What was
/// answered in bytes that are no reply is never sent again.
fn without_reply(error: SendError, repeat: Repeat) -> Verdict {
    if error.permanent {
        return Verdict::Reject(error.failure);
    }
    match (error.sent, repeat) {
        (Sent::Answered, _) => Verdict::Ambiguous(error.failure),
        (Sent::Maybe, Repeat::Never) => Verdict::Ambiguous(lost(error.failure)),
        _ => Verdict::Retry {
            failure: error.failure,
            after: None,
        },
    }
}

fn retry(failure: Failure) -> Judgement {
    let after = None;
    Verdict::Retry { failure, after }.into()
}

/// The process that sent it said no more.
fn interrupted() -> Failure {
    let detail = "the process that was sending it ended before the reply came";
    Failure::new(Reason::LostReply).with_detail(Some(detail.into()))
}

fn no_connection() -> Failure {
    let detail = "no connection was free in time: max_connections, or this destination's share of them, were in use";
    Failure::new(Reason::Timeout).with_detail(Some(detail.into()))
}

/// A lost reply, with what became of it for a detail.
fn lost(failure: Failure) -> Failure {
    let sentence = failure.reason.sentence();
    let detail = failure.detail.or(Some(sentence.into()));
    Failure::new(Reason::LostReply).with_detail(detail)
}
