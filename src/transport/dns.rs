//! Names to addresses: one look-up at a time per name, shared by all who wait; answers are kept for a while.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

/// How long an answer is used.
const KEEP_ANSWER: Duration = Duration::from_secs(30);
/// How long a failure is.
const KEEP_FAILURE: Duration = Duration::from_secs(5);
/// How long one waits for an answer.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Threads that may hang in the system's resolver at once.
pub const MAX_LOOKUPS: usize = 64;
/// Of these so many for names whose last look-up failed: dead names never take the place of living ones.
const MAX_RETRIED_LOOKUPS: usize = 24;
/// Names that are remembered.
const MAX_NAMES: usize = 10_000;

/// The system's resolver, or a test's.
pub trait Lookup: Send + Sync {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// `getaddrinfo` on a blocking thread of the runtime.
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let blocking = move || {
                let addresses = (host.as_str(), 0).to_socket_addrs()?;
                Ok(addresses.map(|address| address.ip()).collect())
            };
            tokio::task::spawn_blocking(blocking)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        })
    }
}

/// Why there is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsError {
    /// The resolver said so.
    NoAddress,
    /// The resolver did not answer in time.
    Timeout,
}

impl DnsError {
    pub const fn sentence(self) -> &'static str {
        match self {
            DnsError::NoAddress => {
                "the host's name could not be resolved: it does not exist or has no address"
            }
            DnsError::Timeout => {
                "the host's name could not be resolved in time: the name server did not answer"
            }
        }
    }
}

impl std::fmt::Display for DnsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.sentence())
    }
}

impl std::error::Error for DnsError {}

type Addresses = Arc<[IpAddr]>;

/// The state of one name; `None` while its first look-up is under way.
type State = Option<Result<Addresses, DnsError>>;

struct Name {
    state: watch::Receiver<State>,
    /// When the state stops being used; while a look-up is under way there is none.
    expires: Arc<Mutex<Option<Instant>>>,
}

impl Name {
    fn is_current(&self) -> bool {
        let expires = *self.expires.lock().unwrap_or_else(PoisonError::into_inner);
        expires.is_none_or(|expires| Instant::now() < expires)
    }

    fn has_failed(&self) -> bool {
        matches!(*self.state.borrow(), Some(Err(_)))
    }
}

/// The cache of the process.
pub struct Dns {
    lookup: Box<dyn Lookup>,
    names: Mutex<HashMap<String, Name>>,
    places: Arc<Semaphore>,
    retried_places: Arc<Semaphore>,
}

impl Dns {
    pub fn new(lookup: impl Lookup + 'static) -> Self {
        Self {
            lookup: Box::new(lookup),
            names: Mutex::default(),
            places: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            retried_places: Arc::new(Semaphore::new(MAX_RETRIED_LOOKUPS)),
        }
    }

    /// The addresses of `host`, never none.
    pub async fn resolve(&self, host: &str, wait: Duration) -> Result<Addresses, DnsError> {
        let mut state = self.state_of(host);
        let answer = timeout(wait.min(LOOKUP_TIMEOUT), state.wait_for(Option::is_some)).await;
        match answer {
            Ok(Ok(answer)) => answer.clone().unwrap_or(Err(DnsError::NoAddress)),
            Ok(Err(_)) => Err(DnsError::NoAddress),
            Err(_) => Err(DnsError::Timeout),
        }
    }

    /// What is known of a name, or will be: the look-up goes on even if nobody waits for it any more.
    fn state_of(&self, host: &str) -> watch::Receiver<State> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.get(host);
        if let Some(name) = known.filter(|name| name.is_current()) {
            return name.state.clone();
        }
        let failed_before = known.is_some_and(Name::has_failed);
        if names.len() >= MAX_NAMES {
            names.retain(|_, name| name.is_current());
        }
        let (sender, state) = watch::channel(None);
        let expires = Arc::new(Mutex::new(None));
        let name = Name {
            state: state.clone(),
            expires: Arc::clone(&expires),
        };
        names.insert(host.to_owned(), name);
        let lookup = self.lookup.lookup(host.to_owned());
        let places = Arc::clone(&self.places);
        let retried = failed_before.then(|| Arc::clone(&self.retried_places));
        tokio::spawn(async move {
            // The semaphores are never closed.
            let _retried = match retried {
                Some(places) => places.acquire_owned().await.ok(),
                None => None,
            };
            let _place = places.acquire_owned().await;
            let answer = match lookup.await {
                Ok(addresses) if !addresses.is_empty() => Ok(addresses.into()),
                _ => Err(DnsError::NoAddress),
            };
            let keep = if answer.is_ok() {
                KEEP_ANSWER
            } else {
                KEEP_FAILURE
            };
            *expires.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + keep);
            let _ = sender.send(Some(answer));
        });
        state
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    /// Names that begin with `dead` never answer, `none` do not exist, all others do, after 10 ms.
    struct Fake(Arc<AtomicUsize>);

    impl Lookup for Fake {
        fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            let asked = Arc::clone(&self.0);
            Box::pin(async move {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
                match host.as_str() {
                    dead if dead.starts_with("dead") => std::future::pending().await,
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

    #[tokio::test(start_paused = true)]
    async fn row_02_forty_names_that_time_out_delay_a_working_one_by_less_than_100_ms() {
        let (dns, _) = dns();
        let names: Vec<String> = (0..40).map(|n| format!("dead{n}")).collect();
        let dead = join_all(names.iter().map(|name| dns.resolve(name, LOOKUP_TIMEOUT)));
        let started = Instant::now();
        let working = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let answer = dns.resolve("host", LOOKUP_TIMEOUT).await;
            (answer, started.elapsed())
        };
        let (dead, (answer, elapsed)) = tokio::join!(dead, working);
        assert!(answer.is_ok());
        assert!(elapsed < Duration::from_millis(120), "{elapsed:?}");
        assert!(dead.iter().all(|answer| *answer == Err(DnsError::Timeout)));
    }
}
