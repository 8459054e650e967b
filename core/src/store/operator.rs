//! An operator's view of an outbox and changes to it, while processes use it.

use super::StoreError;
use crate::model::outcome::{Failure, Outcome, Reason};
use crate::model::report::DeliveryReport;

/// The operations of the command line. They block until the disk or the servers reply.
pub trait Operator: Send {
    /// The oldest first.
    fn list(
        &mut self,
        filter: &DeliveryFilter,
        limit: usize,
    ) -> Result<Vec<ListedDelivery>, StoreError>;

    /// The request's JSON without its destinations; `None`: no such task.
    fn request_json(&mut self, task: &str) -> Result<Option<String>, StoreError>;

    /// Redrives dead letters with a new deadline of the same length. Returns their number.
    fn retry(&mut self, filter: &DeliveryFilter) -> Result<usize, StoreError>;

    /// Drops dead letters and waiting deliveries. Returns their number.
    fn drop(&mut self, filter: &DeliveryFilter) -> Result<usize, StoreError>;

    fn stats(&mut self) -> Result<Stats, StoreError>;
}

/// Selects deliveries; all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// A task's id or a prefix of it, and the index of one delivery.
    pub task: Option<(String, Option<usize>)>,
    /// Empty: any.
    pub states: Vec<StoredState>,
    pub sender: Option<String>,
    pub receiver: Option<String>,
    /// The reason's code.
    pub reason: Option<String>,
}

/// The stored state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredState {
    /// It has not ended.
    Waiting,
    /// It failed permanently, or its result is unknown.
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
    /// Whether a live process owns it.
    pub owned: bool,
    /// Whether the outbox holds its destination's configuration, sealed.
    pub sealed: bool,
    pub report: DeliveryReport,
}

/// Totals of an outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Stats {
    pub waiting: u64,
    pub dead: u64,
    pub ended: u64,
    pub dropped: u64,
    pub requests: u64,
    /// When the oldest open request was accepted.
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

    /// The state of a delivery with this outcome.
    pub fn ended(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Failed(failure) if failure.reason == Reason::Dropped => StoredState::Dropped,
            Outcome::Failed(_) | Outcome::Ambiguous(_) => StoredState::Dead,
            _ => StoredState::Ended,
        }
    }
}

/// The report of a redriven dead letter.
pub fn retried(report: &DeliveryReport) -> DeliveryReport {
    DeliveryReport {
        outcome: Outcome::Pending(report.outcome.failure().cloned()),
        attempts: 0,
        http_status: None,
        ..report.clone()
    }
}

/// The report of a dropped delivery.
pub fn dropped(report: &DeliveryReport) -> DeliveryReport {
    DeliveryReport {
        outcome: Outcome::Failed(Failure::new(Reason::Dropped)),
        ..report.clone()
    }
}
