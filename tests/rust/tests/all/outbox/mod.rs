//! The outbox in an SQLite file: the suite that every outbox passes, and tests of the file.

mod clocks;
mod file;

use std::sync::Arc;
use std::time::SystemTime;

use notifier_core::model::outcome::{Failure, Outcome, Reason};
use notifier_core::store::operator::{DeliveryFilter, Operator, StoredState};
use notifier_core::store::sqlite::SqliteStore;
use notifier_core::store::sqlite::operator::SqliteOperator;
use notifier_core::store::{Accepted, KEEP_LAST_NOTIFICATIONS, LastNotification, Ownership, Store};
use rust_tests::conformance::StoreFixture;
use rust_tests::fixtures::{id, keyed, request};

use self::file::File;

rust_tests::conformance!(
    #[tokio::test(flavor = "multi_thread")]
    File::new()
);

/// An outbox with one dead letter and one delivery that waits.
async fn with_dead_letter(file: &File) -> Arc<dyn Store> {
    let outbox = file.open();
    for task in ["dead", "waits"] {
        let accepted = outbox.accept(request(task)).await.unwrap();
        assert!(matches!(accepted, Accepted::New { .. }));
    }
    let mut report = request("dead").deliveries[0].report.clone();
    report.outcome = Outcome::Failed(Failure::new(Reason::UnknownDestination));
    outbox
        .complete(&id("dead", 0), &report, None)
        .await
        .unwrap();
    outbox
}

fn tasks(operator: &mut SqliteOperator, choice: &DeliveryFilter) -> Vec<(String, &'static str)> {
    let listed = operator.list(choice, 100).unwrap();
    listed
        .into_iter()
        .map(|listed| (listed.task, listed.state.word()))
        .collect()
}

fn named(task: &str) -> DeliveryFilter {
    DeliveryFilter {
        task: Some((task.to_owned(), None)),
        ..DeliveryFilter::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_listed_and_goes_again_when_it_is_asked_for() {
    let file = File::new();
    let outbox = with_dead_letter(&file).await;
    let mut operator = SqliteOperator::open(&file.path).unwrap();
    let all = [("dead".to_owned(), "dead"), ("waits".to_owned(), "waiting")];
    assert_eq!(tasks(&mut operator, &DeliveryFilter::default()), all);
    for choice in [
        named("de"),
        DeliveryFilter {
            states: vec![StoredState::Dead],
            ..DeliveryFilter::default()
        },
        DeliveryFilter {
            reason: Some("unknown_destination".to_owned()),
            ..DeliveryFilter::default()
        },
    ] {
        assert_eq!(tasks(&mut operator, &choice), all[..1]);
    }
    assert_eq!(operator.retry(&named("waits")).unwrap(), 0);
    assert_eq!(operator.retry(&named("dead")).unwrap(), 1);
    let [taken] = <[_; 1]>::try_from(outbox.claim("notifier.toml", 9).await.unwrap()).unwrap();
    assert_eq!(taken.task, "dead");
    assert!(
        !taken.deliveries[0]
            .work
            .as_ref()
            .unwrap()
            .time_left
            .is_zero()
    );
    assert!(outbox.claim("notifier.toml", 9).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_among_deliveries_in_flight_goes_again_by_their_process() {
    let file = File::new();
    let outbox = file.open();
    let mut two = request("a");
    two.deliveries.push(two.deliveries[0].clone());
    two.deliveries[1].report.index = 1;
    outbox.accept(two.clone()).await.unwrap();
    let mut report = two.deliveries[0].report.clone();
    report.outcome = Outcome::Failed(Failure::new(Reason::Rejected));
    outbox.complete(&id("a", 0), &report, None).await.unwrap();
    assert_eq!(
        SqliteOperator::open(&file.path)
            .unwrap()
            .retry(&named("a"))
            .unwrap(),
        1
    );
    assert!(
        file.open()
            .claim("notifier.toml", 9)
            .await
            .unwrap()
            .is_empty()
    );
    let [taken] = <[_; 1]>::try_from(outbox.claim("notifier.toml", 9).await.unwrap()).unwrap();
    let open: Vec<bool> = taken.deliveries.iter().map(|d| d.work.is_some()).collect();
    assert_eq!(open, [true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_delivery_is_not_attempted_again() {
    let file = File::new();
    let outbox = with_dead_letter(&file).await;
    let mut operator = SqliteOperator::open(&file.path).unwrap();
    assert_eq!(operator.drop(&DeliveryFilter::default()).unwrap(), 2);
    assert_eq!(
        outbox.check_lease(&id("waits", 0)).await.unwrap(),
        Ownership::Lost
    );
    assert_eq!(outbox.depth().await.unwrap(), 0);
    file.lapse();
    assert!(
        file.open()
            .claim("notifier.toml", 9)
            .await
            .unwrap()
            .is_empty()
    );
    let stats = operator.stats().unwrap();
    assert_eq!((stats.dropped, stats.waiting, stats.dead), (2, 0, 0));
    assert_eq!(operator.drop(&DeliveryFilter::default()).unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_records_are_deleted() {
    const DAY: u64 = 24 * 3600 * 1000;
    let file = File::new();
    let outbox = with_dead_letter(&file).await;
    let keyed = keyed("keyed", "k", 1);
    let report = keyed.deliveries[0].report.clone();
    outbox.accept(keyed).await.unwrap();
    let report = notifier_core::model::report::DeliveryReport {
        outcome: Outcome::Delivered { message: None },
        ..report
    };
    outbox
        .complete(&id("keyed", 0), &report, None)
        .await
        .unwrap();
    assert_eq!(file.count("requests"), 3);
    let age = |by: u64| {
        file.sql(&format!(
            "UPDATE requests SET ended_used = ended_used - {by}"
        ))
    };
    for (by, left) in [(DAY - 60_000, 3), (120_000, 2), (29 * DAY, 1)] {
        age(by);
        SqliteOperator::open(&file.path)
            .unwrap()
            .purge_expired()
            .unwrap();
        assert_eq!(file.count("requests"), left, "{by}");
    }
    assert_eq!(file.count("deliveries"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn last_notifications_are_deleted_after_the_longest_interval() {
    let file = File::new();
    let outbox = file.open();
    let last = LastNotification {
        message: None,
        state: None,
        at: SystemTime::now(),
    };
    let keep = i64::try_from(KEEP_LAST_NOTIFICATIONS.as_millis()).unwrap();
    for (key, age) in [("a", keep - 60_000), ("b", keep + 1)] {
        outbox
            .set_last_notification(key, Some(&last))
            .await
            .unwrap();
        file.sql(&format!(
            "UPDATE last_notifications SET used = used - {age} WHERE key = '{key}'"
        ));
    }
    SqliteOperator::open(&file.path)
        .unwrap()
        .purge_expired()
        .unwrap();
    assert!(outbox.last_notification("a").await.unwrap().is_some());
    assert!(outbox.last_notification("b").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_older_version_is_refused_and_left_as_it_is() {
    let file = File::new();
    file.open().accept(request("a")).await.unwrap();
    file.sql("PRAGMA user_version = 3");
    let error = SqliteStore::open(&file.path).err().unwrap();
    assert!(
        error
            .to_string()
            .ends_with("was created by an older version of influxdb3-notifier."),
        "{error}"
    );
    assert_eq!(file.count("requests"), 1);
}

#[test]
fn a_file_that_is_not_there_is_not_made_for_an_operator() {
    let file = File::new();
    let error = SqliteOperator::open(&file.path).err().unwrap();
    assert!(
        error.to_string().ends_with("outbox.db does not exist."),
        "{error}"
    );
    assert!(!file.path.exists());
}
