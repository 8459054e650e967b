//! The outbox in one SQLite file, shared by the processes of a machine.

mod file;
mod last_sent;
pub mod operator;
mod rows;
mod writer;

use std::path::Path;
use std::time::SystemTime;

use self::rows::Owner;
use self::writer::Writer;
use super::{
    Accepted, DeliveryId, HistoryRow, KeptRequest, LastSent, NewRequest, Outbox, OutboxError,
    Ownership, Reply, Running,
};
use crate::model::outcome::MessageRef;
use crate::model::report::DeliveryReport;

/// This process's use of one file.
pub struct SqliteOutbox {
    owner: Owner,
    writer: Writer,
    running: Running,
}

impl SqliteOutbox {
    /// Opens the file, or makes it where it is not there.
    pub fn open(path: &Path) -> Result<Self, OutboxError> {
        let owner = uuid::Uuid::new_v4().to_string();
        Ok(Self {
            writer: Writer::start(path, owner.clone())?,
            owner,
            running: Running::default(),
        })
    }
}

impl Outbox for SqliteOutbox {
    fn place(&self) -> String {
        self.writer.place().to_owned()
    }

    fn accept(&self, request: NewRequest) -> Reply<Accepted> {
        let owner = self.owner.clone();
        let task = request.task.clone();
        self.writer.ask_or_undo(
            move |db| rows::accept(db, &owner, &request),
            move |db| rows::forget(db, &task),
        )
    }

    fn leave(&self, request: NewRequest) -> Reply<Accepted> {
        let owner = self.owner.clone();
        let task = request.task.clone();
        self.writer.ask_or_undo(
            move |db| {
                let accepted = rows::accept(db, &owner, &request)?;
                if matches!(accepted, Accepted::New { .. }) {
                    rows::leave(db, &request.task)?;
                }
                Ok(accepted)
            },
            move |db| rows::forget(db, &task),
        )
    }

    fn claim(&self, config: &str, limit: usize) -> Reply<Vec<KeptRequest>> {
        let (owner, config) = (self.owner.clone(), config.to_owned());
        self.writer
            .ask(move |db| rows::claim(db, &owner, &config, limit))
    }

    fn owns(&self, delivery: &DeliveryId) -> Reply<Ownership> {
        let (owner, delivery) = (self.owner.clone(), delivery.clone());
        self.writer.ask(move |db| rows::owns(db, &owner, &delivery))
    }

    fn attempting(&self, delivery: &DeliveryId, at: SystemTime) -> Reply<Ownership> {
        let (owner, delivery) = (self.owner.clone(), delivery.clone());
        self.writer
            .ask(move |db| rows::attempting(db, &owner, &delivery, Some(at)))
    }

    fn not_taken(&self, delivery: &DeliveryId) -> Reply<()> {
        let (owner, delivery) = (self.owner.clone(), delivery.clone());
        self.writer
            .ask(move |db| rows::attempting(db, &owner, &delivery, None).map(drop))
    }

    fn parts_done(&self, delivery: &DeliveryId, parts: usize) -> Reply<()> {
        let (owner, delivery) = (self.owner.clone(), delivery.clone());
        self.writer
            .ask(move |db| rows::parts_done(db, &owner, &delivery, parts))
    }

    fn end(
        &self,
        delivery: &DeliveryId,
        report: &DeliveryReport,
        _row: Option<&HistoryRow>,
    ) -> Reply<()> {
        let (owner, delivery, report) = (self.owner.clone(), delivery.clone(), report.clone());
        self.writer
            .ask(move |db| rows::end(db, &owner, &delivery, &report))
    }

    fn has_older(&self, _delivery: &DeliveryId) -> Reply<bool> {
        Box::pin(async { Ok(false) })
    }

    fn claim_history(&self, _config: &str, _limit: usize) -> Reply<Vec<HistoryRow>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn history_written(&self, _row: &HistoryRow) -> Reply<()> {
        Box::pin(async { Ok(()) })
    }

    fn running(&self) -> &Running {
        &self.running
    }

    fn taken(&self, delivery: &DeliveryId, messages: Vec<MessageRef>) -> Reply<Vec<MessageRef>> {
        let delivery = delivery.clone();
        self.writer
            .ask(move |db| rows::taken(db, &delivery, &messages))
    }

    fn last_sent(&self, key: &str) -> Reply<Option<LastSent>> {
        let key = key.to_owned();
        self.writer.ask(move |db| last_sent::get(db, &key))
    }

    fn set_last_sent(&self, key: &str, last: Option<&LastSent>) -> Reply<()> {
        let (key, last) = (key.to_owned(), last.cloned());
        self.writer
            .ask(move |db| last_sent::set(db, &key, last.as_ref()))
    }

    fn depth(&self) -> Reply<usize> {
        self.writer.ask(rows::depth)
    }

    fn release(&self) -> Reply<()> {
        let owner = self.owner.clone();
        self.writer.ask(move |db| rows::release(db, &owner))
    }
}
