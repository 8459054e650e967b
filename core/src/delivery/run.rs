//! Runs a delivery from state to state, to its end.

use std::panic::AssertUnwindSafe;
use std::time::SystemTime;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep_until};

use super::attempt::{LeaseLost, NotAttempted};
use super::follow_up::FollowUp;
use super::progress::store::EndNote;
use super::queue::QueuePosition;
use super::retry::{NextStep, Retry, RetryRules, RetryState};
use super::state::{Delivery, DeliveryState, Transmission, WaitFor};
use crate::model::channel::LostReply;
use crate::model::observer::Renewal;
use crate::model::outcome::{Failure, MessageRef, Outcome, Reason};
use crate::model::wire::Outbound;
use crate::observe::Event;

/// Puts a delivery behind the earlier ones in its queue, and runs it in its own task. Call it on a runtime.
pub fn start(delivery: Delivery) {
    let position = delivery.line_up();
    tokio::spawn(run(Box::new(delivery), position));
}

/// Runs a delivery to its end, and reports it. A panic ends only that delivery. Boxed, because a future stores its
/// arguments twice, and ten thousand may be in flight.
pub async fn run(mut delivery: Box<Delivery>, mut position: QueuePosition) {
    let ended = AssertUnwindSafe(delivery.drive(&mut position))
        .catch_unwind()
        .await;
    let ended = ended.unwrap_or_else(|_| Ok(Outcome::Failed(Failure::new(Reason::Internal))));
    let note = match ended {
        Ok(outcome) => delivery.report_end(outcome),
        Err(LeaseLost) => {
            delivery.report_lost_lease();
            None
        }
    };
    let Delivery {
        services,
        progress,
        planned,
        permit,
        digests,
        ..
    } = *delivery;
    // The next one of the key finds the end in the store.
    drop(digests);
    position.release(&services.queues, planned.channel.destination());
    // Keeps the permit until the store has the outcome. A slow disk thus slows acceptance instead of filling the
    // memory.
    if let Some(note) = note {
        // Boxed, because few deliveries are stored.
        Box::pin(progress.wait_until_noted(&services, note)).await;
    }
    drop(permit);
}

impl Delivery {
    /// Makes every transition. The only place that does.
    async fn drive(&mut self, position: &mut QueuePosition) -> Result<Outcome, LeaseLost> {
        loop {
            self.state = match std::mem::take(&mut self.state) {
                DeliveryState::Queued(messages) => self.begin(messages, position).await,
                DeliveryState::Attempting(transmission) => {
                    self.try_message(transmission, position).await?
                }
                DeliveryState::Waiting(transmission, WaitFor::Until(due)) => {
                    sleep_until(due).await;
                    DeliveryState::Attempting(transmission)
                }
                // Boxed, because few replies are lost.
                DeliveryState::Waiting(transmission, WaitFor::LookUp(failure)) => {
                    Box::pin(self.ask_provider(transmission, *failure, position)).await
                }
                DeliveryState::Ended(outcome) => {
                    if outcome.failure().is_some() {
                        // The message of a lost reply may have arrived, so the destination may know another state than
                        // before.
                        Box::pin(self.forget_last_state()).await;
                    }
                    return Ok(outcome);
                }
            };
        }
    }

    /// After `Queued`: its turn has come. A delivery that another process began continues unchanged. Any other may be
    /// silenced, be a repeat, or follow up on an earlier message.
    async fn begin(
        &mut self,
        messages: Vec<Outbound>,
        position: &mut QueuePosition,
    ) -> DeliveryState {
        self.wait_for_turn(position).await;
        let retry = RetryState::new(self.backoff());
        let part = self.planned.parts_done();
        let mut transmission = Box::new(Transmission::new(messages, part, retry));
        if let Some(began) = self.planned.attempting() {
            transmission.began = began;
            let lost = WaitFor::LookUp(Box::new(interrupted()));
            return match transmission.message() {
                Some(_) => DeliveryState::Waiting(transmission, lost),
                None => self.delivered(&transmission),
            };
        }
        transmission.is_unseen = part == 0 && self.planned.resume.is_none();
        self.begin_message(transmission).await
    }

    /// Before the first message: it may be a repeat, or follow up on an earlier message.
    async fn begin_message(&mut self, mut transmission: Box<Transmission>) -> DeliveryState {
        // Boxed, because few deliveries have a key.
        let follow_up = match self.planned.dedup_key.is_some() && transmission.part == 0 {
            true => Box::pin(self.follow_up()).await,
            false => FollowUp::None,
        };
        match follow_up {
            FollowUp::None => {}
            FollowUp::Suppressed { rule } => {
                return DeliveryState::Ended(Outcome::Suppressed { rule });
            }
            FollowUp::Update(message) => {
                let messages = std::mem::replace(&mut transmission.messages, vec![*message]);
                transmission.original = Some(messages);
            }
        }
        self.proceed(transmission)
    }

    /// Goes on with other content, which nobody has seen either. The backoff stays.
    async fn replace_content(
        &mut self,
        mut transmission: Box<Transmission>,
        renewal: Renewal,
    ) -> DeliveryState {
        let mut planned = match renewal {
            Renewal::Replaced(planned) => planned,
            Renewal::Superseded => {
                let rule = Outcome::SUPERSEDED.to_owned();
                return DeliveryState::Ended(Outcome::Suppressed { rule });
            }
        };
        transmission.replace(std::mem::take(&mut planned.messages.parts));
        transmission.original = None;
        let (parts, segments) = (transmission.messages.len(), planned.messages.segments);
        self.progress.update(|report| {
            report.parts = parts;
            report.segments = segments;
        });
        self.planned.messages = planned.messages;
        self.planned.input = planned.input;
        self.begin_message(transmission).await
    }

    /// Makes one attempt and applies its result.
    async fn try_message(
        &mut self,
        mut transmission: Box<Transmission>,
        position: &QueuePosition,
    ) -> Result<DeliveryState, LeaseLost> {
        transmission.began = SystemTime::now();
        let result = match self.attempt(&mut transmission, position).await {
            Ok(result) => result,
            Err(NotAttempted::LeaseLost) => return Err(LeaseLost),
            Err(NotAttempted::Outdated(renewal)) => {
                // In a box of its own, as few are out of date.
                return Ok(Box::pin(self.replace_content(transmission, renewal)).await);
            }
        };
        transmission.ended = Instant::now();
        let rules = self.retry_rules(&transmission, position);
        let next = transmission.retry.after_attempt(result, &rules);
        Ok(self.follow(transmission, next).await)
    }

    /// While `Waiting`: the provider's word on the last attempt decides.
    async fn ask_provider(
        &self,
        mut transmission: Box<Transmission>,
        failure: Failure,
        position: &QueuePosition,
    ) -> DeliveryState {
        let Some(message) = transmission.message() else {
            return self.delivered(&transmission);
        };
        let sent = LostReply {
            message,
            at: transmission.began,
        };
        let answer = self.look_up(&sent, transmission.ended, &failure).await;
        let rules = self.retry_rules(&transmission, position);
        let retry = &mut transmission.retry;
        let next = retry.after_look_up(answer, failure, &rules);
        self.follow(transmission, next).await
    }

    /// The state that a decision leads to.
    async fn follow(&self, mut transmission: Box<Transmission>, next: NextStep) -> DeliveryState {
        match next {
            NextStep::Done(reference) => {
                self.message_delivered(&mut transmission, reference);
                // The store gets the last part's progress with the outcome.
                if transmission.message().is_some()
                    && let Some(entry) = &self.progress.entry
                {
                    Box::pin(entry.parts_done(transmission.part)).await;
                }
                self.proceed(transmission)
            }
            // Once: a second redirect is not followed.
            NextStep::Readdress(moved) if !transmission.has_moved => {
                self.warn(&moved.warning);
                transmission.readdress(Outbound::Http(moved.next));
                DeliveryState::Attempting(transmission)
            }
            NextStep::Readdress(moved) => {
                DeliveryState::Ended(transmission.retry.end(moved.failure))
            }
            NextStep::LookUp(failure) => {
                DeliveryState::Waiting(transmission, WaitFor::LookUp(Box::new(failure)))
            }
            NextStep::Retry(retry) => {
                self.report_retry(&retry);
                DeliveryState::Waiting(transmission, WaitFor::Until(retry.due))
            }
            NextStep::Recompose(failure) => match transmission.original.take() {
                Some(original) => {
                    self.forget_last_notification();
                    transmission.replace(original);
                    DeliveryState::Attempting(transmission)
                }
                // The message refers to nothing that could be stale.
                None => DeliveryState::Ended(Outcome::Failed(failure)),
            },
            NextStep::End(outcome) => DeliveryState::Ended(outcome),
        }
    }

    fn message_delivered(&self, transmission: &mut Transmission, reference: Option<MessageRef>) {
        transmission.reference = transmission.reference.take().or(reference);
        transmission.advance();
        let done = transmission.part;
        self.progress.update(|report| report.parts_delivered = done);
    }

    /// On to the next message, or to the end after the last.
    fn proceed(&self, transmission: Box<Transmission>) -> DeliveryState {
        match transmission.message() {
            Some(_) => DeliveryState::Attempting(transmission),
            None => self.delivered(&transmission),
        }
    }

    fn delivered(&self, transmission: &Transmission) -> DeliveryState {
        let message = transmission.reference.clone();
        self.remember_notification(transmission.messages.len(), message.as_ref());
        DeliveryState::Ended(Outcome::Delivered { message })
    }

    fn retry_rules(&self, transmission: &Transmission, position: &QueuePosition) -> RetryRules<'_> {
        RetryRules {
            policy: &self.policy,
            deadline: self.deadline,
            ended: transmission.ended,
            now: Instant::now(),
            rate_limits: position.queue.rate_limits(),
        }
    }

    /// Reports that the delivery is pending, and logs each reason once.
    fn report_retry(&self, retry: &Retry) {
        if retry.is_new_reason {
            self.emit(&Event::Retry {
                destination: self.label(),
                failure: &retry.failure,
                attempt: retry.attempts,
                wait: retry.wait,
            });
        }
        self.progress.pending(retry.failure.clone());
        self.progress.waiting_until(retry.due);
    }

    /// Warns an operator about the destination, in the response and in the log.
    pub fn warn(&self, warning: &str) {
        let destination = self.label();
        // All parts of a long text have the same warning.
        if self.progress.task.warn(format!("{destination}: {warning}")) {
            let event = Event::DestinationWarning {
                destination,
                message: warning,
            };
            self.emit(&event);
        }
    }

    fn report_end(&self, outcome: Outcome) -> Option<EndNote> {
        self.progress.end(&self.services.sink, outcome)
    }

    fn report_lost_lease(&self) {
        self.emit(&Event::LeaseLost {
            destination: self.label(),
        });
        self.progress.leave();
    }
}

/// The failure of an attempt by a process that ended before the reply came.
fn interrupted() -> Failure {
    let detail = "the process that was sending it ended before the reply came";
    Failure::new(Reason::LostReply).with_detail(Some(detail.into()))
}
