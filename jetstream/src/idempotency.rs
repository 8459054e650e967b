//! Idempotency keys: taken before a request is published, freed where nothing comes of it.

use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep};

use super::server::{CallError, Servers, Session, StreamName};
use super::stored::{DeliveryNote, KeyRecord, json, read};
use super::subjects::{attempt_key, known_key};
use notifier_core::model::outcome::Outcome;
use notifier_core::model::plan::{Identity, KEEP_KEY};
use notifier_core::model::report::DeliveryReport;
use notifier_core::store::{Accepted, KnownRequest, NewRequest, StoreError};

/// For so long a key may be there whose request is not yet: its process is between the two.
const KEY_BEFORE_REQUEST: Duration = Duration::from_secs(5);

/// What became of a key that was to be taken.
pub enum KeyClaim {
    Free(String),
    Taken(Accepted),
}

/// Takes an idempotency key, or says what is known of it.
pub async fn take_key(
    servers: &Servers,
    session: &dyn Session,
    request: &NewRequest,
    subject: &str,
) -> Result<KeyClaim, StoreError> {
    let Identity { scope, key, .. } = &request.identity;
    let name = known_key(scope, key.as_deref().unwrap_or_default());
    let begun = Instant::now();
    let missed = || servers.missed(session, begun);
    let ours = KeyRecord::of(request, subject);
    let mut revision = 0;
    loop {
        match session
            .write(StreamName::Known, &name, json(&ours), Some(revision))
            .await
        {
            Ok(_) => return Ok(KeyClaim::Free(name)),
            Err(CallError::Conflict) => {}
            Err(error) => return Err(servers.failed(session, begun, error)),
        }
        let entry = session
            .entry(StreamName::Known, &name)
            .await
            .map_err(|_| missed())?;
        let Some(entry) = entry else {
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
        // By the servers' clock: the entry's last change is the request's acceptance or its end.
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
        // A request of which nothing was delivered is forgotten, so that trying again really tries.
        if old || reports.iter().all(failed) {
            revision = entry.revision;
            continue;
        }
        return Ok(KeyClaim::Taken(taken(known, reports, &ours)));
    }
}

/// What is answered where the key has a request already.
fn taken(known: KeyRecord, reports: Vec<DeliveryReport>, ours: &KeyRecord) -> Accepted {
    match known.fingerprint == ours.fingerprint {
        true => Accepted::Known(KnownRequest {
            task: known.task,
            warnings: known.warnings,
            reports,
        }),
        false => Accepted::Conflict,
    }
}

fn first_reports(known: &KeyRecord) -> Vec<DeliveryReport> {
    let places = known.reports.iter().cloned().enumerate();
    places.map(|(place, record)| record.report(place)).collect()
}

/// How the deliveries of a request stand that has not ended; `None`: it is not there.
async fn reports_of_open(
    session: &dyn Session,
    known: &KeyRecord,
) -> Result<Option<Vec<DeliveryReport>>, ()> {
    let found = session.last_message(StreamName::Work, &known.subject).await;
    let Some(message) = found.map_err(drop)? else {
        return Ok(None);
    };
    let sequence = message.sequence;
    let notes = (0..known.reports.len()).map(|place| async move {
        let key = attempt_key(&known.task, sequence, place);
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

/// Whether a key's entry names the task; `None`: not known.
pub async fn has_key(session: &dyn Session, key: &str, task: &str) -> Option<bool> {
    let entry = session.entry(StreamName::Known, key).await.ok()?;
    let known = entry.and_then(|entry| read::<KeyRecord>(&entry.value));
    Some(known.is_none_or(|known| known.task == task))
}

/// Nothing came of its request.
pub async fn free_key(session: &dyn Session, key: &str) {
    let _ = session.purge(StreamName::Known, key).await;
}
