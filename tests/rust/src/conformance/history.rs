//! History rows.

use notifier_core::store::HistoryRow;

use super::{StoreFixture, accept};
use crate::fixtures::{delivered, id, request};

pub async fn a_history_row_is_stored_until_it_is_written(fixture: &dyn StoreFixture) {
    let (one, other) = (fixture.open(), fixture.open());
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
    // This process has no delivery of it.
    for line in ["d", "e"] {
        one.store_history(&row(line)).await.unwrap();
    }
    one.history_written(&row("e")).await.unwrap();
    // They are another's for as long as it lives.
    let claim = async || other.claim_history("notifier.toml", 9).await.unwrap();
    assert_eq!(claim().await, []);
    fixture.lapse();
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
    fixture.lapse();
    let last = fixture.open();
    assert_eq!(last.claim_history("notifier.toml", 9).await.unwrap(), []);
}
