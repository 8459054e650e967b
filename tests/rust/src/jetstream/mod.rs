//! An in-memory model of the parts of JetStream that the store on NATS uses. Its time is tokio's, so tests can pause
//! it.
//!
//! A [`Link`] connects one process to the servers. A test cuts it at any question: before the servers have the
//! question, or after they performed it and before the reply. After that, nothing of that process arrives, as if it
//! were killed.

mod link;
mod servers;

pub use self::link::Link;
pub use self::servers::Servers;
