//! Deliveries that are held, and the digest that stands for them.

mod ahead;
mod flush;
mod pending;
mod tally;

pub use self::ahead::{Ahead, AheadGuard};
pub use self::pending::PendingDigest;
pub use self::tally::LimitKind;
