//! Requests and their deliveries: each operation is one transaction of the writer.

use std::time::{Duration, SystemTime};

use super::{SqliteStore, claim, rows};
use crate::model::outcome::MessageRef;
use crate::model::report::DeliveryReport;
use crate::store::{
    Accepted, DeliveryId, HistoryRow, NewRequest, Ownership, RequestStore, Running, StoreFuture,
    StoredRequest,
};

/// A claim that finds nothing costs one read of the file. A request of a killed process waits no longer than this.
const CLAIM_EVERY: Duration = Duration::from_secs(1);

impl RequestStore for SqliteStore {
    fn accept(&self, request: NewRequest) -> StoreFuture<Accepted> {
        let task = request.task.clone();
        self.writer.submit_with_undo(
            move |tx| rows::accept(tx, &request),
            move |tx| rows::delete_request(tx, &task),
        )
    }

    fn enqueue(&self, request: NewRequest) -> StoreFuture<Accepted> {
        let task = request.task.clone();
        self.writer.submit_with_undo(
            move |tx| {
                let accepted = rows::accept(tx, &request)?;
                if matches!(accepted, Accepted::New { .. }) {
                    rows::release_request(tx, &request.task)?;
                }
                Ok(accepted)
            },
            move |tx| rows::delete_request(tx, &task),
        )
    }

    fn claim(&self, config: &str, limit: usize) -> StoreFuture<Vec<StoredRequest>> {
        let config = config.to_owned();
        self.writer
            .submit_read_mostly(move |tx| claim::claim(tx, &config, limit))
    }

    fn check_lease(&self, delivery: &DeliveryId) -> StoreFuture<Ownership> {
        let delivery = delivery.clone();
        self.writer
            .submit(move |tx| rows::check_lease(tx, &delivery))
    }

    fn begin_attempt(&self, delivery: &DeliveryId, at: SystemTime) -> StoreFuture<Ownership> {
        let delivery = delivery.clone();
        self.writer
            .submit(move |tx| rows::set_attempting(tx, &delivery, Some(at)))
    }

    fn attempt_failed(&self, delivery: &DeliveryId) -> StoreFuture<()> {
        let delivery = delivery.clone();
        self.writer
            .submit(move |tx| rows::set_attempting(tx, &delivery, None).map(drop))
    }

    fn parts_done(&self, delivery: &DeliveryId, parts: usize) -> StoreFuture<()> {
        let delivery = delivery.clone();
        self.writer
            .submit(move |tx| rows::parts_done(tx, &delivery, parts))
    }

    fn complete(
        &self,
        delivery: &DeliveryId,
        report: &DeliveryReport,
        row: Option<&HistoryRow>,
    ) -> StoreFuture<()> {
        let (delivery, report, row) = (delivery.clone(), report.clone(), row.cloned());
        self.writer
            .submit(move |tx| rows::complete(tx, &delivery, &report, row.as_ref()))
    }

    fn has_older(&self, delivery: &DeliveryId) -> StoreFuture<bool> {
        let delivery = delivery.clone();
        self.writer
            .submit_read_mostly(move |tx| claim::has_older(tx, &delivery))
    }

    fn claimed_by_others(
        &self,
        delivery: &DeliveryId,
        messages: Vec<MessageRef>,
    ) -> StoreFuture<Vec<MessageRef>> {
        let delivery = delivery.clone();
        self.writer
            .submit(move |tx| rows::claimed_by_others(tx, &delivery, &messages))
    }

    fn depth(&self) -> StoreFuture<usize> {
        self.writer.submit_read_mostly(|tx| rows::depth(tx))
    }

    fn release(&self) -> StoreFuture<()> {
        self.writer.submit(|tx| rows::release(tx))
    }

    fn running(&self) -> &Running {
        &self.running
    }

    fn claim_every(&self) -> Duration {
        CLAIM_EVERY
    }
}
