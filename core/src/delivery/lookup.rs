//! Finding out what became of a message that must not be repeated, when its reply was lost.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::claims::Twin;
use super::run::Run;
use crate::model::channel::{Lookup, LostReply};
use crate::model::outcome::{AttemptResult, Failure};
use crate::model::plan::OnAmbiguous;
use crate::model::wire::Outbound;
use crate::observe::Event;

/// When the provider is asked, from the end of the attempt.
const AFTER: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(45),
];
/// What the last look-up has, where the delivery's end comes before it.
const LAST_MOMENT: Duration = Duration::from_secs(1);

impl Run {
    /// Asks the provider for a message that it may have taken. `None`: it was asked, and does not know of it.
    pub async fn settle(&self, sent: &LostReply<'_>, failure: &Failure) -> Option<AttemptResult> {
        let now = Instant::now();
        let ended = self.ended(sent, now);
        let unknown = || Some(AttemptResult::Ambiguous(failure.clone()));
        if self.policy.on_ambiguous == OnAmbiguous::Report {
            return unknown();
        }
        let Some(lookup) = self.sending.channel.lookup() else {
            return unknown();
        };
        let last = self
            .deadline
            .checked_sub(LAST_MOMENT)
            .map_or(ended, |last| last.max(ended));
        let question = lookup.question();
        let mut asked = None;
        for after in AFTER {
            let due = (ended + after).min(last).max(now);
            if asked == Some(due) {
                continue;
            }
            if asked.replace(due).is_none() {
                self.say_look_up(failure, due.saturating_duration_since(now));
            }
            sleep_until(due).await;
            if let Some(found) = self.ask(lookup, &question, sent).await {
                // The attempt's own status says nothing any more.
                self.answered(None);
                return Some(found);
            }
            if due == last {
                break;
            }
        }
        None
    }

    /// When the attempt ended: now, or long ago where another process made it.
    fn ended(&self, sent: &LostReply<'_>, now: Instant) -> Instant {
        // The wall clock is asked only where there is no other: it may jump.
        if self.sending.attempting() != Some(sent.at) {
            return now;
        }
        let age = sent.at.elapsed().unwrap_or_default();
        let since = age.saturating_sub(self.policy.attempt_timeout);
        now.checked_sub(since).unwrap_or(now)
    }

    fn say_look_up(&self, failure: &Failure, wait: Duration) {
        self.task.log.log(&Event::LookUp {
            destination: &self.sending.channel.destination().label,
            failure,
            wait,
        });
        self.task.pending(self.index, failure.clone());
        self.task.asking(self.index);
    }

    /// One look-up. Takes no permit, and its own failure is none of the delivery's.
    async fn ask(
        &self,
        lookup: &dyn Lookup,
        question: &Outbound,
        sent: &LostReply<'_>,
    ) -> Option<AttemptResult> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let time = self.policy.attempt_timeout.min(left);
        let (client, until) = (self.client(sent.message), Instant::now() + time);
        let _connection = self.connection(question, &client, false, until).await?;
        let transport = &self.engine.transport;
        let reply = transport.send(question, &client, time).await.ok()?;
        let mut found = lookup.matches(sent, &reply);
        if let Some(kept) = &self.kept {
            found = kept.free(found).await;
        }
        let twin = self.twin(sent.message);
        self.engine.claims.first_free(twin, found)
    }

    /// The same for messages that a provider's list cannot tell apart.
    pub fn twin(&self, message: &Outbound) -> Twin {
        Twin::of(self.sending.channel.destination(), message)
    }
}
