//! The deliveries of a request start, or end without being tried.

use std::sync::Arc;

use super::throttle::ThrottleBatch;
use super::untried::Untried;
use crate::delivery::Dispatcher;
use crate::delivery::limits::capacity::InFlightPermit;
use crate::delivery::progress::Progress;
use crate::delivery::progress::store::StoredTask;
use crate::delivery::progress::task::Task;
use crate::delivery::run;
use crate::delivery::state::Delivery;
use crate::model::outcome::{Detail, Failure, Outcome, Reason};
use crate::model::plan::{DeliveryPolicy, Disposition, PlannedDelivery};
use crate::observe::{Event, Outputs, Sink};
use crate::secret::Redactor;
use crate::store::StoreError;

/// A request with its permits, before anything is sent.
pub struct AdmittedRequest {
    pub task: Arc<Task>,
    /// By their places in the request.
    pub deliveries: Vec<(usize, PlannedDelivery)>,
    pub policy: Arc<DeliveryPolicy>,
    /// One for each delivery.
    pub permits: Vec<InFlightPermit>,
    pub stored: Option<StoredTask>,
    pub batch: Option<Arc<ThrottleBatch>>,
}

impl Dispatcher {
    /// Must be called on a runtime.
    pub(super) fn start(&self, request: AdmittedRequest) {
        let AdmittedRequest {
            task,
            deliveries,
            policy,
            permits,
            stored,
            batch,
        } = request;
        let services = &self.0.services;
        let mut untried = Untried::new(services, &task);
        let claimed = stored
            .as_ref()
            .map_or(task.accepted, |stored| stored.confirmed);
        for ((index, planned), permit) in deliveries.into_iter().zip(permits) {
            let Some(progress) = progress(&task, index, stored.as_ref()) else {
                // The request is already running here, and continues.
                task.leave(index);
                continue;
            };
            let PlannedDelivery {
                sender,
                receiver,
                disposition,
                ..
            } = planned;
            match disposition {
                Disposition::Preview(_) | Disposition::Ignore => {}
                Disposition::Suppress { .. } => untried.ended(index),
                Disposition::Decided { outcome, .. } => untried.decided(index, &outcome),
                Disposition::Reject { failure, .. } => untried.reject(progress, &sender, failure),
                Disposition::Send(send) => {
                    let (services, policy) = (Arc::clone(services), Arc::clone(&policy));
                    let mut delivery =
                        Delivery::new(services, progress, sender, receiver, send, policy);
                    delivery.permit = Some(permit);
                    if let Some(resume) = &delivery.planned.resume {
                        delivery.deadline = claimed + resume.time_left;
                    }
                    if let Some(delivery) = self.throttle(delivery, batch.as_deref()) {
                        run::start(delivery);
                    }
                }
            }
        }
        untried.sum_up();
    }
}

/// Returns the delivery's progress. `None` if it already runs in this process.
fn progress(task: &Arc<Task>, index: usize, stored: Option<&StoredTask>) -> Option<Progress> {
    let entry = match stored {
        Some(stored) => Some(stored.entry(task, index)?),
        None => None,
    };
    Some(Progress {
        task: Arc::clone(task),
        index,
        entry,
    })
}

impl AdmittedRequest {
    pub fn has_something_to_send(&self) -> bool {
        let mut all = self.deliveries.iter();
        all.any(|(_, delivery)| delivery.disposition.should_send())
    }

    /// Another process sends the deliveries.
    pub fn without_sends(self) -> Self {
        let all = self.deliveries.into_iter().zip(self.permits);
        let (deliveries, permits) = all
            .filter(|((index, delivery), _)| {
                let is_to_send = delivery.disposition.should_send();
                if is_to_send {
                    self.task.leave(*index);
                }
                !is_to_send
            })
            .unzip();
        Self {
            task: self.task,
            deliveries,
            permits,
            policy: self.policy,
            stored: self.stored,
            batch: self.batch,
        }
    }

    /// Reports why its deliveries wait.
    pub fn wait_for_store(&self, error: &StoreError) {
        for (index, delivery) in &self.deliveries {
            if delivery.disposition.should_send() {
                let detail = Detail::new(&error.to_string(), &Redactor::default());
                let failure = Failure::new(Reason::Outbox).with_detail(detail);
                self.task.pending(*index, failure);
            }
        }
    }

    /// Sends nothing of the request. The response of its call says why.
    pub fn refuse(self, sink: &Sink, reason: Reason) {
        let all = self.deliveries.iter();
        for (index, _) in all.filter(|(_, delivery)| delivery.disposition.should_send()) {
            let progress = Progress {
                task: Arc::clone(&self.task),
                index: *index,
                entry: None,
            };
            let outcome = Outcome::Failed(Failure::new(reason));
            progress.end_as(sink, Outputs::All, outcome, |report| {
                Event::NotPersisted(report)
            });
        }
    }
}
