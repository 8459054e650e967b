//! A model of JetStream in memory: what the store on NATS relies on, and nothing else. Time is tokio's, so that tests pause it.
//!
//! A [`Link`] is the way of one process to the servers. A test cuts it at any question: before the servers have the question,
//! or after they have done what it asks and before the reply. From then on nothing of that process arrives, as if it were killed.

mod link;
mod servers;

pub use self::link::Link;
pub use self::servers::Servers;
