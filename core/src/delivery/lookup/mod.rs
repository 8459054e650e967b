//! Asks the provider about a message that must not be repeated and whose reply was lost.

pub mod claims;

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::retry::LookupAnswer;
use super::state::Delivery;
use crate::model::channel::{Lookup, LostReply};
use crate::model::outcome::{AttemptResult, Failure};
use crate::model::plan::OnAmbiguous;
use crate::model::wire::Outbound;
use crate::observe::Event;

/// The times of the lookups, from the end of the attempt.
const AFTER: [Duration; 3] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(45),
];
/// The time for the last look-up, where the deadline comes first.
const LAST_MOMENT: Duration = Duration::from_secs(1);

impl Delivery {
    /// Asks the provider for a message that it may have accepted.
    pub async fn look_up(
        &self,
        sent: &LostReply<'_>,
        ended: Instant,
        failure: &Failure,
    ) -> LookupAnswer {
        if self.policy.on_ambiguous == OnAmbiguous::Report {
            return LookupAnswer::NotAsked;
        }
        let Some(lookup) = self.planned.channel.lookup() else {
            return LookupAnswer::NotAsked;
        };
        let question = lookup.question();
        let now = Instant::now();
        let ended = self.attempt_end(sent, ended, now);
        let last = self.deadline.checked_sub(LAST_MOMENT);
        let last = last.map_or(ended, |last| last.max(ended));
        let mut asked = None;
        for after in AFTER {
            let due = (ended + after).min(last).max(now);
            if asked == Some(due) {
                continue;
            }
            if asked.replace(due).is_none() {
                self.report_look_up(failure, due.saturating_duration_since(now));
            }
            sleep_until(due).await;
            if let Some(found) = self.ask(lookup, &question, sent).await {
                // The attempt's status does not apply any more.
                self.progress.answered(None);
                return LookupAnswer::Found(found);
            }
            if due == last {
                break;
            }
        }
        LookupAnswer::NotFound
    }

    /// Returns the end of the attempt: just now, or long ago if another process made it.
    fn attempt_end(&self, sent: &LostReply<'_>, ended: Instant, now: Instant) -> Instant {
        // The wall clock is asked only where there is no other: it may jump.
        if self.planned.attempting() != Some(sent.at) {
            return ended;
        }
        let age = sent.at.elapsed().unwrap_or_default();
        let since = age.saturating_sub(self.policy.attempt_timeout);
        now.checked_sub(since).unwrap_or(now)
    }

    fn report_look_up(&self, failure: &Failure, wait: Duration) {
        self.emit(&Event::LookUp {
            destination: self.label(),
            failure,
            wait,
        });
        self.progress.pending(failure.clone());
        self.progress.waiting();
    }

    /// Makes one lookup. It takes no permit, and its failure is not a failure of the delivery.
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
        let transport = &self.services.transport;
        let reply = transport.send(question, &client, time).await.ok()?;
        let mut found = lookup.matches(sent, &reply);
        if let Some(entry) = &self.progress.entry {
            found = entry.unclaimed(found).await;
        }
        let fingerprint = self.fingerprint(sent.message);
        self.services.claims.first_free(fingerprint, found)
    }
}
