//! Tests the owners and the stored state of requests and their deliveries.

use std::time::SystemTime;

use notifier_core::model::outcome::MessageRef;
use notifier_core::store::{Accepted, Ownership, StoredRequest};

use super::{StoreFixture, accept, claim};
use crate::fixtures::{
    assert_same, delivered, ended_at_once, id, keyed, new_delivery, request, time,
};

pub async fn an_ended_request_is_removed(fixture: &dyn StoreFixture) {
    let outbox = fixture.open();
    accept(&*outbox, request("a")).await;
    assert_eq!(outbox.depth().await.unwrap(), 1);
    outbox
        .complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert_eq!(outbox.depth().await.unwrap(), 0);
    fixture.lapse();
    assert!(claim(&*fixture.open()).await.is_empty());
}

pub async fn a_request_belongs_to_its_process_until_its_lease_has_run_out(
    fixture: &dyn StoreFixture,
) {
    let (one, other) = (fixture.open(), fixture.open());
    let given = request("a");
    accept(&*one, given.clone()).await;
    assert_eq!(
        one.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Owned
    );
    assert_eq!(
        other.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Lost
    );
    assert!(claim(&*other).await.is_empty());
    fixture.lapse();
    let [taken] = <[_; 1]>::try_from(claim(&*other).await).unwrap();
    assert_same(&taken, &given);
    assert_eq!(
        other.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Owned
    );
    assert_eq!(one.check_lease(&id("a", 0)).await.unwrap(), Ownership::Lost);
    // The request is held now.
    assert!(claim(&*other).await.is_empty());
    assert!(claim(&*one).await.is_empty());
}

pub async fn progress_of_a_delivery_survives_its_process(fixture: &dyn StoreFixture) {
    let at = time(1_700_000_000_123);
    for (n, steps) in ["", "p", "a", "an", "ap", "apa"].iter().enumerate() {
        let (first, task) = (fixture.open(), format!("t{n}"));
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
                    assert_eq!(owned, Ownership::Owned);
                }
                _ => {
                    attempting = None;
                    first.attempt_failed(&delivery).await.unwrap();
                }
            }
        }
        fixture.lapse();
        let next = fixture.open();
        let taken = claim(&*next).await;
        let taken = taken.iter().find(|taken| taken.task == task).unwrap();
        let delivery = &taken.deliveries[0];
        assert_eq!(delivery.report.parts_delivered, parts, "{steps}");
        assert_eq!(
            delivery.work.as_ref().unwrap().attempt_began,
            attempting,
            "{steps}"
        );
    }
}

pub async fn ended_deliveries_of_a_request_are_not_repeated(fixture: &dyn StoreFixture) {
    let outbox = fixture.open();
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
    fixture.lapse();
    let [taken] = <[_; 1]>::try_from(claim(&*fixture.open()).await).unwrap();
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

pub async fn requests_are_claimed_in_order_up_to_the_limit(fixture: &dyn StoreFixture) {
    let first = fixture.open();
    for n in 0..5 {
        accept(&*first, request(&format!("t{n}"))).await;
    }
    fixture.lapse();
    let next = fixture.open();
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

pub async fn requests_of_another_configuration_file_are_not_claimed(fixture: &dyn StoreFixture) {
    accept(&*fixture.open(), request("a")).await;
    fixture.lapse();
    let next = fixture.open();
    assert!(next.claim("other.toml", 10).await.unwrap().is_empty());
    assert!(next.claim("", 10).await.unwrap().is_empty());
    assert_eq!(claim(&*next).await.len(), 1);
}

pub async fn an_abandoned_request_is_not_stored(fixture: &dyn StoreFixture) {
    let outbox = fixture.open();
    for n in 0..20 {
        drop(outbox.accept(keyed(&format!("t{n}"), "k", n)));
    }
    // This operation is last: when it is done, nothing of the others remains.
    accept(&*outbox, keyed("last", "k", 99)).await;
    assert_eq!(outbox.depth().await.unwrap(), 1);
    fixture.lapse();
    let [taken] = <[_; 1]>::try_from(claim(&*fixture.open()).await).unwrap();
    assert_eq!(taken.task, "last");
}

pub async fn a_providers_message_belongs_to_one_delivery(fixture: &dyn StoreFixture) {
    let outbox = fixture.open();
    accept(&*outbox, request("a")).await;
    accept(&*outbox, request("b")).await;
    // The message must not be repeated, so the provider is asked for it.
    outbox
        .begin_attempt(&id("a", 0), SystemTime::now())
        .await
        .unwrap();
    outbox
        .complete(&id("a", 0), &delivered(0, Some("SM1")), None)
        .await
        .unwrap();
    let asked = vec![MessageRef("SM1".to_owned()), MessageRef("SM2".to_owned())];
    let taken = |delivery| fixture.open().claimed_by_others(&delivery, asked.clone());
    assert_eq!(
        taken(id("b", 0)).await.unwrap(),
        [MessageRef("SM1".to_owned())]
    );
    assert_eq!(taken(id("a", 0)).await.unwrap(), []);
}

pub async fn an_owner_cannot_write_to_a_request_of_another(fixture: &dyn StoreFixture) {
    let (one, other) = (fixture.open(), fixture.open());
    accept(&*one, request("a")).await;
    fixture.lapse();
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
    assert_eq!(
        other.check_lease(&delivery).await.unwrap(),
        Ownership::Owned
    );
    assert_eq!(other.depth().await.unwrap(), 1);
    fixture.lapse();
    let [taken] = <[_; 1]>::try_from(claim(&*fixture.open()).await).unwrap();
    assert_eq!(taken.deliveries[0].report.parts_delivered, 0);
    assert_eq!(
        taken.deliveries[0].work.as_ref().unwrap().attempt_began,
        None
    );
}

pub async fn a_request_of_many_deliveries_is_stored_whole(fixture: &dyn StoreFixture) {
    let outbox = fixture.open();
    let mut given = request("a");
    given.deliveries = (0..1000).map(new_delivery).collect();
    accept(&*outbox, given.clone()).await;
    fixture.lapse();
    let [taken] = <[_; 1]>::try_from(claim(&*fixture.open()).await).unwrap();
    assert_same(&taken, &given);
}

pub async fn many_concurrent_requests_are_all_stored(fixture: &dyn StoreFixture) {
    let outbox = fixture.open();
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

pub async fn an_enqueued_request_goes_to_the_first_claimant(fixture: &dyn StoreFixture) {
    let (server, one, other) = (fixture.open(), fixture.open(), fixture.open());
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
    assert_eq!(
        one.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Owned
    );
    let taken = other.claim("notifier.toml", 9).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].task, "b");
    assert!(one.claim("notifier.toml", 9).await.unwrap().is_empty());
}

pub async fn an_abandoned_enqueue_is_not_claimed(fixture: &dyn StoreFixture) {
    let server = fixture.open();
    drop(server.enqueue(keyed("a", "k", 1)));
    let accepted = server.enqueue(keyed("b", "k", 2)).await.unwrap();
    assert!(matches!(accepted, Accepted::New { .. }));
    let taken = fixture.open().claim("notifier.toml", 9).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].task, "b");
}

pub async fn a_released_request_can_be_claimed_at_once(fixture: &dyn StoreFixture) {
    let (one, other) = (fixture.open(), fixture.open());
    for task in ["a", "b"] {
        one.accept(request(task)).await.unwrap();
    }
    assert!(other.claim("notifier.toml", 9).await.unwrap().is_empty());
    one.release().await.unwrap();
    assert_eq!(other.claim("notifier.toml", 9).await.unwrap().len(), 2);
    assert_eq!(one.check_lease(&id("a", 0)).await.unwrap(), Ownership::Lost);
    assert_eq!(
        other.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Owned
    );
}

pub async fn a_running_request_is_not_claimed_again(fixture: &dyn StoreFixture) {
    let (one, other) = (fixture.open(), fixture.open());
    accept(&*one, request("a")).await;
    let runs = one.running().start(id("a", 0)).unwrap();
    assert!(one.running().start(id("a", 0)).is_none());
    fixture.lapse();
    assert!(claim(&*one).await.is_empty());
    drop(runs);
    fixture.lapse();
    assert_eq!(claim(&*one).await.len(), 1);
    assert!(claim(&*other).await.is_empty());
    assert_eq!(
        one.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Owned
    );
}
