//! Inhibition, time intervals, acknowledgement and reminders.

use std::time::Duration;

use super::world::*;
use crate::alerts::alert::AlertKey;
use crate::config::inhibition::Inhibition;
use crate::config::matcher::{Matcher, Name, Pattern, Patterns};
use crate::config::time_interval::TimeInterval;
use crate::model::notification::{AlertStatus, DedupKey, Level};
use crate::model::outcome::Reason;
use crate::model::problem::FilePosition;

pub fn equal(name: Name, value: &str) -> Matcher {
    let mut patterns = Patterns::default();
    patterns.push(Pattern::Equal(value.to_owned()), false);
    Matcher::new(vec![(name, patterns)])
}

/// `host down` mutes warnings of the same host.
fn host_down() -> Inhibition {
    Inhibition {
        position: FilePosition::default(),
        source: equal(Name::Title, "host down"),
        target: equal(Name::Level, "warning"),
        equal: vec![Name::Field("host".to_owned())],
    }
}

fn verdict(world: &mut World, key: &str, status: Option<AlertStatus>, level: Level) -> String {
    world.take(event(key, status, level, "db1")).remove(0).1
}

#[test]
fn a_source_mutes_its_targets_until_30_seconds_after_its_end() {
    let mut world = World::new();
    world.inhibit(vec![host_down()]);
    assert_eq!(
        verdict(&mut world, "host down", FIRING, Level::Critical),
        "notify"
    );
    assert_eq!(
        verdict(&mut world, "disk", FIRING, Level::Warning),
        "inhibition:1"
    );
    assert_eq!(verdict(&mut world, "cpu", FIRING, Level::Error), "notify");
    let other = world.take(event("net", FIRING, Level::Warning, "db2"));
    assert_eq!(other[0].1, "notify", "another host");
    world.pass(600);
    assert_eq!(world.got.len(), 3);
    verdict(&mut world, "host down", RESOLVED, Level::Critical);
    world.pass(600);
    assert_eq!(
        world.sent()[3..],
        ["chat: host down resolved @ 600", "chat: disk firing @ 630"]
    );
}

#[test]
fn a_target_that_resolves_while_muted_is_not_sent() {
    let mut world = World::new();
    world.inhibit(vec![host_down()]);
    verdict(&mut world, "host down", FIRING, Level::Critical);
    verdict(&mut world, "disk", FIRING, Level::Warning);
    verdict(&mut world, "host down", RESOLVED, Level::Critical);
    world.pass(29);
    assert_eq!(
        verdict(&mut world, "disk", RESOLVED, Level::Warning),
        "not_firing"
    );
    world.pass(600);
    assert_eq!(world.got.len(), 2);
}

#[test]
fn two_alerts_that_match_both_sides_do_not_mute_each_other() {
    let mut world = World::new();
    world.inhibit(vec![Inhibition {
        source: equal(Name::Level, "warning"),
        target: equal(Name::Level, "warning"),
        ..host_down()
    }]);
    for key in ["a", "b"] {
        assert_eq!(verdict(&mut world, key, FIRING, Level::Warning), "notify");
    }
}

#[test]
fn a_resolved_passes_every_mute_where_the_firing_is_known() {
    let mut world = World::new();
    world.inhibit(vec![host_down()]);
    verdict(&mut world, "disk", FIRING, Level::Warning);
    verdict(&mut world, "host down", FIRING, Level::Critical);
    world.silence = Some("maintenance");
    assert_eq!(
        verdict(&mut world, "disk", RESOLVED, Level::Warning),
        "notify"
    );
}

#[test]
fn an_acknowledged_source_still_mutes() {
    let mut world = World::new();
    world.inhibit(vec![host_down()]);
    verdict(&mut world, "host down", FIRING, Level::Critical);
    verdict(
        &mut world,
        "host down",
        Some(AlertStatus::Acknowledged),
        Level::Critical,
    );
    assert_eq!(
        verdict(&mut world, "disk", FIRING, Level::Warning),
        "inhibition:1"
    );
}

/// From 12:01 to 12:03; the world begins at 12:00.
fn interval() -> TimeInterval {
    let text = "[time_intervals]\nx = [{ time_zone = \"UTC\", weekly = \"Mon-Sun 12:01-12:03\" }]\n[receivers.a]\n\
                slack = { webhook_url = \"https://a.example\" }\n";
    let loaded = crate::config::file::load(
        text.as_bytes(),
        std::path::Path::new("/"),
        &Default::default(),
        Default::default(),
        true,
    );
    loaded.config.unwrap().time_intervals.remove(0)
}

#[test]
fn a_time_interval_mutes_its_route_and_ends_with_its_minute() {
    for active in [false, true] {
        let mut world = World::new();
        match active {
            false => world.mute_intervals.push(interval()),
            true => world.active_intervals.push(interval()),
        }
        world.pass(50);
        let first = verdict(&mut world, "a", FIRING, Level::Error);
        world.pass(20);
        let second = verdict(&mut world, "b", FIRING, Level::Error);
        world.pass(300);
        let (verdicts, sent) = match active {
            false => (
                ["notify", "time_interval:x"],
                ["chat: a firing @ 50", "chat: b firing @ 180"],
            ),
            true => (
                ["time_interval:x", "notify"],
                ["chat: a firing @ 60", "chat: b firing @ 70"],
            ),
        };
        assert_eq!([first, second], verdicts);
        assert_eq!(world.sent(), sent);
    }
}

#[test]
fn a_mute_that_ends_is_told_with_its_rule() {
    let mut world = World::new();
    world.silence = Some("maintenance");
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.pass(100);
    assert_eq!(world.got, []);
    world.silence = None;
    world.pass(30);
    assert_eq!(world.texts, ["disk full\nMuted until now by maintenance."]);
}

#[test]
fn an_acknowledgement_holds_until_the_level_rises() {
    let mut world = World::new();
    verdict(&mut world, "a", FIRING, Level::Warning);
    verdict(
        &mut world,
        "a",
        Some(AlertStatus::Acknowledged),
        Level::Warning,
    );
    assert_eq!(
        verdict(&mut world, "a", FIRING, Level::Warning),
        "unchanged"
    );
    world.pass(1_000);
    assert_eq!(world.got.len(), 2);
    assert_eq!(verdict(&mut world, "a", FIRING, Level::Error), "notify");
    let alert = world
        .state
        .alert(&AlertKey::of_dedup_key(&DedupKey::from("a")))
        .unwrap();
    assert_eq!(
        (alert.status, &alert.acknowledged),
        (AlertStatus::Firing, &None)
    );
}

#[test]
fn a_reminder_goes_after_each_interval_since_the_last_notification() {
    let reminded = |world: &mut World| {
        let reminders = world.got.iter().filter(|got| got.kind == "reminder");
        reminders.map(|got| got.at).collect::<Vec<_>>()
    };
    for grouped in [false, true] {
        let mut world = match grouped {
            false => World::new(),
            true => World::grouped(0, 30),
        };
        world.timing.remind_every = Some(Duration::from_secs(600));
        world.take(event("a", FIRING, Level::Warning, "db1"));
        world.pass(300);
        // A change counts as a notification.
        world.take(event("a", FIRING, Level::Error, "db1"));
        world.pass(1_300);
        assert_eq!(reminded(&mut world), [900, 1_500]);
        world.silence = Some("maintenance");
        world.pass(1_000);
        assert_eq!(reminded(&mut world), [900, 1_500]);
        // An overdue reminder goes when the mute ends.
        world.silence = None;
        world.pass(30);
        assert_eq!(reminded(&mut world).len(), 3);
        world.take(event(
            "a",
            Some(AlertStatus::Acknowledged),
            Level::Error,
            "db1",
        ));
        world.pass(2_000);
        assert_eq!(reminded(&mut world).len(), 3);
        world.take(event("a", RESOLVED, Level::Error, "db1"));
        world.pass(2_000);
        assert_eq!(reminded(&mut world).len(), 3);
    }
}

#[test]
fn a_reminder_that_fails_is_tried_again_like_other_notifications() {
    let mut world = World::new();
    world.timing.remind_every = Some(Duration::from_secs(600));
    world.take(event("a", FIRING, Level::Warning, "db1"));
    world.outcome = failed(Reason::Timeout);
    world.pass(601);
    world.outcome = Some(crate::model::outcome::Outcome::Delivered { message: None });
    world.pass(299);
    assert_eq!(world.got.len(), 2);
    assert_eq!(world.got[1].kind, "reminder");
}

#[test]
fn a_muted_event_without_identity_is_not_sent_later() {
    let mut world = World::grouped(10, 300);
    let one_off = crate::model::notification::Notification {
        dedup_key: None,
        ..event("a", None, Level::Error, "db1")
    };
    assert_eq!(world.take(one_off)[0].1, "grouped");
    world.silence = Some("maintenance");
    world.pass(100);
    world.silence = None;
    world.pass(1_000);
    assert_eq!(world.got, []);
    assert_eq!(world.state.groups().count(), 0);
}

#[test]
fn judging_muted_alerts_brings_no_change_forward_and_writes_nothing() {
    let mut world = World::grouped(10, 300);
    world.inhibit(vec![host_down()]);
    world.take(event("host down", FIRING, Level::Critical, "db1"));
    world.take(event("disk", FIRING, Level::Warning, "db1"));
    world.pass(100);
    world.take(event("cpu", FIRING, Level::Error, "db1"));
    world.state.take_changes();
    world.pass(200);
    assert_eq!(world.state.take_changes().groups.len(), 0);
    world.pass(100);
    let at: Vec<_> = world.got.iter().map(|got| got.at).collect();
    assert_eq!(at, [10, 310]);
}
