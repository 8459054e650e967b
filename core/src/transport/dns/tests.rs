//! Names that work, fail and hang, in paused time.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;

use super::*;

/// Names that begin with `dead` never answer, `slow` fail after 20 s, `none` does not exist; `dying` and
/// `leaving` work once; all others do, after 10 ms.
struct Fake(Arc<AtomicUsize>);

impl HostLookup for Fake {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let asked = self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            match host.as_str() {
                dead if dead.starts_with("dead") => std::future::pending().await,
                slow if slow.starts_with("slow") => {
                    tokio::time::sleep(Duration::from_secs(20)).await;
                    Err(io::ErrorKind::Other.into())
                }
                "dying" if asked > 0 => std::future::pending().await,
                "leaving" if asked > 0 => Err(io::ErrorKind::NotFound.into()),
                "none" => Err(io::ErrorKind::NotFound.into()),
                _ => Ok(vec![IpAddr::from([192, 0, 2, 1])]),
            }
        })
    }
}

fn dns() -> (Dns, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    (Dns::new(Fake(Arc::clone(&asked))), asked)
}

#[tokio::test(start_paused = true)]
async fn one_look_up_serves_all_who_wait_and_is_kept_for_30_seconds() {
    let (dns, asked) = dns();
    let answers = join_all((0..100).map(|_| dns.resolve("host", LOOKUP_TIMEOUT))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    tokio::time::advance(Duration::from_secs(31)).await;
    assert!(dns.resolve("host", LOOKUP_TIMEOUT).await.is_ok());
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_kept_for_5_seconds() {
    let (dns, asked) = dns();
    for (seconds, expected) in [(0, 1), (4, 1), (2, 2)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        let answer = dns.resolve("none", LOOKUP_TIMEOUT).await;
        assert_eq!(answer, Err(DnsError::NoAddress));
        assert_eq!(asked.load(Ordering::Relaxed), expected, "after {seconds} s");
    }
}

fn names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{kind}{n}")).collect()
}

async fn resolve_all(dns: &Dns, names: &[String]) -> Vec<Result<Addresses, DnsError>> {
    join_all(names.iter().map(|name| dns.resolve(name, LOOKUP_TIMEOUT))).await
}

#[tokio::test(start_paused = true)]
async fn names_that_time_out_delay_a_working_one_by_less_than_100_ms() {
    for count in [0, 40, 64, 200, 1000, 20_000] {
        let (dns, asked) = dns();
        let names = names("dead", count);
        let dead = resolve_all(&dns, &names);
        let working = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let started = Instant::now();
            (dns.resolve("host", LOOKUP_TIMEOUT).await, started.elapsed())
        };
        let (dead, (answer, elapsed)) = tokio::join!(dead, working);
        assert!(answer.is_ok());
        assert!(elapsed < Duration::from_millis(100), "{count}: {elapsed:?}");
        assert!(dead.iter().all(|answer| *answer == Err(DnsError::Timeout)));
        assert!(asked.load(Ordering::Relaxed) <= MAX_LOOKUPS + 1);
        assert!(dns.lock().names.len() <= MAX_NAMES);
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_hung_before_take_a_quarter_of_the_places() {
    let (dns, _) = dns();
    let slow = names("slow", 500);
    // Each round takes as long as one waits; after these, each name was looked up once.
    for _ in 0..30 {
        resolve_all(&dns, &slow).await;
    }
    for round in 0..10 {
        let again = resolve_all(&dns, &slow);
        let fresh = names(&format!("{round} host"), 200);
        let working = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let started = Instant::now();
            let answers = resolve_all(&dns, &fresh).await;
            assert!(answers.iter().all(Result::is_ok), "{round}");
            started.elapsed()
        };
        let (_, elapsed) = tokio::join!(again, working);
        assert!(elapsed < Duration::from_millis(100), "{round}: {elapsed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_used_for_a_day_where_the_name_server_is_silent() {
    let (dns, asked) = dns();
    assert!(dns.resolve("dying", LOOKUP_TIMEOUT).await.is_ok());
    tokio::time::advance(KEEP_ANSWER).await;
    for _ in 0..3 {
        let started = Instant::now();
        assert!(dns.resolve("dying", LOOKUP_TIMEOUT).await.is_ok());
        assert!(started.elapsed() <= STALE_WAIT);
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2, "the second goes on");
    tokio::time::advance(KEEP_STALE).await;
    let answer = dns.resolve("dying", LOOKUP_TIMEOUT).await;
    assert_eq!(answer, Err(DnsError::Timeout));
}

#[tokio::test(start_paused = true)]
async fn a_nonexistent_name_is_not_served_from_the_cache() {
    let (dns, _) = dns();
    assert!(dns.resolve("leaving", LOOKUP_TIMEOUT).await.is_ok());
    tokio::time::advance(KEEP_ANSWER).await;
    let answer = dns.resolve("leaving", LOOKUP_TIMEOUT).await;
    assert_eq!(answer, Err(DnsError::NoAddress));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_names_that_work_are_resolved_without_delay() {
    let (dns, _) = dns();
    let started = Instant::now();
    let answers = resolve_all(&dns, &names("host", 1000)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert!(
        started.elapsed() < Duration::from_millis(200),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_name_takes_no_slot() {
    let (dns, asked) = dns();
    resolve_all(&dns, &names("slow", 1000)).await;
    let before = asked.load(Ordering::Relaxed);
    assert!(before <= MAX_LOOKUPS);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(asked.load(Ordering::Relaxed), before);
    assert!(dns.resolve("host", LOOKUP_TIMEOUT).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn many_names_of_one_request_leave_slots_for_others() {
    let (dns, _) = dns();
    let names = names("dead", 1000);
    let dead = async {
        for name in &names {
            dns.expect(name, true);
        }
        resolve_all(&dns, &names).await
    };
    let working = async {
        for n in 0..150 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let started = Instant::now();
            let (host, both) = (format!("host{n}"), format!("dead{n}"));
            // The lookup of a shared name counts for the other request.
            dns.expect(&both, false);
            assert!(dns.resolve(&host, LOOKUP_TIMEOUT).await.is_ok());
            let elapsed = started.elapsed();
            assert!(elapsed <= Duration::from_millis(510), "{n}: {elapsed:?}");
        }
    };
    tokio::join!(dead, working);
}
