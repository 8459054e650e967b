//! Idempotency keys: claimed before a request is published, released if it is not.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};

use super::server::{CallError, Servers, Session, StreamName};
use super::stored::{DeliveryNote, KeyRecord, json, read};
use super::subjects::{attempt_key, idempotency_entry_key};
use notifier_core::model::outcome::Outcome;
use notifier_core::model::plan::{Identity, KEEP_KEY};
use notifier_core::model::report::DeliveryReport;
use notifier_core::store::{Accepted, KnownRequest, NewRequest, StoreError};

/// How long a key may exist before its request, because its process writes the key first.
const KEY_BEFORE_REQUEST: Duration = Duration::from_secs(5);

const BUCKET: StreamName = StreamName::IdempotencyKeys;

/// The result of claiming a key.
pub enum KeyClaim {
    Free(String),
    Taken(Accepted),
}

/// Claims an idempotency key, or returns the state of its request.
pub async fn claim_key(
    servers: &Servers,
    session: &dyn Session,
    request: &NewRequest,
    subject: &str,
) -> Result<KeyClaim, StoreError> {
    let Identity { scope, key, .. } = &request.identity;
    let name = idempotency_entry_key(scope, key.as_deref().unwrap_or_default());
    let begun = Instant::now();
    let missed = || servers.missed(session, begun);
    let own_record = KeyRecord::of(request, subject);
    let mut revision = 0;
    loop {
        let value = json(&own_record);
        match session.write(BUCKET, &name, value, Some(revision)).await {
            Ok(_) => return Ok(KeyClaim::Free(name)),
            Err(CallError::Conflict) => {}
            Err(error) => return Err(servers.failed(session, begun, error)),
        }
        let entry = session.entry(BUCKET, &name).await;
        let Some(entry) = entry.map_err(|_| missed())? else {
            revision = 0;
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let Some(known) = read::<KeyRecord>(&entry.value) else {
            revision = entry.revision;
            continue;
        };
        let reports = match known.has_ended {
            true => Some(first_reports(&known)),
            false => reports_of_open(session, &known)
                .await
                .map_err(|()| missed())?,
        };
        // By the servers' clock. The entry's last change is the acceptance or the end of the request.
        let age = Duration::from_millis(servers.now().saturating_sub(entry.written));
        let Some(reports) = reports else {
            match age > KEY_BEFORE_REQUEST {
                true => revision = entry.revision,
                false => sleep(Duration::from_millis(50)).await,
            }
            continue;
        };
        let failed = |report: &DeliveryReport| matches!(report.outcome, Outcome::Failed(_));
        let old = known.has_ended && age > KEEP_KEY;
        // A request that delivered nothing releases its key, so that a retry is delivered.
        if old || reports.iter().all(failed) {
            revision = entry.revision;
            continue;
        }
        let accepted = known_or_conflict(known, reports, &own_record);
        return Ok(KeyClaim::Taken(accepted));
    }
}

/// The reply if the key has a request.
fn known_or_conflict(
    known: KeyRecord,
    reports: Vec<DeliveryReport>,
    own_record: &KeyRecord,
) -> Accepted {
    match known.fingerprint == own_record.fingerprint {
        true => Accepted::Known(KnownRequest {
            task: known.task,
            warnings: known.warnings,
            reports,
        }),
        false => Accepted::Conflict,
    }
}

fn first_reports(known: &KeyRecord) -> Vec<DeliveryReport> {
    let indices = known.reports.iter().cloned().enumerate();
    indices
        .map(|(index, record)| record.report(index))
        .collect()
}

/// The reports of an open request; `None`: it does not exist.
async fn reports_of_open(
    session: &dyn Session,
    known: &KeyRecord,
) -> Result<Option<Vec<DeliveryReport>>, ()> {
    let found = session.last_message(StreamName::Work, &known.subject).await;
    let Some(message) = found.map_err(drop)? else {
        return Ok(None);
    };
    let sequence = message.sequence;
    let notes = (0..known.reports.len()).map(|index| async move {
        let key = attempt_key(&known.task, sequence, index);
        let entry = session
            .entry(StreamName::Attempts, &key)
            .await
            .map_err(drop)?;
        let note = entry.and_then(|entry| read::<DeliveryNote>(&entry.value));
        Ok::<_, ()>(note.and_then(|note| note.ended))
    });
    let notes = try_join_all(notes).await?;
    let mut reports = first_reports(known);
    for (report, ended) in reports.iter_mut().zip(notes) {
        if let Some(ended) = ended {
            *report = ended.report(report.index);
        }
    }
    Ok(Some(reports))
}

/// Returns whether a key's entry names the task. `None`: unknown.
pub async fn has_key(session: &dyn Session, key: &str, task: &str) -> Option<bool> {
    let entry = session.entry(BUCKET, key).await.ok()?;
    let known = entry.and_then(|entry| read::<KeyRecord>(&entry.value));
    Some(known.is_none_or(|known| known.task == task))
}

/// Releases the key of a request that was not published.
pub async fn release_key(session: &dyn Session, key: &str) {
    let _ = session.purge(BUCKET, key).await;
}
