//! One attempt of a message: admission, a connection, the exchange, and the classification of the reply.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::Instant;

use super::limits::connections::ConnectionPermit;
use super::lookup::claims::MessageFingerprint;
use super::progress::store::StoreEntry;
use super::queue::{AdmissionError, AdmissionRequest, Pause, PauseAfter, Permit, QueuePosition};
use super::retry::RetryState;
use super::state::{Delivery, Transmission};
use crate::model::observer::Renewal;
use crate::model::outcome::{
    AttemptResult, Classification, Detail, Failure, PauseScope, QueueDirective, Reason,
};
use crate::model::policy::ClientKey;
use crate::model::wire::{Outbound, Reply, ResendEffect};
use crate::observe::Event;
use crate::secret::Redactor;
use crate::store::Ownership;
use crate::transport::{SendError, Sent};

/// An attempt that holds its connection for this long was slow, with any result. So was an attempt that timed out.
const SLOW: Duration = Duration::from_secs(5);

/// Another process took the delivery over, or an operator dropped it.
#[derive(Debug)]
pub struct LeaseLost;

/// Why no attempt was made.
pub enum NotAttempted {
    LeaseLost,
    /// The content is out of date.
    Outdated(Renewal),
}

/// Whether this process may begin an attempt.
enum LeaseCheck {
    Held,
    Lost,
    /// The store cannot record the attempt.
    NotRecorded(Failure),
}

impl Delivery {
    /// Makes one attempt. An attempt that cannot begin also has a result: no free connection, or a disabled
    /// destination.
    pub async fn attempt(
        &self,
        transmission: &mut Transmission,
        position: &QueuePosition,
    ) -> Result<AttemptResult, NotAttempted> {
        let Transmission {
            messages,
            part,
            retry,
            began,
            is_unseen,
            ..
        } = transmission;
        let Some(message) = messages.get_mut(*part) else {
            return Ok(AttemptResult::Delivered {
                message: None,
                warning: None,
            });
        };
        let last = retry.last();
        // Boxed: the memory is free again while most deliveries wait for a connection or a reply.
        let permit = match Box::pin(self.admission(position, last)).await {
            Ok(permit) => permit,
            Err(failure) => return Ok(AttemptResult::Reject(failure)),
        };
        // The wait for a connection does not shorten the first attempt. Every holder returns its connection within the
        // time of one attempt.
        let (asked, mut deadline) = (Instant::now(), self.deadline);
        let until = match last {
            None => deadline + self.policy.attempt_timeout,
            Some(_) => deadline,
        };
        let client = self.client(message);
        let connection = self.connection(message, &client, permit.is_slow(), until);
        let Some(connection) = connection.await else {
            return Ok(try_again(last.cloned().unwrap_or_else(no_connection)));
        };
        if last.is_none() {
            deadline += asked.elapsed();
        }
        if *is_unseen && let Some(renewal) = self.progress.renew() {
            return Err(NotAttempted::Outdated(renewal));
        }
        if let Some(entry) = &self.progress.entry {
            match Box::pin(self.check_lease(entry, message, *began)).await {
                LeaseCheck::Held => {}
                LeaseCheck::Lost => return Err(NotAttempted::LeaseLost),
                LeaseCheck::NotRecorded(failure) => return Ok(try_again(failure)),
            }
        }
        let exchange = self.exchange(message, client, connection, &permit, deadline, last);
        let (classification, sent) = exchange.await;
        *is_unseen &= sent == Sent::No;
        direct_queue(&permit, &classification, retry);
        self.warn_of(&classification.result);
        Ok(classification.result)
    }

    /// Passes on a warning of the provider.
    fn warn_of(&self, result: &AttemptResult) {
        if let AttemptResult::Delivered {
            warning: Some(warning),
            ..
        } = result
        {
            self.warn(warning);
        }
    }

    /// Waits for the queue's permit for one attempt.
    async fn admission(
        &self,
        position: &QueuePosition,
        last: Option<&Failure>,
    ) -> Result<Permit, Failure> {
        let request = AdmissionRequest {
            ticket: position.ticket,
            deadline: self.deadline,
            rate: self.planned.own.rate_limit.or(self.policy.rate_limit),
            patience: self.policy.delivery_timeout,
        };
        let waiting = |due| match due {
            Some(due) => self.progress.waiting_until(due),
            None => self.progress.attempting(),
        };
        let admitted = position.queue.enter(request, waiting).await;
        self.progress.attempting();
        admitted.map_err(|why| match why {
            AdmissionError::Refused => Failure::new(Reason::DestinationDisabled),
            AdmissionError::OutOfTime => last
                .cloned()
                .unwrap_or_else(|| Failure::new(Reason::RateLimited)),
        })
    }

    /// Asks the store whether this process still has the delivery: the delivery may have waited for long, or the process may
    /// have been stopped. If the store cannot record the attempt, a message that must not be sent twice is not sent. Any other
    /// message is sent.
    async fn check_lease(
        &self,
        entry: &StoreEntry,
        message: &Outbound,
        began: SystemTime,
    ) -> LeaseCheck {
        let must_note = message.resend() == ResendEffect::Forbidden;
        let ownership = match must_note {
            true => entry.attempting(began).await,
            false => entry.owns().await,
        };
        match ownership {
            Ok(Ownership::Owned | Ownership::Missing) => LeaseCheck::Held,
            Ok(Ownership::Lost) => LeaseCheck::Lost,
            Err(_) if !must_note => LeaseCheck::Held,
            Err(error) => {
                let detail = Detail::new(&error.to_string(), &Redactor::default());
                LeaseCheck::NotRecorded(Failure::new(Reason::Outbox).with_detail(detail))
            }
        }
    }

    /// Sends the message and classifies the reply, and whether the provider may have seen it. `last` is the previous failure.
    async fn exchange(
        &self,
        message: &mut Outbound,
        mut client: ClientKey,
        connection: ConnectionPermit,
        permit: &Permit,
        deadline: Instant,
        last: Option<&Failure>,
    ) -> (Classification, Sent) {
        let left = deadline.saturating_duration_since(Instant::now());
        let time = self.policy.attempt_timeout.min(left);
        let sender = &self.sender;
        self.emit(&Event::Attempt { sender });
        self.progress.update(|report| report.attempts += 1);
        self.planned.channel.sign(message, Timestamp::now());
        let must_not_repeat = message.resend() == ResendEffect::Forbidden;
        let claim =
            must_not_repeat.then(|| self.services.claims.attempt(self.fingerprint(message)));
        client.reuse = connection.is_reusable();
        let is_one_of_many = connection.is_one_of_many();
        self.services.transport.expect(message, is_one_of_many);
        let begun = Instant::now();
        // Boxed: most of ten thousand deliveries wait for a connection.
        let sent = Box::pin(self.send(message, &client, time, connection)).await;
        let timed_out = matches!(&sent, Err(error) if error.failure.reason == Reason::Timeout);
        permit.was_slow(timed_out || begun.elapsed() >= SLOW);
        let reached = sent
            .as_ref()
            .map_or_else(|error| error.sent, |_| Sent::Answered);
        let classification = match sent {
            Ok(reply) => {
                self.progress.answered(match &reply {
                    Reply::Http(reply) => Some(reply.status),
                    Reply::Smtp(_) => None,
                });
                self.planned.channel.classify(message, &reply)
            }
            Err(error) => {
                let was_cut_short = time < self.policy.attempt_timeout;
                let result = without_reply(error, message.resend());
                self.explain_by_last(result, last.filter(|_| was_cut_short))
                    .into()
            }
        };
        if let Some(claim) = claim {
            claim.ended(&classification.result);
            if let Some(entry) = &self.progress.entry {
                entry.attempted(&classification.result);
            }
        }
        (classification, reached)
    }

    /// Sends the message and gives the connection back.
    async fn send(
        &self,
        message: &Outbound,
        client: &ClientKey,
        time: Duration,
        connection: ConnectionPermit,
    ) -> Result<Reply, SendError> {
        let sent = self.services.transport.send(message, client, time).await;
        connection.give_back().await;
        sent
    }

    /// Reports the previous failure if the deadline cut the attempt short: it says more about the destination.
    fn explain_by_last(&self, result: AttemptResult, last: Option<&Failure>) -> AttemptResult {
        match (result, last) {
            (AttemptResult::Retry { failure, .. }, Some(last))
                if failure.reason == Reason::Timeout =>
            {
                try_again(last.clone())
            }
            (result, _) => {
                self.progress.answered(None);
                result
            }
        }
    }

    /// The client for the message. A message that must not be repeated never uses an idle connection: if that had died
    /// unnoticed, the result would be ambiguous.
    pub fn client(&self, message: &Outbound) -> ClientKey {
        let own = &self.planned.own;
        ClientKey {
            private_addresses: self.planned.private_addresses,
            reuse: message.resend() != ResendEffect::Forbidden,
            connect_timeout: self.policy.connect_timeout,
            proxy: Arc::clone(own.proxy.as_ref().unwrap_or(&self.policy.proxy)),
            tls: own.tls.clone(),
        }
    }

    /// The same for messages that a provider's list cannot tell apart.
    pub fn fingerprint(&self, message: &Outbound) -> MessageFingerprint {
        MessageFingerprint::of(self.planned.channel.destination(), message)
    }
}

/// Applies the result to the other deliveries of its destination.
fn direct_queue(permit: &Permit, classification: &Classification, retry: &RetryState) {
    if let Some(pause) = pause(classification, retry) {
        return permit.pause(&pause);
    }
    if let Some(QueueDirective::Disable { wait }) = classification.queue {
        permit.refuse(wait);
    }
    if is_success_of_destination(&classification.result) {
        permit.record_success();
    }
}

/// Returns the pause that a reply requests. A rate limit always requests one.
fn pause(classification: &Classification, retry: &RetryState) -> Option<Pause> {
    let Classification { result, queue } = classification;
    let after = match result {
        AttemptResult::Retry { failure, .. } if failure.reason == Reason::RateLimited => {
            PauseAfter::RateLimit
        }
        result if is_success_of_destination(result) => PauseAfter::Success,
        _ => PauseAfter::Failure,
    };
    let (asked, scope) = match queue {
        Some(QueueDirective::Pause { wait, scope }) => (retry.bounded(*wait, result), *scope),
        _ if after == PauseAfter::RateLimit => {
            (retry.requested_wait(result), PauseScope::Destination)
        }
        _ => return None,
    };
    Some(Pause {
        asked,
        scope,
        backoff: retry.backoff(),
        after,
    })
}

/// Returns whether the destination accepted the message or refused its content. A stale edit says nothing about the
/// next message.
const fn is_success_of_destination(result: &AttemptResult) -> bool {
    matches!(
        result,
        AttemptResult::Delivered { .. } | AttemptResult::Reject(_)
    )
}

/// Returns the result of an attempt without a reply. An unsent message is retried. For a message that may be sent, the
/// effect of a resend decides. An invalid reply never causes a resend.
fn without_reply(error: SendError, resend: ResendEffect) -> AttemptResult {
    if error.permanent {
        return AttemptResult::Reject(error.failure);
    }
    match (error.sent, resend) {
        (Sent::Answered, _) => AttemptResult::Ambiguous(error.failure),
        (Sent::Maybe, ResendEffect::Forbidden) => AttemptResult::Ambiguous(lost(error.failure)),
        _ => try_again(error.failure),
    }
}

fn try_again(failure: Failure) -> AttemptResult {
    AttemptResult::Retry {
        failure,
        after: None,
    }
}

fn no_connection() -> Failure {
    let detail = "no connection was free in time: max_connections, or this destination's share of them, were in use";
    Failure::new(Reason::Timeout).with_detail(Some(detail.into()))
}

/// Returns a lost reply, with the message's fate as the detail.
fn lost(failure: Failure) -> Failure {
    let sentence = failure.reason.sentence();
    let detail = failure.detail.or(Some(sentence.into()));
    Failure::new(Reason::LostReply).with_detail(detail)
}
