//! An unsent notification gets its content when it is sent.

use super::world::*;
use crate::model::notification::Level;
use crate::model::outcome::Outcome;

const DELIVERED: Outcome = Outcome::Delivered { message: None };

/// A world with an open notification that nobody has seen.
fn unsent(mut world: World) -> World {
    world.outcome = None;
    world.take(event("a", FIRING, Level::Warning, "db1"));
    world.pass(1);
    assert_eq!(world.open.len(), 1);
    assert_eq!(world.renew(), None, "nothing has changed");
    world
}

#[test]
fn an_open_notification_takes_up_what_changes_and_no_other_follows() {
    let mut world = unsent(World::grouped(0, 60));
    world.take(event("b", FIRING, Level::Error, "db2"));
    assert_eq!(
        world.renew().as_deref(),
        Some("[2 firing] region=eu firing")
    );
    assert_eq!(world.renew(), None);
    world.end(&DELIVERED);
    world.pass(600);
    assert_eq!(world.got.len(), 1, "{:?}", world.sent());
}

#[test]
fn a_higher_level_replaces_the_content_of_an_alert_alone() {
    let mut world = unsent(World::new());
    let words = world.take(event("a", FIRING, Level::Critical, "db1"));
    assert_eq!(words[0].1, "grouped");
    assert_eq!(world.renew().as_deref(), Some("a firing"));
    world.end(&DELIVERED);
    world.pass(600);
    assert_eq!(world.got.len(), 1);
}

#[test]
fn nothing_is_left_to_say_of_an_alert_that_ended_before_anybody_heard_of_it() {
    for world in [World::new(), World::grouped(0, 60)] {
        let mut world = unsent(world);
        world.take(event("a", RESOLVED, Level::Warning, "db1"));
        assert_eq!(world.renew().as_deref(), Some("superseded"));
        world.open.clear();
        world.pass(600);
        assert_eq!(
            world.got.len(),
            1,
            "only the superseded one: {:?}",
            world.sent()
        );
        assert_eq!(world.state.groups().count(), 0);
    }
}

#[test]
fn an_alert_that_fires_again_before_its_resolved_was_sent_is_no_change() {
    let mut world = World::new();
    world.take(event("a", FIRING, Level::Warning, "db1"));
    world.outcome = None;
    world.take(event("a", RESOLVED, Level::Warning, "db1"));
    world.take(event("a", FIRING, Level::Warning, "db1"));
    assert_eq!(world.renew().as_deref(), Some("superseded"));
    world.open.clear();
    world.outcome = Some(DELIVERED);
    world.pass(600);
    world.take(event("a", RESOLVED, Level::Warning, "db1"));
    assert_eq!(world.sent().last().unwrap(), "chat: a resolved @ 600");
}

#[test]
fn a_silence_that_begins_before_the_sending_mutes_the_notification() {
    let mut world = unsent(World::new());
    world.silence = Some("planned work");
    assert_eq!(world.renew().as_deref(), Some("superseded"));
    world.open.clear();
    (world.silence, world.outcome) = (None, Some(DELIVERED));
    world.pass(31);
    assert_eq!(world.sent().last().unwrap(), "chat: a firing @ 31");
}

#[test]
fn the_store_has_the_content_that_another_process_would_send() {
    let mut world = unsent(World::grouped(0, 60));
    world.take(event("b", FIRING, Level::Error, "db2"));
    world.renew();
    let group = world.state.groups().next().unwrap();
    let pending = group.log.values().next().unwrap().pending.clone().unwrap();
    assert_eq!((pending.alerts.len(), pending.stored().len()), (2, 1));
}
