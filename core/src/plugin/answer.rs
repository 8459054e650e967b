//! When a call is answered, and with what.

use std::time::Duration;

use tokio::time::Instant;

use super::answering::Answering;
use super::{Body, CallLog, Notifier, Response};
use crate::api::response::{RequestResponse, RequestStatus};
use crate::config::Settings;
use crate::delivery::{Caller, Task};
use crate::model::report::RequestReport;

impl Notifier {
    /// Waits by the answer rule and says how everything stands.
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
        self.wait(&task, begun, settings.response_timeout, caller);
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
            news: Vec::new(),
            port: None,
            log: match log {
                Some(log) => CallLog::Closed(log),
                None => CallLog::Task(task),
            },
        }
    }

    /// Until the moment to answer. The call's time runs from its beginning: ten thousand deliveries take a while to plan.
    fn wait(&self, task: &Task, begun: Instant, response_timeout: Duration, caller: Caller) {
        let Some(_call) = self.dispatcher.waiting_call() else {
            return;
        };
        let pace = self.pacing.begin(caller, response_timeout);
        if !pace.time.is_zero() {
            task.wait_settled(begun + pace.time);
        }
    }

    /// Waits until all deliveries have ended, at most for the given time, and returns the current state. For callers
    /// that can block: [`Self::process_request`] responds to the engine's calls.
    pub fn wait_ended(&self, task: &Task, limit: Duration) -> RequestResponse {
        let ended = async { tokio::time::timeout(limit, task.ended()).await };
        // Which of both it was is in the reports.
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
