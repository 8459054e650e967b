//! The wait between attempts.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// From the shortest initial delay, 10 ms, to the longest, an hour, there are 19.
const MAX_DOUBLINGS: u32 = 32;

/// Exponential backoff: the minimum of every wait, also if a provider asks for less.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub initial: Duration,
    pub max: Duration,
    /// The shortest wait that the channel allows.
    pub least: Duration,
}

impl Backoff {
    /// `initial` after the first failure, doubled by each further one, at most `max`. Spread by a fifth either way, so that
    /// deliveries that failed together do not come back together.
    pub fn after(&self, failures: u32) -> Duration {
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(self.initial)
            .with_max_delay(self.max)
            .with_factor(2.0)
            .without_max_times()
            .build();
        let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
        let delay = delays.nth(doublings as usize).unwrap_or(self.max);
        delay
            .min(self.max)
            .mul_f64(0.8 + 0.4 * fastrand::f64())
            .max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_the_longest_and_is_never_shorter_than_the_channel_allows() {
        let seconds = Duration::from_secs;
        for (initial, max, least, failures, expected) in [
            (1, 60, 0, 0, 1),
            (1, 60, 0, 1, 1),
            (1, 60, 0, 2, 2),
            (1, 60, 0, 6, 32),
            (1, 60, 0, 7, 60),
            (1, 60, 0, 33, 60),
            (1, 60, 0, u32::MAX, 60),
            (3600, 3600, 0, 2, 3600),
            (90, 60, 0, 1, 60),
            (1, 60, 100, 1, 100),
        ] {
            let backoff = Backoff {
                initial: seconds(initial),
                max: seconds(max),
                least: seconds(least),
            };
            let wait = backoff.after(failures);
            let expected = seconds(expected);
            assert!(wait >= expected.mul_f64(0.8), "{failures}: {wait:?}");
            assert!(wait <= expected.mul_f64(1.2), "{failures}: {wait:?}");
        }
    }
}
