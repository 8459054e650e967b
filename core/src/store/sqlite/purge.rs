//! Deletes expired rows, by the time for which the file was in use: see `time`.

use std::time::Duration;

use rusqlite::{Connection, Result, named_params, params};

use super::time::Moment;
use crate::model::plan::KEEP_KEY;
use crate::store::{KEEP_DEAD, KEEP_LAST_NOTIFICATIONS, MAX_HISTORY};

/// How long a provider's message belongs to its delivery.
const KEEP_MESSAGE: Duration = Duration::from_secs(600);
/// Ended requests, including dead letters; the oldest are deleted first.
const MAX_ENDED: u32 = 100_000;
/// Rows that one transaction deletes.
const PURGE_BATCH: u32 = 1000;

pub fn purge(db: &Connection, now: Moment) -> Result<()> {
    db.prepare_cached(
        "DELETE FROM requests WHERE id IN (
           SELECT id FROM requests
           WHERE ended_used IS NOT NULL AND ended_used < CASE
             WHEN EXISTS (SELECT 1 FROM deliveries WHERE request = id AND state = 'dead') THEN :dead
             WHEN key IS NOT NULL OR EXISTS (SELECT 1 FROM deliveries WHERE request = id AND state = 'dropped') THEN :key
             ELSE :message END
           LIMIT :batch)",
    )?
    .execute(named_params! {
        ":dead": now.used_before(KEEP_DEAD), ":key": now.used_before(KEEP_KEY),
        ":message": now.used_before(KEEP_MESSAGE), ":batch": PURGE_BATCH,
    })?;
    db.prepare_cached(
        "DELETE FROM requests WHERE id IN (
           SELECT id FROM requests WHERE ended_used IS NOT NULL ORDER BY ended_used DESC LIMIT :batch OFFSET :most)",
    )?
    .execute(named_params! { ":batch": PURGE_BATCH, ":most": MAX_ENDED })?;
    db.prepare_cached(
        "DELETE FROM history WHERE id <= (SELECT id FROM history ORDER BY id DESC LIMIT 1 OFFSET ?)",
    )?
    .execute([MAX_HISTORY])?;
    db.prepare_cached("DELETE FROM last_notifications WHERE used < ?")?
        .execute(params![now.used_before(KEEP_LAST_NOTIFICATIONS)])
        .map(drop)
}
