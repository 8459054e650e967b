//! Idle connections: their maximum number, and which ones close to make room.
//!
//! The HTTP client does not report its idle connections. It opens a connection only if none is idle. So a pool never
//! has more connections than were in use at once within the client's idle timeout.

use std::time::Duration;

use hashlink::LinkedHashMap;
use tokio::time::Instant;

use crate::transport::{KEEP_IDLE, NumberHash, PoolKey};

/// Maximum number of pools; each has its own client.
const MAX_POOLS: usize = 256;
/// The client closes an idle connection when it looks the next time after [`KEEP_IDLE`], which it does as often.
const GONE_AFTER: Duration = Duration::from_secs(2 * KEEP_IDLE.as_secs());

/// The pools, the one used the longest ago first.
#[derive(Default)]
pub struct IdlePools {
    pools: LinkedHashMap<PoolKey, Pool, NumberHash>,
    /// The number in all pools.
    idle: usize,
    /// The number of pools opened since `counting_since`.
    opened: usize,
    counting_since: Option<Instant>,
}

struct Pool {
    in_use: usize,
    /// The most in use at once, since then and in the time before.
    most: usize,
    most_before: usize,
    since: Instant,
}

impl Pool {
    const fn new(now: Instant) -> Self {
        Self {
            in_use: 0,
            most: 0,
            most_before: 0,
            since: now,
        }
    }

    fn idle(&self) -> usize {
        self.most.max(self.most_before) - self.in_use
    }

    fn update(&mut self, now: Instant) {
        let elapsed = now - self.since;
        if elapsed >= GONE_AFTER {
            self.most_before = if elapsed >= 2 * GONE_AFTER {
                self.in_use
            } else {
                self.most
            };
            self.most = self.in_use;
            self.since = now;
        }
        self.most = self.most.max(self.in_use);
    }
}

impl IdlePools {
    /// Returns whether one more connection may open besides `in_use`, or an idle one of the pool may be reused.
    /// Together with the idle ones, `limit` is the maximum. Connections of a pool in use cannot be closed here: the
    /// client closes idle ones later.
    pub fn has_room(&self, wanted: Option<PoolKey>, in_use: usize, limit: usize) -> bool {
        let idle_in = |key| self.pools.get(&key).map_or(0, Pool::idle);
        in_use + self.idle < limit || wanted.is_some_and(|key| idle_in(key) > 0) || {
            let unused = self.pools.iter().filter(|(_, pool)| pool.in_use == 0);
            let closable: usize = unused.map(|(_, pool)| pool.idle()).sum();
            in_use + self.idle - closable < limit
        }
    }

    /// Opens a connection where there is room for it, or uses an idle one. Gives the pool that it returns to, if there is one.
    /// Closes the pools that were used the longest ago to make room.
    pub fn open(
        &mut self,
        wanted: Option<PoolKey>,
        in_use: usize,
        limit: usize,
        mut close: impl FnMut(PoolKey),
    ) -> Option<PoolKey> {
        let now = Instant::now();
        let known = wanted.filter(|key| self.pools.contains_key(key));
        let has_idle = known.is_some_and(|key| self.change(key, now, |_| {}) > 0);
        while !has_idle && in_use + self.idle >= limit {
            let mut unused = self.pools.iter().filter(|(_, pool)| pool.in_use == 0);
            let unused = unused.find(|(_, pool)| pool.idle() > 0);
            let Some(key) = unused.map(|(key, _)| *key) else {
                break;
            };
            self.close(key, &mut close);
        }
        let known = known.filter(|key| self.pools.contains_key(key));
        let pool = known.or_else(|| wanted.filter(|_| self.may_make_pool(limit, now, &mut close)));
        if let Some(key) = pool {
            self.change(key, now, |pool| pool.in_use += 1);
        }
        pool
    }

    pub fn give_back(&mut self, key: PoolKey) {
        self.change(key, Instant::now(), |pool| pool.in_use -= 1);
    }

    /// Updates a pool that was just used. Returns the number of its idle connections.
    fn change(&mut self, key: PoolKey, now: Instant, change: impl FnOnce(&mut Pool)) -> usize {
        let known = self.pools.remove(&key);
        let mut pool = known.unwrap_or_else(|| Pool::new(now));
        self.idle -= pool.idle();
        change(&mut pool);
        pool.update(now);
        let idle = pool.idle();
        self.idle += idle;
        self.pools.insert(key, pool);
        idle
    }

    /// Not if so many servers take turns that no connection would be used again.
    fn may_make_pool(
        &mut self,
        limit: usize,
        now: Instant,
        close: &mut impl FnMut(PoolKey),
    ) -> bool {
        if self
            .counting_since
            .is_none_or(|since| now - since >= KEEP_IDLE)
        {
            self.counting_since = Some(now);
            self.opened = 0;
        }
        let most = (limit / 2).min(MAX_POOLS);
        if self.opened >= most {
            return false;
        }
        if self.pools.len() >= most {
            let unused = self.pools.iter().find(|(_, pool)| pool.in_use == 0);
            let Some(unused) = unused.map(|(key, _)| *key) else {
                return false;
            };
            self.close(unused, close);
        }
        self.opened += 1;
        true
    }

    fn close(&mut self, key: PoolKey, close: &mut impl FnMut(PoolKey)) {
        if let Some(pool) = self.pools.remove(&key) {
            self.idle -= pool.idle();
            close(key);
        }
    }
}
