//! What outboxes do for processes beside the one that accepts: for any [`Place`].

use influxdb3_notifier::outbox::{Accepted, DeliveryId, Ownership};

use crate::outbox::{Place, keyed, request};

fn first(task: &str) -> DeliveryId {
    DeliveryId {
        task: task.to_owned(),
        index: 0,
    }
}

pub async fn what_is_left_belongs_to_whoever_comes_first(place: &dyn Place) {
    let (server, one, other) = (place.open(), place.open(), place.open());
    for task in ["a", "b"] {
        let left = server.leave(keyed(task, task, 1)).await.unwrap();
        assert!(matches!(left, Accepted::New));
    }
    assert_eq!(server.owns(&first("a")).await.unwrap(), Ownership::Lost);
    let known = server.accept(keyed("c", "a", 1)).await.unwrap();
    assert!(matches!(known, Accepted::Known(known) if known.task == "a"));
    let taken = one.claim("notifier.toml", 1).await.unwrap();
    assert_eq!(taken[0].task, "a");
    assert_eq!(one.owns(&first("a")).await.unwrap(), Ownership::Mine);
    let taken = other.claim("notifier.toml", 9).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].task, "b");
    assert!(one.claim("notifier.toml", 9).await.unwrap().is_empty());
}

pub async fn what_is_left_and_unheard_of_is_not_taken(place: &dyn Place) {
    let server = place.open();
    drop(server.leave(keyed("a", "k", 1)));
    let accepted = server.leave(keyed("b", "k", 2)).await.unwrap();
    assert!(matches!(accepted, Accepted::New));
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
    assert_eq!(one.owns(&first("a")).await.unwrap(), Ownership::Lost);
    assert_eq!(other.owns(&first("a")).await.unwrap(), Ownership::Mine);
}

/// Makes a test of each.
#[macro_export]
macro_rules! others {
    ($place:expr) => {
        $crate::others!($place;
            what_is_left_belongs_to_whoever_comes_first,
            what_is_left_and_unheard_of_is_not_taken,
            what_is_released_is_anothers_at_once,
        );
    };
    ($place:expr; $($test:ident),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            $crate::others::$test(&$place).await;
        })*
    };
}
