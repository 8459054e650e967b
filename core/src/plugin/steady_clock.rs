//! The clock for waiting alerts.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::alerts::alert::{Now, later};

/// The maximum sleep of timers.
pub const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Wall time and steady time. The steady clock starts at the wall time, and clock changes do not affect it.
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
