//! Recovers a request that a store has given to this process.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::sizes;
use super::start::AdmittedRequest;
use crate::delivery::Dispatcher;
use crate::delivery::limits::pacing::Caller;
use crate::delivery::progress::store::StoredTask;
use crate::delivery::progress::task::Task;
use crate::model::observer::DeliveryObserver;
use crate::model::outcome::Outcome;
use crate::model::plan::{DeliveryPolicy, Identity, PlannedDelivery};
use crate::model::report::DeliveryReport;
use crate::observe::{Event, TaskLog};

/// A request that a store has given to this process, with the deliveries that have not ended.
pub struct RecoveredRequest {
    pub task_id: String,
    /// The caller whose share of the limits it uses.
    pub caller: Caller,
    pub identity: Identity,
    /// The time since its acceptance.
    pub age: Duration,
    /// The current reports of all its deliveries.
    pub reports: Vec<DeliveryReport>,
    /// By their places in the request.
    pub deliveries: Vec<(usize, PlannedDelivery)>,
    /// Bytes that they hold together.
    pub shared_bytes: usize,
    pub policy: Arc<DeliveryPolicy>,
    pub log: TaskLog,
    pub warnings: Vec<String>,
    pub stored: StoredTask,
    /// Learns how its deliveries end.
    pub observer: Option<Arc<dyn DeliveryObserver>>,
}

impl Dispatcher {
    /// Continues an accepted request.
    pub fn recover(&self, recovered: RecoveredRequest) -> Arc<Task> {
        let RecoveredRequest {
            task_id,
            caller,
            identity,
            age,
            mut reports,
            deliveries,
            shared_bytes,
            policy,
            log,
            warnings,
            stored,
            observer,
        } = recovered;
        let taken_over = Event::Recovered {
            deliveries: deliveries.len(),
        };
        self.0.services.sink.emit(&log, &taken_over);
        for (index, delivery) in &deliveries {
            if let Some(report) = reports.get_mut(*index) {
                let before = report.clone();
                *report = delivery.report(*index);
                report.attempts = before.attempts;
                report.parts_delivered = delivery.parts_done();
                // Its outcome is not reported yet.
                report.outcome = Outcome::Pending(before.outcome.failure().cloned());
            }
        }
        let now = Instant::now();
        let accepted = now.checked_sub(age).unwrap_or(now);
        let task = Task::accepted_at(accepted, task_id, log, warnings, reports, observer);
        let window = policy.dedup_window;
        self.0.idempotency.remember(identity, window, &task);
        let sizes = sizes(&deliveries);
        let shared = shared_bytes + Task::size_without_reports(&task.id, &task.warnings());
        let capacity = &self.0.services.capacity;
        self.start(AdmittedRequest {
            task: Arc::clone(&task),
            permits: capacity.reserve_accepted(&capacity.usage(&caller), &sizes, shared),
            deliveries,
            policy,
            stored: Some(stored),
            batch: None,
        });
        task
    }
}
