//! What an operator looks at and does in an outbox, while processes go on working with it.

use super::StoreError;
use crate::model::outcome::{Failure, Outcome, Reason};
use crate::model::report::DeliveryReport;

/// What an operator can do. Waits for the disk, or for the servers.
pub trait Operator: Send {
    /// The oldest first.
    fn list(
        &mut self,
        choice: &DeliveryFilter,
        limit: usize,
    ) -> Result<Vec<ListedDelivery>, StoreError>;

    /// What a request said, as JSON without destinations; `None`: there is no such task.
    fn request_json(&mut self, task: &str) -> Result<Option<String>, StoreError>;

    /// Lets dead letters be delivered again, with as much time as they had; gives back how many.
    fn retry(&mut self, choice: &DeliveryFilter) -> Result<usize, StoreError>;

    /// Ends deliveries without delivering them: dead letters, and such as wait. Gives back how many.
    fn drop(&mut self, choice: &DeliveryFilter) -> Result<usize, StoreError>;

    fn stats(&mut self) -> Result<Stats, StoreError>;
}

/// Which deliveries are meant; all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// A task's id or its beginning, and the place of one delivery.
    pub task: Option<(String, Option<usize>)>,
    /// Empty: any.
    pub states: Vec<StoredState>,
    pub sender: Option<String>,
    pub receiver: Option<String>,
    /// The reason's code.
    pub reason: Option<String>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredState {
    /// It has not ended.
    Waiting,
    /// It has failed for good, or nobody knows what became of it.
    Dead,
    Ended,
    Dropped,
}

/// A delivery in the outbox.
#[derive(Clone, Debug)]
pub struct ListedDelivery {
    pub task: String,
    pub state: StoredState,
    /// Milliseconds since 1970.
    pub accepted: i64,
    pub deadline: Option<i64>,
    pub ended: Option<i64>,
    /// Whether a process that lives has it.
    pub owned: bool,
    /// Whether its destination is sealed there.
    pub sealed: bool,
    pub report: DeliveryReport,
}

/// Counts of a whole outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    pub waiting: u64,
    pub dead: u64,
    pub ended: u64,
    pub dropped: u64,
    pub requests: u64,
    /// When the oldest request that has not ended was accepted.
    pub oldest: Option<i64>,
    pub bytes: u64,
}

impl StoredState {
    pub const ALL: [StoredState; 4] = [
        StoredState::Waiting,
        StoredState::Dead,
        StoredState::Ended,
        StoredState::Dropped,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            StoredState::Waiting => "waiting",
            StoredState::Dead => "dead",
            StoredState::Ended => "ended",
            StoredState::Dropped => "dropped",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }

    pub fn of(column: &str) -> Self {
        Self::parse(column).unwrap_or(StoredState::Waiting)
    }

    /// In which state a delivery is that ended so.
    pub fn ended(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Failed(failure) if failure.reason == Reason::Dropped => StoredState::Dropped,
            Outcome::Failed(_) | Outcome::Ambiguous(_) => StoredState::Dead,
            _ => StoredState::Ended,
        }
    }
}

/// How a dead letter stands that is to be delivered again.
pub fn retried(report: &DeliveryReport) -> DeliveryReport {
    DeliveryReport {
        outcome: Outcome::Pending(report.outcome.failure().cloned()),
        attempts: 0,
        http_status: None,
        ..report.clone()
    }
}

/// How a delivery stands that is not to be delivered any more.
pub fn dropped(report: &DeliveryReport) -> DeliveryReport {
    DeliveryReport {
        outcome: Outcome::Failed(Failure::new(Reason::Dropped)),
        ..report.clone()
    }
}
