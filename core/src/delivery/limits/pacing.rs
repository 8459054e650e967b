//! Limits how long a call waits for its response when calls follow one another.
//!
//! A synchronous trigger runs its calls one after another. If each call waited its full time, the calls behind it would
//! exceed their callers' timeouts, and the callers would send everything again. So the calls of a trigger share a
//! budget, a leaky bucket. It holds one `response_timeout`; a wait spends it, and time without a waiting call refills
//! it. On a trigger whose calls overlap, no call waits behind another, so each call has the full time.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hashlink::LinkedHashMap;
use tokio::time::Instant;

use crate::panics::lock;

/// The share of the passing time that refills the budget.
const REFILL_DIVISOR: u32 = 5;
/// The wait that every call may use without being charged: a destination that replies at once is always in the
/// response.
const FREE: Duration = Duration::from_millis(2);
/// How long calls must overlap until a trigger counts as asynchronous. A synchronous trigger that is disabled and
/// enabled during a call overlaps once.
const KEEP_OVERLAP: Duration = Duration::from_secs(600);
/// The maximum number of triggers in memory. The one with the oldest call is removed first.
const MAX_TRIGGERS: usize = 1024;

/// The caller that a pace applies to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A trigger of the engine, by its mark.
    Trigger(u64),
    /// All who have the same settings, where the engine tells no trigger apart.
    Settings(Arc<str>),
    /// An outbox, for the requests under one configuration file. It shares no capacity with calls, since their
    /// deliveries may wait for older ones in the outbox.
    Outbox(String),
}

/// The budgets of all triggers.
#[derive(Default)]
pub struct Pacing {
    budgets: Mutex<LinkedHashMap<Caller, Budget>>,
}

struct Budget {
    /// Calls that wait at this moment.
    waiting: usize,
    overlapped: Option<Instant>,
    left: Duration,
    /// Since when the budget refills, while no call waits.
    since: Instant,
}

impl Pacing {
    /// A call begins to wait. It may wait for [`PacingWait::time`].
    pub fn begin(&self, caller: Caller, response_timeout: Duration) -> PacingWait<'_> {
        let now = Instant::now();
        let mut budgets = self.lock();
        let mut budget = budgets.remove(&caller).unwrap_or(Budget {
            waiting: 0,
            overlapped: None,
            left: response_timeout,
            since: now,
        });
        let time = budget.begin(now, response_timeout);
        if budgets.len() >= MAX_TRIGGERS {
            forget_oldest(&mut budgets);
        }
        budgets.insert(caller.clone(), budget);
        PacingWait {
            pacing: self,
            caller,
            begun: now,
            time,
        }
    }

    fn lock(&self) -> MutexGuard<'_, LinkedHashMap<Caller, Budget>> {
        lock(&self.budgets)
    }
}

/// Few calls wait at once (`MAX_WAITING_CALLS`), so the walk is short.
fn forget_oldest(budgets: &mut LinkedHashMap<Caller, Budget>) {
    let mut unused = budgets.iter().filter(|(_, budget)| budget.waiting == 0);
    let oldest = unused.next().map(|(caller, _)| caller.clone());
    if let Some(oldest) = oldest {
        budgets.remove(&oldest);
    }
}

impl Budget {
    fn begin(&mut self, now: Instant, response_timeout: Duration) -> Duration {
        if self.waiting > 0 {
            self.overlapped = Some(now);
        } else {
            let refill = (now - self.since) / REFILL_DIVISOR;
            self.left = self.left.saturating_add(refill).min(response_timeout);
        }
        self.waiting += 1;
        match self.overlapped {
            Some(overlapped) if now - overlapped < KEEP_OVERLAP => response_timeout,
            _ => self.left.max(FREE).min(response_timeout),
        }
    }

    fn end(&mut self, now: Instant, waited: Duration) {
        self.waiting -= 1;
        self.left = self.left.saturating_sub(waited.saturating_sub(FREE));
        self.since = now;
    }
}

/// A call that waits.
pub struct PacingWait<'a> {
    pacing: &'a Pacing,
    caller: Caller,
    begun: Instant,
    pub time: Duration,
}

impl Drop for PacingWait<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        if let Some(budget) = self.pacing.lock().get_mut(&self.caller) {
            budget.end(now, now - self.begun);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn trigger(mark: u64) -> Caller {
        Caller::Trigger(mark)
    }

    async fn wait(pacing: &Pacing, caller: Caller) -> Duration {
        let wait = pacing.begin(caller, TIMEOUT);
        tokio::time::advance(wait.time).await;
        wait.time
    }

    #[tokio::test(start_paused = true)]
    async fn calls_behind_one_another_share_one_response_timeout_whatever_lies_between() {
        for gap in [0, 1, 20, 21, 30, 40] {
            let pacing = Pacing::default();
            let started = Instant::now();
            for _ in 0..60 {
                wait(&pacing, trigger(1)).await;
                tokio::time::advance(ms(gap)).await;
            }
            let elapsed = started.elapsed();
            assert!(elapsed < Duration::from_secs(5), "{gap}: {elapsed:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_waits_take_at_most_one_response_timeout_and_a_fifth_of_the_time() {
        let pacing = Pacing::default();
        let (started, mut waited) = (Instant::now(), Duration::ZERO);
        let mut random = fastrand::Rng::with_seed(1);
        for calls in 1..=1000 {
            waited += wait(&pacing, trigger(1)).await;
            tokio::time::advance(ms(random.u64(..200))).await;
            let most = TIMEOUT + started.elapsed() / REFILL_DIVISOR + FREE * calls;
            assert!(waited <= most, "call {calls}: {waited:?} of {most:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_of_another_trigger_are_none_of_this_one() {
        let pacing = Pacing::default();
        let settings: Arc<str> = "settings".into();
        let busy: Vec<_> = (0..5).map(|_| pacing.begin(trigger(1), TIMEOUT)).collect();
        assert_eq!(wait(&pacing, trigger(2)).await, TIMEOUT);
        assert_eq!(wait(&pacing, trigger(2)).await, FREE);
        drop(busy);
        let first = pacing.begin(Caller::Settings(Arc::clone(&settings)), TIMEOUT);
        let second = pacing.begin(Caller::Settings(settings), TIMEOUT);
        assert_eq!((first.time, second.time), (TIMEOUT, TIMEOUT), "overlap");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_overlap_have_the_whole_time_for_ten_minutes() {
        let pacing = Pacing::default();
        let first = pacing.begin(trigger(1), TIMEOUT);
        tokio::time::advance(ms(1000)).await;
        assert_eq!(wait(&pacing, trigger(1)).await, TIMEOUT);
        drop(first);
        assert_eq!(wait(&pacing, trigger(1)).await, TIMEOUT);
        tokio::time::advance(KEEP_OVERLAP).await;
        assert_eq!(wait(&pacing, trigger(1)).await, TIMEOUT, "refilled");
        assert_eq!(wait(&pacing, trigger(1)).await, FREE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_spends_its_duration_and_idle_time_refills_a_fifth() {
        let pacing = Pacing::default();
        let quick = pacing.begin(trigger(1), TIMEOUT);
        tokio::time::advance(ms(502)).await;
        drop(quick);
        assert_eq!(pacing.begin(trigger(1), TIMEOUT).time, ms(1500));
        tokio::time::advance(ms(500)).await;
        assert_eq!(pacing.begin(trigger(1), TIMEOUT).time, ms(1600));
        tokio::time::advance(ms(60_000)).await;
        assert_eq!(pacing.begin(trigger(1), TIMEOUT).time, TIMEOUT);
        for least in [Duration::ZERO, Duration::from_micros(1)] {
            assert_eq!(pacing.begin(trigger(2), least).time, least);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_triggers_are_remembered_and_none_that_waits_is_forgotten() {
        let pacing = Pacing::default();
        let first = pacing.begin(trigger(0), TIMEOUT);
        for mark in 1..3000 {
            drop(pacing.begin(trigger(mark), TIMEOUT));
        }
        assert_eq!(pacing.lock().len(), MAX_TRIGGERS);
        tokio::time::advance(TIMEOUT).await;
        drop(first);
        assert_eq!(pacing.begin(trigger(0), TIMEOUT).time, FREE);
    }
}
