//! The last notification of each destination and dedup key.

use std::time::SystemTime;

use notifier_core::model::notification::{AlertState, AlertStatus, Level};
use notifier_core::model::outcome::MessageRef;
use notifier_core::store::{LastNotification, MAX_LAST_NOTIFICATIONS};

use super::StoreFixture;
use crate::fixtures::time;

pub async fn last_notifications_are_visible_to_every_process(fixture: &dyn StoreFixture) {
    let (one, other) = (fixture.open(), fixture.open());
    let levels = Level::ALL.into_iter().map(Some).chain([None]);
    let statuses = || AlertStatus::ALL.into_iter().map(Some).chain([None]);
    let states =
        levels.flat_map(|level| statuses().map(move |status| AlertState { level, status }));
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
    let next = fixture.open();
    assert!(next.last_notification("k").await.unwrap().is_some());
    // A dropped operation still takes effect, in its order.
    drop(next.set_last_notification("k", None));
    assert_eq!(next.last_notification("k").await.unwrap(), None);
    assert_eq!(next.depth().await.unwrap(), 0);
}

pub async fn the_last_ten_thousand_keys_of_destinations_are_known(fixture: &dyn StoreFixture) {
    let outbox = fixture.open();
    let last = LastNotification {
        message: None,
        state: None,
        at: SystemTime::now(),
    };
    let set = |n: usize| outbox.set_last_notification(&n.to_string(), Some(&last));
    futures_util::future::join_all((0..MAX_LAST_NOTIFICATIONS / 2).map(set)).await;
    // A repeated notification is not the oldest any more.
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
