//! The queue of one destination.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::account::Account;
use crate::delivery::backoff::Backoff;
use crate::model::notification::{AlertState, DedupKey};
use crate::model::outcome::PauseScope;
use crate::model::plan::Rate;
use crate::panics::lock;

/// Attempts under way at one destination.
pub const MAX_CONCURRENT_ATTEMPTS: usize = 8;
/// The longest pause, also if a header asks for more: after it, one request tries again.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// How long a destination counts as slow after a slow attempt.
const KEEP_SLOW: Duration = Duration::from_secs(600);

/// The queue of one destination.
pub struct DestinationQueue {
    account: Option<Arc<Account>>,
    /// Attempts under way at once.
    permits: usize,
    tickets: AtomicU64,
    state: Mutex<QueueState>,
}

/// The state of a queue. It may outlive the queue.
#[derive(Default)]
pub struct QueueState {
    /// Deliveries that wait, by ticket.
    waiting: BTreeMap<u64, Arc<Notify>>,
    in_use: usize,
    /// After a 429 one request goes at a time, until one succeeds.
    half_open: bool,
    paused_until: Option<Instant>,
    /// Rate limits in a row: pauses since the destination worked last.
    limits: u32,
    refused_until: Option<Instant>,
    slow_until: Option<Instant>,
    /// The earliest time of the next message, for each limit.
    next_by_rate: Vec<(Rate, Instant)>,
    /// The last in line for each dedup key.
    lines: HashMap<DedupKey, LastInLine>,
}

struct LastInLine {
    ticket: u64,
    /// The state of its alert, if known.
    state: Option<AlertState>,
    done: watch::Receiver<()>,
}

/// Why an attempt was not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionError {
    /// The destination refused for good a short while ago.
    Refused,
    /// The deadline came first, or it is certain that it will.
    OutOfTime,
}

/// An attempt's request to the queue.
#[derive(Clone, Copy, Debug)]
pub struct AdmissionRequest {
    /// From [`DestinationQueue::ticket`]. A retry keeps its ticket.
    pub ticket: u64,
    pub deadline: Instant,
    pub rate: Option<Rate>,
    /// A pause longer than this cannot be outlasted by any delivery of these settings.
    pub patience: Duration,
}

enum AdmissionStep {
    Enter,
    Refused,
    Hopeless,
    /// No attempt can begin before this time.
    Until(Instant),
    /// Others are first; with a rate limit it is known how long at least.
    Behind(Option<Instant>),
}

impl DestinationQueue {
    pub fn new(account: Option<Arc<Account>>, permits: Option<usize>, state: QueueState) -> Self {
        Self {
            account,
            permits: permits.unwrap_or(MAX_CONCURRENT_ATTEMPTS),
            tickets: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// Returns a position in the order of arrival. A delivery gets it at acceptance.
    pub fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Appends a delivery to the line of its dedup key. Returns a receiver that closes when the previous delivery ends.
    pub fn join_line(
        &self,
        dedup_key: &DedupKey,
        ticket: u64,
        state: Option<AlertState>,
        done: watch::Receiver<()>,
    ) -> Option<watch::Receiver<()>> {
        let last = LastInLine {
            ticket,
            state,
            done,
        };
        let before = lock(&self.state).lines.insert(dedup_key.clone(), last);
        before.map(|before| before.done)
    }

    /// Forgets the line of a dedup key if this delivery is the last in it.
    pub fn leave_line(&self, dedup_key: &DedupKey, ticket: u64) {
        let mut state = lock(&self.state);
        let last = state.lines.get(dedup_key).map(|last| last.ticket);
        if last == Some(ticket) {
            state.lines.remove(dedup_key);
        }
    }

    /// Waits until an attempt may begin. Calls `waiting` at each change, with the time before which no attempt can
    /// begin.
    pub async fn enter(
        self: &Arc<Self>,
        entry: AdmissionRequest,
        mut waiting: impl FnMut(Option<Instant>),
    ) -> Result<Permit, AdmissionError> {
        // The usual case: no waiter and no pause.
        if let AdmissionStep::Enter = self.step(&entry) {
            return Ok(Permit::new(self));
        }
        let call = Arc::new(Notify::new());
        let _place = WaitGuard::new(self, entry.ticket, &call);
        loop {
            let until = match self.step(&entry) {
                AdmissionStep::Enter => return Ok(Permit::new(self)),
                AdmissionStep::Refused => return Err(AdmissionError::Refused),
                AdmissionStep::Hopeless => return Err(AdmissionError::OutOfTime),
                AdmissionStep::Until(instant) => {
                    waiting(Some(instant));
                    instant.min(entry.deadline)
                }
                AdmissionStep::Behind(due) => {
                    waiting(due);
                    entry.deadline
                }
            };
            if Instant::now() >= entry.deadline {
                return Err(AdmissionError::OutOfTime);
            }
            tokio::select! {
                () = call.notified() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    fn step(&self, entry: &AdmissionRequest) -> AdmissionStep {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if state.refused_until.is_some_and(|until| until > now) {
            return AdmissionStep::Refused;
        }
        let own = state.paused_until.filter(|until| *until > now);
        let account = self
            .account
            .as_ref()
            .and_then(|account| account.paused_until(now));
        if let Some(until) = own.max(account) {
            return if until > now + entry.patience {
                AdmissionStep::Hopeless
            } else {
                AdmissionStep::Until(until)
            };
        }
        let next = entry.rate.map(|rate| (rate, state.next_by(rate, now)));
        let ahead = state.waiting.range(..entry.ticket).count();
        if ahead > 0 {
            let due = next.map(|(rate, next)| {
                next + rate.interval() * u32::try_from(ahead).unwrap_or(u32::MAX)
            });
            return AdmissionStep::Behind(due.filter(|due| *due > now));
        }
        if state.in_use >= state.permits(self.permits) {
            return AdmissionStep::Behind(None);
        }
        if let Some((rate, next)) = next {
            if next > now {
                return AdmissionStep::Until(next);
            }
            state.count_sending(rate, now);
        }
        state.in_use += 1;
        AdmissionStep::Enter
    }

    /// Pauses the queue. All who wait wake up, to report how long it takes.
    fn pause(&self, pause: &Pause) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let is_paused = state.paused_until.is_some_and(|until| until > now);
        match pause.after {
            // A message that left before the pause gets the same reply.
            PauseAfter::RateLimit if is_paused => {}
            PauseAfter::RateLimit => state.limits = state.limits.saturating_add(1),
            PauseAfter::Failure => {}
            PauseAfter::Success => state.limits = 0,
        }
        let floor = pause.backoff.after(state.limits);
        let wait = pause.asked.unwrap_or_default().max(floor);
        let until = now + wait.min(LONGEST_PAUSE);
        state.half_open = true;
        state.paused_until = state.paused_until.max(Some(until));
        state.call_all();
        drop(state);
        let account = self.account.as_ref();
        if let Some(account) = account.filter(|_| pause.scope == PauseScope::Account) {
            account.pause(until);
        }
    }

    /// Rate limits in a row.
    pub fn rate_limits(&self) -> u32 {
        lock(&self.state).limits
    }

    /// Returns whether the queue is paused or disabled.
    pub fn is_closed(&self, now: Instant) -> bool {
        lock(&self.state).is_closed(now)
    }

    /// The alert state of the last delivery in line for a dedup key; `None`: no delivery is in line.
    pub fn last_in_line(&self, dedup_key: &DedupKey) -> Option<Option<AlertState>> {
        let state = lock(&self.state);
        state.lines.get(dedup_key).map(|last| last.state)
    }

    /// Returns the state to remember of an unused queue.
    pub fn into_parts(self) -> (QueueState, Option<Arc<Account>>) {
        let state = self.state.into_inner();
        (state.unwrap_or_else(PoisonError::into_inner), self.account)
    }
}

impl QueueState {
    fn permits(&self, all: usize) -> usize {
        if self.half_open { 1 } else { all }
    }

    pub fn is_closed(&self, now: Instant) -> bool {
        let later = |until: Option<Instant>| until.is_some_and(|until| until > now);
        later(self.paused_until) || later(self.refused_until)
    }

    /// Until when it must be remembered; `None`: it need not.
    pub fn remembered_until(&self, now: Instant) -> Option<Instant> {
        let limits = self.next_by_rate.iter().map(|(_, next)| *next);
        let gates = [self.paused_until, self.refused_until, self.slow_until];
        let gates = gates.into_iter().flatten();
        limits.chain(gates).max().filter(|until| *until > now)
    }

    fn next_by(&self, rate: Rate, now: Instant) -> Instant {
        let known = self.next_by_rate.iter().find(|(known, _)| *known == rate);
        known.map_or(now, |(_, next)| *next)
    }

    fn count_sending(&mut self, rate: Rate, now: Instant) {
        self.next_by_rate
            .retain(|(known, next)| *known != rate && *next > now);
        self.next_by_rate.push((rate, now + rate.interval()));
    }

    fn call_first(&self) {
        if let Some((_, first)) = self.waiting.first_key_value() {
            first.notify_one();
        }
    }

    fn call_all(&self) {
        for waiting in self.waiting.values() {
            waiting.notify_one();
        }
    }
}

/// A delivery that waits for admission.
struct WaitGuard<'a> {
    queue: &'a DestinationQueue,
    ticket: u64,
}

impl<'a> WaitGuard<'a> {
    fn new(queue: &'a DestinationQueue, ticket: u64, call: &Arc<Notify>) -> Self {
        lock(&queue.state).waiting.insert(ticket, Arc::clone(call));
        Self { queue, ticket }
    }
}

impl Drop for WaitGuard<'_> {
    /// Admitted or dropped: in both cases the next waiter follows.
    fn drop(&mut self) {
        let mut state = lock(&self.queue.state);
        state.waiting.remove(&self.ticket);
        if state.waiting.is_empty() {
            // An empty tree keeps a node, and the process may have ten thousand queues.
            state.waiting = BTreeMap::new();
        }
        state.call_first();
    }
}

/// A pause of the queue.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    /// The wait that the provider asks for. The queue waits no less than its own backoff, which grows with each rate limit
    /// until the destination works again.
    pub asked: Option<Duration>,
    pub scope: PauseScope,
    pub backoff: Backoff,
    pub after: PauseAfter,
}

/// The meaning of a pause for the message that caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseAfter {
    RateLimit,
    Failure,
    /// Only the next message would be limited.
    Success,
}

/// The right to one attempt.
pub struct Permit {
    queue: Arc<DestinationQueue>,
}

impl Permit {
    fn new(queue: &Arc<DestinationQueue>) -> Self {
        Self {
            queue: Arc::clone(queue),
        }
    }

    /// The destination answered as it should: all permits are back.
    pub fn record_success(&self) {
        let mut state = lock(&self.queue.state);
        state.limits = 0;
        if std::mem::take(&mut state.half_open) {
            state.call_first();
        }
    }

    /// Returns whether the last attempt held its connection for long.
    pub fn is_slow(&self) -> bool {
        let slow_until = lock(&self.queue.state).slow_until;
        slow_until.is_some_and(|until| until > Instant::now())
    }

    pub fn was_slow(&self, was_slow: bool) {
        let until = was_slow.then(|| Instant::now() + KEEP_SLOW);
        lock(&self.queue.state).slow_until = until;
    }

    pub fn pause(&self, pause: &Pause) {
        self.queue.pause(pause);
    }

    /// Disables the destination for `wait`: no attempt begins.
    pub fn refuse(&self, wait: Duration) {
        let mut state = lock(&self.queue.state);
        state.refused_until = Some(Instant::now() + wait);
        state.call_all();
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.queue.state);
        state.in_use -= 1;
        state.call_first();
    }
}
