//! The report of a request, which `api` renders.

use std::sync::Arc;
use std::time::Duration;

use super::outcome::{Detail, Outcome};

/// The state of one delivery at one moment.
#[derive(Clone, Debug)]
pub struct DeliveryReport {
    pub index: usize,
    pub sender: String,
    pub receiver: Option<String>,
    /// The destination's label; none where the configuration could not be used.
    pub destination: Option<String>,
    pub outcome: Outcome,
    /// Where in the request the fault is.
    pub path: Option<String>,
    pub http_status: Option<u16>,
    pub attempts: u32,
    pub parts: usize,
    pub parts_delivered: usize,
    pub segments: Option<u32>,
    pub elapsed: Duration,
    /// Until the next attempt, where one is waited for.
    pub next_attempt_in: Option<Duration>,
    pub preview: Option<Preview>,
}

impl DeliveryReport {
    /// A delivery before its first attempt.
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
        }
    }

    /// The memory of any report, with the longest failure.
    pub const LEAST_BYTES: usize = size_of::<Self>() + Detail::MAX_CHARACTERS;

    /// Bytes that keeping it costs, roughly.
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
    /// The configuration file of the triggers whose calls may write it.
    pub config: Arc<str>,
    /// Lines are unique: each has its own time.
    pub line: String,
}

/// The message in a dry run.
#[derive(Clone, Debug)]
pub struct Preview {
    pub content_type: String,
    /// The messages' bodies, a line each.
    pub body: String,
}

/// The response's content for an accepted request.
#[derive(Clone, Debug)]
pub struct RequestReport {
    pub task_id: String,
    pub deliveries: Vec<DeliveryReport>,
    pub warnings: Vec<String>,
    /// An earlier request under the same idempotency key: this is its state now.
    pub replayed: bool,
    /// The task of an identical request in flight that this one joined.
    pub joined: Option<String>,
}
