//! Which connections may serve which requests.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;

use crate::model::policy::ClientKey;
use crate::model::wire::HttpRequest;

/// The connections to one server under one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolKey(NonZeroU64);

impl PoolKey {
    pub fn of(request: &HttpRequest, client: &ClientKey) -> Self {
        let url = &request.url;
        let mut hash = DefaultHasher::new();
        (url.scheme(), url.host_str(), url.port_or_known_default()).hash(&mut hash);
        client.hash(&mut hash);
        Self(NonZeroU64::new(hash.finish()).unwrap_or(NonZeroU64::MIN))
    }
}

/// A map whose keys are hashes, or numbers that no outsider chooses.
pub type NumberMap<K, V> = HashMap<K, V, NumberHash>;
pub type NumberHash = BuildHasherDefault<NumberHasher>;

/// Spreads a number over all bits by one multiplication.
#[derive(Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ number) * u128::from(GOLDEN_RATIO);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}
