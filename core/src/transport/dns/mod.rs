//! Resolves names: one lookup at a time per name, shared by all waiters, with a cache.
//!
//! A lookup is a thread in `getaddrinfo`. It hangs for half a minute if name servers do not respond, and no call can
//! stop it. `slots` distributes these threads, so that hanging names leave capacity for others.

mod slots;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hashlink::LinkedHashMap;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

pub use self::slots::MAX_LOOKUPS;
use self::slots::{LookupSlots, NameKind, NextLookup};

use crate::panics::lock;

/// How long an answer is used.
const KEEP_ANSWER: Duration = Duration::from_secs(30);
/// How long a failure is used.
const KEEP_FAILURE: Duration = Duration::from_secs(5);
/// How long a caller waits for an answer.
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last answer serves if the name server gives no other (RFC 8767 recommends one to three days).
const KEEP_STALE: Duration = Duration::from_secs(24 * 3600);
/// How long a caller waits for a new answer if an old one exists.
const STALE_WAIT: Duration = Duration::from_millis(100);
/// A look-up that fails after this had no answer from a name server.
const SILENCE: Duration = Duration::from_secs(1);
/// Names that are remembered.
const MAX_NAMES: usize = 10_000;

/// The system's resolver, or a test's.
pub trait HostLookup: Send + Sync {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// `getaddrinfo` on a blocking thread of the runtime.
pub struct SystemLookup;

impl HostLookup for SystemLookup {
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
    /// The resolver reports that there is no address.
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
type LookupResult = Result<Addresses, DnsError>;

/// The cached state of one name.
struct CachedName {
    /// The answer; `None` while the first look-up has not ended.
    answer: watch::Receiver<Option<LookupResult>>,
    phase: NamePhase,
    kind: NameKind,
    /// The last addresses, and since when.
    last: Option<(Addresses, Instant)>,
}

enum NamePhase {
    Queued(watch::Sender<Option<LookupResult>>),
    LookedUp,
    Known { until: Instant },
}

impl CachedName {
    fn is_current(&self, now: Instant) -> bool {
        match self.phase {
            NamePhase::Queued(_) | NamePhase::LookedUp => true,
            NamePhase::Known { until } => now < until,
        }
    }

    fn last(&self, now: Instant) -> Option<(Addresses, Instant)> {
        let last = self.last.clone();
        last.filter(|(_, since)| now - *since < KEEP_STALE)
    }
}

/// The cache of the process.
#[derive(Clone)]
pub struct Dns {
    lookup: Arc<dyn HostLookup>,
    state: Arc<Mutex<DnsCache>>,
}

#[derive(Default)]
struct DnsCache {
    /// The one asked for the longest ago first.
    names: LinkedHashMap<String, CachedName>,
    slots: LookupSlots,
}

impl Dns {
    pub fn new(lookup: impl HostLookup + 'static) -> Self {
        Self {
            lookup: Arc::new(lookup),
            state: Arc::default(),
        }
    }

    /// The addresses of `host`, never none.
    pub async fn resolve(&self, host: &str, wait: Duration) -> LookupResult {
        let (mut answer, last) = self.ask(host);
        let wait = wait.min(match last {
            Some(_) => STALE_WAIT,
            None => LOOKUP_TIMEOUT,
        });
        let answer = match timeout(wait, answer.wait_for(Option::is_some)).await {
            Ok(Ok(answer)) => answer.clone().unwrap_or(Err(DnsError::NoAddress)),
            Ok(Err(_)) | Err(_) => Err(DnsError::Timeout),
        };
        match (answer, last) {
            (Err(DnsError::Timeout), Some(last)) => Ok(last),
            (answer, _) => answer,
        }
    }

    /// Notes for the next lookup of a name whether it belongs to a request with many names.
    pub fn expect(&self, host: &str, is_one_of_many: bool) {
        let mut state = self.lock();
        match (state.names.get_mut(host), is_one_of_many) {
            (None, true) => {
                let (_, answer) = watch::channel(None);
                let name = CachedName {
                    answer,
                    phase: NamePhase::Known {
                        until: Instant::now(),
                    },
                    kind: NameKind::OneOfMany,
                    last: None,
                };
                state.make_room();
                state.names.insert(host.to_owned(), name);
            }
            (Some(name), false) if name.kind == NameKind::OneOfMany => {
                name.kind = NameKind::Fresh;
                if let NamePhase::Queued(_) = name.phase {
                    state.slots.queue(host, NameKind::Fresh);
                    drop(state);
                    self.start_queued();
                }
            }
            _ => {}
        }
    }

    /// Returns the result of a name's lookup, now or later, and its last addresses. A lookup continues without waiters.
    fn ask(&self, host: &str) -> (watch::Receiver<Option<LookupResult>>, Option<Addresses>) {
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(name) = state.names.get(host)
            && name.is_current(now)
        {
            let known = (
                name.answer.clone(),
                name.last(now).map(|(addresses, _)| addresses),
            );
            if let NamePhase::Queued(_) = name.phase {
                // The newest question goes first.
                let kind = name.kind;
                state.slots.queue(host, kind);
            }
            return known;
        }
        let known = state.names.remove(host);
        let kind = known.as_ref().map_or(NameKind::Fresh, |name| name.kind);
        let last = known.and_then(|name| name.last(now));
        state.make_room();
        let (sender, answer) = watch::channel(None);
        let asked = (
            answer.clone(),
            last.as_ref().map(|(addresses, _)| addresses.clone()),
        );
        let name = CachedName {
            answer,
            phase: NamePhase::Queued(sender),
            kind,
            last,
        };
        state.names.insert(host.to_owned(), name);
        state.slots.queue(host, kind);
        drop(state);
        self.start_queued();
        asked
    }

    /// Starts the lookups that may start now, and schedules the others.
    fn start_queued(&self) {
        let mut state = self.lock();
        loop {
            match state.slots.next(Instant::now()) {
                NextLookup::Start(host, kind) => match state.take(&host, kind) {
                    Some(sender) => self.start(host, kind, sender),
                    None => state.slots.give_back(kind),
                },
                NextLookup::At(due) => {
                    let dns = self.clone();
                    tokio::spawn(async move {
                        sleep_until(due).await;
                        dns.lock().slots.woken();
                        dns.start_queued();
                    });
                }
                NextLookup::Wait => return,
            }
        }
    }

    fn start(&self, host: String, kind: NameKind, sender: watch::Sender<Option<LookupResult>>) {
        let lookup = self.lookup.lookup(host.clone());
        let dns = self.clone();
        tokio::spawn(async move {
            let started = Instant::now();
            let answer = match lookup.await {
                Ok(addresses) if !addresses.is_empty() => Ok(addresses.into()),
                _ if started.elapsed() >= SILENCE => Err(DnsError::Timeout),
                _ => Err(DnsError::NoAddress),
            };
            let mut state = dns.lock();
            state.slots.leave(kind);
            state.end(&host, &answer);
            drop(state);
            sender.send_replace(Some(answer));
            dns.start_queued();
        });
    }

    fn lock(&self) -> MutexGuard<'_, DnsCache> {
        lock(&self.state)
    }
}

impl DnsCache {
    /// The next look-up of a queued name, if it is still needed: a name with many requests is queued many times.
    fn take(&mut self, host: &str, kind: NameKind) -> Option<watch::Sender<Option<LookupResult>>> {
        let name = self.names.get_mut(host)?;
        if name.kind != kind || !matches!(name.phase, NamePhase::Queued(_)) {
            return None;
        }
        let NamePhase::Queued(sender) = std::mem::replace(&mut name.phase, NamePhase::LookedUp)
        else {
            return None;
        };
        // One receiver belongs to the name itself.
        if sender.receiver_count() > 1 {
            return Some(sender);
        }
        name.phase = NamePhase::Known {
            until: Instant::now(),
        };
        sender.send_replace(Some(Err(DnsError::Timeout)));
        None
    }

    fn end(&mut self, host: &str, answer: &LookupResult) {
        let Some(name) = self.names.get_mut(host) else {
            return;
        };
        let now = Instant::now();
        let keep = match answer {
            Ok(addresses) => {
                name.last = Some((Arc::clone(addresses), now));
                name.kind = NameKind::Fresh;
                KEEP_ANSWER
            }
            Err(_) => {
                name.kind = NameKind::Failed;
                KEEP_FAILURE
            }
        };
        name.phase = NamePhase::Known { until: now + keep };
    }

    /// Removes the oldest names, except those in look-up: they are few.
    fn make_room(&mut self) {
        while self.names.len() >= MAX_NAMES {
            let mut others = self.names.iter();
            let oldest = others.find(|(_, name)| !matches!(name.phase, NamePhase::LookedUp));
            let Some(oldest) = oldest.map(|(host, _)| host.clone()) else {
                return;
            };
            self.names.remove(&oldest);
        }
    }
}
