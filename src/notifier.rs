//! A call's whole path: in comes what the engine passed, out goes what the caller reads.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::api::request::{self, Request, RequestError};
use crate::api::response::{Answer, ErrorAnswer, ErrorDetail, Results, Status};
use crate::api::view::{self, StatusView};
use crate::channels::CHANNELS;
use crate::delivery::{Acceptance, Dispatcher, Full, Pacing, Task};
use crate::model::report::Report;
use crate::observe::{Event, Metrics, RecentErrors, TaskLog};
use crate::routing;
use crate::settings::arguments::ArgumentError;
use crate::settings::{Environment, Settings, SettingsCache};
use crate::transport::{Dns, HttpTransport, SystemLookup, Transport};

/// The plugin files that this library works with.
pub const PLUGIN_APIS: &[i64] = &[1];
/// Threads that deliver. They never wait for Python.
const WORKERS: usize = 2;
/// Warnings of one answer; more would say nothing new.
const MAX_WARNINGS: usize = 100;

/// Everything that lives as long as the process.
pub struct Notifier {
    runtime: Runtime,
    dispatcher: Dispatcher,
    settings: SettingsCache,
    pacing: Pacing,
    metrics: Arc<Metrics>,
    errors: Arc<RecentErrors>,
}

/// What the engine passes to `process_request`, copied.
#[derive(Debug, Default)]
pub struct Call {
    pub arguments: BTreeMap<String, String>,
    pub environment: Environment,
    pub query: BTreeMap<String, String>,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What the caller reads.
pub struct Response {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Body,
    /// Lines for the engine's log, and where those of later come from.
    pub log: CallLog,
}

pub enum Body {
    Answer(Box<Answer>),
    Error(Box<ErrorAnswer>),
    Status(Box<StatusView>),
    /// Prometheus text.
    Metrics(String),
}

/// The log of one call.
pub enum CallLog {
    /// Nothing will come later.
    Closed(TaskLog),
    Task(Arc<Task>),
}

impl Notifier {
    pub fn new() -> io::Result<Self> {
        Self::with_transport(|| Arc::new(HttpTransport::new(Dns::new(SystemLookup))))
    }

    pub fn with_transport(transport: impl FnOnce() -> Arc<dyn Transport>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(crate::transport::MAX_LOOKUPS)
            .thread_name("notifier")
            .enable_io()
            .enable_time()
            .build()?;
        let metrics = Arc::new(Metrics::default());
        let errors = Arc::new(RecentErrors::default());
        Ok(Self {
            dispatcher: Dispatcher::new(transport(), Arc::clone(&metrics), Arc::clone(&errors)),
            runtime,
            settings: SettingsCache::default(),
            pacing: Pacing::default(),
            metrics,
            errors,
        })
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Answers one call. Blocks for no longer than its settings' `response_timeout`; the interpreter must not be held.
    pub fn process_request(&self, call: &Call) -> Response {
        let begun = Instant::now();
        if let Some(view) = call.query.get("view") {
            return self.view(view, call);
        }
        let settings = match self.settings.resolve(&call.arguments, &call.environment) {
            Ok(settings) => settings,
            Err(error) => return refused(503, None, argument_error(&error)),
        };
        let request = match request::read(&call.body, &call.headers) {
            Ok(request) => request,
            Err(error) => return refused(400, None, error),
        };
        match self.accept(request, &settings) {
            Ok(task) => self.answer(task, begun, &settings),
            Err(response) => *response,
        }
    }

    /// Plans a request and takes charge of all of it, or of nothing.
    fn accept(&self, request: Request, settings: &Settings) -> Result<Arc<Task>, Box<Response>> {
        let task_id = uuid::Uuid::new_v4().to_string();
        let mut warnings = settings.warnings.clone();
        warnings.extend_from_slice(&request.warnings);
        let plan = routing::plan(&request, settings, &task_id, &mut warnings);
        bound_warnings(&mut warnings);
        let size = plan.deliveries.len();
        let acceptance = Acceptance {
            log: TaskLog::new(Some(task_id.clone())),
            task_id,
            plan,
            policy: Arc::clone(&settings.policy),
            warnings,
        };
        let _runtime = self.runtime.enter();
        self.dispatcher
            .accept(acceptance)
            .map_err(|full| Box::new(no_room(full, size, settings)))
    }

    /// Waits by the answer rule and says how everything stands.
    fn answer(&self, task: Arc<Task>, begun: Instant, settings: &Settings) -> Response {
        self.wait(&task, begun, settings);
        let answer = Answer::new(Report {
            task_id: task.id.clone(),
            deliveries: task.reports(),
            warnings: task.warnings.clone(),
            replayed: false,
            joined: None,
        });
        Response {
            status: match answer.status {
                Status::Failed => settings.failure_status,
                _ => 200,
            },
            retry_after: None,
            body: Body::Answer(Box::new(answer)),
            log: CallLog::Task(task),
        }
    }

    /// Until the moment to answer. The call's time runs from its beginning: ten thousand deliveries take a while to plan.
    fn wait(&self, task: &Task, begun: Instant, settings: &Settings) {
        let Some(_call) = self.dispatcher.waiting_call() else {
            return;
        };
        let pace = self.pacing.begin(settings.id, settings.response_timeout);
        if !pace.time.is_zero() {
            task.wait_settled(begun + pace.time);
        }
    }

    /// The engine's log has the lines of a call: what comes from now on comes late.
    pub fn handed_over(&self, task: &Arc<Task>) {
        let _runtime = self.runtime.enter();
        self.dispatcher.answered(task);
    }

    fn view(&self, view: &str, call: &Call) -> Response {
        let error = |code, message: &str, hint: &str| {
            let error = RequestError {
                code,
                message: message.to_owned(),
                path: Some("view".to_owned()),
                hint: hint.to_owned(),
            };
            // A view writes no log line.
            silent(refused(400, None, error))
        };
        if !call.body.is_empty() {
            return error(
                "view_with_body",
                "A view takes no body.",
                "Leave out `view` to send a notification, or the body to look at the view.",
            );
        }
        let body = match view {
            "status" => Body::Status(Box::new(self.status_view(call))),
            "metrics" => Body::Metrics(self.metrics.render(self.dispatcher.gauges())),
            _ => {
                let known = view::NAMES.join(", ");
                return error(
                    "unknown_view",
                    "There is no such view.",
                    &format!("The views are: {known}."),
                );
            }
        };
        Response {
            status: 200,
            retry_after: None,
            body,
            log: CallLog::Closed(TaskLog::new(None)),
        }
    }

    fn status_view(&self, call: &Call) -> StatusView {
        let settings = self.settings.resolve(&call.arguments, &call.environment);
        let (error, warnings) = match settings {
            Ok(settings) => (None, settings.warnings.clone()),
            Err(error) => {
                let message = error.what.clone();
                let detail = error_detail(argument_error(&error));
                (Some(view::ViewError { message, detail }), Vec::new())
            }
        };
        let gauges = self.dispatcher.gauges();
        StatusView {
            status: if error.is_none() { "ok" } else { "unusable" },
            results: Results::default(),
            version: env!("CARGO_PKG_VERSION"),
            plugin_api: PLUGIN_APIS,
            channels: CHANNELS.iter().map(|spec| spec.key).collect(),
            receivers: Vec::new(),
            in_flight: gauges.in_flight,
            pending: gauges.pending,
            paused: gauges.paused_destinations,
            last_errors: self.errors.all(),
            warnings,
            error,
        }
    }
}

/// An answer to what was not taken, with its log line.
pub fn refused(status: u16, retry_after: Option<Duration>, error: RequestError) -> Response {
    let log = TaskLog::new(None);
    log.log(&Event::Refused {
        status,
        message: &error.message,
        hint: &error.hint,
    });
    Response {
        status,
        retry_after,
        body: Body::Error(Box::new(ErrorAnswer {
            status: Status::Failed,
            message: error.message.clone(),
            task_id: None,
            results: Results::default(),
            deliveries: [],
            warnings: Vec::new(),
            error: error_detail(error),
        })),
        log: CallLog::Closed(log),
    }
}

fn silent(mut response: Response) -> Response {
    response.log = CallLog::Closed(TaskLog::new(None));
    response
}

fn error_detail(error: RequestError) -> ErrorDetail {
    ErrorDetail {
        code: error.code,
        path: error.path,
        hint: error.hint,
    }
}

fn argument_error(error: &ArgumentError) -> RequestError {
    RequestError {
        code: error.code,
        message: error.what.clone(),
        path: Some(error.name.to_owned()),
        hint: error.hint.clone(),
    }
}

/// When to come again after a 503: most deliveries take less.
const COME_AGAIN: Duration = Duration::from_secs(2);

fn no_room(full: Full, deliveries: usize, settings: &Settings) -> Response {
    let limit = settings.policy.max_in_flight;
    if deliveries > limit {
        return refused(
            400,
            None,
            RequestError {
                code: "too_many_deliveries",
                message: format!(
                    "The request alone has {deliveries} deliveries; at most {limit} may be in flight."
                ),
                path: Some("senders_config".to_owned()),
                hint: "Send it in several requests, or raise max_in_flight.".to_owned(),
            },
        );
    }
    let (what, hint) = match full {
        Full::InFlight => (
            "Too many deliveries are in flight: nothing was sent.",
            "Try again later, or raise max_in_flight.",
        ),
        Full::Bytes => (
            "The deliveries in flight hold too many bytes: nothing was sent.",
            "Try again later, or send shorter texts.",
        ),
    };
    refused(
        503,
        Some(COME_AGAIN),
        RequestError {
            code: "overloaded",
            message: what.to_owned(),
            path: None,
            hint: hint.to_owned(),
        },
    )
}

fn bound_warnings(warnings: &mut Vec<String>) {
    let more = warnings.len().saturating_sub(MAX_WARNINGS);
    if more > 0 {
        warnings.truncate(MAX_WARNINGS);
        warnings.push(format!("and {more} more warnings"));
    }
}
