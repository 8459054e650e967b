//! Claims requests, and decides which of their deliveries wait for older ones.

use rusqlite::{OptionalExtension, Result, Row, named_params, params};

use super::time::time;
use super::transaction::{Transaction, parse, report};
use crate::model::plan::Identity;
use crate::store::{DeliveryId, NewDelivery, OrderKey, StoredRequest, StoredWork, Target};

/// Selects requests without an owner, and those of this owner with a redriven delivery. Never selects one with a
/// delivery that runs in this process.
pub fn claim(tx: &mut Transaction<'_>, config: &str, limit: usize) -> Result<Vec<StoredRequest>> {
    tx.observer.remove_lost(tx.db, tx.owner, tx.uptime)?;
    let mut open = tx.db.prepare_cached(
        "SELECT id, owner IS NULL FROM requests
         WHERE ended IS NULL AND config = :config AND owner IS NULL
         UNION
         SELECT id, 0 FROM deliveries JOIN requests ON id = request
         WHERE state = 'waiting' AND ended IS NULL AND config = :config AND owner = :owner
         ORDER BY id",
    )?;
    let mut found = open.query(named_params! { ":config": config, ":owner": tx.owner.id })?;
    let mut claimed = Vec::new();
    while claimed.len() < limit
        && let Some(row) = found.next()?
    {
        claimed.extend(claim_request(tx, row.get(0)?, row.get(1)?)?);
    }
    Ok(claimed)
}

/// Claims a request, unless one of its deliveries runs in this process.
fn claim_request(tx: &Transaction<'_>, id: i64, whole: bool) -> Result<Option<StoredRequest>> {
    let mut request = request(tx, id)?;
    request.deliveries = deliveries(tx, id, whole)?;
    let open = request.deliveries.iter().enumerate();
    let open: Vec<usize> = open
        .filter_map(|(index, delivery)| delivery.work.as_ref().map(|_| index))
        .collect();
    let runs = |index: &usize| {
        let task = request.task.clone();
        tx.running.contains(&DeliveryId {
            task,
            index: *index,
        })
    };
    if open.iter().any(runs) {
        return Ok(None);
    }
    tx.owner.register(tx.db)?;
    tx.db
        .prepare_cached("UPDATE requests SET owner = ? WHERE id = ?")?
        .execute(params![tx.owner.id, id])?;
    for index in open {
        let order = order_of(&request.deliveries, index);
        let behind = match order {
            Some(order) => has_older_elsewhere(tx, order, id, index)?,
            None => false,
        };
        tx.db
            .prepare_cached(
                "UPDATE deliveries SET state = 'claimed', was_claimed = 1, waits_for_older = ? WHERE request = ? AND delivery_index = ?",
            )?
            .execute(params![behind, id, index])?;
        if behind {
            request.behind.push(index);
        }
    }
    Ok(Some(request))
}

fn order_of(deliveries: &[NewDelivery], index: usize) -> Option<&OrderKey> {
    deliveries.get(index)?.work.as_ref()?.order_key.as_ref()
}

fn request(tx: &Transaction<'_>, id: i64) -> Result<StoredRequest> {
    tx.db
        .prepare_cached(
            "SELECT task, scope, key, fingerprint, arguments, json, warnings, accepted_age FROM requests JOIN request_bodies ON request = id WHERE id = ?",
        )?
        .query_row([id], |row| {
            let fingerprint: Vec<u8> = row.get(3)?;
            Ok(StoredRequest {
                task: row.get(0)?,
                identity: Identity {
                    scope: row.get::<_, String>(1)?.into(),
                    key: row.get(2)?,
                    fingerprint: fingerprint.try_into().unwrap_or_default(),
                },
                arguments: parse(&row.get::<_, String>(4)?),
                request_json: row.get(5)?,
                warnings: parse(&row.get::<_, String>(6)?),
                age: tx.now.since(row.get(7)?),
                deliveries: Vec::new(),
                behind: Vec::new(),
            })
        })
}

/// Returns all deliveries, with the open work: all of it, or only redriven deliveries.
fn deliveries(tx: &Transaction<'_>, id: i64, whole: bool) -> Result<Vec<NewDelivery>> {
    let mut select = tx.db.prepare_cached(
        "SELECT delivery_index, state, receiver, destination, sealed_config, deadline, composition_hash, attempt_began, report, order_key
         FROM deliveries WHERE request = ? ORDER BY delivery_index",
    )?;
    let rows = select.query_map([id], |row| {
        let state: String = row.get(1)?;
        let open = state == "waiting" || (whole && state == "claimed");
        let work = if open { work(tx, row)? } else { None };
        Ok(NewDelivery {
            report: report(row.get(0)?, &row.get::<_, String>(8)?),
            work,
        })
    })?;
    rows.collect()
}

fn work(tx: &Transaction<'_>, row: &Row<'_>) -> Result<Option<StoredWork>> {
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
    let attempt_began: Option<i64> = row.get(7)?;
    let order: Option<Vec<u8>> = row.get(9)?;
    Ok(Some(StoredWork {
        target,
        time_left: tx.now.until(row.get(5)?),
        order_key: order.and_then(|order| order.try_into().ok()),
        composition_hash: composition.try_into().unwrap_or_default(),
        attempt_began: attempt_began.map(time),
    }))
}

/// Returns whether a new delivery is behind another one in no queue of this process. Only the youngest delivery before
/// it counts, because it was itself accepted behind the others.
pub fn must_wait_for_older(tx: &Transaction<'_>, order: &OrderKey, request: i64) -> Result<bool> {
    let youngest = tx
        .db
        .prepare_cached(
            "SELECT task, delivery_index, owner, waits_for_older, was_claimed FROM deliveries JOIN requests ON id = request
             WHERE order_key = ?1 AND state IN ('waiting', 'claimed') AND request < ?2
               AND config = (SELECT config FROM requests WHERE id = ?2)
             ORDER BY request DESC, delivery_index DESC LIMIT 1",
        )?
        .query_row(params![order.as_slice(), request], |row| {
            let delivery = DeliveryId {
                task: row.get(0)?,
                index: row.get(1)?,
            };
            let owner: Option<String> = row.get(2)?;
            let (behind, taken_over): (bool, bool) = (row.get(3)?, row.get(4)?);
            Ok((delivery, owner, behind, taken_over))
        })
        .optional()?;
    Ok(
        youngest.is_some_and(|(delivery, owner, behind, taken_over)| {
            // A delivery that was just claimed may not be in its queue yet.
            let is_in_line = !taken_over || tx.running.contains(&delivery);
            behind || owner.as_ref() != Some(&tx.owner.id) || !is_in_line
        }),
    )
}

/// Returns whether an older open delivery remains that this owner did not claim before it.
fn has_older_elsewhere(
    tx: &Transaction<'_>,
    order: &OrderKey,
    request: i64,
    index: usize,
) -> Result<bool> {
    tx.db
        .prepare_cached(
            "SELECT EXISTS (
               SELECT 1 FROM deliveries JOIN requests ON id = request
               WHERE order_key = ?1 AND state IN ('waiting', 'claimed') AND (request, delivery_index) < (?2, ?3)
                 AND config = (SELECT config FROM requests WHERE id = ?2) AND (owner IS NOT ?4 OR waits_for_older))",
        )?
        .query_row(
            params![order.as_slice(), request, index, tx.owner.id],
            |row| row.get(0),
        )
}

/// Returns whether an older delivery is open. If none remains, later ones wait behind this one.
pub fn has_older(tx: &Transaction<'_>, delivery: &DeliveryId) -> Result<bool> {
    let found: Option<(i64, bool, bool)> = tx
        .db
        .prepare_cached(
            "SELECT request, waits_for_older, EXISTS (
               SELECT 1 FROM deliveries AS older JOIN requests AS older_request ON older_request.id = older.request
               WHERE older.order_key = this.order_key AND older.state IN ('waiting', 'claimed')
                 AND (older.request, older.delivery_index) < (this.request, this.delivery_index) AND older_request.config = requests.config)
             FROM deliveries AS this JOIN requests ON id = this.request WHERE task = ? AND this.delivery_index = ?",
        )?
        .query_row(params![delivery.task, delivery.index], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    if let Some((request, true, false)) = found {
        tx.db
            .prepare_cached("UPDATE deliveries SET waits_for_older = 0 WHERE request = ? AND delivery_index = ?")?
            .execute(params![request, delivery.index])?;
    }
    Ok(found.is_some_and(|(_, _, has_older)| has_older))
}
