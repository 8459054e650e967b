//! Which connections may serve which requests.

use std::hash::{DefaultHasher, Hash, Hasher};
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
