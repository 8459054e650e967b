//! What every outbox must do. A suite of functions over a [`Place`]; `conformance!` makes tests of them for one kind.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use notifier_core::model::notification::{Level, State, Status};
use notifier_core::model::outcome::{MessageRef, Outcome};
use notifier_core::outbox::{
    Accepted, DeliveryId, HistoryRow, LastNotification, MAX_LAST_NOTIFICATIONS, NewRequest,
    Ownership, Store, StoredRequest,
};

use crate::fixtures::{
    assert_same, delivered, ended_at_once, failed, id, keyed, new_delivery, request, time,
};

/// Where one outbox is, and what a test must be able to do with it.
pub trait Place {
    /// As a process of its own would.
    fn open(&self) -> Arc<dyn Store>;

    /// As if every owner had said nothing for longer than its lease.
    fn lapse(&self);

    /// What the program `outbox-step` opens it by.
    fn name(&self) -> String;

    /// Where that program is: Cargo tells the tests alone.
    fn step_program(&self) -> &Path;
}

/// Makes a test of each function of the suite.
#[macro_export]
macro_rules! conformance {
    ($place:expr) => {
        $crate::conformance!($place;
            what_has_ended_is_not_there_any_more,
            a_request_belongs_to_its_process_until_its_lease_has_run_out,
            what_was_noted_of_a_delivery_is_there_after_its_process,
            what_has_ended_of_a_request_is_not_done_again,
            a_key_is_known_to_every_process,
            of_two_processes_one_takes_a_key,
            a_key_of_which_everything_failed_is_forgotten,
            requests_are_taken_over_in_their_order_and_not_more_than_asked_for,
            requests_of_another_configuration_file_are_left,
            what_nobody_waits_for_is_not_taken,
            a_providers_message_belongs_to_one_delivery,
            an_owner_may_note_nothing_of_what_is_anothers,
            what_a_destination_was_told_last_is_known_to_every_process,
            the_last_ten_thousand_keys_of_destinations_are_known,
            a_process_that_is_killed_leaves_what_it_has_noted,
            a_request_of_many_deliveries_is_kept_whole,
            many_requests_at_once_are_all_kept,
            what_is_left_belongs_to_whoever_comes_first,
            what_is_left_and_unheard_of_is_not_taken,
            what_is_released_is_anothers_at_once,
            a_delivery_is_behind_an_older_one_of_its_key_that_another_process_has,
            what_is_claimed_keeps_its_order,
            a_delivery_that_is_behind_nothing_any_more_lets_those_that_come_later_line_up,
            a_delivery_waits_for_its_own_destination_and_configuration_file_alone,
            an_end_that_is_on_its_way_to_the_store_is_waited_for,
            what_runs_in_this_process_is_not_claimed_again,
            a_history_row_is_stored_until_it_is_written,
            a_delivery_waits_for_one_that_was_taken_from_its_process,
            deliveries_of_a_key_leave_in_their_order_whichever_process_has_them,
        );
    };
    ($place:expr; $($test:ident),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            $crate::outbox::$test(&$place).await;
        })*
    };
}

pub async fn what_has_ended_is_not_there_any_more(place: &dyn Place) {
    let outbox = place.open();
    accept(&*outbox, request("a")).await;
    assert_eq!(outbox.depth().await.unwrap(), 1);
    outbox
        .complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert_eq!(outbox.depth().await.unwrap(), 0);
    place.lapse();
    assert!(claim(&*place.open()).await.is_empty());
}

pub async fn a_request_belongs_to_its_process_until_its_lease_has_run_out(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    let given = request("a");
    accept(&*one, given.clone()).await;
    assert_eq!(one.check_lease(&id("a", 0)).await.unwrap(), Ownership::Mine);
    assert_eq!(
        other.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Lost
    );
    assert!(claim(&*other).await.is_empty());
    place.lapse();
    let [taken] = <[_; 1]>::try_from(claim(&*other).await).unwrap();
    assert_same(&taken, &given);
    assert_eq!(
        other.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Mine
    );
    assert_eq!(one.check_lease(&id("a", 0)).await.unwrap(), Ownership::Lost);
    // It is in hand now.
    assert!(claim(&*other).await.is_empty());
    assert!(claim(&*one).await.is_empty());
}

pub async fn what_was_noted_of_a_delivery_is_there_after_its_process(place: &dyn Place) {
    let at = time(1_700_000_000_123);
    for (n, steps) in ["", "p", "a", "an", "ap", "apa"].iter().enumerate() {
        let (first, task) = (place.open(), format!("t{n}"));
        let delivery = id(&task, 0);
        accept(&*first, request(&task)).await;
        let (mut parts, mut attempting) = (0, None);
        for step in steps.chars() {
            match step {
                'p' => {
                    parts += 1;
                    attempting = None;
                    first.parts_done(&delivery, parts).await.unwrap();
                }
                'a' => {
                    attempting = Some(at);
                    let owned = first.begin_attempt(&delivery, at).await.unwrap();
                    assert_eq!(owned, Ownership::Mine);
                }
                _ => {
                    attempting = None;
                    first.attempt_failed(&delivery).await.unwrap();
                }
            }
        }
        place.lapse();
        let next = place.open();
        let taken = claim(&*next).await;
        let taken = taken.iter().find(|taken| taken.task == task).unwrap();
        let delivery = &taken.deliveries[0];
        assert_eq!(delivery.report.parts_delivered, parts, "{steps}");
        assert_eq!(
            delivery.work.as_ref().unwrap().attempting,
            attempting,
            "{steps}"
        );
    }
}

pub async fn what_has_ended_of_a_request_is_not_done_again(place: &dyn Place) {
    let outbox = place.open();
    let mut given = request("a");
    given.deliveries = vec![
        new_delivery(0),
        ended_at_once(1),
        new_delivery(2),
        new_delivery(3),
    ];
    accept(&*outbox, given).await;
    outbox
        .complete(&id("a", 2), &delivered(2, None), None)
        .await
        .unwrap();
    place.lapse();
    let [taken] = <[_; 1]>::try_from(claim(&*place.open()).await).unwrap();
    let open: Vec<bool> = taken
        .deliveries
        .iter()
        .map(|delivery| delivery.work.is_some())
        .collect();
    assert_eq!(open, [true, false, false, true]);
    let outcomes: Vec<_> = taken
        .deliveries
        .iter()
        .map(|d| d.report.outcome.code())
        .collect();
    assert_eq!(outcomes, ["pending", "failed", "delivered", "pending"]);
}

pub async fn a_key_is_known_to_every_process(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    accept(&*one, keyed("a", "k", 1)).await;
    let Accepted::Known(known) = other.accept(keyed("b", "k", 1)).await.unwrap() else {
        panic!("taken twice");
    };
    assert_eq!((known.task.as_str(), known.reports.len()), ("a", 1));
    assert_eq!(known.reports[0].outcome, Outcome::Pending(None));
    assert_eq!(known.warnings, ["be warned"]);
    let conflict = other.accept(keyed("b", "k", 2)).await.unwrap();
    assert!(matches!(conflict, Accepted::Conflict));
    // Under other settings it is another key.
    let mut elsewhere = keyed("c", "k", 2);
    elsewhere.identity.scope = "elsewhere".into();
    accept(&*other, elsewhere).await;
    one.complete(&id("a", 0), &delivered(0, Some("m")), None)
        .await
        .unwrap();
    let Accepted::Known(known) = place.open().accept(keyed("b", "k", 1)).await.unwrap() else {
        panic!("taken twice");
    };
    let name = Some(MessageRef("m".to_owned()));
    assert_eq!(
        known.reports[0].outcome,
        Outcome::Delivered { message: name }
    );
}

pub async fn of_two_processes_one_takes_a_key(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    for n in 0..20 {
        let key = format!("k{n}");
        let (a, b) = (
            keyed(&format!("a{n}"), &key, 1),
            keyed(&format!("b{n}"), &key, 1),
        );
        let (a, b) = futures_util::join!(one.accept(a), other.accept(b));
        let taken =
            [a.unwrap(), b.unwrap()].map(|accepted| matches!(accepted, Accepted::New { .. }));
        assert_ne!(taken[0], taken[1]);
    }
}

pub async fn a_key_of_which_everything_failed_is_forgotten(place: &dyn Place) {
    let outbox = place.open();
    accept(&*outbox, keyed("a", "k", 1)).await;
    outbox
        .complete(&id("a", 0), &failed(0), None)
        .await
        .unwrap();
    accept(&*outbox, keyed("b", "k", 2)).await;
    let again = outbox.accept(keyed("c", "k", 2)).await.unwrap();
    assert!(matches!(again, Accepted::Known(known) if known.task == "b"));
}

pub async fn requests_are_taken_over_in_their_order_and_not_more_than_asked_for(place: &dyn Place) {
    let first = place.open();
    for n in 0..5 {
        accept(&*first, request(&format!("t{n}"))).await;
    }
    place.lapse();
    let next = place.open();
    let tasks = |taken: Vec<StoredRequest>| -> Vec<String> {
        taken.into_iter().map(|request| request.task).collect()
    };
    assert_eq!(
        tasks(next.claim("notifier.toml", 3).await.unwrap()),
        ["t0", "t1", "t2"]
    );
    assert_eq!(
        tasks(next.claim("notifier.toml", 3).await.unwrap()),
        ["t3", "t4"]
    );
}

pub async fn requests_of_another_configuration_file_are_left(place: &dyn Place) {
    accept(&*place.open(), request("a")).await;
    place.lapse();
    let next = place.open();
    assert!(next.claim("other.toml", 10).await.unwrap().is_empty());
    assert!(next.claim("", 10).await.unwrap().is_empty());
    assert_eq!(claim(&*next).await.len(), 1);
}

pub async fn what_nobody_waits_for_is_not_taken(place: &dyn Place) {
    let outbox = place.open();
    for n in 0..20 {
        drop(outbox.accept(keyed(&format!("t{n}"), "k", n)));
    }
    // Asked for later, so done later: nothing of the others is left by then.
    accept(&*outbox, keyed("last", "k", 99)).await;
    assert_eq!(outbox.depth().await.unwrap(), 1);
    place.lapse();
    let [taken] = <[_; 1]>::try_from(claim(&*place.open()).await).unwrap();
    assert_eq!(taken.task, "last");
}

pub async fn a_providers_message_belongs_to_one_delivery(place: &dyn Place) {
    let outbox = place.open();
    accept(&*outbox, request("a")).await;
    accept(&*outbox, request("b")).await;
    // Of one that must not be repeated, and so is looked for.
    outbox
        .begin_attempt(&id("a", 0), SystemTime::now())
        .await
        .unwrap();
    outbox
        .complete(&id("a", 0), &delivered(0, Some("SM1")), None)
        .await
        .unwrap();
    let asked = vec![MessageRef("SM1".to_owned()), MessageRef("SM2".to_owned())];
    let taken = |delivery| place.open().claimed_by_others(&delivery, asked.clone());
    assert_eq!(
        taken(id("b", 0)).await.unwrap(),
        [MessageRef("SM1".to_owned())]
    );
    assert_eq!(taken(id("a", 0)).await.unwrap(), []);
}

pub async fn an_owner_may_note_nothing_of_what_is_anothers(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    accept(&*one, request("a")).await;
    place.lapse();
    claim(&*other).await;
    let delivery = id("a", 0);
    assert_eq!(
        one.begin_attempt(&delivery, SystemTime::now())
            .await
            .unwrap(),
        Ownership::Lost
    );
    one.parts_done(&delivery, 2).await.unwrap();
    one.complete(&delivery, &delivered(0, None), None)
        .await
        .unwrap();
    assert_eq!(other.check_lease(&delivery).await.unwrap(), Ownership::Mine);
    assert_eq!(other.depth().await.unwrap(), 1);
    place.lapse();
    let [taken] = <[_; 1]>::try_from(claim(&*place.open()).await).unwrap();
    assert_eq!(taken.deliveries[0].report.parts_delivered, 0);
    assert_eq!(taken.deliveries[0].work.as_ref().unwrap().attempting, None);
}

pub async fn what_a_destination_was_told_last_is_known_to_every_process(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    let levels = Level::ALL.into_iter().map(Some).chain([None]);
    let statuses = || Status::ALL.into_iter().map(Some).chain([None]);
    let states = levels.flat_map(|level| statuses().map(move |status| State { level, status }));
    for state in states.map(Some).chain([None]) {
        for message in [None, Some(MessageRef("17.5".to_owned()))] {
            let last = LastNotification {
                message,
                state,
                at: time(1_764_000_000_123),
            };
            one.set_last_notification("k", Some(&last)).await.unwrap();
            assert_eq!(other.last_notification("k").await.unwrap(), Some(last));
        }
    }
    assert_eq!(one.last_notification("other").await.unwrap(), None);
    drop((one, other));
    let next = place.open();
    assert!(next.last_notification("k").await.unwrap().is_some());
    // What nobody waits for is done all the same, and in its order.
    drop(next.set_last_notification("k", None));
    assert_eq!(next.last_notification("k").await.unwrap(), None);
    assert_eq!(next.depth().await.unwrap(), 0);
}

pub async fn the_last_ten_thousand_keys_of_destinations_are_known(place: &dyn Place) {
    let outbox = place.open();
    let last = LastNotification {
        message: None,
        state: None,
        at: SystemTime::now(),
    };
    let set = |n: usize| outbox.set_last_notification(&n.to_string(), Some(&last));
    futures_util::future::join_all((0..MAX_LAST_NOTIFICATIONS / 2).map(set)).await;
    // One that is told again is not the oldest any more.
    set(0).await.unwrap();
    futures_util::future::join_all(
        (MAX_LAST_NOTIFICATIONS / 2..MAX_LAST_NOTIFICATIONS + 200).map(set),
    )
    .await;
    let mut known = 0;
    for n in 0..MAX_LAST_NOTIFICATIONS + 200 {
        let is_known = outbox
            .last_notification(&n.to_string())
            .await
            .unwrap()
            .is_some();
        known += usize::from(is_known);
        match n {
            0 => assert!(is_known),
            1..=100 => assert!(!is_known, "{n}"),
            500.. => assert!(is_known, "{n}"),
            _ => {}
        }
    }
    assert!(known <= MAX_LAST_NOTIFICATIONS, "{known}");
}

pub async fn a_process_that_is_killed_leaves_what_it_has_noted(place: &dyn Place) {
    for (step, parts, attempting, open) in [
        ("opened", 0, false, false),
        ("left", 0, false, true),
        ("claimed", 0, false, true),
        ("claimed-attempting", 0, true, true),
        ("claimed-ended", 0, false, false),
        ("accepted", 0, false, true),
        ("attempting", 0, true, true),
        ("not-taken", 0, false, true),
        ("parts-done", 1, false, true),
        ("attempting-again", 1, true, true),
        ("ended", 0, false, false),
    ] {
        killed_at(place, step);
        place.lapse();
        let next = place.open();
        let taken = claim(&*next).await;
        assert_eq!(taken.len(), usize::from(open), "{step}");
        for request in taken {
            let delivery = &request.deliveries[0];
            assert_eq!(delivery.report.parts_delivered, parts, "{step}");
            let work = delivery.work.as_ref().unwrap();
            assert_eq!(work.attempting.is_some(), attempting, "{step}");
            next.complete(&id(&request.task, 0), &delivered(0, None), None)
                .await
                .unwrap();
        }
        assert_eq!(next.depth().await.unwrap(), 0, "{step}");
    }
}

pub async fn a_request_of_many_deliveries_is_kept_whole(place: &dyn Place) {
    let outbox = place.open();
    let mut given = request("a");
    given.deliveries = (0..1000).map(new_delivery).collect();
    accept(&*outbox, given.clone()).await;
    place.lapse();
    let [taken] = <[_; 1]>::try_from(claim(&*place.open()).await).unwrap();
    assert_same(&taken, &given);
}

pub async fn many_requests_at_once_are_all_kept(place: &dyn Place) {
    let outbox = place.open();
    let asked = (0..500).map(|n| outbox.accept(request(&format!("t{n}"))));
    for accepted in futures_util::future::join_all(asked).await {
        assert!(matches!(accepted.unwrap(), Accepted::New { .. }));
    }
    assert_eq!(outbox.depth().await.unwrap(), 500);
    let ends = (0..500).map(|n| {
        let outbox = &outbox;
        async move {
            outbox
                .complete(&id(&format!("t{n}"), 0), &delivered(0, None), None)
                .await
        }
    });
    for ended in futures_util::future::join_all(ends).await {
        ended.unwrap();
    }
    assert_eq!(outbox.depth().await.unwrap(), 0);
}

pub async fn what_is_left_belongs_to_whoever_comes_first(place: &dyn Place) {
    let (server, one, other) = (place.open(), place.open(), place.open());
    for task in ["a", "b"] {
        let left = server.enqueue(keyed(task, task, 1)).await.unwrap();
        assert!(matches!(left, Accepted::New { .. }));
    }
    assert_eq!(
        server.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Lost
    );
    let known = server.accept(keyed("c", "a", 1)).await.unwrap();
    assert!(matches!(known, Accepted::Known(known) if known.task == "a"));
    let taken = one.claim("notifier.toml", 1).await.unwrap();
    assert_eq!(taken[0].task, "a");
    assert_eq!(one.check_lease(&id("a", 0)).await.unwrap(), Ownership::Mine);
    let taken = other.claim("notifier.toml", 9).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].task, "b");
    assert!(one.claim("notifier.toml", 9).await.unwrap().is_empty());
}

pub async fn what_is_left_and_unheard_of_is_not_taken(place: &dyn Place) {
    let server = place.open();
    drop(server.enqueue(keyed("a", "k", 1)));
    let accepted = server.enqueue(keyed("b", "k", 2)).await.unwrap();
    assert!(matches!(accepted, Accepted::New { .. }));
    let taken = place.open().claim("notifier.toml", 9).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].task, "b");
}

pub async fn what_is_released_is_anothers_at_once(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    for task in ["a", "b"] {
        one.accept(request(task)).await.unwrap();
    }
    assert!(other.claim("notifier.toml", 9).await.unwrap().is_empty());
    one.release().await.unwrap();
    assert_eq!(other.claim("notifier.toml", 9).await.unwrap().len(), 2);
    assert_eq!(one.check_lease(&id("a", 0)).await.unwrap(), Ownership::Lost);
    assert_eq!(
        other.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Mine
    );
}

pub async fn a_delivery_is_behind_an_older_one_of_its_key_that_another_process_has(
    place: &dyn Place,
) {
    let (one, other) = (place.open(), place.open());
    assert_eq!(accept(&*one, in_order("a", 1)).await, [0; 0]);
    // In one process those of a key are in one line anyway.
    assert_eq!(accept(&*one, in_order("b", 1)).await, [0; 0]);
    assert_eq!(accept(&*other, in_order("other key", 2)).await, [0; 0]);
    assert_eq!(accept(&*other, request("no key")).await, [0; 0]);
    assert_eq!(accept(&*other, in_order("c", 1)).await, [0]);
    // It is in no line yet, so that none goes behind it.
    assert_eq!(accept(&*other, in_order("d", 1)).await, [0]);
    for task in ["a", "b"] {
        assert!(other.has_older(&id("c", 0)).await.unwrap());
        assert!(!one.has_older(&id(task, 0)).await.unwrap());
        // However it ends.
        one.complete(&id(task, 0), &failed(0), None).await.unwrap();
    }
    assert!(!other.has_older(&id("c", 0)).await.unwrap());
    assert!(other.has_older(&id("d", 0)).await.unwrap());
}

pub async fn what_is_claimed_keeps_its_order(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    for (outbox, task) in [(&one, "a"), (&other, "b"), (&one, "c")] {
        accept(&**outbox, in_order(task, 1)).await;
    }
    one.release().await.unwrap();
    let next = place.open();
    // One is accepted before it has even begun with what it claims.
    let claimed = claim(&*next).await;
    let behind: Vec<_> = claimed
        .iter()
        .map(|request| (request.task.as_str(), request.behind.len()))
        .collect();
    assert_eq!(behind, [("a", 0), ("c", 1)]);
    assert_eq!(accept(&*next, in_order("d", 1)).await, [0]);
    assert!(next.has_older(&id("c", 0)).await.unwrap());
    next.complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert!(next.has_older(&id("c", 0)).await.unwrap());
    other
        .complete(&id("b", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert!(!next.has_older(&id("c", 0)).await.unwrap());
}

pub async fn a_delivery_that_is_behind_nothing_any_more_lets_those_that_come_later_line_up(
    place: &dyn Place,
) {
    let (one, other) = (place.open(), place.open());
    accept(&*one, in_order("a", 1)).await;
    assert_eq!(accept(&*other, in_order("b", 1)).await, [0]);
    one.complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert_eq!(accept(&*other, in_order("c", 1)).await, [0]);
    assert!(!other.has_older(&id("b", 0)).await.unwrap());
    assert!(other.has_older(&id("c", 0)).await.unwrap());
    other
        .complete(&id("b", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert!(!other.has_older(&id("c", 0)).await.unwrap());
    assert_eq!(accept(&*other, in_order("d", 1)).await, [0; 0]);
}

pub async fn a_delivery_waits_for_its_own_destination_and_configuration_file_alone(
    place: &dyn Place,
) {
    let (one, other) = (place.open(), place.open());
    let to = |task: &str, destinations: &[u8]| {
        let mut request = in_order(task, 1);
        let deliveries = destinations.iter().enumerate();
        request.deliveries = deliveries
            .map(|(index, destination)| {
                let mut delivery = new_delivery(index);
                delivery.work.as_mut().unwrap().order = Some([*destination; 32]);
                delivery
            })
            .collect();
        request
    };
    accept(&*one, to("a", &[1, 2])).await;
    accept(&*one, to("b", &[3])).await;
    let mut elsewhere = to("c", &[1]);
    elsewhere.config = "other.toml".to_owned();
    assert_eq!(accept(&*other, elsewhere).await, [0; 0]);
    accept(&*other, to("d", &[1, 2, 3, 4, 4])).await;
    let has_older = async |index| other.has_older(&id("d", index)).await.unwrap();
    let all = async || {
        let mut all = Vec::new();
        for index in 0..5 {
            all.push(has_older(index).await);
        }
        all
    };
    // Of two to the same destination the second waits for the first.
    assert_eq!(all().await, [true, true, true, false, true]);
    one.complete(&id("a", 1), &delivered(1, None), None)
        .await
        .unwrap();
    assert_eq!(all().await, [true, false, true, false, true]);
    one.complete(&id("b", 0), &failed(0), None).await.unwrap();
    assert_eq!(all().await, [true, false, false, false, true]);
    one.complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    other
        .complete(&id("d", 3), &delivered(3, None), None)
        .await
        .unwrap();
    assert_eq!(all().await, [false; 5]);
}

pub async fn an_end_that_is_on_its_way_to_the_store_is_waited_for(place: &dyn Place) {
    let outbox = place.open();
    for n in 0..20 {
        accept(&*outbox, in_order(&format!("t{n}"), 1)).await;
    }
    for n in 1..20 {
        drop(outbox.complete(&id(&format!("t{}", n - 1), 0), &delivered(0, None), None));
        let has_older = outbox.has_older(&id(&format!("t{n}"), 0));
        assert!(!has_older.await.unwrap(), "{n}");
    }
}

pub async fn a_delivery_waits_for_one_that_was_taken_from_its_process(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    for task in ["a", "b"] {
        assert_eq!(accept(&*one, in_order(task, 1)).await, [0; 0]);
    }
    place.lapse();
    let [taken, _] = <[_; 2]>::try_from(claim(&*other).await).unwrap();
    assert_eq!(taken.task, "a");
    for task in ["a", "b"] {
        assert_eq!(
            one.check_lease(&id(task, 0)).await.unwrap(),
            Ownership::Lost
        );
    }
    assert_eq!(accept(&*one, in_order("c", 1)).await, [0]);
    for task in ["a", "b"] {
        assert!(one.has_older(&id("c", 0)).await.unwrap());
        other
            .complete(&id(task, 0), &delivered(0, None), None)
            .await
            .unwrap();
    }
    assert!(!one.has_older(&id("c", 0)).await.unwrap());
}

/// Three processes accept, one of them gives back what it has, and the others go on with it.
pub async fn deliveries_of_a_key_leave_in_their_order_whichever_process_has_them(
    place: &dyn Place,
) {
    const COUNT: usize = 45;
    let processes: [Process; 3] = std::array::from_fn(|_| Process::new(place.open()));
    let left = Arc::new(Mutex::new(Vec::new()));
    for n in 0..COUNT {
        let process = &processes[n * 7 % 5 % 3];
        let task = format!("{n:02}");
        let behind = accept(&*process.outbox, in_order(&task, 1)).await;
        process.run(task, !behind.is_empty(), &left);
        if n == COUNT / 2 {
            processes[0].outbox.release().await.unwrap();
        }
        if n % 5 == 0 {
            for process in &processes[1..] {
                process.claim(&left).await;
            }
        }
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let expected: Vec<_> = (0..COUNT).map(|n| format!("{n:02}")).collect();
    let told = || left.lock().unwrap().clone();
    while told().last() != expected.last() {
        assert!(Instant::now() < deadline, "{:?}", told());
        for process in &processes {
            process.claim(&left).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What was given back in the instant of its end may have left twice.
    let mut left = told();
    assert!(left.is_sorted(), "{left:?}");
    left.dedup();
    assert_eq!(left, expected);
}

/// A process that delivers what it has of one dedup key, one after the other.
struct Process {
    outbox: Arc<dyn Store>,
    line: Arc<Mutex<Queue>>,
}

impl Process {
    fn new(outbox: Arc<dyn Store>) -> Self {
        Self {
            outbox,
            line: Arc::default(),
        }
    }

    async fn claim(&self, left: &Arc<Mutex<Vec<String>>>) {
        for request in claim(&*self.outbox).await {
            self.run(request.task, !request.behind.is_empty(), left);
        }
    }

    /// As delivery code does: a delivery waits for its turn in the process, and asks for older ones where it must.
    fn run(&self, task: String, is_behind: bool, left: &Arc<Mutex<Vec<String>>>) {
        let delivery = id(&task, 0);
        let running = self.outbox.running().start(delivery.clone()).unwrap();
        let (outbox, line, left) = (
            Arc::clone(&self.outbox),
            Arc::clone(&self.line),
            Arc::clone(left),
        );
        let mut turn = line.lock().unwrap().join();
        let must_ask = is_behind || line.lock().unwrap().waiting.len() > 1;
        tokio::spawn(async move {
            loop {
                while line.lock().unwrap().waiting.first() != Some(&turn) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                if !must_ask || !outbox.has_older(&delivery).await.unwrap() {
                    break;
                }
                line.lock().unwrap().waiting.remove(&turn);
                tokio::time::sleep(Duration::from_millis(3)).await;
                turn = line.lock().unwrap().join();
            }
            if outbox.check_lease(&delivery).await.unwrap() == Ownership::Mine {
                left.lock().unwrap().push(task);
            }
            let ended = outbox.complete(&delivery, &delivered(0, None), None);
            line.lock().unwrap().waiting.remove(&turn);
            ended.await.unwrap();
            drop(running);
        });
    }
}

#[derive(Default)]
struct Queue {
    waiting: BTreeSet<usize>,
    next: usize,
}

impl Queue {
    fn join(&mut self) -> usize {
        self.next += 1;
        self.waiting.insert(self.next);
        self.next
    }
}

pub async fn what_runs_in_this_process_is_not_claimed_again(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    accept(&*one, request("a")).await;
    let runs = one.running().start(id("a", 0)).unwrap();
    assert!(one.running().start(id("a", 0)).is_none());
    place.lapse();
    assert!(claim(&*one).await.is_empty());
    drop(runs);
    place.lapse();
    assert_eq!(claim(&*one).await.len(), 1);
    assert!(claim(&*other).await.is_empty());
    assert_eq!(one.check_lease(&id("a", 0)).await.unwrap(), Ownership::Mine);
}

pub async fn a_history_row_is_stored_until_it_is_written(place: &dyn Place) {
    let (one, other) = (place.open(), place.open());
    let row = |line: &str| HistoryRow {
        config: "notifier.toml".into(),
        line: line.to_owned(),
    };
    for task in ["a", "b", "c"] {
        accept(&*one, request(task)).await;
        one.complete(&id(task, 0), &delivered(0, None), Some(&row(task)))
            .await
            .unwrap();
    }
    one.history_written(&row("b")).await.unwrap();
    // It has no delivery here.
    for line in ["d", "e"] {
        one.store_history(&row(line)).await.unwrap();
    }
    one.history_written(&row("e")).await.unwrap();
    // They are another's for as long as it lives.
    let claim = async || other.claim_history("notifier.toml", 9).await.unwrap();
    assert_eq!(claim().await, []);
    place.lapse();
    assert_eq!(other.claim_history("other.toml", 9).await.unwrap(), []);
    assert_eq!(
        other.claim_history("notifier.toml", 1).await.unwrap(),
        [row("a")]
    );
    assert_eq!(claim().await, [row("c"), row("d")]);
    assert_eq!(claim().await, []);
    for task in ["a", "c", "d"] {
        other.history_written(&row(task)).await.unwrap();
    }
    place.lapse();
    let last = place.open();
    assert_eq!(last.claim_history("notifier.toml", 9).await.unwrap(), []);
}

/// With a dedup key; deliveries of equal numbers wait for each other.
pub fn in_order(task: &str, key: u8) -> NewRequest {
    let mut request = request(task);
    request.dedup_key = Some(key.to_string().as_str().into());
    if let Some(work) = &mut request.deliveries[0].work {
        work.order = Some([key; 32]);
    }
    request
}

/// The steps of the program `outbox-step`, each after those before it.
pub async fn steps_to(outbox: &dyn Store, last: &str) {
    let task = format!("killed after {last}");
    let delivery = id(&task, 0);
    if last == "opened" {
        outbox.depth().await.unwrap();
        return;
    }
    if last == "left" || last.starts_with("claimed") {
        return steps_of_a_claim(outbox, &delivery, last).await;
    }
    accept(outbox, request(&task)).await;
    for step in [
        "accepted",
        "attempting",
        "not-taken",
        "parts-done",
        "attempting-again",
        "ended",
    ] {
        match step {
            "attempting" | "attempting-again" => {
                outbox
                    .begin_attempt(&delivery, SystemTime::now())
                    .await
                    .unwrap();
            }
            "not-taken" => outbox.attempt_failed(&delivery).await.unwrap(),
            "parts-done" => outbox.parts_done(&delivery, 1).await.unwrap(),
            "ended" => outbox
                .complete(&delivery, &delivered(0, None), None)
                .await
                .unwrap(),
            _ => {}
        }
        if step == last {
            return;
        }
    }
    panic!("no step {last}");
}

/// What was left to whoever comes first, in the hand of a process.
async fn steps_of_a_claim(outbox: &dyn Store, delivery: &DeliveryId, last: &str) {
    outbox.enqueue(request(&delivery.task)).await.unwrap();
    if last == "left" {
        return;
    }
    assert_eq!(claim(outbox).await.len(), 1);
    if last == "claimed" {
        return;
    }
    let owned = outbox.begin_attempt(delivery, SystemTime::now()).await;
    assert_eq!(owned.unwrap(), Ownership::Mine);
    if last == "claimed-ended" {
        let report = delivered(0, None);
        outbox.complete(delivery, &report, None).await.unwrap();
    }
}

/// Lets another process go to a step, where it kills itself as `kill -9` does.
pub fn killed_at(place: &dyn Place, step: &str) {
    let status = Command::new(place.step_program())
        .args([&place.name(), step])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9),
        "{step}"
    );
}

/// Gives back which deliveries are behind others.
async fn accept(outbox: &dyn Store, request: NewRequest) -> Vec<usize> {
    match outbox.accept(request).await.unwrap() {
        Accepted::New { behind } => behind,
        accepted => panic!("{accepted:?}"),
    }
}

async fn claim(outbox: &dyn Store) -> Vec<StoredRequest> {
    outbox.claim("notifier.toml", 1000).await.unwrap()
}
