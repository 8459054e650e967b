//! The interface by which delivery reports to the alert state.

use std::fmt::Debug;

use super::outcome::Outcome;

/// Observes the ends of a task's deliveries.
pub trait DeliveryObserver: Send + Sync + Debug {
    /// Reports the end of the delivery at this index in the task. Must not block.
    fn ended(&self, task: &str, index: usize, outcome: &Outcome);

    /// Reports that the task was not accepted. None of its deliveries begins.
    fn not_accepted(&self, task: &str);
}
