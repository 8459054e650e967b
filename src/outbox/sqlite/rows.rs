//! What is done with the file's rows, each inside a transaction.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Result, Row, named_params, params};

use crate::model::outcome::{MessageRef, Outcome};
use crate::model::plan::{Identity, KEEP_KEY};
use crate::model::report::DeliveryReport;
use crate::outbox::operator::State;
use crate::outbox::record::Record;
use crate::outbox::{
    Accepted, DeliveryId, KEEP_DEAD, KEEP_LAST_SENT, KeptRequest, KeptWork, KnownRequest, LEASE,
    NewDelivery, NewRequest, Ownership, Target,
};

/// A process, or rather its use of the file: no name that another could have too.
pub type Owner = String;

/// How long a provider's message belongs to the delivery that it was found for.
const KEEP_MESSAGE: Duration = Duration::from_secs(600);
/// Requests that have ended, dead letters among them; the oldest go first.
const MAX_ENDED: u32 = 100_000;
/// Rows that one transaction deletes.
const PURGE_BATCH: u32 = 1000;

pub fn accept(db: &Connection, owner: &Owner, request: &NewRequest) -> Result<Accepted> {
    if let Some(known) = known(db, &request.identity)? {
        return Ok(known);
    }
    let Identity {
        scope,
        key,
        fingerprint,
    } = &request.identity;
    let id: i64 = db
        .prepare_cached(
            "INSERT INTO requests (task, scope, key, fingerprint, config, arguments, said, warnings, accepted, owner, lease)
             VALUES (:task, :scope, :key, :fingerprint, :config, :arguments, :said, :warnings, :accepted, :owner, :lease)
             RETURNING id",
        )?
        .query_row(
            named_params! {
                ":task": request.task, ":scope": &**scope, ":key": key, ":fingerprint": fingerprint.as_slice(),
                ":config": request.config, ":arguments": json(&request.arguments), ":said": request.said,
                ":warnings": json(&request.warnings), ":accepted": millis(request.accepted),
                ":owner": owner, ":lease": lease(),
            },
            |row| row.get(0),
        )?;
    let mut insert = db.prepare_cached(
        "INSERT INTO deliveries (request, place, state, receiver, destination, sealed, deadline, timeout, composition, report)
         VALUES (:request, :place, :state, :receiver, :destination, :sealed, :deadline, :timeout, :composition, :report)",
    )?;
    for (place, delivery) in request.deliveries.iter().enumerate() {
        let work = delivery.work.as_ref();
        let (receiver, destination, sealed) = match work.map(|work| &work.target) {
            Some(Target::Receiver { name, index }) => (Some(name), Some(*index), None),
            Some(Target::Sealed(sealed)) => (None, None, Some(sealed)),
            None => (None, None, None),
        };
        let timeout =
            work.map(|work| i64::try_from(work.time_left.as_millis()).unwrap_or(i64::MAX));
        insert.execute(named_params! {
            ":request": id, ":place": place, ":state": if work.is_some() { "claimed" } else { "ended" },
            ":receiver": receiver, ":destination": destination, ":sealed": sealed,
            ":deadline": timeout.map(|timeout| millis(request.accepted).saturating_add(timeout)), ":timeout": timeout,
            ":composition": work.map(|work| work.composition.as_slice()),
            ":report": Record::of(&delivery.report).json(),
        })?;
    }
    Ok(Accepted::New { behind: Vec::new() })
}

/// What is to be said of a request whose key is known.
fn known(db: &Connection, identity: &Identity) -> Result<Option<Accepted>> {
    let Some(key) = &identity.key else {
        return Ok(None);
    };
    type Known = (i64, String, Vec<u8>, String, Option<i64>);
    let found: Option<Known> = db
        .prepare_cached(
            "SELECT id, task, fingerprint, warnings, ended FROM requests WHERE scope = ? AND key = ?",
        )?
        .query_row(params![&*identity.scope, key], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })
        .optional()?;
    let Some((id, task, fingerprint, warnings, ended)) = found else {
        return Ok(None);
    };
    let reports = reports(db, id)?;
    let failed = |report: &DeliveryReport| matches!(report.outcome, Outcome::Failed(_));
    // A request of which nothing was delivered is forgotten, so that trying again really tries.
    if ended.is_some_and(|ended| ended < before(KEEP_KEY)) || reports.iter().all(failed) {
        db.prepare_cached("UPDATE requests SET key = NULL WHERE id = ?")?
            .execute([id])?;
        return Ok(None);
    }
    if fingerprint != identity.fingerprint {
        return Ok(Some(Accepted::Conflict));
    }
    Ok(Some(Accepted::Known(KnownRequest {
        task,
        warnings: parse(&warnings),
        reports,
    })))
}

/// Deletes a request of which nobody has heard.
pub fn forget(db: &Connection, task: &str) -> Result<()> {
    let mut delete = db.prepare_cached("DELETE FROM requests WHERE task = ?")?;
    delete.execute([task]).map(drop)
}

pub fn claim(
    db: &Connection,
    owner: &Owner,
    config: &str,
    limit: usize,
) -> Result<Vec<KeptRequest>> {
    let mut open = db.prepare_cached(
        "SELECT id, lease < :now FROM requests
         WHERE ended IS NULL AND config = :config
           AND (lease < :now
             OR (owner = :owner AND id IN (SELECT request FROM deliveries WHERE state = 'waiting')))
         ORDER BY id LIMIT :limit",
    )?;
    let found = open.query_map(
        named_params! { ":now": now(), ":config": config, ":owner": owner, ":limit": limit },
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?)),
    )?;
    let found: Vec<(i64, bool)> = found.collect::<Result<_>>()?;
    let mut claimed = Vec::with_capacity(found.len());
    for (id, whole) in found {
        db.prepare_cached("UPDATE requests SET owner = ?, lease = ? WHERE id = ?")?
            .execute(params![owner, lease(), id])?;
        claimed.push(taken_over(db, id, whole)?);
        db.prepare_cached(
            "UPDATE deliveries SET state = 'claimed' WHERE request = ? AND state = 'waiting'",
        )?
        .execute([id])?;
    }
    Ok(claimed)
}

/// A request with the work that is open in it: all, or only what an operator has put back.
fn taken_over(db: &Connection, id: i64, whole: bool) -> Result<KeptRequest> {
    let mut request = db
        .prepare_cached(
            "SELECT task, scope, key, fingerprint, arguments, said, warnings, accepted FROM requests WHERE id = ?",
        )?
        .query_row([id], |row| {
            let fingerprint: Vec<u8> = row.get(3)?;
            Ok(KeptRequest {
                task: row.get(0)?,
                identity: Identity {
                    scope: row.get::<_, String>(1)?.into(),
                    key: row.get(2)?,
                    fingerprint: fingerprint.try_into().unwrap_or_default(),
                },
                arguments: parse(&row.get::<_, String>(4)?),
                said: row.get(5)?,
                warnings: parse(&row.get::<_, String>(6)?),
                age: SystemTime::now().duration_since(time(row.get(7)?)).unwrap_or_default(),
                deliveries: Vec::new(),
                behind: Vec::new(),
            })
        })?;
    let mut select = db.prepare_cached(
        "SELECT place, state, receiver, destination, sealed, deadline, composition, attempting, report
         FROM deliveries WHERE request = ? ORDER BY place",
    )?;
    let rows = select.query_map([id], |row| {
        let state: String = row.get(1)?;
        let open = state == "waiting" || (whole && state == "claimed");
        let work = if open { work(row)? } else { None };
        Ok(NewDelivery {
            report: report(row.get(0)?, &row.get::<_, String>(8)?),
            work,
        })
    })?;
    request.deliveries = rows.collect::<Result<_>>()?;
    Ok(request)
}

fn work(row: &Row<'_>) -> Result<Option<KeptWork>> {
    let receiver: Option<String> = row.get(2)?;
    let sealed: Option<Vec<u8>> = row.get(4)?;
    let target = match (receiver, sealed) {
        (Some(name), _) => Target::Receiver {
            name,
            index: row.get(3)?,
        },
        (None, Some(sealed)) => Target::Sealed(sealed),
        (None, None) => return Ok(None),
    };
    let composition: Vec<u8> = row.get(6)?;
    let attempting: Option<i64> = row.get(7)?;
    Ok(Some(KeptWork {
        target,
        time_left: time(row.get(5)?)
            .duration_since(SystemTime::now())
            .unwrap_or_default(),
        order: None,
        composition: composition.try_into().unwrap_or_default(),
        attempting: attempting.map(time),
    }))
}

pub fn owns(db: &Connection, owner: &Owner, delivery: &DeliveryId) -> Result<Ownership> {
    type Found = (i64, Option<String>, i64, String);
    let found: Option<Found> = db
        .prepare_cached(
            "SELECT id, owner, lease, state FROM requests JOIN deliveries ON request = id WHERE task = ? AND place = ?",
        )?
        .query_row(params![delivery.task, delivery.index], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((id, found, until, state)) = found else {
        return Ok(Ownership::Gone);
    };
    if found.as_ref() != Some(owner) || !matches!(state.as_str(), "claimed" | "waiting") {
        return Ok(Ownership::Lost);
    }
    // This process was asleep: nobody has come by, and nobody shall.
    if until < now() {
        db.prepare_cached("UPDATE requests SET lease = ? WHERE id = ?")?
            .execute(params![lease(), id])?;
    }
    Ok(Ownership::Mine)
}

pub fn attempting(
    db: &Connection,
    owner: &Owner,
    delivery: &DeliveryId,
    at: Option<SystemTime>,
) -> Result<Ownership> {
    let ownership = owns(db, owner, delivery)?;
    if ownership == Ownership::Mine {
        db.prepare_cached(
            "UPDATE deliveries SET attempting = ?
             WHERE request = (SELECT id FROM requests WHERE task = ?) AND place = ?",
        )?
        .execute(params![at.map(millis), delivery.task, delivery.index])?;
    }
    Ok(ownership)
}

pub fn parts_done(
    db: &Connection,
    owner: &Owner,
    delivery: &DeliveryId,
    parts: usize,
) -> Result<()> {
    if owns(db, owner, delivery)? != Ownership::Mine {
        return Ok(());
    }
    let row = "request = (SELECT id FROM requests WHERE task = :task) AND place = :place";
    db.prepare_cached(&format!(
        "UPDATE deliveries SET attempting = NULL, report = json_set(report, '$.parts_delivered', :parts) WHERE {row}"
    ))?
    .execute(named_params! { ":parts": parts, ":task": delivery.task, ":place": delivery.index })
    .map(drop)
}

pub fn end(
    db: &Connection,
    owner: &Owner,
    delivery: &DeliveryId,
    report: &DeliveryReport,
) -> Result<()> {
    // Whoever has taken it over says how it ends.
    if owns(db, owner, delivery)? != Ownership::Mine {
        return Ok(());
    }
    let id: i64 = db
        .prepare_cached("SELECT id FROM requests WHERE task = ?")?
        .query_row([&delivery.task], |row| row.get(0))?;
    let message = match &report.outcome {
        Outcome::Delivered {
            message: Some(message),
        } => Some(&message.0),
        _ => None,
    };
    let state = State::ended(&report.outcome);
    let dead = state == State::Dead;
    // A destination's secrets are kept for as long as somebody may want to try again.
    db.prepare_cached(
        "UPDATE deliveries
         SET state = :state, report = :report, message = :message, sealed = CASE WHEN :dead THEN sealed END
         WHERE request = :request AND place = :place",
    )?
    .execute(named_params! {
        ":state": state.word(), ":report": Record::of(report).json(), ":message": message,
        ":dead": dead, ":request": id, ":place": delivery.index,
    })?;
    ended(db, id)
}

/// Notes that a request has ended, where it has; forgets it at once where nobody will ask for it.
pub fn ended(db: &Connection, id: i64) -> Result<()> {
    let (open, kept): (bool, bool) = db
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE state IN ('waiting', 'claimed')) > 0,
                    count(*) FILTER (WHERE state IN ('dead', 'dropped') OR (message IS NOT NULL AND attempting IS NOT NULL)) > 0
             FROM deliveries WHERE request = ?",
        )?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if open {
        return Ok(());
    }
    if !kept {
        let gone = db
            .prepare_cached("DELETE FROM requests WHERE id = ? AND key IS NULL")?
            .execute([id])?;
        if gone > 0 {
            return Ok(());
        }
    }
    db.prepare_cached("UPDATE requests SET ended = ?, owner = NULL WHERE id = ?")?
        .execute(params![now(), id])
        .map(drop)
}

pub fn taken(
    db: &Connection,
    delivery: &DeliveryId,
    messages: &[MessageRef],
) -> Result<Vec<MessageRef>> {
    let mut select = db.prepare_cached(
        "SELECT EXISTS (
           SELECT 1 FROM deliveries JOIN requests ON id = request
           WHERE message = ? AND NOT (task = ? AND place = ?))",
    )?;
    let mut taken = Vec::new();
    for message in messages {
        let row = params![message.0, delivery.task, delivery.index];
        if select.query_row(row, |row| row.get(0))? {
            taken.push(message.clone());
        }
    }
    Ok(taken)
}

pub fn depth(db: &Connection) -> Result<usize> {
    db.prepare_cached("SELECT count(*) FROM deliveries WHERE state IN ('waiting', 'claimed')")?
        .query_row([], |row| row.get(0))
}

/// All open requests of the owner stay its own.
pub fn renew(db: &Connection, owner: &Owner) -> Result<()> {
    db.prepare_cached("UPDATE requests SET lease = ? WHERE ended IS NULL AND owner = ?")?
        .execute(params![lease(), owner])
        .map(drop)
}

/// All open requests of the owner belong to nobody.
pub fn release(db: &Connection, owner: &Owner) -> Result<()> {
    db.prepare_cached(
        "UPDATE requests SET owner = NULL, lease = 0 WHERE ended IS NULL AND owner = ?",
    )?
    .execute([owner])
    .map(drop)
}

/// A request belongs to nobody.
pub fn leave(db: &Connection, task: &str) -> Result<()> {
    db.prepare_cached("UPDATE requests SET owner = NULL, lease = 0 WHERE task = ?")?
        .execute([task])
        .map(drop)
}

/// Forgets what nobody will ask for any more.
pub fn purge(db: &Connection) -> Result<()> {
    db.prepare_cached(
        "DELETE FROM requests WHERE id IN (
           SELECT id FROM requests
           WHERE ended IS NOT NULL AND ended < CASE
             WHEN EXISTS (SELECT 1 FROM deliveries WHERE request = id AND state = 'dead') THEN :dead
             WHEN key IS NOT NULL OR EXISTS (SELECT 1 FROM deliveries WHERE request = id AND state = 'dropped') THEN :key
             ELSE :message END
           LIMIT :batch)",
    )?
    .execute(named_params! {
        ":dead": before(KEEP_DEAD), ":key": before(KEEP_KEY), ":message": before(KEEP_MESSAGE), ":batch": PURGE_BATCH,
    })?;
    db.prepare_cached(
        "DELETE FROM requests WHERE id IN (
           SELECT id FROM requests WHERE ended IS NOT NULL ORDER BY ended DESC LIMIT :batch OFFSET :most)",
    )?
    .execute(named_params! { ":batch": PURGE_BATCH, ":most": MAX_ENDED })?;
    db.prepare_cached("DELETE FROM lasts WHERE at < ?")?
        .execute([before(KEEP_LAST_SENT)])
        .map(drop)
}

pub fn reports(db: &Connection, id: i64) -> Result<Vec<DeliveryReport>> {
    let mut select =
        db.prepare_cached("SELECT place, report FROM deliveries WHERE request = ? ORDER BY place")?;
    let rows = select.query_map([id], |row| {
        Ok(report(row.get(0)?, &row.get::<_, String>(1)?))
    })?;
    rows.collect()
}

fn report(place: usize, json: &str) -> DeliveryReport {
    Record::read(json).unwrap_or_default().report(place)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn parse<T: serde::de::DeserializeOwned + Default>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_default()
}

/// Until when what is claimed now belongs to its owner.
fn lease() -> i64 {
    millis(SystemTime::now() + LEASE)
}

pub fn now() -> i64 {
    millis(SystemTime::now())
}

fn before(duration: Duration) -> i64 {
    millis(SystemTime::now() - duration)
}

pub fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub fn time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
