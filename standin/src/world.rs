//! The shared state of all connections.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::fault::{Fault, FaultKind, Faults};
use crate::lock::lock;
use crate::record::{Messages, Records};
use crate::rules::Rules;
use crate::sink::Sink;

/// The state of a stand-in. The control API and the Rust API are thin layers over it.
#[derive(Debug)]
pub struct World {
    started: Instant,
    /// The loopback address that every listener of this stand-in uses.
    pub ip: IpAddr,
    pub runtime: Handle,
    pub records: Records,
    pub messages: Messages,
    pub rules: Rules,
    pub sink: Sink,
    pub faults: Faults,
    /// Receipts of cancelled Pushover emergencies.
    pub cancelled: Mutex<HashSet<String>>,
    /// Notified when a request arrives or ends.
    pub changed: Notify,
    connections: AtomicU64,
    ids: AtomicU64,
}

impl World {
    pub fn new(ip: IpAddr, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            ip,
            runtime,
            records: Records::default(),
            messages: Messages::default(),
            rules: Rules::default(),
            sink: Sink::default(),
            faults: Faults::default(),
            cancelled: Mutex::default(),
            changed: Notify::new(),
            connections: AtomicU64::new(0),
            ids: AtomicU64::new(0),
        })
    }

    /// Milliseconds since the start, by a monotonic clock.
    pub fn now_ms(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1000.0
    }

    /// The number of the next connection, from 1.
    pub fn next_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// A number that is unique in this stand-in.
    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits until a condition holds, at most `limit`.
    pub async fn wait(&self, limit: Duration, condition: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        // The caller checks the state itself.
        let _ = tokio::time::timeout(limit, waiting).await;
    }

    pub fn open_fault(&self, kind: FaultKind) -> io::Result<Fault> {
        self.faults.open(kind, self.ip, &self.runtime)
    }

    /// Clears records, messages, cancellations, rules and sink counts, but not faults and TLS listeners.
    pub fn clear(&self) {
        self.records.clear();
        self.messages.clear();
        self.rules.clear();
        self.sink.clear();
        lock(&self.cancelled).clear();
    }
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
