//! Stored reports: JSON that later versions can read.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::LastNotification;
use crate::model::notification::{AlertState, AlertStatus, Level};
use crate::model::outcome::{Detail, Failure, MessageRef, Outcome, Reason};
use crate::model::report::{DeliveryOrigin, DeliveryReport};
use crate::secret::Redactor;

/// The stored form of a report. Its member names do not change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    sender: String,
    receiver: Option<String>,
    destination: Option<String>,
    outcome: String,
    reason: Option<String>,
    detail: Option<String>,
    hint: Option<String>,
    rule: Option<String>,
    message: Option<String>,
    path: Option<String>,
    http_status: Option<u16>,
    attempts: u32,
    parts: usize,
    parts_delivered: usize,
    segments: Option<u32>,
    elapsed_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
}

impl Record {
    pub fn of(report: &DeliveryReport) -> Self {
        let failure = report.outcome.failure();
        let origin = report.origin.as_deref();
        let (mut rule, mut message) = (None, None);
        match &report.outcome {
            Outcome::Suppressed { rule: name } => rule = Some(name.clone()),
            Outcome::Delivered { message: name } => {
                message = name.as_ref().map(|name| name.0.clone());
            }
            _ => {}
        }
        Self {
            sender: report.sender.clone(),
            receiver: report.receiver.clone(),
            destination: report.destination.clone(),
            outcome: report.outcome.code().to_owned(),
            reason: failure.map(|failure| failure.reason.code().to_owned()),
            detail: failure
                .and_then(|failure| failure.detail.as_ref())
                .map(|detail| detail.as_str().to_owned()),
            hint: failure
                .and_then(|failure| failure.hint.as_ref())
                .map(ToString::to_string),
            rule,
            message,
            path: report.path.clone(),
            http_status: report.http_status,
            attempts: report.attempts,
            parts: report.parts,
            parts_delivered: report.parts_delivered,
            segments: report.segments,
            elapsed_ms: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
            route: origin.and_then(|origin| origin.route.clone()),
            group_key: origin.and_then(|origin| origin.group_key.clone()),
            kind: origin.and_then(|origin| origin.kind.clone()),
        }
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None`: another version wrote values that this one does not know.
    pub fn read(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    pub fn report(self, index: usize) -> DeliveryReport {
        let failure = self.reason.as_deref().map(|code| {
            // An unknown reason of a later version still means a failure.
            let reason = Reason::from_code(code).unwrap_or(Reason::Internal);
            let detail = self.detail.as_deref();
            let detail = detail.and_then(|detail| Detail::new(detail, &Redactor::default()));
            let failure = Failure::new(reason).with_detail(detail);
            match self.hint {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            }
        });
        let or_internal =
            |failure: Option<Failure>| failure.unwrap_or(Failure::new(Reason::Internal));
        let outcome = match self.outcome.as_str() {
            "delivered" => Outcome::Delivered {
                message: self.message.map(MessageRef),
            },
            "pending" => Outcome::Pending(failure),
            "ambiguous" => Outcome::Ambiguous(or_internal(failure)),
            "suppressed" => Outcome::Suppressed {
                rule: self.rule.unwrap_or_default(),
            },
            "ignored" => Outcome::Ignored,
            "dry_run" => Outcome::DryRun,
            _ => Outcome::Failed(or_internal(failure)),
        };
        let origin = DeliveryOrigin {
            route: self.route,
            group_key: self.group_key,
            kind: self.kind,
        };
        DeliveryReport {
            index,
            sender: self.sender,
            receiver: self.receiver,
            destination: self.destination,
            outcome,
            path: self.path,
            http_status: self.http_status,
            attempts: self.attempts,
            parts: self.parts,
            parts_delivered: self.parts_delivered,
            segments: self.segments,
            elapsed: Duration::from_millis(self.elapsed_ms),
            next_attempt_in: None,
            preview: None,
            origin: Some(origin)
                .filter(|origin| *origin != DeliveryOrigin::default())
                .map(Arc::new),
        }
    }
}

/// The stored form of a last notification. Its member names do not change.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LastNotificationRecord {
    message: Option<String>,
    state: Option<String>,
    at_ms: u64,
}

impl LastNotificationRecord {
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// `None`: another version wrote values that this one does not know.
    pub fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

impl From<&LastNotification> for LastNotificationRecord {
    fn from(last: &LastNotification) -> Self {
        let at = last.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            message: last.message.as_ref().map(|message| message.0.clone()),
            state: last.state.map(state_text),
            at_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl From<LastNotificationRecord> for LastNotification {
    fn from(record: LastNotificationRecord) -> Self {
        Self {
            message: record.message.map(MessageRef),
            state: record.state.as_deref().and_then(read_state),
            // No version writes a time beyond the clock's range.
            at: UNIX_EPOCH
                .checked_add(Duration::from_millis(record.at_ms))
                .unwrap_or(UNIX_EPOCH),
        }
    }
}

/// `critical firing`; an absent part is empty.
pub fn state_text(state: AlertState) -> String {
    let level = state.level.map_or("", Level::word);
    let status = state.status.map_or("", AlertStatus::word);
    format!("{level} {status}")
}

/// `None`: a later version wrote a value that this one does not know, so every state counts as new.
pub fn read_state(text: &str) -> Option<AlertState> {
    let (level, status) = text.split_once(' ')?;
    let level = (!level.is_empty()).then(|| Level::parse(level).ok_or(()));
    let status = (!status.is_empty()).then(|| AlertStatus::parse(status).ok_or(()));
    Some(AlertState {
        level: level.transpose().ok()?,
        status: status.transpose().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_comes_back_as_it_was() {
        let failure = Failure::new(Reason::Rejected)
            .with_detail(Some(Detail::from("Slack: no_text")))
            .with_hint("Say something.");
        for outcome in [
            Outcome::Delivered {
                message: Some(MessageRef("SM1".to_owned())),
            },
            Outcome::Delivered { message: None },
            Outcome::Failed(failure.clone()),
            Outcome::Ambiguous(Failure::new(Reason::LostReply)),
            Outcome::Pending(None),
            Outcome::Pending(Some(failure)),
            Outcome::Suppressed {
                rule: "night".to_owned(),
            },
            Outcome::DryRun,
            Outcome::Ignored,
        ] {
            let report = DeliveryReport {
                index: 3,
                sender: "slack".to_owned(),
                receiver: Some("oncall".to_owned()),
                destination: Some("slack hooks.slack.com#9c41".to_owned()),
                outcome,
                path: Some("senders_config.slack".to_owned()),
                http_status: Some(400),
                attempts: 2,
                parts: 3,
                parts_delivered: 1,
                segments: Some(4),
                elapsed: Duration::from_millis(1234),
                next_attempt_in: None,
                preview: None,
                origin: Some(Arc::new(DeliveryOrigin {
                    route: Some("databases".to_owned()),
                    group_key: None,
                    kind: Some("moved".to_owned()),
                })),
            };
            let json = Record::of(&report).json();
            let again = Record::read(&json).unwrap().report(3);
            assert_eq!(format!("{again:?}"), format!("{report:?}"));
        }
    }

    #[test]
    fn unknown_members_of_a_later_version_are_ignored() {
        let json = r#"{"sender": "x", "outcome": "teleported", "reason": "beam_lost", "new": 1}"#;
        let report = Record::read(json).unwrap().report(0);
        assert_eq!(
            report.outcome,
            Outcome::Failed(Failure::new(Reason::Internal))
        );
        assert_eq!(report.sender, "x");
        assert!(Record::read("no JSON").is_none());
    }

    #[test]
    fn a_later_reason_is_internal_in_every_outcome_and_keeps_its_detail_and_hint() {
        let internal = Failure::new(Reason::Internal)
            .with_detail(Some(Detail::from("no beam")))
            .with_hint("Look up.");
        for (code, outcome) in [
            ("failed", Outcome::Failed(internal.clone())),
            ("ambiguous", Outcome::Ambiguous(internal.clone())),
            ("pending", Outcome::Pending(Some(internal))),
        ] {
            let json = format!(
                r#"{{"outcome": "{code}", "reason": "beam_lost", "detail": "no beam", "hint": "Look up.", "new": {{}}}}"#
            );
            assert_eq!(Record::read(&json).unwrap().report(0).outcome, outcome);
        }
    }

    #[test]
    fn a_last_notification_of_a_later_version_keeps_known_members() {
        for state in ["molten firing", "critical melting", "critical", ""] {
            let json = format!(r#"{{"message": "7", "state": "{state}", "at_ms": 5, "new": [1]}}"#);
            let record = LastNotificationRecord::read(json.as_bytes()).unwrap();
            let last = LastNotification::from(record);
            assert_eq!(last.message, Some(MessageRef("7".to_owned())));
            assert_eq!(
                (last.state, last.at),
                (None, UNIX_EPOCH + Duration::from_millis(5))
            );
        }
    }
}
