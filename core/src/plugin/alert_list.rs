//! Accepts the alerts of a body of Prometheus, Alertmanager or Grafana.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::acceptance::{MAX_LOGGED, acceptance};
use super::alerts::AlertScope;
use super::outboxes::OpenOutbox;
use super::refusals::{COME_AGAIN, error_response, key_conflict, no_room, not_kept};
use super::{Body, Call, CallLog, Notifier, Response};
use crate::api::alert_list::{AlertList, AlertListResponse};
use crate::api::request::Request;
use crate::config::Settings;
use crate::delivery::{Submission, SubmitError, SubmitRequest, Task};
use crate::model::problem::{Location, Problem};
use crate::model::report::RequestReport;
use crate::observe::{Event, LogLevel, LogPort, LogReceiver, TaskLog};
use crate::routing::Refusal;

/// The number of alerts that an outbox stores concurrently.
const MAX_CONCURRENT: usize = 64;

/// The alerts of one body, while they are accepted.
#[derive(Default)]
struct AcceptedAlerts {
    tasks: Vec<(usize, Arc<Task>)>,
    /// The number of alerts that were reported before.
    unchanged: usize,
    refused: Vec<(usize, RefusedAlert)>,
}

struct RefusedAlert {
    status: u16,
    problem: Problem,
}

impl Notifier {
    /// Accepts every valid alert of a body. Routes choose its receivers.
    pub(super) fn accept_alerts(
        &self,
        mut list: AlertList,
        call: &Call,
        begun: Instant,
        settings: &Settings,
        open: Option<&Arc<OpenOutbox>>,
    ) -> Response {
        let scope = match self.alerts(call, settings, open) {
            Ok(scope) => scope,
            Err(response) => return *response,
        };
        let alerts = std::mem::take(&mut list.alerts);
        let mut accepted = AcceptedAlerts::default();
        let mut requests = VecDeque::with_capacity(alerts.len());
        for (index, alert) in alerts.into_iter().enumerate() {
            match alert {
                Ok(request) => requests.push_back((index, request)),
                Err(problem) => accepted.refuse(index, 400, problem),
            }
        }
        let min_level = match requests.len() <= MAX_LOGGED {
            true => LogLevel::Info,
            false => LogLevel::Error,
        };
        let port = open.map_or(&self.alerts.port, |open| &open.port);
        let port: Arc<dyn LogReceiver> = Arc::<LogPort>::clone(port);
        // A dry run changes no state.
        let scope = scope.filter(|_| !settings.dry_run);
        let is_unchanged = |request: &Request| {
            let scope = scope.as_ref();
            scope.is_some_and(|scope| scope.report_again(request, settings))
        };
        let plan = |request: &mut Request| {
            let plan = self.plan_alert(request, call, settings, open, scope.as_ref());
            plan.map(|mut planned| {
                planned.log = planned.log.from_level(min_level);
                planned.log.hand_over(Arc::clone(&port));
                planned
            })
        };
        self.runtime.block_on(async {
            let _groups = match &scope {
                Some(scope) => Some(scope.hold_groups().await),
                None => None,
            };
            self.submit_alerts(requests, is_unchanged, plan, &mut accepted)
                .await;
        });
        accepted.locate(&list);
        let caller = call.caller(settings);
        let tasks: Vec<_> = accepted.tasks.iter().map(|(_, task)| &**task).collect();
        self.wait(&tasks, begun, settings.response_timeout, caller);
        let _runtime = self.runtime.enter();
        let answered = |(_, task): &(usize, _)| self.dispatcher.answered(task);
        accepted.tasks.iter().for_each(answered);
        self.alerts_response(accepted, list.warnings.into_lines())
    }

    /// Plans an alert. Without state, an alert that is reported again is the same request.
    fn plan_alert(
        &self,
        request: &mut Request,
        call: &Call,
        settings: &Settings,
        open: Option<&Arc<OpenOutbox>>,
        scope: Option<&Arc<AlertScope>>,
    ) -> Result<SubmitRequest, Refusal> {
        if scope.is_none() {
            request.idempotency_key = request.report_key();
        }
        acceptance(request, self.submit_context(call, settings, open), scope)
    }

    /// Submits the alerts in their order. After the first that cannot be accepted, no other is: the sender repeats all.
    async fn submit_alerts(
        &self,
        mut requests: VecDeque<(usize, Request)>,
        is_unchanged: impl Fn(&Request) -> bool,
        plan: impl Fn(&mut Request) -> Result<SubmitRequest, Refusal>,
        accepted: &mut AcceptedAlerts,
    ) {
        let mut submitting = FuturesUnordered::new();
        let mut failure: Option<Problem> = None;
        loop {
            while submitting.len() < MAX_CONCURRENT
                && let Some((index, mut request)) = requests.pop_front()
            {
                if let Some(failure) = &failure {
                    accepted.refuse(index, 503, failure.clone());
                    continue;
                }
                if is_unchanged(&request) {
                    accepted.unchanged += 1;
                    self.sink.emit(&TaskLog::new(None), &Event::Unchanged);
                    continue;
                }
                match plan(&mut request) {
                    Ok(planned) => {
                        let submission = self.dispatcher.submit(planned);
                        submitting.push(async move { (index, submission.await) });
                    }
                    Err(refusal) => {
                        let problem = without_location(refusal.error(&request));
                        accepted.refuse(index, refusal.status(), problem);
                    }
                }
            }
            let Some((index, submission)) = submitting.next().await else {
                return;
            };
            let problem = match submission {
                Ok(
                    Submission::New(task)
                    | Submission::InOutbox(task)
                    | Submission::Replayed(task)
                    | Submission::Joined(task),
                ) => {
                    accepted.tasks.push((index, task));
                    continue;
                }
                Ok(Submission::Conflict) => key_conflict(),
                Err(SubmitError::NoCapacity(full, _)) => no_room(full),
                Err(SubmitError::NotPersisted(why)) => not_kept(&why),
            };
            let problem = without_location(problem);
            accepted.refuse(index, 503, problem.clone());
            failure = Some(problem);
        }
    }

    fn alerts_response(&self, accepted: AcceptedAlerts, warnings: Vec<String>) -> Response {
        let log = TaskLog::new(None);
        let status = accepted.refused.iter().map(|(_, refused)| refused.status);
        let status = status.max().unwrap_or(200);
        if let Some((_, RefusedAlert { status, problem })) = accepted.refused.first() {
            let (path, more) = (&problem.location.path, accepted.refused.len() - 1);
            let path = path.as_deref().unwrap_or_default();
            let more = match more {
                0 => String::new(),
                more => format!(" (and {more} more alerts)"),
            };
            let problem = &Problem {
                message: format!("{path}{more}: {}", problem.message),
                ..problem.clone()
            };
            let status = *status;
            self.sink.emit(&log, &Event::Refused { status, problem });
        }
        let refused = accepted.refused.iter();
        let refused = refused.map(|(index, refused)| (*index, error_response(&refused.problem)));
        let tasks = accepted.tasks.iter().map(|(index, task)| {
            let report = RequestReport {
                task_id: task.id.clone(),
                deliveries: task.reports(),
                warnings: task.warnings(),
                replayed: false,
                joined: None,
            };
            (*index, report)
        });
        let body = AlertListResponse::new(
            tasks.collect(),
            refused.collect(),
            accepted.unchanged,
            warnings,
        );
        if body.size() > 0 {
            let warnings = body.warnings().iter();
            warnings.for_each(|warning| self.sink.emit(&log, &Event::Warning(warning)));
        }
        Response {
            status,
            retry_after: (status == 503).then_some(COME_AGAIN),
            body: Body::Alerts(Box::new(body)),
            pending_log_lines: Vec::new(),
            port: None,
            log: CallLog::Closed(log),
        }
    }
}

/// A problem of the request has no location in the body.
fn without_location(problem: Problem) -> Problem {
    Problem {
        location: Location::default(),
        ..problem
    }
}

impl AcceptedAlerts {
    /// Adds the path of the alert where a problem has no path of its own.
    fn locate(&mut self, list: &AlertList) {
        for (index, refused) in &mut self.refused {
            let path = &mut refused.problem.location.path;
            path.get_or_insert_with(|| list.path(*index).into());
        }
    }

    fn refuse(&mut self, index: usize, status: u16, problem: Problem) {
        self.refused.push((index, RefusedAlert { status, problem }));
    }
}
