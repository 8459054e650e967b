//! Tests the order of sending, in paused time.

use std::time::Duration;

use super::destination::MAX_CONCURRENT_ATTEMPTS;
use super::*;
use crate::delivery::backoff::Backoff;
use crate::model::outcome::PauseScope;
use crate::model::plan::Rate;

fn destination(key: &str, account: Option<&str>) -> Destination {
    Destination {
        label: key.to_owned(),
        key: key.to_owned(),
        host: None,
        host_header: None,
        account: account.map(str::to_owned),
        at_once: None,
    }
}

fn entry(queue: &DestinationQueue) -> AdmissionRequest {
    AdmissionRequest {
        ticket: queue.ticket(),
        deadline: Instant::now() + Duration::from_secs(300),
        rate: None,
        patience: Duration::from_secs(300),
    }
}

async fn enter(queue: &Arc<DestinationQueue>) -> Result<Permit, AdmissionError> {
    queue.enter(entry(queue), |_| {}).await
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// After a rate limit that asks for so many seconds, where our own backoff is shorter.
fn pause(asked: u64, scope: PauseScope) -> Pause {
    Pause {
        asked: Some(seconds(asked)),
        scope,
        backoff: Backoff {
            initial: Duration::from_millis(10),
            max: seconds(60),
            least: Duration::ZERO,
        },
        after: PauseAfter::RateLimit,
    }
}

#[tokio::test(start_paused = true)]
async fn eight_at_a_time_in_the_order_of_their_tickets() {
    let queue = Queues::default().get(&destination("a", None));
    let first: Vec<_> =
        futures_util::future::join_all((0..MAX_CONCURRENT_ATTEMPTS).map(|_| enter(&queue))).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let tickets: Vec<_> = (0..5).map(|_| entry(&queue)).collect();
    let waiting: Vec<_> = tickets
        .into_iter()
        .rev()
        .map(|entry| {
            let (queue, order) = (Arc::clone(&queue), Arc::clone(&order));
            tokio::spawn(async move {
                let permit = queue.enter(entry, |_| {}).await;
                lock(&order).push(entry.ticket);
                drop(permit);
            })
        })
        .collect();
    tokio::time::sleep(seconds(1)).await;
    assert!(lock(&order).is_empty());
    drop(first);
    for task in waiting {
        task.await.unwrap();
    }
    let order = lock(&order).clone();
    assert_eq!(order, [8, 9, 10, 11, 12]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_allows_few_at_once_gets_no_more() {
    let queue = Queues::default().get(&Destination {
        at_once: Some(2),
        ..destination("a", None)
    });
    let both = futures_util::future::join_all((0..2).map(|_| enter(&queue))).await;
    let third = tokio::time::timeout(seconds(1), enter(&queue)).await;
    assert!(third.is_err());
    drop(both);
    assert!(enter(&queue).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn after_a_pause_one_goes_until_one_has_worked() {
    let queue = Queues::default().get(&destination("a", None));
    let limited = pause(2, PauseScope::Destination);
    enter(&queue).await.unwrap().pause(&limited);
    let started = Instant::now();
    let probe = enter(&queue).await.unwrap();
    assert_eq!(started.elapsed(), seconds(2));
    let second = tokio::time::timeout(seconds(1), enter(&queue)).await;
    assert!(second.is_err(), "half open");
    probe.record_success();
    assert!(enter(&queue).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_the_account_holds_for_its_other_destinations() {
    let queues = Queues::default();
    let a = queues.get(&destination("a", Some("account")));
    let b = queues.get(&destination("b", Some("account")));
    let c = queues.get(&destination("c", None));
    let limited = pause(3, PauseScope::Account);
    enter(&a).await.unwrap().pause(&limited);
    let started = Instant::now();
    assert!(enter(&c).await.is_ok());
    assert_eq!(started.elapsed(), seconds(0));
    assert!(enter(&b).await.is_ok());
    assert_eq!(started.elapsed(), seconds(3));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_turns_away_those_who_wait_and_those_who_come() {
    let queue = Queues::default().get(&destination("a", None));
    let permits =
        futures_util::future::join_all((0..MAX_CONCURRENT_ATTEMPTS).map(|_| enter(&queue))).await;
    let waiting = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { enter(&queue).await.err() }
    });
    tokio::task::yield_now().await;
    permits
        .first()
        .unwrap()
        .as_ref()
        .unwrap()
        .refuse(seconds(600));
    assert_eq!(waiting.await.unwrap(), Some(AdmissionError::Refused));
    assert_eq!(enter(&queue).await.err(), Some(AdmissionError::Refused));
    tokio::time::advance(seconds(601)).await;
    drop(permits);
    assert!(enter(&queue).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_spaces_messages_and_says_how_long_each_waits() {
    let queue = Queues::default().get(&destination("a", None));
    let rate = Rate {
        messages: 2,
        per: seconds(1),
    };
    let started = Instant::now();
    let tasks: Vec<_> = (0..5)
        .map(|_| AdmissionRequest {
            rate: Some(rate),
            ..entry(&queue)
        })
        .map(|entry| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move {
                let mut said = None;
                drop(queue.enter(entry, |due| said = said.or(due)).await);
                (said, Instant::now())
            })
        })
        .collect();
    for (index, task) in tasks.into_iter().enumerate() {
        let (said, at) = task.await.unwrap();
        let wait = Duration::from_millis(500) * u32::try_from(index).unwrap();
        assert_eq!(at - started, wait);
        if index > 0 {
            assert!(said.is_some_and(|due| due <= at), "{index}: {said:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_wait_lasts_beyond_the_deadline_or_into_an_endless_pause() {
    let queue = Queues::default().get(&destination("a", None));
    let limited = pause(60, PauseScope::Destination);
    enter(&queue).await.unwrap().pause(&limited);
    let started = Instant::now();
    let short = AdmissionRequest {
        deadline: started + seconds(10),
        ..entry(&queue)
    };
    assert_eq!(
        queue.enter(short, |_| {}).await.err(),
        Some(AdmissionError::OutOfTime)
    );
    assert_eq!(started.elapsed(), seconds(10));
    let impatient = AdmissionRequest {
        patience: seconds(20),
        ..entry(&queue)
    };
    assert_eq!(
        queue.enter(impatient, |_| {}).await.err(),
        Some(AdmissionError::OutOfTime)
    );
    assert_eq!(started.elapsed(), seconds(10));
}

#[tokio::test(start_paused = true)]
async fn one_dedup_key_goes_one_after_another_in_the_order_of_acceptance() {
    let queue = Queues::default().get(&destination("a", None));
    let line_up = |key: &str, ticket| DedupTurn::new(&queue, &key.into(), ticket, None);
    let (first, second) = (line_up("k", 0), line_up("k", 1));
    let mut other = line_up("other", 2);
    other.wait().await;
    let waiting = tokio::spawn(async move {
        let mut second = second;
        second.wait().await;
        Instant::now()
    });
    let started = Instant::now();
    tokio::time::sleep(seconds(1)).await;
    drop(first);
    assert_eq!(waiting.await.unwrap() - started, seconds(1));
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_remembers_nothing_is_forgotten() {
    let queues = Queues::default();
    let (quiet, paused) = (destination("quiet", None), destination("paused", None));
    for (destination, left) in [(&quiet, 0), (&paused, 1)] {
        let queue = queues.get(destination);
        let permit = enter(&queue).await.unwrap();
        if destination.key == "paused" {
            permit.pause(&pause(1, PauseScope::Destination));
        }
        drop(permit);
        queues.release(destination, queue);
        assert_eq!(queues.len(), left);
    }
    assert_eq!(queues.paused(), 1);
}

#[test]
fn a_queue_that_somebody_has_is_the_one_that_all_others_get() {
    let queues = Queues::default();
    let destination = destination("a", None);
    let has = queues.get(&destination);
    queues.release(&destination, queues.get(&destination));
    assert!(Arc::ptr_eq(&has, &queues.get(&destination)));
    queues.release(&destination, has);
    assert_eq!(queues.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_limit_in_a_row_doubles_the_pause_until_the_destination_works() {
    let queue = Queues::default().get(&destination("a", None));
    let limited = Pause {
        asked: Some(Duration::ZERO),
        backoff: Backoff {
            initial: seconds(1),
            max: seconds(10),
            least: Duration::ZERO,
        },
        ..pause(0, PauseScope::Destination)
    };
    let pause = async |pause: &Pause| {
        let permit = enter(&queue).await.unwrap();
        permit.pause(pause);
        let paused = Instant::now();
        drop(permit);
        drop(enter(&queue).await.unwrap());
        paused.elapsed().as_secs_f64()
    };
    for expected in [1.0, 2.0, 4.0, 8.0, 10.0, 10.0] {
        let waited = pause(&limited).await;
        assert!(waited >= expected * 0.8, "{expected}: {waited}");
        assert!(waited <= expected * 1.2 + 0.001, "{expected}: {waited}");
    }
    // A reply that says nothing about its message sets no limit.
    let other = Pause {
        after: PauseAfter::Failure,
        ..limited
    };
    assert!(pause(&other).await >= 8.0);
    assert_eq!(queue.rate_limits(), 6);
    let empty_bucket = Pause {
        after: PauseAfter::Success,
        ..limited
    };
    assert!(pause(&empty_bucket).await <= 1.201);
    assert!(pause(&limited).await <= 1.201);
    enter(&queue).await.unwrap().record_success();
    assert!(pause(&limited).await <= 1.201);
}

#[tokio::test(start_paused = true)]
async fn limits_that_were_under_way_together_count_once() {
    let queue = Queues::default().get(&destination("a", None));
    let permits =
        futures_util::future::join_all((0..MAX_CONCURRENT_ATTEMPTS).map(|_| enter(&queue))).await;
    for permit in permits {
        permit.unwrap().pause(&pause(1, PauseScope::Destination));
    }
    assert_eq!(queue.rate_limits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_comes_back_is_as_it_was_left() {
    let queues = Queues::default();
    let a = destination("a", Some("account"));
    let queue = queues.get(&a);
    let permit = enter(&queue).await.unwrap();
    permit.pause(&pause(3600, PauseScope::Account));
    drop(permit);
    queues.release(&a, queue);
    let started = Instant::now();
    tokio::time::advance(seconds(3599)).await;
    assert_eq!(queues.paused(), 1);
    let (queue, other) = (
        queues.get(&a),
        queues.get(&destination("b", Some("account"))),
    );
    let patient = |queue: &DestinationQueue| AdmissionRequest {
        patience: seconds(3600),
        ..entry(queue)
    };
    let entered = queue.enter(patient(&queue), |_| {}).await;
    assert!(entered.is_ok() && enter(&other).await.is_ok());
    assert_eq!(started.elapsed(), seconds(3600));
    let second = tokio::time::timeout(seconds(1), enter(&queue)).await;
    assert!(second.is_err(), "half open");
}

#[tokio::test(start_paused = true)]
async fn pauses_of_many_destinations_are_bounded_and_no_release_walks_them() {
    let queues = Queues::default();
    let started = std::time::Instant::now();
    for n in 0..3 * memory::MAX_REMEMBERED as u64 {
        let destination = destination(&n.to_string(), Some(&format!("account {n}")));
        let queue = queues.get(&destination);
        let permit = enter(&queue).await.unwrap();
        permit.pause(&pause(1 + n % 3600, PauseScope::Account));
        drop(permit);
        queues.release(&destination, queue);
    }
    assert_eq!(queues.len(), memory::MAX_REMEMBERED);
    let accounts = lock(&queues.accounts);
    assert_eq!(
        (accounts.used.len(), accounts.memory.len()),
        (0, memory::MAX_REMEMBERED)
    );
    // A walk of ten thousand at each of thirty thousand releases would take minutes.
    assert!(started.elapsed() < seconds(10), "{:?}", started.elapsed());
}
