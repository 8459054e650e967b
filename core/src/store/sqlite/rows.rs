//! Operations on the file's rows, each inside a transaction.

use std::time::SystemTime;

use rusqlite::{Connection, OptionalExtension, Result, named_params, params};

use super::claim::must_wait_for_older;
use super::history;
use super::time::{Moment, millis, whole_millis};
use super::transaction::{Transaction, json, parse, report};
use crate::model::outcome::{MessageRef, Outcome};
use crate::model::plan::{Identity, KEEP_KEY};
use crate::model::report::DeliveryReport;
use crate::store::operator::StoredState;
use crate::store::record::Record;
use crate::store::{
    Accepted, DeliveryId, HistoryRow, KnownRequest, NewDelivery, NewRequest, Ownership, Target,
};

pub fn accept(tx: &Transaction<'_>, request: &NewRequest) -> Result<Accepted> {
    if let Some(known) = known_request(tx, &request.identity)? {
        return Ok(known);
    }
    tx.owner.register(tx.db)?;
    let Identity {
        scope,
        key,
        fingerprint,
    } = &request.identity;
    let id: i64 = tx
        .db
        .prepare_cached(
            "INSERT INTO requests (task, scope, key, fingerprint, config, arguments, warnings, accepted, accepted_age, owner)
             VALUES (:task, :scope, :key, :fingerprint, :config, :arguments, :warnings, :accepted, :age, :owner)
             RETURNING id",
        )?
        .query_row(
            named_params! {
                ":task": request.task, ":scope": &**scope, ":key": key, ":fingerprint": fingerprint.as_slice(),
                ":config": request.config, ":arguments": json(&request.arguments),
                ":warnings": json(&request.warnings), ":accepted": millis(request.accepted), ":age": tx.now.age,
                ":owner": tx.owner.id,
            },
            |row| row.get(0),
        )?;
    tx.db
        .prepare_cached("INSERT INTO request_bodies (request, json) VALUES (?, ?)")?
        .execute(params![id, request.request_json])?;
    let mut behind = Vec::new();
    for (index, delivery) in request.deliveries.iter().enumerate() {
        if insert(tx, id, index, delivery)? {
            behind.push(index);
        }
    }
    Ok(Accepted::New { behind })
}

/// Returns whether the delivery must wait for an older one that is in no queue of this process.
fn insert(
    tx: &Transaction<'_>,
    request: i64,
    index: usize,
    delivery: &NewDelivery,
) -> Result<bool> {
    let work = delivery.work.as_ref();
    let (receiver, destination, sealed) = match work.map(|work| &work.target) {
        Some(Target::Receiver { name, index }) => (Some(name), Some(*index), None),
        Some(Target::Sealed(sealed)) => (None, None, Some(sealed)),
        None => (None, None, None),
    };
    let order = work.and_then(|work| work.order_key.as_ref());
    let behind = match order {
        Some(order) => must_wait_for_older(tx, order, request)?,
        None => false,
    };
    tx.db
        .prepare_cached(
            "INSERT INTO deliveries (request, delivery_index, state, receiver, destination, sealed_config, deadline, timeout, order_key, waits_for_older, composition_hash, report)
             VALUES (:request, :index, :state, :receiver, :destination, :sealed, :deadline, :timeout, :order, :behind, :composition, :report)",
        )?
        .execute(named_params! {
            ":request": request, ":index": index, ":state": if work.is_some() { "claimed" } else { "ended" },
            ":receiver": receiver, ":destination": destination, ":sealed": sealed,
            ":deadline": work.map(|work| tx.now.age_after(work.time_left)),
            ":timeout": work.map(|work| whole_millis(work.time_left)),
            ":order": order.map(<[u8; 32]>::as_slice), ":behind": behind,
            ":composition": work.map(|work| work.composition_hash.as_slice()),
            ":report": Record::of(&delivery.report).json(),
        })?;
    Ok(behind)
}

/// The reply to a request whose idempotency key exists.
fn known_request(tx: &Transaction<'_>, identity: &Identity) -> Result<Option<Accepted>> {
    let Some(key) = &identity.key else {
        return Ok(None);
    };
    type Known = (i64, String, Vec<u8>, String, Option<i64>);
    let found: Option<Known> = tx
        .db
        .prepare_cached(
            "SELECT id, task, fingerprint, warnings, ended_used FROM requests WHERE scope = ? AND key = ?",
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
    let reports = reports(tx.db, id)?;
    let failed = |report: &DeliveryReport| matches!(report.outcome, Outcome::Failed(_));
    // A request that delivered nothing releases its key, so that a retry is delivered.
    if ended.is_some_and(|ended| ended < tx.now.used_before(KEEP_KEY)) || reports.iter().all(failed)
    {
        tx.db
            .prepare_cached("UPDATE requests SET key = NULL WHERE id = ?")?
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

/// Deletes a request whose acceptance no caller has seen.
pub fn delete_request(tx: &Transaction<'_>, task: &str) -> Result<()> {
    let mut delete = tx
        .db
        .prepare_cached("DELETE FROM requests WHERE task = ?")?;
    delete.execute([task]).map(drop)
}

/// Returns the owner of a delivery. The owner's name is a sufficient fence: names are unique, and an owner claims
/// nothing that it still runs.
pub fn check_lease(tx: &Transaction<'_>, delivery: &DeliveryId) -> Result<Ownership> {
    let found: Option<(Option<String>, String)> = tx
        .db
        .prepare_cached(
            "SELECT owner, state FROM requests JOIN deliveries ON request = id WHERE task = ? AND delivery_index = ?",
        )?
        .query_row(params![delivery.task, delivery.index], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match found {
        None if tx.is_another_file => Ownership::Missing,
        // The process that claimed it has ended it.
        None => Ownership::Lost,
        Some((Some(owner), state)) if owner == tx.owner.id && is_open(&state) => Ownership::Owned,
        Some(_) => Ownership::Lost,
    })
}

fn is_open(state: &str) -> bool {
    matches!(state, "claimed" | "waiting")
}

pub fn set_attempting(
    tx: &Transaction<'_>,
    delivery: &DeliveryId,
    at: Option<SystemTime>,
) -> Result<Ownership> {
    let ownership = check_lease(tx, delivery)?;
    if ownership == Ownership::Owned {
        tx.db
            .prepare_cached(
                "UPDATE deliveries SET attempt_began = ?
                 WHERE request = (SELECT id FROM requests WHERE task = ?) AND delivery_index = ?",
            )?
            .execute(params![at.map(millis), delivery.task, delivery.index])?;
    }
    Ok(ownership)
}

pub fn parts_done(tx: &Transaction<'_>, delivery: &DeliveryId, parts: usize) -> Result<()> {
    if check_lease(tx, delivery)? != Ownership::Owned {
        return Ok(());
    }
    tx.db
        .prepare_cached(
            "UPDATE deliveries SET attempt_began = NULL, report = json_set(report, '$.parts_delivered', :parts)
             WHERE request = (SELECT id FROM requests WHERE task = :task) AND delivery_index = :index",
        )?
        .execute(named_params! { ":parts": parts, ":task": delivery.task, ":index": delivery.index })
        .map(drop)
}

pub fn complete(
    tx: &Transaction<'_>,
    delivery: &DeliveryId,
    report: &DeliveryReport,
    row: Option<&HistoryRow>,
) -> Result<()> {
    // The process that claimed it reports its end.
    if check_lease(tx, delivery)? != Ownership::Owned {
        return Ok(());
    }
    let id: i64 = tx
        .db
        .prepare_cached("SELECT id FROM requests WHERE task = ?")?
        .query_row([&delivery.task], |row| row.get(0))?;
    let message = match &report.outcome {
        Outcome::Delivered {
            message: Some(message),
        } => Some(&message.0),
        _ => None,
    };
    let state = StoredState::ended(&report.outcome);
    let dead = state == StoredState::Dead;
    // The sealed configuration remains while an operator may redrive the delivery.
    tx.db
        .prepare_cached(
            "UPDATE deliveries
             SET state = :state, report = :report, message = :message, sealed_config = CASE WHEN :dead THEN sealed_config END
             WHERE request = :request AND delivery_index = :index",
        )?
        .execute(named_params! {
            ":state": state.word(), ":report": Record::of(report).json(), ":message": message,
            ":dead": dead, ":request": id, ":index": delivery.index,
        })?;
    if let Some(row) = row {
        history::insert(tx, row)?;
    }
    finish_request(tx.db, tx.now, id)
}

/// Marks a request as ended if all its deliveries have ended. Deletes it at once if no one can ask for it.
pub fn finish_request(db: &Connection, now: Moment, id: i64) -> Result<()> {
    let (open, dead, kept): (bool, bool, bool) = db
        .prepare_cached(
            "SELECT count(*) FILTER (WHERE state IN ('waiting', 'claimed')) > 0,
                    count(*) FILTER (WHERE state = 'dead') > 0,
                    count(*) FILTER (WHERE state IN ('dead', 'dropped') OR (message IS NOT NULL AND attempt_began IS NOT NULL)) > 0
             FROM deliveries WHERE request = ?",
        )?
        .query_row([id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    if open {
        return Ok(());
    }
    if !dead {
        db.prepare_cached("DELETE FROM request_bodies WHERE request = ?")?
            .execute([id])?;
    }
    if !kept {
        let gone = db
            .prepare_cached("DELETE FROM requests WHERE id = ? AND key IS NULL")?
            .execute([id])?;
        if gone > 0 {
            return Ok(());
        }
    }
    db.prepare_cached("UPDATE requests SET ended = ?, ended_used = ?, owner = NULL WHERE id = ?")?
        .execute(params![now.wall, now.used, id])
        .map(drop)
}

pub fn claimed_by_others(
    tx: &Transaction<'_>,
    delivery: &DeliveryId,
    messages: &[MessageRef],
) -> Result<Vec<MessageRef>> {
    let mut select = tx.db.prepare_cached(
        "SELECT EXISTS (
           SELECT 1 FROM deliveries JOIN requests ON id = request
           WHERE message = ? AND NOT (task = ? AND delivery_index = ?))",
    )?;
    let mut claimed = Vec::new();
    for message in messages {
        let row = params![message.0, delivery.task, delivery.index];
        if select.query_row(row, |row| row.get(0))? {
            claimed.push(message.clone());
        }
    }
    Ok(claimed)
}

pub fn depth(tx: &Transaction<'_>) -> Result<usize> {
    tx.db
        .prepare_cached("SELECT count(*) FROM deliveries WHERE state IN ('waiting', 'claimed')")?
        .query_row([], |row| row.get(0))
}

/// Releases all open requests of the owner.
pub fn release(tx: &Transaction<'_>) -> Result<()> {
    tx.db
        .prepare_cached("UPDATE requests SET owner = NULL WHERE ended IS NULL AND owner = ?")?
        .execute([&tx.owner.id])
        .map(drop)
}

/// Releases a request.
pub fn release_request(tx: &Transaction<'_>, task: &str) -> Result<()> {
    tx.db
        .prepare_cached("UPDATE requests SET owner = NULL WHERE task = ?")?
        .execute([task])
        .map(drop)
}

pub fn reports(db: &Connection, id: i64) -> Result<Vec<DeliveryReport>> {
    let mut select = db.prepare_cached(
        "SELECT delivery_index, report FROM deliveries WHERE request = ? ORDER BY delivery_index",
    )?;
    let rows = select.query_map([id], |row| {
        Ok(report(row.get(0)?, &row.get::<_, String>(1)?))
    })?;
    rows.collect()
}
