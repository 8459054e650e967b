//! Values in use, and records of former values while they matter.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

/// Maximum number for each kind. The record that expires first is removed first.
pub const MAX_REMEMBERED: usize = 10_000;

/// Values in use, and records of former values.
pub struct Registry<T, M> {
    pub used: HashMap<String, Arc<T>>,
    pub memory: Memory<M>,
}

impl<T, M> Default for Registry<T, M> {
    fn default() -> Self {
        Self {
            used: HashMap::new(),
            memory: Memory::default(),
        }
    }
}

impl<T, M> Registry<T, M> {
    pub fn get(&mut self, key: &str, make: impl FnOnce(Option<M>) -> T) -> Arc<T> {
        if let Some(used) = self.used.get(key) {
            return Arc::clone(used);
        }
        let value = Arc::new(make(self.memory.recall(key)));
        self.used.insert(key.to_owned(), Arc::clone(&value));
        value
    }

    /// Removes an unused value.
    pub fn release(&mut self, key: &str, given_back: Arc<T>) -> Option<T> {
        drop(given_back);
        // All who use it at a time must share it, also those who wait for a retry.
        if Arc::strong_count(self.used.get(key)?) > 1 {
            return None;
        }
        Arc::into_inner(self.used.remove(key)?)
    }
}

/// Values by their key, each until its own end. Every step takes logarithmic time.
pub struct Memory<T> {
    values: HashMap<String, (Instant, T)>,
    ends: BTreeSet<(Instant, String)>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self {
            values: HashMap::new(),
            ends: BTreeSet::new(),
        }
    }
}

impl<T> Memory<T> {
    pub fn remember(&mut self, key: &str, until: Instant, value: T) {
        self.recall(key);
        self.values.insert(key.to_owned(), (until, value));
        self.ends.insert((until, key.to_owned()));
        let now = Instant::now();
        while let Some((until, _)) = self.ends.first()
            && (*until <= now || self.values.len() > MAX_REMEMBERED)
            && let Some((_, key)) = self.ends.pop_first()
        {
            self.values.remove(&key);
        }
    }

    /// Removes and returns the value, for who uses it again.
    pub fn recall(&mut self, key: &str) -> Option<T> {
        let (until, value) = self.values.remove(key)?;
        self.ends.remove(&(until, key.to_owned()));
        (until > Instant::now()).then_some(value)
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.values.values().map(|(_, value)| value)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        assert_eq!(self.values.len(), self.ends.len());
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_value_is_given_back_once_and_until_its_end() {
        let mut memory = Memory::default();
        let end = Instant::now() + Duration::from_secs(10);
        memory.remember("a", end, 1);
        memory.remember("a", end, 2);
        assert_eq!((memory.recall("a"), memory.recall("a")), (Some(2), None));
        memory.remember("a", end, 3);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(memory.recall("a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn eviction_takes_expired_entries_first_then_the_soonest_to_expire() {
        let mut memory = Memory::default();
        let start = Instant::now();
        let end = |n: usize| start + Duration::from_secs(n as u64);
        for n in 1..=MAX_REMEMBERED + 5 {
            memory.remember(&n.to_string(), end(n), n);
        }
        assert_eq!(memory.len(), MAX_REMEMBERED);
        assert_eq!((memory.recall("5"), memory.recall("6")), (None, Some(6)));
        tokio::time::advance(Duration::from_secs(9_000)).await;
        memory.remember("late", end(20_000), 0);
        assert_eq!(memory.len(), 1006);
    }
}
