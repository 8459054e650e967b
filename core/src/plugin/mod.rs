//! The whole path of a call, from the engine's input to the response to the caller.

mod acceptance;
mod alert_list;
mod alerts;
mod answer;
mod answering;
mod call;
mod context;
mod outboxes;
mod records;
mod refusals;
mod steady_clock;
mod views;
mod worker;
mod writes;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use self::acceptance::acceptance;
use self::alerts::{AlertScope, AlertScopes};
use self::answering::Answering;
pub use self::call::{Body, Call, CallLog, NeedsVariables, Response, Scheduled};
use self::context::{RecoveryDeps, TriggerContext};
use self::outboxes::{OpenOutbox, Outboxes};
use self::records::SubmitContext;
pub use self::refusals::refused;
use self::refusals::{
    COME_AGAIN, key_conflict, no_outbox, no_room, no_room_for_rows, not_kept, outbox_error,
};
pub use self::worker::ClaimReport;
use self::writes::Lanes;
pub use self::writes::Tables;
use crate::api::body::{RequestBody, read_body};
use crate::api::request::Request;
use crate::config::{
    ConfigReload, Environment, Resolution, Settings, SettingsCache, SettingsResult,
};
use crate::delivery::{Dispatcher, Pacing, Submission, SubmitError, Task};
use crate::model::plan::Identity;
use crate::model::problem::Problem;
use crate::observe::{Event, History, LogLine, Sink, TaskLog};
use crate::panics::lock;
use crate::store::{Backends, StoreError};
use crate::transport::{Dns, HttpTransport, SystemLookup, Transport};

/// The versions of the plugin file that this library supports.
pub const PLUGIN_APIS: &[i64] = &[1];
/// The number of threads for deliveries. They never wait for Python.
const WORKER_THREADS: usize = 2;
/// The number of threads for other blocking work, such as a NATS client's own DNS lookups. Hanging lookups of the
/// transport do not use them.
const OTHER_BLOCKING_THREADS: usize = 16;
/// The maximum number of lines that wait for a call to write them to the engine's log.
const MAX_PENDING_LOG_LINES: usize = 100;

/// All objects that live as long as the process.
pub struct Notifier {
    runtime: Runtime,
    dispatcher: Dispatcher,
    settings: Arc<SettingsCache>,
    outboxes: Arc<Outboxes>,
    /// The waiting rows of write triggers.
    lanes: Arc<Lanes>,
    alerts: Arc<AlertScopes>,
    pacing: Pacing,
    history: Arc<History>,
    sink: Sink,
    /// Lines that belong to no request. The next request writes them to the engine's log; views write none.
    pending_log_lines: Mutex<Vec<LogLine>>,
}

/// A call's settings, and why the present content of its file is not in use.
type Resolved = (SettingsResult, Option<Arc<Problem>>);

impl Notifier {
    pub fn new(backends: Backends) -> io::Result<Self> {
        let transport =
            || -> Arc<dyn Transport> { Arc::new(HttpTransport::new(Dns::new(SystemLookup))) };
        Self::with_transport(backends, transport)
    }

    pub fn with_transport(
        backends: Backends,
        transport: impl FnOnce() -> Arc<dyn Transport>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .max_blocking_threads(crate::transport::MAX_LOOKUPS + OTHER_BLOCKING_THREADS)
            .thread_name("notifier")
            .enable_io()
            .enable_time()
            .build()?;
        let sink = Sink::default();
        Ok(Self {
            dispatcher: Dispatcher::new(transport(), sink.clone()),
            runtime,
            settings: Arc::default(),
            outboxes: Arc::new(Outboxes::new(backends)),
            lanes: Arc::default(),
            alerts: Arc::default(),
            pacing: Pacing::default(),
            history: Arc::default(),
            sink,
            pending_log_lines: Mutex::default(),
        })
    }

    fn refused(&self, status: u16, retry_after: Option<Duration>, problem: &Problem) -> Response {
        refused(&self.sink, status, retry_after, problem)
    }

    pub const fn sink(&self) -> &Sink {
        &self.sink
    }

    pub fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Returns the environment variables that the configuration file of these arguments named at its last reading.
    pub fn variables(
        &self,
        arguments: &BTreeMap<String, String>,
        environment: &Environment,
    ) -> Vec<String> {
        self.settings.names(arguments, environment)
    }

    /// Handles one call, or returns the environment variables that it must also pass. Blocks at most for the settings'
    /// `response_timeout`. The caller must not hold the interpreter.
    pub fn process_request(&self, call: &Call) -> Result<Response, NeedsVariables> {
        let begun = Instant::now();
        let (settings, broken) = self.settings(call)?;
        if let Some(view) = call.query.get("view") {
            return Ok(self.view(view, call, &settings, broken.as_deref()));
        }
        let mut response = match settings {
            Ok(settings) => self.request(call, begun, &settings),
            Err(error) => self.refused(503, None, &error),
        };
        response.pending_log_lines = self.take_pending_log_lines();
        Ok(response)
    }

    /// Recovers requests of earlier processes from the trigger's outbox. Does not wait for deliveries.
    pub fn process_scheduled_call(&self, call: &Call) -> Result<Scheduled, NeedsVariables> {
        let (settings, _) = self.settings(call)?;
        let log = TaskLog::new(None);
        let refuse =
            |problem: &Problem| self.sink.emit(&log, &Event::ScheduledCallSkipped(problem));
        let mut port = None;
        match &settings {
            Err(error) => refuse(error),
            Ok(settings) => match self.outbox(call, settings, RecoveryMode::Now) {
                Err(error) => refuse(&outbox_error(&error)),
                // The call serves the history rows, or alerts in memory, whose timers run on their own.
                Ok(None)
                    if settings.history_table.is_some() || settings.config.alerts.is_state_on() => {
                }
                Ok(None) => refuse(&no_outbox()),
                Ok(Some((open, recovered))) => {
                    if let Err(error) = recovered {
                        refuse(&outbox_error(&error));
                    }
                    port = Some(Arc::clone(&open.port));
                    // This call starts the timers.
                    let _ = self.alerts(call, settings, Some(&open));
                }
            },
        }
        let mut lines = self.take_pending_log_lines();
        lines.extend(log.take());
        Ok(Scheduled { lines, port })
    }

    fn settings(&self, call: &Call) -> Result<Resolved, NeedsVariables> {
        let resolution = self
            .settings
            .resolve(&call.arguments, &call.environment, &call.named);
        match resolution {
            Resolution::Settled {
                settings,
                reload,
                broken,
            } => {
                self.log_reload(reload);
                Ok((settings, broken))
            }
            Resolution::Ask(names) => Err(NeedsVariables(names)),
        }
    }

    /// Adds a change of the configuration file to the log.
    fn log_reload(&self, reload: Option<ConfigReload>) {
        let Some(reload) = reload else { return };
        let log = TaskLog::new(None);
        let event = match &reload {
            ConfigReload::Reloaded { receivers, routes } => Event::ConfigReloaded {
                receivers: *receivers,
                routes: *routes,
            },
            ConfigReload::Broken(problem) => Event::ConfigBroken(problem),
        };
        self.sink.emit(&log, &event);
        let mut lines = self.lock_pending_log_lines();
        if lines.len() < MAX_PENDING_LOG_LINES {
            lines.extend(log.take());
        }
    }

    fn take_pending_log_lines(&self) -> Vec<LogLine> {
        std::mem::take(&mut *self.lock_pending_log_lines())
    }

    fn lock_pending_log_lines(&self) -> MutexGuard<'_, Vec<LogLine>> {
        lock(&self.pending_log_lines)
    }

    fn request(&self, call: &Call, begun: Instant, settings: &Settings) -> Response {
        let options = &settings.config.read_options;
        let body = read_body(&call.body, &call.headers, options, Timestamp::now());
        let body = match body {
            Ok(body) => body,
            Err(error) => return self.refused(400, None, &error),
        };
        let open = match self.outbox(call, settings, RecoveryMode::Once) {
            // After a failed recovery, the refusal of this request explains why the outbox cannot store it.
            Ok(open) => open.map(|(open, _)| open),
            Err(error) => return self.refused(503, None, &outbox_error(&error)),
        };
        let is_list = matches!(body, RequestBody::Alerts(_));
        let mut response = match body {
            RequestBody::Alerts(list) => {
                self.accept_alerts(list, call, begun, settings, open.as_ref())
            }
            RequestBody::Request(request) => {
                match self.accept(*request, call, settings, open.as_ref()) {
                    Ok(answering) => self.answer(answering, begun, settings, call.caller(settings)),
                    Err(response) => *response,
                }
            }
        };
        let has_lines = is_list || settings.config.alerts.is_state_on();
        let port = open.map(|open| Arc::clone(&open.port));
        response.port = port.or_else(|| has_lines.then(|| Arc::clone(&self.alerts.port)));
        response
    }

    /// Returns the trigger's outbox, if it has one, and the result of recovering its requests.
    fn outbox(
        &self,
        call: &Call,
        settings: &Settings,
        taking: RecoveryMode<'_>,
    ) -> Result<Option<OpenedStore>, StoreError> {
        let Some(outbox) = &settings.outbox else {
            return Ok(None);
        };
        let recovery_deps = || self.recover();
        let runtime = self.runtime.handle();
        let open = self
            .outboxes
            .get(&outbox.location, recovery_deps, runtime)?;
        let source = TriggerContext {
            claimed_config_path: match taking {
                RecoveryMode::For(file) => Some(file.to_owned()),
                RecoveryMode::Once | RecoveryMode::Now => None,
            },
            ..call.source()
        };
        let called =
            open.register_call(!matches!(taking, RecoveryMode::Once), source, recovery_deps);
        let recovered = self.runtime.block_on(called);
        Ok(Some((open, recovered)))
    }

    fn recover(&self) -> RecoveryDeps {
        RecoveryDeps {
            settings: Arc::clone(&self.settings),
            dispatcher: self.dispatcher.clone(),
            history: Arc::clone(&self.history),
            alerts: Arc::clone(&self.alerts),
        }
    }

    /// Plans a request and accepts either all of it or nothing. A known request is not accepted again.
    fn accept(
        &self,
        request: Request,
        call: &Call,
        settings: &Settings,
        open: Option<&Arc<OpenOutbox>>,
    ) -> Result<Answering, Box<Response>> {
        let alerts = self.alerts(call, settings, open)?;
        let conflict = || Box::new(self.refused(400, None, &key_conflict()));
        // An alert takes an event before the dispatcher sees it, so a repeated one ends here.
        if let (Some(_), Some(key)) = (&alerts, &request.idempotency_key) {
            let identity = Identity {
                scope: Arc::clone(&settings.scope),
                key: Some(key.clone()),
                fingerprint: request.fingerprint,
            };
            match self.dispatcher.answer_repeated(&identity) {
                Some(Submission::Replayed(task)) => return Ok(Answering::replayed(task)),
                Some(Submission::Conflict) => return Err(conflict()),
                _ => {}
            }
        }
        let context = self.submit_context(call, settings, open);
        let acceptance = acceptance(&request, context, alerts.as_ref());
        let acceptance = acceptance.map_err(|refusal| {
            Box::new(self.refused(refusal.status(), None, &refusal.error(&request)))
        })?;
        // Free the memory for later work.
        drop(request);
        let task_id = acceptance.task_id.clone();
        let admission = self.runtime.block_on(self.dispatcher.submit(acceptance));
        let not_accepted = |why| match why {
            SubmitError::NoCapacity(full, _) => self.refused(503, Some(COME_AGAIN), &no_room(full)),
            SubmitError::NotPersisted(why) => self.refused(503, None, &not_kept(&why)),
        };
        match admission.map_err(|why| Box::new(not_accepted(why)))? {
            Submission::New(task) | Submission::InOutbox(task) => Ok(Answering::new(task)),
            Submission::Replayed(task) => Ok(Answering::replayed(task)),
            Submission::Joined(task) => Ok(Answering::joined(task, task_id, &self.sink)),
            Submission::Conflict => Err(conflict()),
        }
    }

    fn submit_context<'a>(
        &'a self,
        call: &'a Call,
        settings: &'a Settings,
        open: Option<&'a Arc<OpenOutbox>>,
    ) -> SubmitContext<'a> {
        SubmitContext {
            caller: call.caller(settings),
            arguments: &call.arguments,
            settings,
            outbox: open.map(|open| &open.outbox),
            history: &self.history,
        }
    }

    /// Returns the alert state of a call's settings, if it is on, in this store.
    fn alerts(
        &self,
        call: &Call,
        settings: &Settings,
        open: Option<&Arc<OpenOutbox>>,
    ) -> Result<Option<Arc<AlertScope>>, Box<Response>> {
        if !settings.config.alerts.is_state_on() {
            return Ok(None);
        }
        let outbox = open.map(|open| open.for_alerts());
        let runtime = self.runtime.handle();
        let scope = self
            .recover()
            .alerts(settings, &call.source(), outbox, runtime);
        if let Some(scope) = &scope {
            let ready = self.runtime.block_on(scope.ready());
            ready.map_err(|error| Box::new(self.refused(503, None, &outbox_error(&error))))?;
        }
        Ok(scope)
    }

    /// Notes that the engine's log has the call's lines. Later lines of the task arrive separately.
    pub fn handed_over(&self, task: &Arc<Task>) {
        let _runtime = self.runtime.enter();
        self.dispatcher.answered(task);
    }
}

/// An outbox in use, and the number of recovered requests or the reason for a failed recovery.
type OpenedStore = (Arc<OpenOutbox>, Result<usize, StoreError>);

/// The time at which a call recovers requests of other processes.
#[derive(Clone, Copy)]
enum RecoveryMode<'a> {
    /// Only on the first call of the process.
    Once,
    Now,
    /// Now, for triggers with this configuration file.
    For(&'a str),
}
