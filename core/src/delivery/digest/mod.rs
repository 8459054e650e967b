//! Deliveries that are queued for a digest, and the digest.

mod ahead;
mod flush;
mod pending;
mod tally;

pub use self::ahead::{Ahead, AheadGuard};
pub use self::pending::PendingDigest;
pub use self::tally::LimitKind;
