//! History rows of deliveries that have ended, until a process has written them to the database.
//!
//! No process owns a row that another has left: two that write the same line write the same point, since the line has its
//! time and its tags.

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::process::{HistoryCursor, ProcessState};
use super::server::{Session, StreamName};
use super::stored::{json, read};
use super::subjects::{self, config_token};
use notifier_core::panics::lock;

use notifier_core::store::{HistoryRow, LEASE, StoreError};

#[derive(Serialize, Deserialize)]
struct StoredRow {
    line: String,
    /// The process that made the delivery. It writes the row, unless it ends first.
    owner: String,
    /// Milliseconds since 1970 by the servers' clock.
    stored: u64,
}

/// Stores a row, in place of one with the same line. Returns whether it is stored.
pub async fn store(process: &ProcessState, session: &dyn Session, row: &HistoryRow) -> bool {
    let stored = json(&StoredRow {
        line: row.line.clone(),
        owner: process.owner.clone(),
        stored: process.servers.now(),
    });
    session.publish(subject(row), stored, None).await.is_ok()
}

/// Claims rows that other processes have not written within a lease, the oldest first, each once.
pub async fn claim(
    process: &ProcessState,
    config: &str,
    limit: usize,
) -> Result<Vec<HistoryRow>, StoreError> {
    let session = process.servers.session().await?;
    let begun = Instant::now();
    let token = config_token(config);
    let stream = session.created(StreamName::History);
    let progress = lock(&process.history).get(&token).copied();
    let progress = progress.filter(|progress| progress.stream == stream);
    let mut next = progress.map_or(1, |progress| progress.next);
    let subjects = subjects::histories(&token);
    let mut rows = Vec::new();
    while rows.len() < limit {
        let message = session
            .next_message(StreamName::History, &subjects, next)
            .await;
        let message = message.map_err(|_| process.servers.missed(&*session, begun))?;
        let Some(message) = message else { break };
        if let Some(row) = read::<StoredRow>(&message.payload)
            && row.owner != process.owner
        {
            let age = process.servers.now().saturating_sub(row.stored);
            if u128::from(age) < LEASE.as_millis() {
                break;
            }
            rows.push(HistoryRow {
                config: config.into(),
                line: row.line,
            });
        }
        next = message.sequence + 1;
    }
    lock(&process.history).insert(token, HistoryCursor { stream, next });
    Ok(rows)
}

/// Deletes a row.
pub async fn forget(process: &ProcessState, row: &HistoryRow) -> Result<(), StoreError> {
    let session = process.servers.session().await?;
    let begun = Instant::now();
    let purged = session.purge(StreamName::History, &subject(row)).await;
    purged.map_err(|_| process.servers.missed(&*session, begun))
}

fn subject(row: &HistoryRow) -> String {
    subjects::history(&config_token(&row.config), &row.line)
}
