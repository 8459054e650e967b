//! The time by which alerts wait.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::alerts::alert::{Now, later};

/// The longest sleep of timers.
pub const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Wall and steady time: the latter begins as the wall clock, and nobody sets it.
pub struct SteadyClock {
    wall: Timestamp,
    began: Instant,
}

impl SteadyClock {
    pub fn now(&self) -> Now {
        Now {
            wall: Timestamp::now(),
            steady: later(self.wall, self.began.elapsed()),
        }
    }

    pub fn instant(&self, steady: Timestamp) -> Instant {
        let since = Duration::try_from(steady.duration_since(self.wall)).unwrap_or_default();
        let limit = self.began.elapsed() + LONGEST_SLEEP;
        self.began + since.min(limit)
    }
}

impl Default for SteadyClock {
    fn default() -> Self {
        Self {
            wall: Timestamp::now(),
            began: Instant::now(),
        }
    }
}
