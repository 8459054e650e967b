//! The servers' clock: this machine's may be anything.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::stored::millis;
use notifier_core::panics::lock;

/// The difference of this machine's clock from the servers' above which the store warns.
const CLOCKS_AGREE_WITHIN: Duration = Duration::from_secs(10);
const WARN_EVERY: Duration = Duration::from_secs(3600);

/// The last known time of the servers' clock.
#[derive(Default)]
pub struct ServerClock {
    last_reading: Mutex<Option<(Instant, u64)>>,
    warned: Mutex<Option<Instant>>,
}

impl ServerClock {
    pub fn set(&self, millis: u64) {
        *lock(&self.last_reading) = Some((Instant::now(), millis));
    }

    pub fn now(&self) -> u64 {
        match *lock(&self.last_reading) {
            Some((at, millis)) => {
                let since = u64::try_from(at.elapsed().as_millis()).unwrap_or(0);
                millis.saturating_add(since)
            }
            None => this_machines_clock(),
        }
    }

    /// By how much this machine's clock is wrong, once in a while.
    pub fn error_to_warn_of(&self) -> Option<Duration> {
        let error = Duration::from_millis(this_machines_clock().abs_diff(self.now()));
        let mut warned = lock(&self.warned);
        let is_due = warned.is_none_or(|at| at.elapsed() >= WARN_EVERY);
        (error > CLOCKS_AGREE_WITHIN && is_due).then(|| {
            *warned = Some(Instant::now());
            error
        })
    }
}

fn this_machines_clock() -> u64 {
    millis(SystemTime::now())
}
