//! The interface by which delivery reports to the alert state.

use std::fmt::Debug;

use super::outcome::Outcome;
use super::plan::PlannedSend;

/// What becomes of a delivery whose content is out of date.
#[derive(Debug)]
pub enum Renewal {
    Replaced(Box<PlannedSend>),
    /// Nothing is left to say.
    Superseded,
}

/// Observes the ends of a task's deliveries.
pub trait DeliveryObserver: Send + Sync + Debug {
    /// Reports the end of the delivery at this index in the task. Must not block.
    fn ended(&self, task: &str, index: usize, outcome: &Outcome);

    /// Returns what to send in place of the content that nobody has seen yet; `None`: the content is up to date.
    fn renew(&self, task: &str, index: usize) -> Option<Renewal>;

    /// Reports that the task was not accepted. None of its deliveries begins.
    fn not_accepted(&self, task: &str);
}
