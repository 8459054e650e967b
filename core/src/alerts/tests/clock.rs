//! The wall clock is set back and forward: waits go on, and nothing is sent twice.

use super::world::*;
use crate::model::notification::Level;

const HOUR: i64 = 3600;

/// A group with a notification, a change that waits, and a timeout; the clock jumps by so many seconds in between.
fn play(jumps: [i64; 3]) -> Vec<String> {
    let mut world = World::grouped(30, 300);
    world.resolve_timeout = Some(std::time::Duration::from_secs(1000));
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.set_clock(jumps[0]);
    world.pass(60);
    world.take(event("b", FIRING, Level::Error, "db2"));
    world.set_clock(jumps[1]);
    world.take(event("b", FIRING, Level::Error, "db2"));
    world.pass(600);
    world.set_clock(jumps[2]);
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.pass(5_000);
    world.sent()
}

#[test]
fn a_clock_that_jumps_changes_no_notification() {
    let steady = play([0, 0, 0]);
    assert_eq!(steady.len(), 4, "{steady:?}");
    for jumps in [
        [-HOUR, 0, 0],
        [0, -HOUR, 0],
        [0, 0, -HOUR],
        [HOUR, 0, 0],
        [0, HOUR, 0],
        [0, 0, HOUR],
        [-HOUR, HOUR, 0],
        [HOUR, -HOUR, 0],
        [-HOUR, HOUR, -HOUR],
    ] {
        assert_eq!(play(jumps), steady, "{jumps:?}");
    }
}
