//! No clock that jumps, no process that is stopped and no death of one makes a delivery late, lost or sent twice.

use std::sync::Arc;
use std::time::Duration;

use notifier_core::store::operator::{DeliveryFilter, Operator};
use notifier_core::store::sqlite::operator::SqliteOperator;
use notifier_core::store::{Accepted, LEASE, Ownership, RENEW_EVERY, RequestStore, Store};
use rust_tests::conformance::StoreFixture;
use rust_tests::conformance::kills::{Kill, STEPS};
use rust_tests::fixtures::{delivered, failed, id, keyed, request};

use super::file::{DAY, File, TestClock};

const JUMPS: [i64; 6] = [90_000, -90_000, 3_600_000, -3_600_000, 40 * DAY, -40 * DAY];
const MINUTE: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(24 * 3600);

async fn claimed(outbox: &dyn Store) -> Vec<String> {
    let claimed = outbox.claim("notifier.toml", 9).await.unwrap();
    claimed.into_iter().map(|request| request.task).collect()
}

/// Runs the heartbeats and the periodic work of that time.
async fn pass(outbox: &dyn Store, clock: &TestClock, time: Duration) {
    let mut left = time;
    while !left.is_zero() {
        let step = left.min(RENEW_EVERY);
        clock.pass(step);
        outbox.depth().await.unwrap();
        left -= step;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumps_takes_nothing_from_a_process_that_lives() {
    for jump in JUMPS {
        let (file, clock) = (File::new(), Arc::<TestClock>::default());
        let (one, other) = (file.open_with(&clock), file.open_with(&clock));
        one.accept(request("a")).await.unwrap();
        clock.jump(jump);
        for outbox in [&one, &other] {
            assert_eq!(claimed(outbox).await, [""; 0], "{jump}");
            pass(outbox, &clock, RENEW_EVERY).await;
            assert_eq!(claimed(outbox).await, [""; 0], "{jump}");
        }
        assert_eq!(
            one.check_lease(&id("a", 0)).await.unwrap(),
            Ownership::Owned
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumps_takes_no_time_from_a_delivery_and_gives_it_none() {
    for jump in JUMPS {
        let (file, clock) = (File::new(), Arc::<TestClock>::default());
        let one = file.open_with(&clock);
        clock.jump(jump);
        one.accept(request("a")).await.unwrap();
        clock.jump(-jump);
        pass(&one, &clock, MINUTE).await;
        drop(one);
        let other = file.open_with(&clock);
        file.lapse();
        let [taken] = <[_; 1]>::try_from(other.claim("notifier.toml", 9).await.unwrap()).unwrap();
        let left = taken.deliveries[0].work.as_ref().unwrap().time_left;
        assert!(left <= TIMEOUT - MINUTE, "{jump}: {left:?}");
        assert!(left > TIMEOUT - 2 * MINUTE, "{jump}: {left:?}");
        assert!(
            taken.age >= MINUTE && taken.age < 2 * MINUTE,
            "{jump}: {:?}",
            taken.age
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumps_deletes_no_key_and_no_dead_letter() {
    for jump in JUMPS {
        let (file, clock) = (File::new(), Arc::<TestClock>::default());
        let outbox = file.open_with(&clock);
        outbox.accept(keyed("keyed", "k", 1)).await.unwrap();
        outbox.accept(request("dead")).await.unwrap();
        outbox
            .complete(&id("keyed", 0), &delivered(0, None), None)
            .await
            .unwrap();
        outbox
            .complete(&id("dead", 0), &failed(0), None)
            .await
            .unwrap();
        clock.jump(jump);
        // The process, the next process and an operator see the same.
        pass(&outbox, &clock, RENEW_EVERY).await;
        let next = file.open_with(&clock);
        pass(&next, &clock, RENEW_EVERY).await;
        let clock: Arc<TestClock> = Arc::clone(&clock);
        SqliteOperator::open_with(&file.path, clock)
            .unwrap()
            .purge_expired()
            .unwrap();
        let again = next.accept(keyed("b", "k", 1)).await.unwrap();
        assert!(matches!(again, Accepted::Known(_)), "{jump}");
        assert_eq!(file.count("requests"), 2, "{jump}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_after_a_day_ignores_the_wall_clock() {
    let (file, clock) = (File::new(), Arc::<TestClock>::default());
    let outbox = file.open_with(&clock);
    outbox.accept(keyed("keyed", "k", 1)).await.unwrap();
    outbox
        .complete(&id("keyed", 0), &delivered(0, None), None)
        .await
        .unwrap();
    clock.jump(-40 * DAY);
    for (passes, left) in [(23, 1), (2, 0)] {
        clock.pass(Duration::from_secs(passes * 3600));
        outbox.depth().await.unwrap();
        assert_eq!(file.count("requests"), left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_machine_counts_for_deliveries_and_deletes_nothing() {
    let (file, clock) = (File::new(), Arc::<TestClock>::default());
    let one = file.open_with(&clock);
    one.accept(request("waits")).await.unwrap();
    one.accept(request("dead")).await.unwrap();
    one.complete(&id("dead", 0), &failed(0), None)
        .await
        .unwrap();
    drop(one);
    file.lapse();
    clock.reboot();
    clock.jump(40 * DAY);
    let next = file.open_with(&clock);
    pass(&next, &clock, RENEW_EVERY).await;
    let [taken] = <[_; 1]>::try_from(next.claim("notifier.toml", 9).await.unwrap()).unwrap();
    // After such a long absence, its state may be outdated.
    assert!(
        taken.deliveries[0]
            .work
            .as_ref()
            .unwrap()
            .time_left
            .is_zero()
    );
    let listed = SqliteOperator::open(&file.path)
        .unwrap()
        .list(&DeliveryFilter::default(), 9)
        .unwrap();
    assert_eq!(listed.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_a_clock_that_is_behind_leaves_deliveries_their_time() {
    let (file, clock) = (File::new(), Arc::<TestClock>::default());
    let one = file.open_with(&clock);
    one.accept(request("a")).await.unwrap();
    drop(one);
    file.lapse();
    clock.reboot();
    clock.jump(-40 * DAY);
    let next = file.open_with(&clock);
    let [taken] = <[_; 1]>::try_from(next.claim("notifier.toml", 9).await.unwrap()).unwrap();
    let left = taken.deliveries[0].work.as_ref().unwrap().time_left;
    // Except for the time since the last heartbeat.
    assert!(
        left <= TIMEOUT + RENEW_EVERY && left > TIMEOUT - MINUTE,
        "{left:?}"
    );
    // The clock is corrected later, while the process runs.
    clock.jump(40 * DAY);
    pass(&next, &clock, RENEW_EVERY).await;
    drop(next);
    file.lapse();
    let last = file.open_with(&clock);
    let [taken] = <[_; 1]>::try_from(last.claim("notifier.toml", 9).await.unwrap()).unwrap();
    let left = taken.deliveries[0].work.as_ref().unwrap().time_left;
    assert!(left > TIMEOUT - MINUTE, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_stopped_has_lost_its_requests_after_a_lease_and_not_before() {
    let (file, clock) = (File::new(), Arc::<TestClock>::default());
    // Its clock stands still, as does the process.
    let stopped = file.open_with(&Arc::default());
    stopped.accept(request("a")).await.unwrap();
    let other = file.open_with(&clock);
    assert_eq!(claimed(&other).await, [""; 0]);
    pass(&other, &clock, LEASE - RENEW_EVERY).await;
    assert_eq!(claimed(&other).await, [""; 0]);
    assert_eq!(
        stopped.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Owned
    );
    pass(&other, &clock, RENEW_EVERY).await;
    // Then it has no owner, and later the other process owns it.
    assert_eq!(
        stopped.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Lost
    );
    assert_eq!(claimed(&other).await, ["a"]);
    assert_eq!(
        other.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Owned
    );
    assert_eq!(claimed(&stopped).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_stopped_itself_takes_nothing_from_the_others() {
    let (file, clock) = (File::new(), Arc::<TestClock>::default());
    let one = file.open_with(&Arc::default());
    one.accept(request("a")).await.unwrap();
    let stopped = file.open_with(&clock);
    assert_eq!(claimed(&stopped).await, [""; 0]);
    for _ in 0..3 {
        clock.pass(2 * LEASE);
        assert_eq!(claimed(&stopped).await, [""; 0]);
    }
    assert_eq!(
        one.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Owned
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_presumed_dead_continues_with_new_requests() {
    let (file, clock) = (File::new(), Arc::<TestClock>::default());
    let one = file.open_with(&Arc::default());
    let other = file.open_with(&clock);
    pass(&other, &clock, LEASE + RENEW_EVERY).await;
    one.accept(request("a")).await.unwrap();
    assert_eq!(
        one.check_lease(&id("a", 0)).await.unwrap(),
        Ownership::Owned
    );
    assert_eq!(claimed(&other).await, [""; 0]);
    drop(one);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_a_killed_process_are_claimed_at_once() {
    let file = File::new();
    let other = file.open();
    let step = STEPS.iter().position(|step| step.name == "accepted");
    let kill = Kill {
        task: "a".to_owned(),
        step: step.unwrap(),
        within: None,
    };
    file.kill_at(kill).await;
    assert_eq!(claimed(&*other).await, ["a"]);
    // The next opening removes the file of a process that has ended.
    let _next = file.open();
    let owners = std::fs::read_dir(file.path.parent().unwrap()).unwrap();
    let owners = owners.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().contains("-owner-")
    });
    assert_eq!(owners.count(), 2);
}
