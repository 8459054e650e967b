//! How long to wait between attempts.

use std::time::Duration;

/// Exponential backoff: the floor of every wait, whatever a provider asks for.
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
        let doublings = failures.saturating_sub(1);
        let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let delay = self.initial.saturating_mul(factor).min(self.max);
        delay.mul_f64(0.8 + 0.4 * fastrand::f64()).max(self.least)
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
