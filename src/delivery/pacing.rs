//! How long a call may wait for its answer when calls follow one another.
//!
//! A synchronous trigger runs its calls one after another: if each waited its whole time, those behind would add up to
//! more than their callers wait, and the callers would send everything again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Calls that follow each other within this are one busy period.
const GAP: Duration = Duration::from_millis(20);
/// What each call may still wait once the period's time is used up.
const LEAST: Duration = Duration::from_millis(40);
/// Triggers that are remembered.
const MAX_PERIODS: usize = 256;

/// The busy periods, by the trigger's settings.
#[derive(Default)]
pub struct Pacing {
    periods: Mutex<HashMap<Arc<str>, Period>>,
}

#[derive(Default)]
struct Period {
    under_way: usize,
    /// Calls ran side by side: this trigger is asynchronous, so nobody waits behind them.
    overlapped: bool,
    waited: Duration,
    last_end: Option<Instant>,
}

impl Pacing {
    /// A call begins to wait. It may wait for [`Wait::time`].
    pub fn begin(&self, scope: &Arc<str>, response_timeout: Duration) -> Wait<'_> {
        let now = Instant::now();
        let mut periods = self.lock();
        if periods.len() >= MAX_PERIODS {
            periods.retain(|_, period| period.is_current(now));
        }
        let period = periods.entry(Arc::clone(scope)).or_default();
        if !period.is_current(now) {
            *period = Period::default();
        }
        period.overlapped |= period.under_way > 0;
        period.under_way += 1;
        let time = if period.overlapped {
            response_timeout
        } else {
            let left = response_timeout.saturating_sub(period.waited);
            left.max(LEAST.min(response_timeout))
        };
        Wait {
            pacing: self,
            scope: Arc::clone(scope),
            begun: now,
            time,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Period>> {
        self.periods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Period {
    fn is_current(&self, now: Instant) -> bool {
        self.under_way > 0 || self.last_end.is_some_and(|end| now - end <= GAP)
    }
}

/// A call that waits.
pub struct Wait<'a> {
    pacing: &'a Pacing,
    scope: Arc<str>,
    begun: Instant,
    pub time: Duration,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        if let Some(period) = self.pacing.lock().get_mut(&self.scope) {
            period.under_way -= 1;
            period.waited += now - self.begun;
            period.last_end = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn trigger(name: &str) -> Arc<str> {
        name.into()
    }

    #[tokio::test(start_paused = true)]
    async fn row_51_calls_behind_one_another_share_one_response_timeout() {
        let pacing = Pacing::default();
        let started = Instant::now();
        for _ in 0..60 {
            let wait = pacing.begin(&trigger("1"), TIMEOUT);
            tokio::time::advance(wait.time).await;
            drop(wait);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_overlap_or_come_later_have_the_whole_time() {
        let pacing = Pacing::default();
        let first = pacing.begin(&trigger("1"), TIMEOUT);
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = pacing.begin(&trigger("1"), TIMEOUT);
        assert_eq!(second.time, TIMEOUT);
        drop((first, second));
        assert_eq!(
            pacing.begin(&trigger("1"), TIMEOUT).time,
            TIMEOUT,
            "still the asynchronous trigger"
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        let quick = pacing.begin(&trigger("1"), TIMEOUT);
        tokio::time::advance(Duration::from_millis(500)).await;
        drop(quick);
        assert_eq!(
            pacing.begin(&trigger("1"), TIMEOUT).time,
            Duration::from_millis(1500)
        );
        assert_eq!(
            pacing.begin(&trigger("2"), TIMEOUT).time,
            TIMEOUT,
            "another trigger"
        );
        assert_eq!(
            pacing.begin(&trigger("3"), Duration::ZERO).time,
            Duration::ZERO
        );
    }
}
