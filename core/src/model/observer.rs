//! The interface by which delivery reports to the alert state.

use std::fmt::Debug;

use super::outcome::Outcome;

/// Learns how the deliveries of a task end.
pub trait DeliveryObserver: Send + Sync + Debug {
    /// A delivery has ended, by its place in the task. Must not block.
    fn ended(&self, task: &str, index: usize, outcome: &Outcome);

    /// The task was not accepted, and none of its deliveries begins.
    fn not_accepted(&self, task: &str);
}
