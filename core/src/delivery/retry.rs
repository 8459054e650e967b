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
use crate::model::channel::LostReply;
use crate::model::outcome::{
    AttemptResult, Classification, Detail, Failure, MessageRef, QueueDirective, Reason, Scope,
};
use crate::model::plan::{DeliveryPolicy, OnAmbiguous};
use crate::model::policy::ClientKey;
use crate::model::wire::{Outbound, Reply, ResendEffect};
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
            least: self.sending.channel.capabilities().limits.least_backoff,
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
            let result = match begun {
                Some(_) => AttemptResult::Ambiguous(interrupted()),
                None => self.try_once(message, tries, at).await?,
            };
            let result = match result {
                AttemptResult::Delivered { message, .. } => return Ok(message),
                // Once: what has moved again is not there.
                AttemptResult::Moved(moved) if !has_moved => {
                    self.warn(&moved.warning);
                    *message = Outbound::Http(moved.next);
                    has_moved = true;
                    continue;
                }
                result => result,
            };
            let sent = LostReply { message, at };
            // In a box of its own: ten thousand may be in flight, most of them in their first attempt.
            let next = Box::pin(self.until_next(&sent, tries, result)).await;
            if let ControlFlow::Break(ended) = next {
                return ended;
            }
        }
    }

    /// After an attempt that has not delivered: how it ends, or the wait for the next.
    async fn until_next(
        &self,
        sent: &LostReply<'_>,
        tries: &mut Tries,
        result: AttemptResult,
    ) -> ControlFlow<Result<Option<MessageRef>, Ending>> {
        let attempted = Instant::now();
        let result = match result {
            AttemptResult::Ambiguous(failure) => {
                let settled = self.settle(sent, &failure).await;
                settled.unwrap_or_else(|| tries.not_found(failure, &self.policy))
            }
            result => result,
        };
        let asked = tries.asked(&result);
        let failure = match result {
            AttemptResult::Delivered { message, .. } => return ControlFlow::Break(Ok(message)),
            AttemptResult::Reject(failure) => return ControlFlow::Break(Err(tries.end(failure))),
            AttemptResult::Moved(moved) => {
                return ControlFlow::Break(Err(tries.end(moved.failure)));
            }
            AttemptResult::Ambiguous(failure) => {
                return ControlFlow::Break(Err(Ending::Ambiguous(failure)));
            }
            AttemptResult::Stale(failure) => {
                return ControlFlow::Break(Err(Ending::Stale(failure)));
            }
            AttemptResult::Retry { failure, .. } => failure,
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
    ) -> Result<AttemptResult, Ending> {
        // In a box of its own, which is gone by the time that most deliveries wait: for a connection, for a reply.
        let permit = Box::pin(self.enter(tries.last.as_deref())).await;
        let permit = permit.map_err(|failure| tries.end(failure))?;
        let attempt = self.attempt(message, tries, at, &permit).await;
        let classification = attempt.map_err(|HandedOn| Ending::HandedOn)?;
        if let AttemptResult::Delivered {
            warning: Some(what),
            ..
        } = &classification.result
        {
            self.warn(what);
        }
        apply_directive(&permit, &classification, tries);
        Ok(classification.result)
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
    ) -> Result<Classification, HandedOn> {
        let last = tries.last.as_deref();
        // The first attempt has the time that it would have without the wait for a connection. Whoever holds one gives it back
        // within an attempt's time.
        let (asked, mut deadline) = (Instant::now(), self.deadline);
        let until = match last {
            None => deadline + self.policy.attempt_timeout,
            Some(_) => deadline,
        };
        let mut client = self.client(message);
        let connection = self.connection(message, &client, permit.is_slow(), until);
        let connection = connection.await;
        let Some(connection) = connection else {
            return Ok(retry(last.cloned().unwrap_or_else(no_connection)));
        };
        if last.is_none() {
            deadline += asked.elapsed();
        }
        if let Some(kept) = &self.kept
            && let Some(failure) = Box::pin(self.permitted(message, kept, at)).await?
        {
            return Ok(retry(failure));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let time = self.policy.attempt_timeout.min(left);
        self.engine.metrics.attempt(&self.sender);
        self.task.update(self.index, |report| report.attempts += 1);
        self.sending.channel.sign(message, Timestamp::now());
        let must_not_repeat = message.resend() == ResendEffect::Forbidden;
        let under_way = must_not_repeat.then(|| {
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
        let classification = match sent {
            Ok(reply) => {
                self.answered(match &reply {
                    Reply::Http(reply) => Some(reply.status),
                    Reply::Smtp(_) => None,
                });
                self.sending.channel.classify(message, &reply)
            }
            Err(error) => {
                let cut_short = time < self.policy.attempt_timeout;
                self.unanswered(message, error, last.filter(|_| cut_short))
                    .into()
            }
        };
        if let Some(under_way) = under_way {
            under_way.ended(&classification.result);
            if let Some(kept) = &self.kept {
                kept.attempted(&classification.result);
            }
        }
        Ok(classification)
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
    async fn permitted(
        &self,
        message: &Outbound,
        kept: &Kept,
        at: SystemTime,
    ) -> Result<Option<Failure>, HandedOn> {
        let must_not_repeat = message.resend() == ResendEffect::Forbidden;
        let ownership = match must_not_repeat {
            true => kept.attempting(at).await,
            false => kept.owns().await,
        };
        match ownership {
            Ok(Ownership::Mine | Ownership::Gone) => Ok(None),
            Ok(Ownership::Lost) => Err(HandedOn),
            Err(_) if !must_not_repeat => Ok(None),
            Err(error) => {
                let detail = Detail::new(&error.to_string(), &Redactor::default());
                Ok(Some(Failure::new(Reason::Outbox).with_detail(detail)))
            }
        }
    }

    /// What it means that no reply came. `last` is the failure before, where the delivery's end cut the attempt short.
    fn unanswered(
        &self,
        message: &Outbound,
        error: SendError,
        last: Option<&Failure>,
    ) -> AttemptResult {
        match (without_reply(error, message.resend()), last) {
            // What was known of the destination before says more.
            (AttemptResult::Retry { failure, .. }, Some(last))
                if failure.reason == Reason::Timeout =>
            {
                AttemptResult::Retry {
                    failure: last.clone(),
                    after: None,
                }
            }
            (result, _) => {
                self.answered(None);
                result
            }
        }
    }

    /// The last attempt's status.
    pub fn answered(&self, status: Option<u16>) {
        self.task
            .update(self.index, |report| report.http_status = status);
    }

    /// What must not be repeated never goes over a kept connection: one that died unnoticed would leave it unknown
    /// whether the message was taken.
    pub fn client(&self, message: &Outbound) -> ClientKey {
        ClientKey {
            private_addresses: self.sending.private_addresses,
            reuse: message.resend() != ResendEffect::Forbidden,
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
fn apply_directive(permit: &Permit, classification: &Classification, tries: &Tries) {
    if let Some(pause) = pause(classification, tries) {
        return permit.pause(&pause);
    }
    if let Some(QueueDirective::Disable { wait }) = classification.queue {
        permit.refuse(wait);
    }
    if has_worked(&classification.result) {
        permit.worked();
    }
}

/// The pause that a reply asks for. A rate limit always asks for one.
fn pause(classification: &Classification, tries: &Tries) -> Option<Pause> {
    let Classification { result, queue } = classification;
    let after = match result {
        AttemptResult::Retry { failure, .. } if failure.reason == Reason::RateLimited => {
            PauseAfter::RateLimit
        }
        result if has_worked(result) => PauseAfter::Success,
        _ => PauseAfter::Failure,
    };
    let (asked, scope) = match queue {
        Some(QueueDirective::Pause { wait, scope }) => (tries.bounded(*wait, result), *scope),
        _ if after == PauseAfter::RateLimit => (tries.asked(result), Scope::Destination),
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
const fn has_worked(result: &AttemptResult) -> bool {
    matches!(
        result,
        AttemptResult::Delivered { .. } | AttemptResult::Reject(_)
    )
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
    fn not_found(&mut self, failure: Failure, policy: &DeliveryPolicy) -> AttemptResult {
        if policy.on_ambiguous != OnAmbiguous::Resend {
            return AttemptResult::Ambiguous(failure);
        }
        self.lost = Some(Box::new(failure.clone()));
        AttemptResult::Retry {
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
    fn asked(&self, result: &AttemptResult) -> Option<Duration> {
        match result {
            AttemptResult::Retry { after, .. } => self.bounded(*after, result),
            _ => None,
        }
    }

    /// Only a rate limit may ask for more than our own longest wait: a server in trouble that names a day must not end a
    /// delivery that has minutes.
    fn bounded(&self, asked: Option<Duration>, result: &AttemptResult) -> Option<Duration> {
        match result {
            AttemptResult::Retry { failure, .. } if failure.reason != Reason::RateLimited => {
                asked.map(|asked| asked.min(self.backoff.max))
            }
            _ => asked,
        }
    }
}

/// What it means that no reply came: not sent can be sent again; maybe sent depends on what a repeat does. What was
/// answered in bytes that are no reply is never sent again.
fn without_reply(error: SendError, resend: ResendEffect) -> AttemptResult {
    if error.permanent {
        return AttemptResult::Reject(error.failure);
    }
    match (error.sent, resend) {
        (Sent::Answered, _) => AttemptResult::Ambiguous(error.failure),
        (Sent::Maybe, ResendEffect::Forbidden) => AttemptResult::Ambiguous(lost(error.failure)),
        _ => AttemptResult::Retry {
            failure: error.failure,
            after: None,
        },
    }
}

fn retry(failure: Failure) -> Classification {
    let after = None;
    AttemptResult::Retry { failure, after }.into()
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
