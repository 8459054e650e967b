//! The time and the content of a response.

use std::time::Duration;

use tokio::time::Instant;

use super::answering::Answering;
use super::{Body, CallLog, Notifier, Response};
use crate::api::response::{RequestResponse, RequestStatus};
use crate::config::Settings;
use crate::delivery::{Caller, Task};
use crate::model::report::RequestReport;

impl Notifier {
    /// Waits as the response rule requires, then returns the state of every delivery.
    pub(super) fn answer(
        &self,
        answering: Answering,
        begun: Instant,
        settings: &Settings,
        caller: Caller,
    ) -> Response {
        let Answering {
            task,
            task_id,
            replayed,
            joined,
            log,
        } = answering;
        self.wait(&[&task], begun, settings.response_timeout, caller);
        let answer = RequestResponse::new(RequestReport {
            task_id,
            deliveries: task.reports(),
            warnings: task.warnings(),
            replayed,
            joined,
        });
        Response {
            status: match answer.status {
                RequestStatus::Failed => settings.failure_status,
                _ => 200,
            },
            retry_after: None,
            body: Body::RequestResponse(Box::new(answer)),
            pending_log_lines: Vec::new(),
            port: None,
            log: match log {
                Some(log) => CallLog::Closed(log),
                None => CallLog::Task(task),
            },
        }
    }

    /// Waits until the time of the response. The time counts from the start of the call, because ten thousand
    /// deliveries take a while to plan.
    pub(super) fn wait(
        &self,
        tasks: &[&Task],
        begun: Instant,
        response_timeout: Duration,
        caller: Caller,
    ) {
        let Some(_call) = self.dispatcher.waiting_call() else {
            return;
        };
        let pace = self.pacing.begin(caller, response_timeout);
        if !pace.time.is_zero() {
            let wait = |task: &&Task| task.wait_settled(begun + pace.time);
            tasks.iter().for_each(wait);
        }
    }

    /// Waits for the end of every delivery, at most for `limit`. Returns the state at that time. For callers with no
    /// other work; the engine's calls use [`Self::process_request`].
    pub fn wait_ended(&self, task: &Task, limit: Duration) -> RequestResponse {
        let ended = async { tokio::time::timeout(limit, task.ended()).await };
        // The reports show whether the deliveries ended.
        let _ = self.runtime.block_on(ended);
        RequestResponse::new(RequestReport {
            task_id: task.id.clone(),
            deliveries: task.reports(),
            warnings: task.warnings(),
            replayed: false,
            joined: None,
        })
    }
}
