//! The response to a caller. It is always a JSON object with `results`.

use std::collections::HashMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::outcome::{Failure, Outcome, Reason};
use crate::model::report::{DeliveryReport, RequestReport};

/// The response to an accepted request.
#[derive(Debug, Serialize)]
pub struct RequestResponse {
    pub status: RequestStatus,
    message: &'static str,
    task_id: String,
    results: Results,
    #[serde(serialize_with = "entries")]
    deliveries: Vec<DeliveryReport>,
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<String>,
}

/// The response to a refused request.
#[derive(Debug, Serialize)]
pub struct ErrorResponse {
    pub status: RequestStatus,
    pub message: String,
    pub task_id: Option<String>,
    pub results: Results,
    pub deliveries: [(); 0],
    pub warnings: Vec<String>,
    pub error: ErrorDetail,
}

#[derive(Debug, Serialize)]
pub struct ErrorDetail {
    pub code: &'static str,
    pub path: Option<String>,
    pub hint: String,
}

/// The status of all deliveries together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestStatus {
    Success,
    Pending,
    Partial,
    Failed,
}

/// One entry of `results`, for a sender or a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SenderResult {
    // In order from best to worst. The worst of several results applies.
    Ignored,
    DryRun,
    Delivered,
    Suppressed,
    Pending,
    Ambiguous,
    Failed,
    Invalid,
}

/// Senders with their results, in the order of the request.
#[derive(Debug, Default)]
pub struct Results(Vec<(String, SenderResult)>);

/// One entry of `deliveries`.
#[derive(Debug, Serialize)]
pub struct DeliveryEntry<'a> {
    index: usize,
    sender: &'a str,
    receiver: Option<&'a str>,
    destination: Option<&'a str>,
    outcome: &'static str,
    reason: Option<&'static str>,
    detail: Option<&'a str>,
    hint: Option<&'a str>,
    http_status: Option<u16>,
    attempts: u32,
    parts: usize,
    parts_delivered: usize,
    elapsed_ms: u64,
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_in_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<PreviewEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct PreviewEntry<'a> {
    content_type: &'a str,
    body: &'a str,
}

impl RequestResponse {
    pub fn new(report: RequestReport) -> Self {
        let status = RequestStatus::of(&report.deliveries);
        let results = Results::of(&report.deliveries);
        Self {
            status,
            message: "Request processed",
            task_id: report.task_id,
            results,
            deliveries: report.deliveries,
            warnings: report.warnings,
            replayed: report.replayed.then_some(true),
            joined: report.joined,
        }
    }

    /// Returns the number of deliveries in the report.
    pub const fn size(&self) -> usize {
        self.deliveries.len()
    }
}

/// Creates each entry during serialization: ten thousand entries at once would need some megabytes more.
fn entries<S: Serializer>(deliveries: &[DeliveryReport], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(deliveries.iter().map(DeliveryEntry::new))
}

impl RequestStatus {
    /// Returns the status of all deliveries except ignored ones. A sender with at least one successful destination has
    /// not failed. If all deliveries are ignored, the plugin sent nothing.
    pub fn of(deliveries: &[DeliveryReport]) -> Self {
        let is = |wanted: fn(&Outcome) -> bool| {
            deliveries.iter().any(|delivery| wanted(&delivery.outcome))
        };
        let failed = is(|outcome| matches!(outcome, Outcome::Failed(_)));
        let ambiguous = is(|outcome| matches!(outcome, Outcome::Ambiguous(_)));
        let pending = is(|outcome| matches!(outcome, Outcome::Pending(_)));
        let done = is(|outcome| {
            matches!(
                outcome,
                Outcome::Delivered { .. } | Outcome::Suppressed { .. } | Outcome::DryRun
            )
        });
        if !(deliveries.is_empty() || failed || ambiguous || pending || done) {
            return RequestStatus::Failed;
        }
        match (failed || ambiguous, pending) {
            (false, false) => RequestStatus::Success,
            (false, true) => RequestStatus::Pending,
            (true, false) if !ambiguous && !done => RequestStatus::Failed,
            (true, _) => RequestStatus::Partial,
        }
    }
}

impl Results {
    pub fn of(deliveries: &[DeliveryReport]) -> Self {
        let mut results: Vec<(String, SenderResult)> = Vec::new();
        // A map, because a request may name ten thousand senders.
        let mut indices: HashMap<&str, usize> = HashMap::new();
        for delivery in deliveries {
            let name = delivery.receiver.as_ref().unwrap_or(&delivery.sender);
            let result = SenderResult::of(&delivery.outcome);
            let index = *indices.entry(name).or_insert(results.len());
            match results.get_mut(index) {
                Some((_, worst)) => *worst = result.max(*worst),
                None => results.push((name.clone(), result)),
            }
        }
        Self(results)
    }
}

impl SenderResult {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::DryRun => SenderResult::DryRun,
            Outcome::Ignored => SenderResult::Ignored,
            Outcome::Delivered { .. } => SenderResult::Delivered,
            Outcome::Suppressed { .. } => SenderResult::Suppressed,
            Outcome::Pending(_) => SenderResult::Pending,
            Outcome::Ambiguous(_) => SenderResult::Ambiguous,
            Outcome::Failed(failure) => match failure.reason {
                Reason::UnknownSender | Reason::UnknownReceiver => SenderResult::Invalid,
                _ => SenderResult::Failed,
            },
        }
    }
}

impl Serialize for SenderResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            SenderResult::Delivered => serializer.serialize_bool(true),
            SenderResult::Failed => serializer.serialize_bool(false),
            SenderResult::Pending => serializer.serialize_str("pending"),
            SenderResult::Ambiguous => serializer.serialize_str("ambiguous"),
            SenderResult::Suppressed => serializer.serialize_str("suppressed"),
            SenderResult::DryRun => serializer.serialize_str("dry_run"),
            SenderResult::Ignored => serializer.serialize_str("ignored"),
            SenderResult::Invalid => serializer.serialize_str("Invalid sender"),
        }
    }
}

impl Serialize for Results {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, result) in &self.0 {
            map.serialize_entry(name, result)?;
        }
        map.end()
    }
}

impl<'a> DeliveryEntry<'a> {
    pub fn new(report: &'a DeliveryReport) -> Self {
        let milliseconds =
            |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let failure = report.outcome.failure();
        Self {
            index: report.index,
            sender: &report.sender,
            receiver: report.receiver.as_deref(),
            destination: report.destination.as_deref(),
            outcome: report.outcome.code(),
            reason: failure.map(|failure| failure.reason.code()),
            detail: failure.map(|failure| match &failure.detail {
                Some(detail) => detail.as_str(),
                None => failure.reason.sentence(),
            }),
            hint: failure.map(Failure::hint),
            http_status: report.http_status,
            attempts: report.attempts,
            parts: report.parts,
            parts_delivered: report.parts_delivered,
            elapsed_ms: milliseconds(report.elapsed),
            message_id: match &report.outcome {
                Outcome::Delivered { message } => message.as_ref().map(|message| &*message.0),
                _ => None,
            },
            path: report.path.as_deref(),
            segments: report.segments,
            next_attempt_in_ms: report.next_attempt_in.map(milliseconds),
            preview: report.preview.as_ref().map(|preview| PreviewEntry {
                content_type: &preview.content_type,
                body: &preview.body,
            }),
            rule: match &report.outcome {
                Outcome::Suppressed { rule } => Some(rule),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(sender: &str, outcome: Outcome) -> DeliveryReport {
        DeliveryReport::new(0, sender.to_owned(), outcome)
    }

    fn outcome(word: char) -> Outcome {
        let failed = |reason| Failure::new(reason);
        match word {
            'd' => Outcome::Delivered { message: None },
            'f' => Outcome::Failed(failed(Reason::Timeout)),
            'i' => Outcome::Failed(failed(Reason::UnknownSender)),
            'p' => Outcome::Pending(None),
            'a' => Outcome::Ambiguous(failed(Reason::LostReply)),
            'g' => Outcome::Ignored,
            's' => Outcome::Suppressed {
                rule: "r".to_owned(),
            },
            _ => Outcome::DryRun,
        }
    }

    #[test]
    fn the_status_of_every_combination() {
        for (outcomes, status) in [
            ("", RequestStatus::Success),
            ("d", RequestStatus::Success),
            ("dd", RequestStatus::Success),
            ("ds", RequestStatus::Success),
            ("y", RequestStatus::Success),
            ("dy", RequestStatus::Success),
            ("s", RequestStatus::Success),
            ("p", RequestStatus::Pending),
            ("dp", RequestStatus::Pending),
            ("sp", RequestStatus::Pending),
            ("f", RequestStatus::Failed),
            ("ff", RequestStatus::Failed),
            ("i", RequestStatus::Failed),
            ("fi", RequestStatus::Failed),
            ("df", RequestStatus::Partial),
            ("di", RequestStatus::Partial),
            ("pf", RequestStatus::Partial),
            ("sf", RequestStatus::Partial),
            ("yf", RequestStatus::Partial),
            ("a", RequestStatus::Partial),
            ("af", RequestStatus::Partial),
            ("ad", RequestStatus::Partial),
            ("ap", RequestStatus::Partial),
            ("dfp", RequestStatus::Partial),
            ("g", RequestStatus::Failed),
            ("gg", RequestStatus::Failed),
            ("gd", RequestStatus::Success),
            ("gp", RequestStatus::Pending),
            ("gf", RequestStatus::Failed),
            ("gdf", RequestStatus::Partial),
        ] {
            let deliveries: Vec<_> = outcomes
                .chars()
                .map(|word| delivery("x", outcome(word)))
                .collect();
            assert_eq!(RequestStatus::of(&deliveries), status, "{outcomes:?}");
        }
    }

    #[test]
    fn of_several_configurations_of_one_sender_the_worst_stands() {
        for (outcomes, result) in [
            ("d", "true"),
            ("df", "false"),
            ("fa", "false"),
            ("ap", "\"ambiguous\""),
            ("ps", "\"pending\""),
            ("sd", "\"suppressed\""),
            ("dy", "true"),
            ("y", "\"dry_run\""),
            ("i", "\"Invalid sender\""),
            ("g", "\"ignored\""),
        ] {
            for order in [outcomes.to_owned(), outcomes.chars().rev().collect()] {
                let deliveries: Vec<_> = order
                    .chars()
                    .map(|word| delivery("x", outcome(word)))
                    .collect();
                let json = serde_json::to_string(&Results::of(&deliveries)).unwrap();
                assert_eq!(json, format!("{{\"x\":{result}}}"), "{order}");
            }
        }
    }
}
