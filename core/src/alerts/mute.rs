//! Why an alert is muted, and when it is judged again.

use std::time::Duration;

use jiff::Timestamp;

use super::alert::{Now, later};

/// The latest time after which a muted alert is judged again, since a mute may end without a known time.
const RECHECK_INTERVAL: Duration = Duration::from_secs(30);

/// The reason why an alert is muted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mute {
    /// The rule in answers and log lines.
    pub rule: String,
    /// When it ends, if that is known, on the steady clock.
    pub until: Option<Timestamp>,
}

/// Returns when a muted alert is judged again: time intervals begin and end with a minute of the wall clock.
pub fn recheck_at<'a>(mutes: impl IntoIterator<Item = &'a Mute>, now: Now) -> Timestamp {
    let into_minute = now.wall.as_millisecond().rem_euclid(60_000);
    let to_minute = Duration::from_millis(60_000 - into_minute.unsigned_abs());
    let ends = mutes.into_iter().filter_map(|mute| mute.until);
    let next = later(now.steady, RECHECK_INTERVAL.min(to_minute));
    ends.filter(|end| *end > now.steady).fold(next, Ord::min)
}

/// Returns a time of the wall clock on the steady clock.
pub fn on_steady_clock(wall: Timestamp, now: Now) -> Timestamp {
    let wait = Duration::try_from(wall.duration_since(now.wall)).unwrap_or_default();
    later(now.steady, wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mute_is_judged_again_after_30_seconds_with_the_next_minute_or_at_its_end() {
        let wall: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        for (seconds, end, expected) in [
            (0, None, 30),
            (29, None, 59),
            (30, None, 60),
            (31, None, 60),
            (59, None, 60),
            (0, Some(10), 10),
            (0, Some(31), 30),
            (31, Some(59), 59),
            // An end in the past would be judged again and again.
            (31, Some(31), 60),
            (31, Some(5), 60),
        ] {
            let at = |seconds| later(wall, Duration::from_secs(seconds));
            let mute = Mute {
                rule: String::new(),
                until: end.map(at),
            };
            let now = Now {
                wall: at(seconds),
                steady: at(seconds),
            };
            assert_eq!(recheck_at([&mute], now), at(expected), "{seconds} {end:?}");
        }
    }
}
