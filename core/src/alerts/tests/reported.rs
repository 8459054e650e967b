//! Alerts that other systems report again and again.

use std::time::Duration;

use jiff::Timestamp;

use super::world::{FIRING, RESOLVED, World, event};
use crate::alerts::alert::later;
use crate::api::request::ReportedAlert;
use crate::model::notification::{Level, Notification};

fn at(world: &World, seconds: u64) -> Timestamp {
    later(world.begin, Duration::from_secs(seconds))
}

/// Takes a report with a start, and with an end if there is one; in seconds since the beginning.
fn report(world: &mut World, start: u64, end: Option<u64>) -> String {
    let starts_at = Some(at(world, start));
    world.reported = Some(ReportedAlert {
        starts_at,
        ends_at: end.map(|end| at(world, end)),
    });
    let notification = Notification {
        timestamp: starts_at,
        ..event("a", FIRING, Level::Error, "db1")
    };
    world.take(notification).remove(0).1
}

#[test]
fn a_reported_alert_resolves_at_its_end() {
    let mut world = World::new();
    report(&mut world, 0, Some(100));
    world.pass(99);
    assert_eq!(world.sent(), ["chat: a firing @ 0"]);
    world.pass(2);
    assert_eq!(world.sent()[1..], ["chat: a resolved @ 100"]);
    // It ended as its source said: nobody missed a report.
    let alert = world.state.alerts().next().unwrap();
    assert_eq!(alert.notification.as_text().unwrap(), "disk full");
}

#[test]
fn every_report_moves_the_end() {
    let mut world = World::new();
    for minute in 0..10 {
        let verdict = report(&mut world, 0, Some(minute * 60 + 240));
        let expected = if minute == 0 { "notify" } else { "unchanged" };
        assert_eq!(verdict, expected);
        world.pass(60);
    }
    assert_eq!(world.sent().len(), 1);
    world.pass(600);
    assert_eq!(world.sent()[1..], ["chat: a resolved @ 780"]);
}

#[test]
fn without_an_end_it_resolves_after_five_minutes() {
    let mut world = World::new();
    report(&mut world, 0, None);
    world.pass(299);
    assert_eq!(world.sent().len(), 1);
    world.pass(2);
    assert_eq!(world.sent()[1..], ["chat: a resolved @ 300"]);
}

#[test]
fn the_routes_resolve_timeout_replaces_the_five_minutes() {
    let mut world = World::new();
    world.resolve_timeout = Some(Duration::from_secs(600));
    report(&mut world, 0, None);
    world.pass(599);
    assert_eq!(world.sent().len(), 1);
    world.pass(2);
    assert_eq!(world.sent().len(), 2);
}

#[test]
fn of_two_servers_the_earliest_start_and_the_last_end_count() {
    let mut world = World::new();
    world.time = 10;
    report(&mut world, 10, Some(250));
    // The other server began earlier and ends earlier; its report is not stale.
    assert_eq!(report(&mut world, 5, Some(245)), "unchanged");
    let alert = world.state.alerts().next().unwrap();
    assert_eq!(alert.starts_at, at(&world, 5));
    world.pass(239);
    assert_eq!(world.sent().len(), 1);
    world.pass(2);
    assert_eq!(world.sent()[1..], ["chat: a resolved @ 250"]);
}

#[test]
fn a_reported_alert_that_fires_again_is_a_new_alert() {
    let mut world = World::new();
    report(&mut world, 0, Some(240));
    world.time = 60;
    world.reported = Some(ReportedAlert {
        starts_at: Some(at(&world, 0)),
        ends_at: Some(at(&world, 50)),
    });
    let resolved = Notification {
        timestamp: Some(at(&world, 50)),
        ..event("a", RESOLVED, Level::Error, "db1")
    };
    world.take(resolved);
    world.time = 120;
    assert_eq!(report(&mut world, 110, Some(350)), "notify");
    assert_eq!(world.sent().len(), 3);
    let alert = world.state.alerts().next().unwrap();
    assert_eq!(alert.starts_at, at(&world, 110));
}

#[test]
fn only_a_report_that_repeats_the_last_one_needs_no_routes() {
    let mut world = World::new();
    report(&mut world, 0, Some(240));
    let key = world.state.alerts().next().unwrap().key.clone();
    let last = event("a", FIRING, Level::Error, "db1");
    let again = |world: &mut World, notification: &Notification, settings: &str| {
        let (now, reported) = (world.now(), world.reported);
        let state = &mut world.state;
        state.report_again(&key, notification, reported, settings, now)
    };
    assert!(again(&mut world, &last, "settings"));
    assert!(!again(&mut world, &last, "other settings"));
    for other in [
        event("a", RESOLVED, Level::Error, "db1"),
        event("a", FIRING, Level::Critical, "db1"),
        event("a", FIRING, Level::Error, "db2"),
        Notification {
            title: None,
            ..last.clone()
        },
    ] {
        assert!(!again(&mut world, &other, "settings"), "{other:?}");
    }
    // It moves the end, too.
    world.time = 100;
    world.reported = Some(ReportedAlert {
        starts_at: None,
        ends_at: Some(at(&world, 340)),
    });
    assert!(again(&mut world, &last, "settings"));
    world.pass(239);
    assert_eq!(world.sent().len(), 1);
    world.pass(2);
    assert_eq!(world.sent().len(), 2);
    assert!(!again(&mut world, &last, "settings"));
}
