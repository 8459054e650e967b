//! The records in the streams: JSON that later versions can read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::subjects::dedup_token;
use notifier_core::model::plan::Identity;
use notifier_core::model::report::DeliveryReport;
use notifier_core::store::record::Record;
use notifier_core::store::{NewDelivery, NewRequest, OrderKey, StoredRequest, StoredWork, Target};
use notifier_core::text::hex;

/// An accepted request, or a dead letter with its final reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The format's version. A process ignores records of a later version.
    pub version: u32,
    pub task: String,
    scope: String,
    pub key: Option<String>,
    fingerprint: String,
    pub config: String,
    arguments: BTreeMap<String, String>,
    pub request_json: String,
    warnings: Vec<String>,
    /// The token of its dedup key, as in its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup_key: Option<String>,
    /// Milliseconds since 1970, for people. The stream's clock gives the age.
    pub accepted: u64,
    /// An operator redrove it.
    #[serde(default)]
    pub is_retried: bool,
    pub deliveries: Vec<StoredDelivery>,
}

pub const VERSION: u32 = 1;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredDelivery {
    report: Record,
    /// `None`: it has ended, or another message holds it.
    pub work: Option<WorkRecord>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkRecord {
    receiver: Option<String>,
    #[serde(default)]
    destination: usize,
    sealed_config: Option<String>,
    /// Milliseconds from publication until the last attempt must have ended.
    pub timeout_ms: u64,
    composition_hash: String,
    /// The order key of the deliveries that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    order_key: Option<String>,
}

impl RequestRecord {
    pub fn of(request: &NewRequest) -> Self {
        let accepted = millis(request.accepted);
        let deliveries = request.deliveries.iter().map(|delivery| StoredDelivery {
            report: Record::of(&delivery.report),
            work: delivery.work.as_ref().map(WorkRecord::of),
        });
        Self {
            version: VERSION,
            task: request.task.clone(),
            scope: request.identity.scope.to_string(),
            key: request.identity.key.clone(),
            fingerprint: hex(&request.identity.fingerprint),
            config: request.config.clone(),
            arguments: request.arguments.clone(),
            request_json: request.request_json.clone(),
            warnings: request.warnings.clone(),
            dedup_key: request.dedup_key.as_deref().map(dedup_token),
            accepted,
            is_retried: false,
            deliveries: deliveries.collect(),
        }
    }

    pub fn bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// `None`: a later version wrote it, or another program.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let stored: Self = serde_json::from_slice(bytes).ok()?;
        (stored.version <= VERSION).then_some(stored)
    }

    /// Indexes of the open deliveries.
    pub fn open(&self) -> Vec<usize> {
        let indices = self.deliveries.iter().enumerate();
        let open = indices.filter(|(_, delivery)| delivery.work.is_some());
        open.map(|(index, _)| index).collect()
    }

    /// The order keys of the open deliveries, with their indexes.
    pub fn orders(&self) -> impl Iterator<Item = (usize, OrderKey)> {
        let indices = self.deliveries.iter().enumerate();
        indices.filter_map(|(index, delivery)| Some((index, delivery.work.as_ref()?.order_key()?)))
    }

    pub fn reports(&self) -> Vec<DeliveryReport> {
        let indices = self.deliveries.iter().enumerate();
        indices
            .map(|(index, delivery)| delivery.report.clone().report(index))
            .collect()
    }

    pub fn set_report(&mut self, index: usize, record: Record) {
        if let Some(delivery) = self.deliveries.get_mut(index) {
            delivery.report = record;
        }
    }

    /// The dead letter with these deliveries.
    pub fn dead_letter(&self, dead: &BTreeSet<usize>) -> Bytes {
        let deliveries = self.deliveries.iter().enumerate();
        let deliveries = deliveries.map(|(index, delivery)| StoredDelivery {
            report: delivery.report.clone(),
            work: delivery.work.clone().filter(|_| dead.contains(&index)),
        });
        json(&Self {
            deliveries: deliveries.collect(),
            ..self.clone()
        })
    }

    pub fn identity(&self) -> Identity {
        let mut fingerprint = [0; 32];
        read_hex(&self.fingerprint, &mut fingerprint);
        Identity {
            scope: self.scope.as_str().into(),
            key: self.key.clone(),
            fingerprint,
        }
    }

    /// Returns the request for its next owner. `noted` has the notes of its earlier owners. `published` and `now` are
    /// times of the stream's clock.
    pub fn stored_request(
        &self,
        noted: &BTreeMap<usize, DeliveryNote>,
        published: u64,
        now: u64,
    ) -> StoredRequest {
        let in_stream = Duration::from_millis(now.saturating_sub(published));
        let indices = self.deliveries.iter().enumerate();
        let deliveries = indices.map(|(index, delivery)| {
            let mut report = delivery.report.clone().report(index);
            let mut work = delivery.work.as_ref().map(|work| work.work(in_stream));
            if let Some(note) = noted.get(&index) {
                report.parts_delivered = note.parts_delivered;
                if let Some(ended) = &note.ended {
                    report = ended.clone().report(index);
                    work = None;
                }
                if let Some(work) = &mut work {
                    work.attempt_began = note.attempt_began.map(time);
                }
            }
            NewDelivery { report, work }
        });
        StoredRequest {
            task: self.task.clone(),
            identity: self.identity(),
            arguments: self.arguments.clone(),
            request_json: self.request_json.clone(),
            warnings: self.warnings.clone(),
            age: in_stream,
            deliveries: deliveries.collect(),
            behind: Vec::new(),
        }
    }
}

impl WorkRecord {
    fn of(work: &StoredWork) -> Self {
        let (receiver, destination, sealed_config) = match &work.target {
            Target::Receiver { name, index } => (Some(name.clone()), *index, None),
            Target::Sealed(sealed_config) => (None, 0, Some(STANDARD.encode(sealed_config))),
        };
        let timeout_ms = u64::try_from(work.time_left.as_millis()).unwrap_or(u64::MAX);
        Self {
            receiver,
            destination,
            sealed_config,
            timeout_ms,
            composition_hash: hex(&work.composition_hash),
            order_key: work.order_key.map(|order_key| hex(&order_key)),
        }
    }

    fn order_key(&self) -> Option<OrderKey> {
        let mut order_key = [0; 32];
        read_hex(self.order_key.as_ref()?, &mut order_key);
        Some(order_key)
    }

    pub fn is_sealed(&self) -> bool {
        self.sealed_config.is_some()
    }

    fn work(&self, in_stream: Duration) -> StoredWork {
        let mut composition_hash = [0; 32];
        read_hex(&self.composition_hash, &mut composition_hash);
        let sealed_config = self.sealed_config.as_deref().unwrap_or_default();
        StoredWork {
            target: match &self.receiver {
                Some(name) => Target::Receiver {
                    name: name.clone(),
                    index: self.destination,
                },
                None => Target::Sealed(STANDARD.decode(sealed_config).unwrap_or_default()),
            },
            time_left: Duration::from_millis(self.timeout_ms).saturating_sub(in_stream),
            order_key: self.order_key(),
            composition_hash,
            attempt_began: None,
        }
    }
}

/// The note of one delivery, by its owner. It replaces the previous note. The server refuses it if another process
/// wrote a note since then.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DeliveryNote {
    /// The owner of the delivery.
    pub owner: String,
    /// Counts the claims. Together with the owner it is unique: a process may claim a delivery twice.
    #[serde(default)]
    pub fence: u64,
    /// The begin of an attempt that must not be repeated and whose result is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt_began: Option<u64>,
    #[serde(default)]
    pub parts_delivered: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Record>,
}

/// The entry of an idempotency key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyRecord {
    pub task: String,
    pub fingerprint: String,
    pub warnings: Vec<String>,
    /// The subject of the request.
    pub subject: String,
    /// The reports at acceptance, or the final ones.
    pub reports: Vec<Record>,
    #[serde(default)]
    pub has_ended: bool,
}

impl KeyRecord {
    pub fn of(request: &NewRequest, subject: &str) -> Self {
        let reports = request.deliveries.iter();
        Self {
            task: request.task.clone(),
            fingerprint: hex(&request.identity.fingerprint),
            warnings: request.warnings.clone(),
            subject: subject.to_owned(),
            reports: reports
                .map(|delivery| Record::of(&delivery.report))
                .collect(),
            has_ended: false,
        }
    }
}

pub fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

pub fn read<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

fn read_hex(text: &str, bytes: &mut [u8]) {
    let digits = text.as_bytes().chunks(2);
    for (byte, digits) in bytes.iter_mut().zip(digits) {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
}

pub fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use notifier_core::model::outcome::Reason;

    use super::*;

    #[test]
    fn records_of_newer_versions_and_foreign_data_are_left_alone() {
        let stored = |version: u32| {
            format!(
                r#"{{"version": {version}, "task": "t", "scope": "s", "key": null, "fingerprint": "00", "config": "",
                    "arguments": {{}}, "request_json": "{{}}", "warnings": [], "accepted": 1, "deliveries": [], "new": 1}}"#
            )
        };
        assert!(RequestRecord::read(stored(VERSION).as_bytes()).is_some());
        assert!(RequestRecord::read(stored(VERSION + 1).as_bytes()).is_none());
        assert!(RequestRecord::read(b"{}").is_none());
    }

    #[test]
    fn additional_members_of_a_later_version_are_left_out() {
        let report = r#"{"sender": "http", "outcome": "failed", "reason": "beam_lost", "new": 1}"#;
        let note = format!(r#"{{"owner": "o", "fence": 3, "ended": {report}, "new": 1}}"#);
        let note: DeliveryNote = read(note.as_bytes()).unwrap();
        assert_eq!((note.owner.as_str(), note.fence), ("o", 3));
        let known = format!(
            r#"{{"task": "t", "fingerprint": "00", "warnings": [], "subject": "s", "reports": [{report}], "new": 1}}"#
        );
        let known: KeyRecord = read(known.as_bytes()).unwrap();
        for record in known.reports.into_iter().chain(note.ended) {
            let report = record.report(0);
            assert_eq!(report.sender, "http");
            assert_eq!(
                report.outcome.failure().map(|failure| failure.reason),
                Some(Reason::Internal)
            );
        }
    }
}
