//! The alert state: one row for each alert and each group, and the owner that leads.

use std::time::Duration;

use rusqlite::{OptionalExtension, Result, params};

use super::SqliteStore;
use super::transaction::{Transaction, report};
use crate::model::outcome::Outcome;
use crate::store::{AlertRow, AlertRowKind, AlertStore, DeliveryId, StoreFuture, StoredAlerts};

impl AlertStore for SqliteStore {
    fn lead_alerts(&self, config: &str) -> StoreFuture<Option<StoredAlerts>> {
        let config = config.to_owned();
        self.writer.submit(move |tx| lead(tx, &config))
    }

    fn write_alerts(&self, config: &str, rows: Vec<AlertRow>) -> StoreFuture<bool> {
        let config = config.to_owned();
        self.writer.submit(move |tx| write(tx, &config, &rows))
    }

    fn delivery_outcome(&self, delivery: &DeliveryId) -> StoreFuture<Option<Outcome>> {
        let delivery = delivery.clone();
        self.writer
            .submit_read_mostly(move |tx| outcome(tx, &delivery))
    }
}

fn lead(tx: &mut Transaction<'_>, config: &str) -> Result<Option<StoredAlerts>> {
    tx.observer.remove_lost(tx.db, tx.owner, tx.uptime)?;
    tx.owner.register(tx.db)?;
    let before: Option<i64> = tx
        .db
        .prepare_cached("SELECT written FROM alert_leaders WHERE config = ?")?
        .query_row([config], |row| row.get(0))
        .optional()?;
    tx.db
        .prepare_cached(
            "INSERT INTO alert_leaders (config, owner, written) VALUES (?1, ?2, ?3)
             ON CONFLICT (config) DO UPDATE SET owner = ?2 WHERE owner IS NULL",
        )?
        .execute(params![config, tx.owner.id, tx.now.wall])?;
    if !leads(tx, config)? {
        return Ok(None);
    }
    let mut select = tx
        .db
        .prepare_cached("SELECT kind, key, json FROM alert_state WHERE config = ?")?;
    let rows = select.query_map([config], |row| {
        let kind: String = row.get(0)?;
        Ok(AlertRow {
            kind: AlertRowKind::ALL
                .into_iter()
                .find(|known| known.word() == kind)
                .unwrap_or(AlertRowKind::Alert),
            key: row.get(1)?,
            json: row.get(2)?,
        })
    })?;
    let idle = before.map_or(0, |before| tx.now.wall.saturating_sub(before));
    Ok(Some(StoredAlerts {
        rows: rows.collect::<Result<_>>()?,
        // A clock that was set back proves nothing.
        idle: Duration::from_millis(u64::try_from(idle).unwrap_or(0)),
    }))
}

fn leads(tx: &Transaction<'_>, config: &str) -> Result<bool> {
    tx.db
        .prepare_cached("SELECT 1 FROM alert_leaders WHERE config = ? AND owner = ?")?
        .exists(params![config, tx.owner.id])
}

fn write(tx: &Transaction<'_>, config: &str, rows: &[AlertRow]) -> Result<bool> {
    if !leads(tx, config)? {
        return Ok(false);
    }
    for row in rows {
        let kind = row.kind.word();
        match &row.json {
            Some(json) => tx
                .db
                .prepare_cached(
                    "INSERT OR REPLACE INTO alert_state (config, kind, key, json) VALUES (?, ?, ?, ?)",
                )?
                .execute(params![config, kind, row.key, json])?,
            None => tx
                .db
                .prepare_cached("DELETE FROM alert_state WHERE config = ? AND kind = ? AND key = ?")?
                .execute(params![config, kind, row.key])?,
        };
    }
    tx.db
        .prepare_cached("UPDATE alert_leaders SET written = ? WHERE config = ?")?
        .execute(params![tx.now.wall, config])?;
    Ok(true)
}

fn outcome(tx: &Transaction<'_>, delivery: &DeliveryId) -> Result<Option<Outcome>> {
    let found: Option<(String, String)> = tx
        .db
        .prepare_cached(
            "SELECT state, report FROM deliveries JOIN requests ON id = request WHERE task = ? AND delivery_index = ?",
        )?
        .query_row(params![delivery.task, delivery.index], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.map(|(state, json)| match state.as_str() {
        "waiting" | "claimed" => Outcome::Pending(None),
        _ => report(delivery.index, &json).outcome,
    }))
}
