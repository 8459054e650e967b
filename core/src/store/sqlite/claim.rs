//! How requests are taken over, and which of their deliveries wait for older ones.

use rusqlite::{OptionalExtension, Result, Row, named_params, params};

use super::time::time;
use super::transaction::{Transaction, parse, report};
use crate::model::plan::Identity;
use crate::store::{DeliveryId, NewDelivery, OrderKey, StoredRequest, StoredWork, Target};

/// Requests of nobody, and those of this owner in which an operator has put something back; never one of which a delivery
/// runs in this process.
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
        claimed.extend(take_over(tx, row.get(0)?, row.get(1)?)?);
    }
    Ok(claimed)
}

/// Takes a request over, unless it has a delivery that runs here.
fn take_over(tx: &Transaction<'_>, id: i64, whole: bool) -> Result<Option<StoredRequest>> {
    let mut request = request(tx, id)?;
    request.deliveries = deliveries(tx, id, whole)?;
    let open = request.deliveries.iter().enumerate();
    let open: Vec<usize> = open
        .filter_map(|(place, delivery)| delivery.work.as_ref().map(|_| place))
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
    for place in open {
        let order = order_of(&request.deliveries, place);
        let behind = match order {
            Some(order) => has_older_elsewhere(tx, order, id, place)?,
            None => false,
        };
        tx.db
            .prepare_cached(
                "UPDATE deliveries SET state = 'claimed', taken_over = 1, behind = ? WHERE request = ? AND place = ?",
            )?
            .execute(params![behind, id, place])?;
        if behind {
            request.behind.push(place);
        }
    }
    Ok(Some(request))
}

fn order_of(deliveries: &[NewDelivery], place: usize) -> Option<&OrderKey> {
    deliveries.get(place)?.work.as_ref()?.order.as_ref()
}

fn request(tx: &Transaction<'_>, id: i64) -> Result<StoredRequest> {
    tx.db
        .prepare_cached(
            "SELECT task, scope, key, fingerprint, arguments, json, warnings, accepted_age FROM requests JOIN bodies ON request = id WHERE id = ?",
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

/// With the work that is open in it: all, or only what an operator has put back.
fn deliveries(tx: &Transaction<'_>, id: i64, whole: bool) -> Result<Vec<NewDelivery>> {
    let mut select = tx.db.prepare_cached(
        "SELECT place, state, receiver, destination, sealed, deadline, composition, attempting, report, order_key
         FROM deliveries WHERE request = ? ORDER BY place",
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
    let attempting: Option<i64> = row.get(7)?;
    let order: Option<Vec<u8>> = row.get(9)?;
    Ok(Some(StoredWork {
        target,
        time_left: tx.now.until(row.get(5)?),
        order: order.and_then(|order| order.try_into().ok()),
        composition: composition.try_into().unwrap_or_default(),
        attempting: attempting.map(time),
    }))
}

/// Whether a delivery that is accepted now is behind another in no line of this process. Only the youngest of those before it
/// counts: it was itself accepted behind the others.
pub fn is_behind(tx: &Transaction<'_>, order: &OrderKey, request: i64) -> Result<bool> {
    let youngest = tx
        .db
        .prepare_cached(
            "SELECT task, place, owner, behind, taken_over FROM deliveries JOIN requests ON id = request
             WHERE order_key = ?1 AND state IN ('waiting', 'claimed') AND request < ?2
               AND config = (SELECT config FROM requests WHERE id = ?2)
             ORDER BY request DESC, place DESC LIMIT 1",
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
            // What was claimed a moment ago may not be in its line yet.
            let is_in_line = !taken_over || tx.running.contains(&delivery);
            behind || owner.as_ref() != Some(&tx.owner.id) || !is_in_line
        }),
    )
}

/// Whether an older one is left that this owner has not claimed before it.
fn has_older_elsewhere(
    tx: &Transaction<'_>,
    order: &OrderKey,
    request: i64,
    place: usize,
) -> Result<bool> {
    tx.db
        .prepare_cached(
            "SELECT EXISTS (
               SELECT 1 FROM deliveries JOIN requests ON id = request
               WHERE order_key = ?1 AND state IN ('waiting', 'claimed') AND (request, place) < (?2, ?3)
                 AND config = (SELECT config FROM requests WHERE id = ?2) AND (owner IS NOT ?4 OR behind))",
        )?
        .query_row(
            params![order.as_slice(), request, place, tx.owner.id],
            |row| row.get(0),
        )
}

/// Whether an older one has not ended. Where none is left, those that come later line up behind this one.
pub fn has_older(tx: &Transaction<'_>, delivery: &DeliveryId) -> Result<bool> {
    let found: Option<(i64, bool, bool)> = tx
        .db
        .prepare_cached(
            "SELECT request, behind, EXISTS (
               SELECT 1 FROM deliveries AS older JOIN requests AS of_older ON of_older.id = older.request
               WHERE older.order_key = mine.order_key AND older.state IN ('waiting', 'claimed')
                 AND (older.request, older.place) < (mine.request, mine.place) AND of_older.config = requests.config)
             FROM deliveries AS mine JOIN requests ON id = mine.request WHERE task = ? AND mine.place = ?",
        )?
        .query_row(params![delivery.task, delivery.index], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    if let Some((request, true, false)) = found {
        tx.db
            .prepare_cached("UPDATE deliveries SET behind = 0 WHERE request = ? AND place = ?")?
            .execute(params![request, delivery.index])?;
    }
    Ok(found.is_some_and(|(_, _, has_older)| has_older))
}
