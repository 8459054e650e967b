//! Changes of the configuration file while alerts fire.

use super::world::*;
use crate::alerts::log::ClosedEntry;
use crate::model::notification::Level;
use crate::model::outcome::{Outcome, Reason};

fn two_receivers(mut world: World) -> World {
    world.receivers = vec!["chat", "mail"];
    world
}

#[test]
fn a_destination_that_leaves_the_route_gets_a_resolved_of_the_kind_moved() {
    for world in [World::new(), World::grouped(0, 60)] {
        let mut world = two_receivers(world);
        world.take(event("a", FIRING, Level::Error, "db1"));
        world.pass(1);
        world.routes = Some(vec!["mail"]);
        world.edit_config();
        world.pass(120);
        let after: Vec<_> = world.got[2..]
            .iter()
            .map(|got| (got.destination.as_str(), got.kind))
            .collect();
        assert_eq!(after, [("chat", "moved")]);
        world.take(event("a", RESOLVED, Level::Error, "db1"));
        world.pass(120);
        assert_eq!(world.got[3..].len(), 1, "{:?}", world.sent());
        assert_eq!(world.got[3].destination, "mail");
        assert_eq!(world.state.groups().count(), 0);
    }
}

#[test]
fn a_removed_receiver_closes_its_entries_and_the_others_are_notified_of_the_end() {
    for world in [World::new(), World::grouped(0, 60)] {
        let mut world = two_receivers(world);
        world.take(event("a", FIRING, Level::Error, "db1"));
        world.pass(1);
        world.targets.remove("chat");
        world.take(event("a", RESOLVED, Level::Error, "db1"));
        world.pass(120);
        let closed = world.state.take_closed();
        let [
            ClosedEntry {
                receiver,
                alerts: 1,
                ..
            },
        ] = closed.as_slice()
        else {
            panic!("{closed:?}");
        };
        assert_eq!(receiver, "chat");
        assert_eq!(world.got.last().unwrap().destination, "mail");
        assert_eq!(world.state.groups().count(), 0);
    }
}

#[test]
fn a_new_receiver_of_the_route_is_notified_of_what_fires() {
    let mut world = World::grouped(0, 60);
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.pass(1);
    world.routes = Some(vec!["chat", "mail"]);
    world.edit_config();
    world.pass(60);
    assert_eq!(
        world.sent(),
        [
            "chat: [1 firing] region=eu firing @ 0",
            "mail: [1 firing] region=eu firing @ 60",
        ]
    );
}

#[test]
fn what_was_refused_is_tried_again_after_an_edit_and_what_failed_is_not() {
    for (reason, sent) in [(Reason::Unauthorized, 1), (Reason::Timeout, 0)] {
        let mut world = World::new();
        world.outcome = failed(reason);
        world.take(event("a", FIRING, Level::Error, "db1"));
        world.outcome = Some(Outcome::Delivered { message: None });
        world.pass(10);
        assert_eq!(world.got.len(), 0);
        world.edit_config();
        world.pass(0);
        assert_eq!(world.got.len(), sent, "{reason:?}");
    }
}

#[test]
fn an_edit_that_changes_no_destination_sends_nothing() {
    for world in [World::new(), World::grouped(0, 60)] {
        let mut world = two_receivers(world);
        world.take(event("a", FIRING, Level::Error, "db1"));
        world.pass(1);
        let before = world.got.len();
        world.edit_config();
        world.pass(7200);
        assert_eq!(world.got.len(), before);
    }
}
