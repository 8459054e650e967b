//! One delivery, from its place in line to its end.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::bounds::Place;
use super::durability::Kept;
use super::last_sent::{self, Before};
use super::queue::{DestinationQueue, Turn};
use super::retry::{Ending, Tries};
use super::throttle::REPEAT_INTERVAL;
use super::{Engine, Task};
use crate::model::outcome::{Failure, MessageRef, Outcome, Reason};
use crate::model::plan::{DeliveryPolicy, Sending};
use crate::model::wire::Outbound;
use crate::observe::{Event, LogLevel};
use crate::outbox::Outbox;
use crate::panics::guarded;

/// How long there is to look for what another process may have sent.
const LOOK_FOR: Duration = Duration::from_secs(60);

/// A delivery that is to be sent, with its place among those in flight.
pub struct Arriving {
    pub task: Arc<Task>,
    pub index: usize,
    pub sender: String,
    pub receiver: Option<String>,
    pub sending: Box<Sending>,
    pub policy: Arc<DeliveryPolicy>,
    pub place: Option<Place>,
    /// Its side of the store, where it is stored.
    pub kept: Option<Box<Kept>>,
    /// When the last try must have ended.
    pub deadline: Instant,
}

/// One delivery on its way.
pub struct Run {
    pub engine: Arc<Engine>,
    pub task: Arc<Task>,
    pub index: usize,
    pub sender: String,
    pub sending: Box<Sending>,
    pub policy: Arc<DeliveryPolicy>,
    pub queue: Arc<DestinationQueue>,
    pub ticket: u64,
    pub turn: Option<Box<Turn>>,
    /// When the last try must have ended; later where its turn comes late.
    pub deadline: Instant,
    /// Its side of the store, where it is stored.
    pub kept: Option<Box<Kept>>,
}

impl Engine {
    /// Must be called on a runtime.
    pub fn run(self: &Arc<Self>, arriving: Arriving) {
        let (run, place) = self.ready(arriving);
        tokio::spawn(to_the_end(run, place));
    }

    /// Lines a delivery up behind those that have come before.
    pub fn ready(self: &Arc<Self>, arriving: Arriving) -> (Box<Run>, Option<Place>) {
        let Arriving {
            task,
            index,
            sender,
            sending,
            policy,
            place,
            kept,
            deadline,
            ..
        } = arriving;
        let queue = self.queues.get(sending.channel.destination());
        let ticket = queue.ticket();
        let dedup_key = sending.dedup_key.as_ref();
        let turn = dedup_key.map(|key| Box::new(queue.line_up(key, ticket, sending.state())));
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
            deadline,
            kept,
        });
        (run, place)
    }
}

/// Runs a delivery and says how it ended. A panic ends that delivery alone. Boxed, because a future keeps what it is given
/// twice, and ten thousand may be in flight.
pub async fn to_the_end(mut run: Box<Run>, place: Option<Place>) {
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
        kept,
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
    if let Some(kept) = kept {
        // In a box of its own, as few deliveries are kept.
        Box::pin(note_end(&engine, &kept, &task, index)).await;
    }
    drop(place);
}

pub fn end(
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
    let _ = guarded(say);
    // Who waits for the end finds the log line there.
    task.end(index, outcome);
}

pub async fn note_end(engine: &Engine, kept: &Kept, task: &Task, index: usize) {
    let Some(report) = task.report(index) else {
        return;
    };
    if let Err(error) = kept.end(&report, None).await {
        let line = task.log.log(&Event::NotKept {
            destination: report.destination.as_deref().unwrap_or(&report.sender),
            what: &format!("its end was not noted: {error} {}", error.hint()),
        });
        engine.errors.push(line);
    }
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

impl Run {
    /// Sends all messages in order. A retry goes on at the message that failed, and another process's work where that
    /// ended. `None`: it is not this process's any more.
    pub async fn deliver(&mut self) -> Option<Outcome> {
        self.deadline = self.wait_for_turn().await;
        let mut tries = self.tries();
        // What another process has begun is gone on with as it is.
        if self.sending.dedup_key.is_some()
            && !self.sending.has_begun()
            // In a box of its own, as few have a key.
            && let ControlFlow::Break(outcome) = Box::pin(self.follow_up(&mut tries)).await
        {
            return outcome;
        }
        let mut messages = std::mem::take(&mut self.sending.composition.messages);
        let parts = messages.len();
        let ended = self.send_all(&mut messages, &mut tries).await;
        self.outcome(ended, parts)
    }

    /// Under what it is remembered what it tells.
    fn key(&self) -> Option<String> {
        last_sent::key(&self.sending, &self.policy)
    }

    /// What is done in view of what was told last: nothing where this is no news, or what edits or answers it. Where that is
    /// stale, the attempts that it has made count for the new message too.
    async fn follow_up(&self, tries: &mut Tries) -> ControlFlow<Option<Outcome>> {
        let Some(key) = self.key() else {
            return ControlFlow::Continue(());
        };
        let (sent, outbox) = (&self.engine.last_sents, self.outbox());
        let Some(before) = sent.before(&key, outbox).await else {
            return ControlFlow::Continue(());
        };
        if self.is_repeat(&before) {
            let rule = REPEAT_INTERVAL.to_owned();
            return ControlFlow::Break(Some(Outcome::Suppressed { rule }));
        }
        let Some(update) = self.update(&before) else {
            return ControlFlow::Continue(());
        };
        match self.send_all(&mut [update], tries).await {
            Err(Ending::Stale) => {
                sent.set(&key, None, outbox);
                ControlFlow::Continue(())
            }
            ended => ControlFlow::Break(self.outcome(ended, 1)),
        }
    }

    fn is_repeat(&self, before: &Before) -> bool {
        let interval = self.policy.repeat_interval;
        let says = |(state, interval)| before.says(state, interval);
        self.sending.state().zip(interval).is_some_and(says)
    }

    /// The one message that follows up on an earlier one. What would be split never does.
    fn update(&self, before: &Before) -> Option<Outbound> {
        let source = self.sending.source.as_ref()?;
        let channel = self.sending.channel.as_ref();
        let earlier = before.message().filter(|_| channel.follows_up())?;
        let composed = source.compose(channel, Some(earlier));
        let [message] = <[_; 1]>::try_from(composed.ok()?.messages).ok()?;
        Some(message)
    }

    async fn send_all(
        &self,
        messages: &mut [Outbound],
        tries: &mut Tries,
    ) -> Result<Option<MessageRef>, Ending> {
        let parts = messages.len();
        let mut unanswered = self.sending.attempting();
        let done = self.sending.parts_done();
        let mut reference = None;
        for (part, message) in messages.iter_mut().enumerate().skip(done) {
            reference = reference.or(self.send(message, tries, unanswered.take()).await?);
            *tries = self.tries();
            self.task
                .update(self.index, |report| report.parts_delivered = part + 1);
            // The last one's is said with the end.
            if part + 1 < parts
                && let Some(kept) = &self.kept
            {
                Box::pin(kept.parts_done(part + 1)).await;
            }
        }
        Ok(reference)
    }

    fn outcome(&self, ended: Result<Option<MessageRef>, Ending>, parts: usize) -> Option<Outcome> {
        Some(match ended {
            Ok(message) => {
                if let Some(key) = self.key() {
                    let (sent, outbox) = (&self.engine.last_sents, self.outbox());
                    sent.delivered(&key, &self.sending, parts, message.as_ref(), outbox);
                }
                Outcome::Delivered { message }
            }
            Err(Ending::Failed(failure)) => Outcome::Failed(failure),
            Err(Ending::Ambiguous(failure)) => Outcome::Ambiguous(failure),
            Err(Ending::HandedOn) => return None,
            // Nothing that could be gone was referred to.
            Err(Ending::Stale) => Outcome::Failed(Failure::new(Reason::Rejected)),
        })
    }

    /// When the last try must have ended. A delivery whose turn comes late has one attempt all the same: a `resolved`
    /// must follow even the `firing` that took all the time there was, and what was held back has done no wrong.
    async fn wait_for_turn(&mut self) -> Instant {
        let deadline = match self.sending.attempting() {
            // What another process may have sent is looked for, however late it is.
            Some(_) => self.deadline.max(Instant::now() + LOOK_FOR),
            None => self.deadline,
        };
        if let Some(turn) = &mut self.turn {
            turn.wait().await;
        }
        deadline.max(Instant::now() + self.one_attempt_late(deadline))
    }

    fn one_attempt_late(&self, deadline: Instant) -> Duration {
        match Instant::now() >= deadline {
            true => self.policy.attempt_timeout,
            false => Duration::ZERO,
        }
    }

    fn outbox(&self) -> Option<&dyn Outbox> {
        Some(self.kept.as_ref()?.outbox())
    }
}
