//! History rows that no process has written to the database yet.

use std::sync::Arc;

use rusqlite::{Result, params};

use super::SqliteStore;
use super::transaction::Transaction;
use crate::store::{HistoryRow, HistoryStore, StoreFuture};

impl HistoryStore for SqliteStore {
    fn store_history(&self, row: &HistoryRow) -> StoreFuture<()> {
        let row = row.clone();
        self.writer.submit(move |tx| insert(tx, &row))
    }

    fn claim_history(&self, config: &str, limit: usize) -> StoreFuture<Vec<HistoryRow>> {
        let config = config.to_owned();
        self.writer
            .submit_read_mostly(move |tx| claim(tx, &config, limit))
    }

    fn history_written(&self, row: &HistoryRow) -> StoreFuture<()> {
        let line = row.line.clone();
        self.writer.submit(move |tx| written(tx, &line))
    }
}

pub fn insert(tx: &Transaction<'_>, row: &HistoryRow) -> Result<()> {
    tx.owner.register(tx.db)?;
    tx.db
        .prepare_cached("INSERT OR IGNORE INTO history (line, config, owner) VALUES (?, ?, ?)")?
        .execute(params![row.line, &*row.config, tx.owner.id])
        .map(drop)
}

/// Claims rows without an owner.
fn claim(tx: &mut Transaction<'_>, config: &str, limit: usize) -> Result<Vec<HistoryRow>> {
    tx.observer.remove_lost(tx.db, tx.owner, tx.uptime)?;
    let mut select = tx.db.prepare_cached(
        "SELECT line FROM history WHERE owner IS NULL AND config = ? ORDER BY id LIMIT ?",
    )?;
    let rows = select.query_map(params![config, limit], |row| row.get(0))?;
    let lines: Vec<String> = rows.collect::<Result<_>>()?;
    for line in &lines {
        tx.owner.register(tx.db)?;
        tx.db
            .prepare_cached("UPDATE history SET owner = ? WHERE line = ?")?
            .execute(params![tx.owner.id, line])?;
    }
    let config = config.into();
    let row = |line| HistoryRow {
        config: Arc::clone(&config),
        line,
    };
    Ok(lines.into_iter().map(row).collect())
}

fn written(tx: &Transaction<'_>, line: &str) -> Result<()> {
    tx.db
        .prepare_cached("DELETE FROM history WHERE line = ?")?
        .execute([line])
        .map(drop)
}
