//! Last notifications: one row for each destination and dedup key.

use rusqlite::{OptionalExtension, Result, params};

use super::SqliteStore;
use super::time::{millis, time};
use super::transaction::Transaction;
use crate::model::outcome::MessageRef;
use crate::store::record::{read_state, state_text};
use crate::store::{LastNotification, LastNotificationStore, MAX_LAST_NOTIFICATIONS, StoreFuture};

/// New rows between two checks of the bound: the count is the slowest step.
const SWEEP_EVERY: i64 = 100;

impl LastNotificationStore for SqliteStore {
    fn last_notification(&self, key: &str) -> StoreFuture<Option<LastNotification>> {
        let key = key.to_owned();
        self.writer.submit_read_mostly(move |tx| get(tx, &key))
    }

    fn set_last_notification(&self, key: &str, last: Option<&LastNotification>) -> StoreFuture<()> {
        let (key, last) = (key.to_owned(), last.cloned());
        self.writer.submit(move |tx| set(tx, &key, last.as_ref()))
    }
}

fn get(tx: &Transaction<'_>, key: &str) -> Result<Option<LastNotification>> {
    tx.db
        .prepare_cached("SELECT message, state, at FROM last_notifications WHERE key = ?")?
        .query_row([key], |row| {
            let message: Option<String> = row.get(0)?;
            let state: Option<String> = row.get(1)?;
            Ok(LastNotification {
                message: message.map(MessageRef),
                state: state.as_deref().and_then(read_state),
                at: time(row.get(2)?),
            })
        })
        .optional()
}

/// A row that is set again is the youngest.
fn set(tx: &Transaction<'_>, key: &str, last: Option<&LastNotification>) -> Result<()> {
    let Some(last) = last else {
        return tx
            .db
            .prepare_cached("DELETE FROM last_notifications WHERE key = ?")?
            .execute([key])
            .map(drop);
    };
    tx.db
        .prepare_cached(
            "INSERT OR REPLACE INTO last_notifications (key, message, state, at, used) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![
            key,
            last.message.as_ref().map(|message| &message.0),
            last.state.map(state_text),
            millis(last.at),
            tx.now.used,
        ])?;
    if tx.db.last_insert_rowid() % SWEEP_EVERY == 0 {
        // The table never holds more than the bound.
        let most = i64::try_from(MAX_LAST_NOTIFICATIONS).unwrap_or(i64::MAX) - SWEEP_EVERY;
        tx.db.prepare_cached(
            "DELETE FROM last_notifications WHERE id <= (SELECT id FROM last_notifications ORDER BY id DESC LIMIT 1 OFFSET ?)",
        )?
        .execute([most])?;
    }
    Ok(())
}
