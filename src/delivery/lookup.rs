//! Finding out what became of a message that must not be repeated, when its reply was lost.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashlink::LinkedHashMap;
use tokio::time::{Instant, sleep_until};

use super::run::Run;
use crate::model::channel::{Found, Unanswered};
use crate::model::outcome::{Failure, MessageRef, Verdict};
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
    pub async fn settle(&self, sent: &Unanswered<'_>, failure: &Failure) -> Option<Verdict> {
        let now = Instant::now();
        let ended = self.ended(sent, now);
        let unknown = || Some(Verdict::Ambiguous(failure.clone()));
        if self.policy.on_ambiguous == OnAmbiguous::Report {
            return unknown();
        }
        let Some(question) = self.sending.channel.lookup(sent) else {
            return unknown();
        };
        let last = self
            .deadline
            .checked_sub(LAST_MOMENT)
            .map_or(ended, |last| last.max(ended));
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
            if let Some(found) = self.ask(&question, sent).await {
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
    fn ended(&self, sent: &Unanswered<'_>, now: Instant) -> Instant {
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
    async fn ask(&self, question: &Outbound, sent: &Unanswered<'_>) -> Option<Verdict> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let time = self.policy.attempt_timeout.min(left);
        let (client, until) = (self.client(), Instant::now() + time);
        let _connection = self.connection(question, &client, false, until).await?;
        let transport = &self.engine.transport;
        let reply = transport.send(question, &client, time).await.ok()?;
        let mut found = self.sending.channel.find(sent, &reply);
        if let Some(kept) = &self.kept {
            found = kept.free(found).await;
        }
        let twin = self.twin(sent.message);
        self.engine.claims.first_free(twin, found)
    }

    /// The same for messages that a provider's list cannot tell apart.
    pub fn twin(&self, message: &Outbound) -> Twin {
        let mut hash = DefaultHasher::new();
        self.sending.channel.destination().key.hash(&mut hash);
        match message {
            Outbound::Http(request) => request.body.hash(&mut hash),
            Outbound::Mail(mail) => mail.message_id.hash(&mut hash),
        }
        Twin(hash.finish())
    }
}

/// Which message at a provider is whose: none is ever counted for two deliveries.
#[derive(Default)]
pub struct Claims {
    state: Mutex<State>,
}

/// The destination and the body of a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Twin(u64);

#[derive(Default)]
struct State {
    /// Names that the provider gave, with when they were claimed; the oldest first.
    claimed: LinkedHashMap<MessageRef, Instant>,
    /// Attempts of which no reply has come yet.
    under_way: HashMap<Twin, usize>,
}

/// Longer than any look-up comes after its attempt began.
const KEEP_CLAIM: Duration = Duration::from_secs(600);
/// Some ten megabytes.
const MAX_CLAIMS: usize = 100_000;

impl Claims {
    /// An attempt begins: until its end it may turn out that any such message at the provider is its own.
    pub fn attempt(&self, twin: Twin) -> UnderWay<'_> {
        *self.lock().under_way.entry(twin).or_default() += 1;
        UnderWay { claims: self, twin }
    }

    /// The first of these that belongs to nobody; from now on it does.
    fn first_free(&self, twin: Twin, found: Vec<Found>) -> Option<Verdict> {
        let mut state = self.lock();
        // It may be that one's, whose reply will say so.
        if state.under_way.contains_key(&twin) {
            return None;
        }
        let free = found
            .into_iter()
            .find(|found| !state.claimed.contains_key(&found.message))?;
        state.claim(free.message);
        Some(free.verdict)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn claim(&mut self, name: MessageRef) {
        let now = Instant::now();
        while let Some((_, since)) = self.claimed.front()
            && (now - *since > KEEP_CLAIM || self.claimed.len() >= MAX_CLAIMS)
        {
            self.claimed.pop_front();
        }
        self.claimed.insert(name, now);
    }
}

/// An attempt whose reply has not come.
pub struct UnderWay<'a> {
    claims: &'a Claims,
    twin: Twin,
}

impl UnderWay<'_> {
    /// What came of it. A message that the reply names is this delivery's.
    pub fn ended(self, verdict: &Verdict) {
        if let Verdict::Delivered {
            message: Some(name),
        } = verdict
        {
            self.claims.lock().claim(name.clone());
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.claims.lock();
        if let Some(count) = state.under_way.get_mut(&self.twin) {
            *count -= 1;
            if *count == 0 {
                state.under_way.remove(&self.twin);
            }
        }
    }
}
