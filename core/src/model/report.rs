//! The report of a request, which the module `api` renders.

use std::sync::Arc;
use std::time::Duration;

use super::outcome::{Detail, Outcome};

/// The state of one delivery at one moment.
#[derive(Clone, Debug)]
pub struct DeliveryReport {
    pub index: usize,
    pub sender: String,
    pub receiver: Option<String>,
    /// The destination's label. `None` if the configuration is invalid.
    pub destination: Option<String>,
    pub outcome: Outcome,
    /// The path of the error in the request.
    pub path: Option<String>,
    pub http_status: Option<u16>,
    pub attempts: u32,
    pub parts: usize,
    pub parts_delivered: usize,
    pub segments: Option<u32>,
    pub elapsed: Duration,
    /// The time until the next attempt, if one is scheduled.
    pub next_attempt_in: Option<Duration>,
    pub preview: Option<Preview>,
    /// Only where the history records it, or the alert state has planned the delivery.
    pub origin: Option<Arc<DeliveryOrigin>>,
}

/// The rule that selected a delivery's destination, and the group that it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryOrigin {
    /// The route's name, or its matchers; `default_receivers`.
    pub route: Option<String>,
    pub group_key: Option<String>,
    /// Why the destination is notified of the group: `first`, `change`, `resolved` or `moved`.
    pub kind: Option<String>,
}

impl DeliveryReport {
    /// Returns the report before the first attempt.
    pub const fn new(index: usize, sender: String, outcome: Outcome) -> Self {
        Self {
            index,
            sender,
            receiver: None,
            destination: None,
            outcome,
            path: None,
            http_status: None,
            attempts: 0,
            parts: 0,
            parts_delivered: 0,
            segments: None,
            elapsed: Duration::ZERO,
            next_attempt_in: None,
            preview: None,
            origin: None,
        }
    }

    /// The size of a report with the longest failure.
    pub const LEAST_BYTES: usize = size_of::<Self>() + Detail::MAX_CHARACTERS;

    /// Returns the approximate memory size in bytes.
    pub fn size(&self) -> usize {
        let preview = self
            .preview
            .as_ref()
            .map_or(0, |preview| preview.body.len());
        let texts = [&self.receiver, &self.destination, &self.path];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        Self::LEAST_BYTES + self.sender.len() + texts + preview
    }
}

/// One row of the history table, as line protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// The configuration file of the triggers whose calls may write the row.
    pub config: Arc<str>,
    /// The unique line; each line has its own time.
    pub line: String,
}

/// The message in a dry run.
#[derive(Clone, Debug)]
pub struct Preview {
    pub content_type: String,
    /// The messages' bodies, one on each line.
    pub body: String,
}

/// The response's content for an accepted request.
#[derive(Clone, Debug)]
pub struct RequestReport {
    pub task_id: String,
    pub deliveries: Vec<DeliveryReport>,
    pub warnings: Vec<String>,
    /// Whether the idempotency key is that of an earlier request, whose current state this is.
    pub replayed: bool,
    /// The task of the identical request in flight that this request joined.
    pub joined: Option<String>,
}
