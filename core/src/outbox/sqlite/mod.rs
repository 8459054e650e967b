//! The outbox in one SQLite file, shared by the processes of a machine.

mod claim;
mod file;
mod history;
mod last_sent;
pub mod operator;
mod owners;
mod purge;
mod reserve;
mod rows;
mod time;
mod transaction;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use self::writer::Writer;
use super::clock::{Clock, SystemClock};
use super::{
    Accepted, DeliveryId, HistoryRow, KeptRequest, LastSent, NewRequest, Outbox, OutboxError,
    Ownership, Reply, Running,
};
use crate::model::outcome::MessageRef;
use crate::model::report::DeliveryReport;

/// To look for what belongs to nobody costs a read of the file, no more: a request of a process that was killed waits no
/// longer than this.
const CLAIM_EVERY: Duration = Duration::from_secs(1);

/// This process's use of one file.
pub struct SqliteOutbox {
    writer: Writer,
    running: Running,
}

impl SqliteOutbox {
    /// Opens the file, or makes it where it is not there.
    pub fn open(path: &Path) -> Result<Self, OutboxError> {
        Self::open_with(path, Arc::new(SystemClock))
    }

    /// The same, with other clocks.
    pub fn open_with(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OutboxError> {
        let running = Running::default();
        Ok(Self {
            writer: Writer::start(path, clock, running.clone())?,
            running,
        })
    }
}

impl Outbox for SqliteOutbox {
    fn place(&self) -> String {
        self.writer.place().to_owned()
    }

    fn accept(&self, request: NewRequest) -> Reply<Accepted> {
        let task = request.task.clone();
        self.writer.ask_or_undo(
            move |tx| rows::accept(tx, &request),
            move |tx| rows::forget(tx, &task),
        )
    }

    fn leave(&self, request: NewRequest) -> Reply<Accepted> {
        let task = request.task.clone();
        self.writer.ask_or_undo(
            move |tx| {
                let accepted = rows::accept(tx, &request)?;
                if matches!(accepted, Accepted::New { .. }) {
                    rows::leave(tx, &request.task)?;
                }
                Ok(accepted)
            },
            move |tx| rows::forget(tx, &task),
        )
    }

    fn claim(&self, config: &str, limit: usize) -> Reply<Vec<KeptRequest>> {
        let config = config.to_owned();
        self.writer.look(move |tx| claim::claim(tx, &config, limit))
    }

    fn owns(&self, delivery: &DeliveryId) -> Reply<Ownership> {
        let delivery = delivery.clone();
        self.writer.ask(move |tx| rows::owns(tx, &delivery))
    }

    fn attempting(&self, delivery: &DeliveryId, at: SystemTime) -> Reply<Ownership> {
        let delivery = delivery.clone();
        self.writer
            .ask(move |tx| rows::attempting(tx, &delivery, Some(at)))
    }

    fn not_taken(&self, delivery: &DeliveryId) -> Reply<()> {
        let delivery = delivery.clone();
        self.writer
            .ask(move |tx| rows::attempting(tx, &delivery, None).map(drop))
    }

    fn parts_done(&self, delivery: &DeliveryId, parts: usize) -> Reply<()> {
        let delivery = delivery.clone();
        self.writer
            .ask(move |tx| rows::parts_done(tx, &delivery, parts))
    }

    fn end(
        &self,
        delivery: &DeliveryId,
        report: &DeliveryReport,
        row: Option<&HistoryRow>,
    ) -> Reply<()> {
        let (delivery, report, row) = (delivery.clone(), report.clone(), row.cloned());
        self.writer
            .ask(move |tx| rows::end(tx, &delivery, &report, row.as_ref()))
    }

    fn has_older(&self, delivery: &DeliveryId) -> Reply<bool> {
        let delivery = delivery.clone();
        self.writer.look(move |tx| claim::has_older(tx, &delivery))
    }

    fn store_history(&self, row: &HistoryRow) -> Reply<()> {
        let row = row.clone();
        self.writer.ask(move |tx| history::insert(tx, &row))
    }

    fn claim_history(&self, config: &str, limit: usize) -> Reply<Vec<HistoryRow>> {
        let config = config.to_owned();
        self.writer
            .look(move |tx| history::claim(tx, &config, limit))
    }

    fn history_written(&self, row: &HistoryRow) -> Reply<()> {
        let line = row.line.clone();
        self.writer.ask(move |tx| history::written(tx, &line))
    }

    fn taken(&self, delivery: &DeliveryId, messages: Vec<MessageRef>) -> Reply<Vec<MessageRef>> {
        let delivery = delivery.clone();
        self.writer
            .ask(move |tx| rows::taken(tx, &delivery, &messages))
    }

    fn last_sent(&self, key: &str) -> Reply<Option<LastSent>> {
        let key = key.to_owned();
        self.writer.look(move |tx| last_sent::get(tx, &key))
    }

    fn set_last_sent(&self, key: &str, last: Option<&LastSent>) -> Reply<()> {
        let (key, last) = (key.to_owned(), last.cloned());
        self.writer
            .ask(move |tx| last_sent::set(tx, &key, last.as_ref()))
    }

    fn depth(&self) -> Reply<usize> {
        self.writer.look(|tx| rows::depth(tx))
    }

    fn release(&self) -> Reply<()> {
        self.writer.ask(|tx| rows::release(tx))
    }

    fn running(&self) -> &Running {
        &self.running
    }

    fn claim_every(&self) -> Duration {
        CLAIM_EVERY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Outcome;
    use crate::model::plan::Identity;
    use crate::outbox::{KeptWork, NewDelivery, Target, Trouble};

    fn report(outcome: Outcome) -> DeliveryReport {
        DeliveryReport {
            index: 0,
            sender: "http".to_owned(),
            receiver: None,
            destination: None,
            outcome,
            path: None,
            http_status: None,
            attempts: 0,
            parts: 1,
            parts_delivered: 0,
            segments: None,
            elapsed: Duration::ZERO,
            next_attempt_in: None,
            preview: None,
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
            said: "x".repeat(20_000),
            dedup_key: None,
            warnings: Vec::new(),
            accepted: SystemTime::now(),
            deliveries: vec![NewDelivery {
                report: report(Outcome::Pending(None)),
                work: Some(KeptWork {
                    target: Target::Sealed(Vec::new()),
                    time_left: Duration::from_secs(60),
                    order: None,
                    composition: [0; 32],
                    attempting: None,
                }),
            }],
        }
    }

    #[tokio::test]
    async fn a_file_without_room_refuses_what_is_new_and_notes_what_has_ended() {
        let directory = tempfile::tempdir().unwrap();
        let outbox = SqliteOutbox::open(&directory.path().join("outbox.db")).unwrap();
        for n in 0..10 {
            outbox.accept(request(&n.to_string())).await.unwrap();
        }
        let limit = outbox.writer.ask(|tx| {
            let pages = tx
                .db
                .pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0))?;
            tx.db.pragma_update(None, "max_page_count", pages)
        });
        limit.await.unwrap();
        for n in 10..13 {
            let refused = outbox.accept(request(&n.to_string())).await.unwrap_err();
            assert_eq!(refused.trouble, Trouble::Full);
            // One that comes at the same time and needs no room is done.
            assert_eq!(outbox.depth().await.unwrap(), 10);
        }
        let delivered = report(Outcome::Delivered { message: None });
        let ended = DeliveryId {
            task: "0".to_owned(),
            index: 0,
        };
        outbox.end(&ended, &delivered, None).await.unwrap();
        assert_eq!(outbox.depth().await.unwrap(), 9);
        outbox.accept(request("after")).await.unwrap();
    }
}
