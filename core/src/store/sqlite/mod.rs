//! The outbox in one SQLite file, shared by the processes of a machine.

mod alerts;
mod claim;
mod file;
mod history;
mod last_notifications;
pub mod operator;
mod owners;
mod purge;
mod requests;
mod reserve;
mod rows;
mod time;
mod transaction;
mod writer;

use std::path::Path;
use std::sync::Arc;

use self::writer::Writer;
use super::clock::{Clock, SystemClock};
use super::{AlertStore, Running, Store, StoreError};

/// A store in one SQLite file.
pub struct SqliteStore {
    writer: Writer,
    running: Running,
}

impl SqliteStore {
    /// Opens the file, or creates it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Arc::new(SystemClock))
    }

    /// Like `open`, with the given clocks.
    pub fn open_with(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let running = Running::default();
        Ok(Self {
            writer: Writer::start(path, clock, running.clone())?,
            running,
        })
    }
}

impl Store for SqliteStore {
    fn location(&self) -> String {
        self.writer.location().to_owned()
    }

    fn alerts(&self) -> Option<&dyn AlertStore> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::model::outcome::Outcome;
    use crate::model::plan::Identity;
    use crate::model::report::DeliveryReport;
    use crate::store::{
        DeliveryId, NewDelivery, NewRequest, RequestStore, StoreErrorKind, StoredWork, Target,
    };

    fn report(outcome: Outcome) -> DeliveryReport {
        DeliveryReport {
            parts: 1,
            ..DeliveryReport::new(0, "http".to_owned(), outcome)
        }
    }

    fn request(task: &str) -> NewRequest {
        NewRequest {
            task: task.to_owned(),
            identity: Identity {
                scope: "s".into(),
                key: None,
                fingerprint: [0; 32],
            },
            arguments: Default::default(),
            config: String::new(),
            request_json: "x".repeat(20_000),
            dedup_key: None,
            warnings: Vec::new(),
            accepted: SystemTime::now(),
            deliveries: vec![NewDelivery {
                report: report(Outcome::Pending(None)),
                work: Some(StoredWork {
                    target: Target::Sealed(Vec::new()),
                    time_left: Duration::from_secs(60),
                    order_key: None,
                    composition_hash: [0; 32],
                    attempt_began: None,
                }),
            }],
        }
    }

    #[tokio::test]
    async fn a_full_file_refuses_requests_but_stores_outcomes() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = SqliteStore::open(&directory.path().join("outbox.db")).unwrap();
        for n in 0..10 {
            outbox.accept(request(&n.to_string())).await.unwrap();
        }
        let limit = outbox.writer.submit(|tx| {
            let pages = tx
                .db
                .pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0))?;
            tx.db.pragma_update(None, "max_page_count", pages)
        });
        limit.await.unwrap();
        for n in 10..13 {
            let refused = outbox.accept(request(&n.to_string())).await.unwrap_err();
            assert_eq!(refused.kind, StoreErrorKind::NoSpace);
            // A concurrent operation that needs no space succeeds.
            assert_eq!(outbox.depth().await.unwrap(), 10);
        }
        let delivered = report(Outcome::Delivered { message: None });
        let ended = DeliveryId {
            task: "0".to_owned(),
            index: 0,
        };
        outbox.complete(&ended, &delivered, None).await.unwrap();
        assert_eq!(outbox.depth().await.unwrap(), 9);
        outbox.accept(request("after")).await.unwrap();
    }
}
