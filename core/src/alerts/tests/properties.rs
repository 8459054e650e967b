//! Whatever happens in whatever order: no alert is lost, and none is notified twice.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::muting::equal;
use super::world::*;
use crate::config::inhibition::Inhibition;
use crate::config::matcher::Name;
use crate::model::notification::Level;
use crate::model::outcome::{Outcome, Reason};
use crate::model::problem::FilePosition;

const LAST: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Fires(usize),
    Resolves(usize),
    Passes(u64),
    Silenced(bool),
    /// Whether deliveries work.
    Works(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_usize).prop_map(Step::Fires),
        (0..4_usize).prop_map(Step::Resolves),
        (0..400_u64).prop_map(Step::Passes),
        any::<bool>().prop_map(Step::Silenced),
        any::<bool>().prop_map(Step::Works),
    ]
}

fn key(alert: usize) -> String {
    format!("alert {alert}")
}

fn play(mut world: World, steps: Vec<Step>) -> (World, BTreeMap<usize, bool>) {
    let mut fires = BTreeMap::new();
    // The last alert mutes the others while it fires.
    world.inhibit(vec![Inhibition {
        position: FilePosition::default(),
        source: equal(Name::Title, &key(LAST)),
        target: equal(Name::Level, Level::Error.word()),
        equal: vec![Name::Field("host".to_owned())],
    }]);
    for step in steps {
        match step {
            Step::Fires(alert) => {
                world.take(event(&key(alert), FIRING, Level::Error, "db1"));
                fires.insert(alert, true);
            }
            Step::Resolves(alert) => {
                world.take(event(&key(alert), RESOLVED, Level::Error, "db1"));
                fires.insert(alert, false);
            }
            Step::Passes(seconds) => world.pass(seconds),
            Step::Silenced(silenced) => world.silence = silenced.then_some("silence"),
            Step::Works(true) => world.outcome = Some(Outcome::Delivered { message: None }),
            Step::Works(false) => world.outcome = failed(Reason::Timeout),
        }
    }
    // In the end all works, nothing is muted, and time passes.
    world.take(event(&key(LAST), RESOLVED, Level::Error, "db1"));
    fires.insert(LAST, false);
    world.silence = None;
    world.outcome = Some(Outcome::Delivered { message: None });
    world.pass(20_000);
    (world, fires)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn in_the_end_each_destination_knows_each_alert_as_it_is(steps in proptest::collection::vec(step(), 0..40)) {
        let (world, fires) = play(World::new(), steps);
        for (alert, fires) in fires {
            let of = world.got.iter().filter(|got| got.title.starts_with(&key(alert)));
            let titles: Vec<_> = of.map(|got| got.title.as_str()).collect();
            // Firing and resolved take turns: nothing is sent twice.
            for pair in titles.windows(2) {
                prop_assert_ne!(pair[0], pair[1]);
            }
            let last = titles.last().map(|title| title.ends_with("firing"));
            prop_assert_eq!(last.unwrap_or(false), fires, "{:?}", titles);
        }
    }

    #[test]
    fn in_the_end_a_group_has_told_of_each_alert_as_it_is(steps in proptest::collection::vec(step(), 0..40)) {
        let (world, fires) = play(World::grouped(30, 300), steps);
        let count = fires.values().filter(|fires| **fires).count();
        let last = world.got.last().map(|got| got.title.clone());
        match count {
            0 => prop_assert!(last.is_none_or(|title| title.ends_with(" resolved"))),
            count => {
                let title = last.unwrap_or_default();
                prop_assert!(title.starts_with(&format!("[{count} firing")), "{}", title);
            }
        }
        let known = world.state.groups().flat_map(|group| group.log.values());
        let known: usize = known.map(|entry| entry.sent.len()).sum();
        prop_assert_eq!(known, count);
        for pair in world.got.windows(2) {
            prop_assert!(pair[0].at < pair[1].at);
        }
    }
}
