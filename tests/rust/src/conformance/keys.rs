//! Idempotency keys.

use notifier_core::model::outcome::{MessageRef, Outcome};
use notifier_core::store::Accepted;

use super::{StoreFixture, accept};
use crate::fixtures::{delivered, failed, id, keyed};

pub async fn a_key_is_known_to_every_process(fixture: &dyn StoreFixture) {
    let (one, other) = (fixture.open(), fixture.open());
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
    let Accepted::Known(known) = fixture.open().accept(keyed("b", "k", 1)).await.unwrap() else {
        panic!("taken twice");
    };
    let name = Some(MessageRef("m".to_owned()));
    assert_eq!(
        known.reports[0].outcome,
        Outcome::Delivered { message: name }
    );
}

pub async fn one_of_two_processes_gets_a_key(fixture: &dyn StoreFixture) {
    let (one, other) = (fixture.open(), fixture.open());
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

pub async fn a_key_is_released_when_every_delivery_failed(fixture: &dyn StoreFixture) {
    let outbox = fixture.open();
    accept(&*outbox, keyed("a", "k", 1)).await;
    outbox
        .complete(&id("a", 0), &failed(0), None)
        .await
        .unwrap();
    accept(&*outbox, keyed("b", "k", 2)).await;
    let again = outbox.accept(keyed("c", "k", 2)).await.unwrap();
    assert!(matches!(again, Accepted::Known(known) if known.task == "b"));
}
