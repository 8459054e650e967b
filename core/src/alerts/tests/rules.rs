//! A table for each rule.

use super::world::*;
use crate::alerts::alert::AlertKey;
use crate::alerts::ingest::{EventIdentity, identity};
use crate::config::matcher::Name;
use crate::json::Json;
use crate::model::notification::{AlertStatus, DedupKey, Level, Notification};
use crate::model::outcome::{Outcome, Reason};

const CHAT_NOTIFY: &str = "notify";

/// What becomes of each event at the only receiver.
fn verdicts(world: &mut World, events: &[(&str, Option<AlertStatus>, Level)]) -> Vec<String> {
    let words = events.iter().map(|(key, status, level)| {
        let mut words = world.take(event(key, *status, *level, "db1"));
        world.time += 1;
        words.remove(0).1
    });
    words.collect()
}

#[test]
fn an_alert_is_sent_when_it_begins_when_its_level_rises_and_when_it_ends() {
    use Level::*;
    for (events, expected) in [
        // Prometheus repeats every alert each minute.
        (
            &[
                ("a", FIRING, Warning),
                ("a", FIRING, Warning),
                ("a", None, Warning),
            ][..],
            &[CHAT_NOTIFY, "unchanged", "unchanged"][..],
        ),
        (
            &[
                ("a", FIRING, Warning),
                ("a", FIRING, Critical),
                ("a", FIRING, Error),
                ("a", FIRING, Critical),
            ],
            &["notify", "notify", "unchanged", "notify"],
        ),
        (
            &[
                ("a", FIRING, Error),
                ("a", RESOLVED, Error),
                ("a", RESOLVED, Error),
            ],
            &["notify", "notify", "not_firing"],
        ),
        // The level ok ends an alert that fires, and is a level like others where none does.
        (
            &[("a", FIRING, Error), ("a", None, Ok), ("a", RESOLVED, Ok)],
            &["notify", "notify", "not_firing"],
        ),
        (
            &[("a", RESOLVED, Error), ("a", FIRING, Error)],
            &["not_firing", "notify"],
        ),
        (
            &[
                ("a", FIRING, Error),
                ("b", FIRING, Error),
                ("a", FIRING, Error),
            ],
            &["notify", "notify", "unchanged"],
        ),
        (
            &[
                ("a", FIRING, Error),
                ("a", RESOLVED, Error),
                ("a", FIRING, Error),
                ("a", RESOLVED, Error),
            ],
            &["notify"; 4],
        ),
    ] {
        assert_eq!(verdicts(&mut World::new(), events), expected, "{events:?}");
    }
}

#[test]
fn a_resolved_keeps_the_level_and_the_fields_of_the_last_firing() {
    let mut world = World::new();
    world.take(event("a", FIRING, Level::Critical, "db1"));
    let end = Notification {
        level: Some(Level::Ok),
        fields: vec![("reason".to_owned(), Json::String("restarted".to_owned()))],
        ..event("a", RESOLVED, Level::Ok, "db1")
    };
    world.take(end);
    let alert = world.state.alerts().next().unwrap();
    assert_eq!(alert.level(), Some(Level::Critical));
    let fields: Vec<_> = alert
        .notification
        .fields
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(fields, ["reason", "host", "region"]);
    assert_eq!(world.sent(), ["chat: a firing @ 0", "chat: a resolved @ 0"]);
}

#[test]
fn an_event_older_than_the_last_one_changes_nothing() {
    let at =
        |world: &World, seconds: i64| Some(world.begin + jiff::SignedDuration::from_secs(seconds));
    for (first, second, expected) in [
        (Some(0), Some(-1), "stale"),
        (Some(0), Some(0), "notify"),
        (Some(0), Some(1), "notify"),
        (None, Some(-1), "stale"),
        // More than five minutes ahead is now.
        (Some(301), Some(0), "notify"),
        (Some(299), Some(0), "stale"),
        (Some(0), None, "notify"),
    ] {
        let mut world = World::new();
        let event = |world: &World, status, seconds: Option<i64>| Notification {
            timestamp: seconds.and_then(|seconds| at(world, seconds)),
            ..event("a", status, Level::Error, "db1")
        };
        let firing = event(&world, FIRING, first);
        world.take(firing);
        let resolved = event(&world, RESOLVED, second);
        assert_eq!(world.take(resolved)[0].1, expected, "{first:?} {second:?}");
    }
}

#[test]
fn an_identity_is_the_dedup_key_or_every_value_of_alert_key() {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| Name::parse(name).unwrap())
            .collect::<Vec<_>>()
    };
    let keyed = event("k", FIRING, Level::Error, "db1");
    let expected = EventIdentity::Alert(AlertKey::of_dedup_key(&DedupKey::from("k")));
    assert_eq!(identity(&keyed, None, &names(&["title"])), expected);
    let free = |title: Option<&str>, host: &str| Notification {
        title: title.map(str::to_owned),
        dedup_key: None,
        ..event("k", FIRING, Level::Error, host)
    };
    let key = names(&["title", "fields.host"]);
    let of = |title, host| identity(&free(title, host), None, &key);
    assert_eq!(
        of(Some("a"), "b"),
        EventIdentity::Alert(AlertKey::of_values(["a", "b"]))
    );
    assert_ne!(of(Some("a"), "bc"), of(Some("ab"), "c"));
    assert_eq!(
        of(None, "b"),
        EventIdentity::OneOff {
            absent: Some(Name::Title)
        }
    );
    assert_eq!(
        identity(&free(Some("a"), "b"), None, &[]),
        EventIdentity::OneOff { absent: None }
    );
}

#[test]
fn groups_are_notified_after_group_wait_and_then_at_intervals() {
    let mut world = World::grouped(30, 300);
    assert_eq!(
        world.take(event("a", FIRING, Level::Error, "db1"))[0].1,
        "grouped"
    );
    world.pass(10);
    world.take(event("b", FIRING, Level::Error, "db2"));
    world.pass(100);
    // Behind the first flush: with the next one, at 30 + 300 s.
    world.take(event("c", FIRING, Level::Error, "db3"));
    world.pass(400);
    world.take(event("a", RESOLVED, Level::Error, "db1"));
    world.pass(400);
    assert_eq!(
        world.sent(),
        [
            "chat: [2 firing] region=eu firing @ 30",
            "chat: [3 firing] region=eu firing @ 330",
            "chat: [2 firing, 1 resolved] region=eu firing @ 630",
        ]
    );
}

#[test]
fn an_alert_that_resolves_and_fires_again_before_the_next_flush_is_no_change() {
    let mut world = World::grouped(30, 300);
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.pass(60);
    world.take(event("a", RESOLVED, Level::Error, "db1"));
    world.pass(10);
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.pass(1000);
    assert_eq!(world.sent(), ["chat: [1 firing] region=eu firing @ 30"]);
}

#[test]
fn an_alert_older_than_group_wait_opens_its_group_at_once() {
    let mut world = World::grouped(30, 300);
    let old = Notification {
        timestamp: Some(world.begin - jiff::SignedDuration::from_secs(31)),
        ..event("a", FIRING, Level::Error, "db1")
    };
    world.take(old);
    world.pass(0);
    assert_eq!(world.sent(), ["chat: [1 firing] region=eu firing @ 0"]);
}

#[test]
fn a_group_ends_with_its_resolved_and_the_next_alert_waits_again() {
    let mut world = World::grouped(30, 300);
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.pass(40);
    world.take(event("a", RESOLVED, Level::Error, "db1"));
    world.pass(300);
    assert_eq!(world.state.groups().count(), 0);
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.pass(40);
    assert_eq!(
        world.sent(),
        [
            "chat: [1 firing] region=eu firing @ 30",
            "chat: [1 resolved] region=eu resolved @ 330",
            "chat: [1 firing] region=eu firing @ 370",
        ]
    );
}

#[test]
fn a_group_whose_alerts_resolve_before_it_is_notified_says_nothing() {
    let mut world = World::grouped(30, 300);
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.pass(10);
    world.take(event("a", RESOLVED, Level::Error, "db1"));
    world.pass(3600);
    assert_eq!(world.sent(), [""; 0]);
    assert_eq!(
        (world.state.groups().count(), world.state.alerts().count()),
        (0, 0)
    );
}

#[test]
fn a_failed_notification_is_tried_again_while_the_alert_fires() {
    for (reason, wait) in [(Reason::Timeout, 300), (Reason::Unauthorized, 3600)] {
        let mut world = World::new();
        world.outcome = failed(reason);
        world.take(event("a", FIRING, Level::Error, "db1"));
        world.outcome = Some(Outcome::Delivered { message: None });
        assert_eq!(
            world.take(event("a", FIRING, Level::Error, "db1"))[0].1,
            "unchanged"
        );
        world.pass(wait - 1);
        assert_eq!(world.sent(), [""; 0]);
        world.pass(2);
        assert_eq!(world.sent(), [format!("chat: a firing @ {wait}")]);
        world.pass(10_000);
        assert_eq!(world.sent().len(), 1);
    }
}

#[test]
fn a_resolved_goes_to_whoever_may_know_the_firing_and_to_nobody_else() {
    let ambiguous = Outcome::Ambiguous(crate::model::outcome::Failure::new(Reason::LostReply));
    for (outcome, expected) in [
        (Some(Outcome::Delivered { message: None }), "notify"),
        (Some(ambiguous), "notify"),
        (failed(Reason::Timeout), "grouped"),
    ] {
        let mut world = World::new();
        world.outcome = outcome;
        world.take(event("a", FIRING, Level::Error, "db1"));
        world.outcome = Some(Outcome::Delivered { message: None });
        assert_eq!(
            world.take(event("a", RESOLVED, Level::Error, "db1"))[0].1,
            expected
        );
        let sent = world.sent().len();
        world.pass(10_000);
        assert_eq!(world.sent().len(), sent, "nobody who does not know it");
        assert_eq!(world.state.groups().count(), 0);
    }
}

#[test]
fn while_a_notification_is_open_changes_wait_for_its_end() {
    let mut world = World::new();
    world.outcome = None;
    assert_eq!(
        world.take(event("a", FIRING, Level::Error, "db1"))[0].1,
        "notify"
    );
    assert_eq!(
        world.take(event("a", RESOLVED, Level::Error, "db1"))[0].1,
        "grouped"
    );
    world.pass(60);
    assert_eq!(world.sent(), ["chat: a firing @ 0"]);
    world.outcome = Some(Outcome::Delivered { message: None });
    world.end(&Outcome::Delivered { message: None });
    world.pass(1);
    assert_eq!(
        world.sent(),
        ["chat: a firing @ 0", "chat: a resolved @ 60"]
    );
    assert_eq!(world.state.groups().count(), 0);
}

#[test]
fn without_send_resolved_nobody_is_told_of_the_end() {
    for mut world in [World::new(), World::grouped(10, 60)] {
        world.target("chat").send_resolved = false;
        world.take(event("a", FIRING, Level::Error, "db1"));
        world.pass(20);
        world.take(event("a", RESOLVED, Level::Error, "db1"));
        world.pass(3600);
        assert_eq!(world.sent().len(), 1, "{:?}", world.sent());
        assert_eq!(world.state.groups().count(), 0);
    }
}

#[test]
fn a_resolved_of_an_unknown_alert_goes_to_destinations_that_keep_incidents_alone() {
    let mut world = World::new();
    world.receivers = vec!["chat", "mail"];
    world.target("mail").keeps_incidents = true;
    let words = world.take(event("a", RESOLVED, Level::Error, "db1"));
    assert_eq!(
        words.into_iter().map(|(_, word)| word).collect::<Vec<_>>(),
        ["not_firing", "notify"]
    );
}

#[test]
fn an_event_without_identity_is_sent_once() {
    for (mut world, word, sent) in [
        (World::new(), "notify", "chat: note firing @ 0"),
        (
            World::grouped(10, 60),
            "grouped",
            "chat: [1 firing] region=eu firing @ 10",
        ),
    ] {
        let event = Notification {
            dedup_key: None,
            ..event("note", FIRING, Level::Info, "db1")
        };
        assert_eq!(world.take(event)[0].1, word);
        world.pass(10_000);
        assert_eq!(world.sent(), [sent]);
        assert_eq!(
            (world.state.groups().count(), world.state.alerts().count()),
            (0, 0)
        );
    }
}

#[test]
fn an_alert_that_leaves_a_group_is_over_for_destinations_that_no_new_group_reaches() {
    let mut world = World::new();
    world.receivers = vec!["chat", "mail"];
    world.take(event("a", FIRING, Level::Warning, "db1"));
    world.receivers = vec!["mail"];
    world.take(event("a", FIRING, Level::Warning, "db1"));
    world.pass(1);
    world.take(event("a", RESOLVED, Level::Warning, "db1"));
    assert_eq!(
        world.sent(),
        [
            "chat: a firing @ 0",
            "mail: a firing @ 0",
            "mail: a firing @ 0",
            "chat: a resolved @ 0",
            "mail: a resolved @ 1",
        ]
    );
    world.pass(3600);
    assert_eq!(
        (world.state.groups().count(), world.state.alerts().count()),
        (0, 0)
    );
}

#[test]
fn a_muted_alert_is_notified_when_its_silence_ends() {
    for mut world in [World::new(), World::grouped(10, 60)] {
        world.silence = Some("planned work");
        assert_eq!(
            world.take(event("a", FIRING, Level::Error, "db1"))[0].1,
            "planned work"
        );
        world.pass(100);
        assert_eq!(
            world.take(event("a", FIRING, Level::Error, "db1"))[0].1,
            "unchanged"
        );
        assert_eq!(world.sent(), [""; 0]);
        world.silence = None;
        world.pass(31);
        assert_eq!(world.sent().len(), 1);
        // A resolved passes every silence.
        world.silence = Some("planned work");
        world.take(event("a", RESOLVED, Level::Error, "db1"));
        world.pass(60);
        assert_eq!(world.sent().len(), 2);
        assert!(world.sent()[1].contains("resolved"));
    }
}

#[test]
fn an_alert_that_nobody_reports_resolves_after_its_time() {
    let mut world = World::new();
    world.resolve_timeout = Some(std::time::Duration::from_secs(600));
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.pass(500);
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.pass(599);
    assert_eq!(world.sent(), ["chat: a firing @ 0"]);
    world.pass(2);
    assert_eq!(world.sent()[1..], ["chat: a resolved @ 1100"]);
    let alert = world.state.alerts().next().unwrap();
    assert_eq!(
        alert.notification.as_text().unwrap(),
        "Not reported for 10 min."
    );
}

#[test]
fn nothing_resolves_by_itself_in_the_first_thirty_seconds() {
    let mut world = World::new();
    world.resolve_timeout = Some(std::time::Duration::from_secs(1));
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.pass(29);
    assert_eq!(world.sent().len(), 1);
    world.pass(2);
    assert_eq!(world.sent()[1..], ["chat: a resolved @ 30"]);
}

#[test]
fn beyond_max_alerts_events_are_sent_without_state() {
    let mut world = World::new();
    assert!(world.state.has_room(1));
    world.take(event("a", FIRING, Level::Error, "db1"));
    assert!(!world.state.has_room(1));
}

#[test]
fn a_resolved_alert_is_forgotten_after_a_while() {
    let mut world = World::new();
    world.take(event("a", FIRING, Level::Error, "db1"));
    world.take(event("a", RESOLVED, Level::Error, "db1"));
    assert_eq!(world.state.alerts().count(), 1);
    world.pass(901);
    assert_eq!(world.state.alerts().count(), 0);
}

#[test]
fn a_notification_that_the_store_refuses_is_sent_again_soon() {
    let mut world = World::new();
    world.outcome = failed(Reason::Outbox);
    world.take(event("a", FIRING, Level::Error, "db1"));
    assert!(world.sent().is_empty());
    world.outcome = Some(Outcome::Delivered { message: None });
    world.pass(5);
    assert_eq!(world.sent(), ["chat: a firing @ 2"]);
}
