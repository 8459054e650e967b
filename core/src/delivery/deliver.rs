//! One delivery, from its place in line to its end.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep_until};

use super::arriving::Arriving;
use super::bounds::Place;
use super::durability::{EndNote, Kept};
use super::engine::Engine;
use super::last_sent::{self, Before, Delivered, REPEAT_INTERVAL};
use super::queue::Turn;
use super::retry::{Ending, Tries};
use super::run::Run;
use super::task::Task;
use crate::model::outcome::{Failure, MessageRef, Outcome, Reason};
use crate::model::wire::Outbound;
use crate::observe::{Event, LogLevel};
use crate::outbox::{LastNotificationStore, OutboxError};
use crate::panics::guarded;

/// How long to wait before the store is asked again for older deliveries.
const LEAST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long there is to look for what another process may have sent.
const LOOK_FOR: Duration = Duration::from_secs(60);

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
            ahead_of,
            ..
        } = arriving;
        let queue = self.queues.get(sending.channel.destination());
        let ticket = queue.ticket();
        let mut run = Box::new(Run {
            engine: Arc::clone(self),
            task,
            index,
            sender,
            sending,
            policy,
            queue,
            ticket,
            turn: None,
            deadline,
            kept,
            ahead_of,
        });
        run.turn = run.line_up();
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
        ahead_of,
        ..
    } = *run;
    let destination = sending.channel.destination();
    let Some(outcome) = outcome else {
        drop(turn);
        engine.queues.release(destination, queue);
        task.log.log(&Event::HandedOn {
            destination: &destination.label,
        });
        task.leave(index);
        return;
    };
    let note = end(
        &engine,
        &task,
        index,
        &sender,
        &destination.label,
        outcome,
        kept.as_deref(),
    );
    // The next one of the key finds the end in the store.
    drop((turn, ahead_of));
    engine.queues.release(destination, queue);
    // The place is kept until the end is, so that a slow disk holds back what comes and gathers nothing.
    if let Some((kept, note)) = kept.zip(note) {
        // In a box of its own, as few deliveries are kept.
        Box::pin(wait_until_noted(&engine, &task, index, &kept, note)).await;
    }
    drop(place);
}

/// Ends a delivery here, and asks for a note of it where it is stored.
pub fn end(
    engine: &Engine,
    task: &Task,
    index: usize,
    sender: &str,
    destination: &str,
    outcome: Outcome,
    kept: Option<&Kept>,
) -> Option<EndNote> {
    let elapsed = task.accepted.elapsed();
    engine.metrics.ended(sender, &outcome, elapsed);
    // Whatever becomes of the line, the delivery ends.
    let say = || say_end(engine, task, index, destination, &outcome);
    let _ = guarded(say);
    // Who waits for the end finds the log line there.
    end_task(task, index, outcome, kept)
}

/// Ends a delivery of a task, and asks for a note of it where it is stored.
pub fn end_task(
    task: &Task,
    index: usize,
    outcome: Outcome,
    kept: Option<&Kept>,
) -> Option<EndNote> {
    let Some(kept) = kept else {
        task.end(index, outcome);
        return None;
    };
    let store = |report, row: Option<_>| {
        let written = row.as_ref().map(|_| kept.forget_row());
        (kept.end(report, row), written)
    };
    task.end_stored(index, outcome, store)
}

pub async fn wait_until_noted(
    engine: &Engine,
    task: &Task,
    index: usize,
    kept: &Kept,
    note: EndNote,
) {
    let failed = |error: &OutboxError| {
        let report = task.report(index);
        let destination = report.as_ref().map(|report| {
            let label = report.destination.as_deref();
            label.unwrap_or(&report.sender)
        });
        let line = task.log.log(&Event::NotKept {
            destination: destination.unwrap_or_default(),
            what: &format!("its end was not noted: {error} {}", error.hint()),
        });
        engine.errors.push(line);
    };
    kept.noted(note, failed).await;
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
        let mut messages = std::mem::take(&mut self.sending.messages.parts);
        let parts = messages.len();
        let ended = self.send_all(&mut messages, &mut tries).await;
        self.outcome(ended, parts).await
    }

    /// Under what it is remembered what it tells.
    fn key(&self) -> Option<String> {
        last_sent::key(&self.sending)
    }

    /// What is done in view of what was told last: nothing where this is no news, or what edits or answers it. Where that is
    /// stale, the attempts that it has made count for the new message too.
    async fn follow_up(&self, tries: &mut Tries) -> ControlFlow<Option<Outcome>> {
        let Some(key) = self.key().filter(|_| self.depends_on_last()) else {
            return ControlFlow::Continue(());
        };
        let (sent, outbox) = (&self.engine.last_sents, self.last_notifications());
        let before = sent.before(&key, outbox).await;
        if let Some(silence) = &self.sending.silence
            && !before.as_ref().is_some_and(Before::is_open)
        {
            let rule = silence.to_string();
            return ControlFlow::Break(Some(Outcome::Suppressed { rule }));
        }
        let Some(before) = before else {
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
            Err(Ending::Stale(_)) => {
                sent.set(&key, None, outbox);
                ControlFlow::Continue(())
            }
            ended => ControlFlow::Break(self.outcome(ended, 1).await),
        }
    }

    /// Whether what the destination was told last decides what becomes of this.
    fn depends_on_last(&self) -> bool {
        self.sending.channel.capabilities().refers_to_earlier()
            || self.policy.repeat_interval.is_some()
            || self.sending.silence.is_some()
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
        let refers_to_earlier = channel.capabilities().refers_to_earlier();
        let earlier = before.message().filter(|_| refers_to_earlier)?;
        let composed = source.compose(channel, Some(earlier));
        let [message] = <[_; 1]>::try_from(composed.ok()?.parts).ok()?;
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

    async fn outcome(
        &self,
        ended: Result<Option<MessageRef>, Ending>,
        parts: usize,
    ) -> Option<Outcome> {
        let ended = match ended {
            Ok(message) => {
                self.remember(parts, message.as_ref());
                return Some(Outcome::Delivered { message });
            }
            Err(Ending::HandedOn) => return None,
            Err(Ending::Ambiguous(failure)) => Outcome::Ambiguous(failure),
            // Nothing that could be stale was referred to.
            Err(Ending::Failed(failure) | Ending::Stale(failure)) => Outcome::Failed(failure),
        };
        // An attempt whose reply was lost may have arrived.
        if let Some(key) = self.key() {
            let outbox = self.last_notifications();
            Box::pin(self.engine.last_sents.forget_state(&key, outbox)).await;
        }
        Some(ended)
    }

    fn remember(&self, parts: usize, message: Option<&MessageRef>) {
        let Some(key) = self.key() else { return };
        let delivered = Delivered {
            parts,
            message,
            suppresses_repeats: self.policy.repeat_interval.is_some(),
        };
        let (sent, outbox) = (&self.engine.last_sents, self.last_notifications());
        sent.delivered(&key, &self.sending, delivered, outbox);
    }

    /// When the last try must have ended. A delivery whose turn comes late has one attempt all the same: a `resolved`
    /// must follow even the `firing` that took all the time there was, and what was held back has done no wrong.
    async fn wait_for_turn(&mut self) -> Instant {
        let deadline = match self.sending.attempting() {
            // What another process may have sent is looked for, however late it is.
            Some(_) => self.deadline.max(Instant::now() + LOOK_FOR),
            None => self.deadline,
        };
        if let Some(mut turn) = self.turn.take() {
            let had_to_wait = turn.wait().await;
            self.turn = Some(turn);
            let is_behind = |kept: &Kept| kept.is_behind || had_to_wait;
            if self.kept.as_deref().is_some_and(is_behind) {
                // In a box of its own, as few have to ask.
                Box::pin(self.wait_for_older(deadline)).await;
            }
        }
        deadline.max(Instant::now() + self.one_attempt_late(deadline))
    }

    /// Waits until the store has no older delivery of the same key: it may be another process's, or have been claimed after
    /// this one lined up. Meanwhile its place in the line is free: an older one may come by.
    async fn wait_for_older(&mut self, deadline: Instant) {
        let mut pause = LEAST_PAUSE;
        while let Some(kept) = &self.kept
            && kept.has_older().await
            && Instant::now() < deadline
        {
            self.turn = None;
            let waiting = &self.engine.waiting_for_older;
            waiting.fetch_add(1, Ordering::Relaxed);
            sleep_until((Instant::now() + pause).min(deadline)).await;
            waiting.fetch_sub(1, Ordering::Relaxed);
            pause = (pause * 2).min(LONGEST_PAUSE);
            let mut turn = self.line_up();
            if let Some(turn) = &mut turn {
                turn.wait().await;
            }
            self.turn = turn;
        }
    }

    fn line_up(&self) -> Option<Box<Turn>> {
        let dedup_key = self.sending.dedup_key.as_ref()?;
        let turn = self
            .queue
            .line_up(dedup_key, self.ticket, self.sending.state());
        Some(Box::new(turn))
    }

    fn one_attempt_late(&self, deadline: Instant) -> Duration {
        match Instant::now() >= deadline {
            true => self.policy.attempt_timeout,
            false => Duration::ZERO,
        }
    }

    fn last_notifications(&self) -> Option<&dyn LastNotificationStore> {
        Some(self.kept.as_ref()?.last_notifications())
    }
}
