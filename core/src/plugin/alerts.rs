//! The alert state of the process: one scope for each configuration file, its timers, and its notifications.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::records::{persistence, recorder};
use crate::alerts::alert::{Now, later};
use crate::alerts::flush::Flush;
use crate::alerts::plan::{self, PlannedEvent, targets_of};
use crate::alerts::state::ScopeState;
use crate::api::request::Request;
use crate::config::Settings;
use crate::delivery::{Caller, CapacityPolicy, Dispatcher, Submission, SubmitRequest};
use crate::model::notification::Notification;
use crate::model::observer::DeliveryObserver;
use crate::model::outcome::Outcome;
use crate::model::plan::Identity;
use crate::observe::{History, LogPort, LogReceiver, TaskLog};
use crate::panics::lock;
use crate::routing::{self, Refusal};
use crate::store::Store;
use crate::warnings::Warnings;

/// The settings as the file is now; `None`: they cannot be used.
pub type SettingsSource = Arc<dyn Fn() -> Option<Arc<Settings>> + Send + Sync>;

/// How long a notification waits for capacity, or for settings that can be used.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// The longest sleep of the timers: a day has no event of ours, and the sum of instants stays small.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// The scopes of the process, by outbox and configuration file.
#[derive(Default)]
pub struct AlertScopes {
    /// Where log lines of no call go, where there is no outbox.
    pub port: Arc<LogPort>,
    scopes: Mutex<HashMap<(String, String), Arc<AlertScope>>>,
}

/// What the last call under a configuration file brought.
#[derive(Clone)]
pub struct ScopeContext {
    pub settings: SettingsSource,
    pub arguments: BTreeMap<String, String>,
    pub outbox: Option<Arc<dyn Store>>,
    /// Where log lines of no call go.
    pub port: Arc<LogPort>,
}

/// What all scopes of a process use.
#[derive(Clone)]
pub struct ScopeDeps {
    pub dispatcher: Dispatcher,
    pub history: Arc<History>,
}

/// The alert state under one configuration file.
pub struct AlertScope {
    config: String,
    state: Mutex<ScopeState>,
    context: Mutex<ScopeContext>,
    deps: ScopeDeps,
    clock: SteadyClock,
    /// Something may be due sooner than before.
    changed: Arc<Notify>,
}

/// Wall and steady time: the latter begins as the wall clock, and nobody sets it.
struct SteadyClock {
    wall: Timestamp,
    began: Instant,
}

impl SteadyClock {
    fn now(&self) -> Now {
        Now {
            wall: Timestamp::now(),
            steady: later(self.wall, self.began.elapsed()),
        }
    }

    fn instant(&self, steady: Timestamp) -> Instant {
        let since = Duration::try_from(steady.duration_since(self.wall)).unwrap_or_default();
        let limit = self.began.elapsed() + LONGEST_SLEEP;
        self.began + since.min(limit)
    }
}

impl AlertScopes {
    /// The scope of a configuration file, with what this call brought. Must be called on a runtime.
    pub fn scope(
        &self,
        place: String,
        config: String,
        context: ScopeContext,
        deps: &ScopeDeps,
        runtime: &Handle,
    ) -> Arc<AlertScope> {
        let mut scopes = lock(&self.scopes);
        if let Some(known) = scopes.get(&(place.clone(), config.clone())) {
            *lock(&known.context) = context;
            return Arc::clone(known);
        }
        let clock = SteadyClock {
            wall: Timestamp::now(),
            began: Instant::now(),
        };
        let scope = Arc::new(AlertScope {
            config: config.clone(),
            state: Mutex::new(ScopeState::new(clock.now())),
            context: Mutex::new(context),
            deps: deps.clone(),
            clock,
            changed: Arc::default(),
        });
        scopes.insert((place, config), Arc::clone(&scope));
        runtime.spawn(run_timers(Arc::downgrade(&scope)));
        scope
    }
}

/// Fires the timers of a scope for as long as it lives.
async fn run_timers(scope: Weak<AlertScope>) {
    loop {
        let Some(living) = scope.upgrade() else {
            return;
        };
        let changed = Arc::clone(&living.changed);
        let due = lock(&living.state).next_due();
        let now = living.clock.now();
        let until = living
            .clock
            .instant(due.unwrap_or_else(|| later(now.steady, LONGEST_SLEEP)));
        drop(living);
        if timeout_at(until, changed.notified()).await.is_ok() {
            continue;
        }
        let Some(living) = scope.upgrade() else {
            return;
        };
        if !living.fire().await {
            drop(living);
            sleep_until(Instant::now() + TRY_AGAIN).await;
        }
    }
}

impl AlertScope {
    /// Takes an event up, and plans what is sent of it now.
    pub fn plan(
        self: &Arc<Self>,
        request: &Request,
        settings: &Settings,
        task: &str,
        warnings: &mut Warnings,
    ) -> Result<PlannedEvent, Refusal> {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        let planned = plan::plan(&mut state, request, settings, task, now, warnings);
        if planned.is_err() {
            state.not_sent(task, now);
        }
        drop(state);
        self.changed.notify_one();
        planned
    }

    /// What tells the scope how a task's deliveries end. `first` is the place of the first delivery to a receiver.
    pub fn observer(self: &Arc<Self>, first: usize) -> Arc<dyn DeliveryObserver> {
        Arc::new(TaskObserver {
            scope: Arc::clone(self),
            first,
        })
    }

    /// Sends what is due; `false`: the settings cannot be used.
    async fn fire(self: &Arc<Self>) -> bool {
        let context = lock(&self.context).clone();
        let Some(settings) = (context.settings)() else {
            return false;
        };
        let flushes = self.due_flushes(&settings);
        for flush in flushes {
            self.submit(flush, &settings, &context).await;
        }
        true
    }

    fn due_flushes(&self, settings: &Settings) -> Vec<Flush> {
        let now = self.clock.now();
        let is_muted = |notification: &Notification| {
            routing::silence(settings, notification, now.wall).is_some()
        };
        let mut state = lock(&self.state);
        let mut flushes = Vec::new();
        for key in state.due_groups(now) {
            let Some(group) = state.group(&key) else {
                continue;
            };
            let targets = targets_of(settings, &group.route);
            flushes.extend(state.flush(&key, &targets, &is_muted, now));
        }
        flushes
    }

    /// Sends a group's notification to one destination, as a task of its own.
    async fn submit(self: &Arc<Self>, flush: Flush, settings: &Settings, context: &ScopeContext) {
        let mut warnings = Warnings::default();
        let plan = plan::flush_plan(&flush, settings, &mut warnings);
        let Ok(plan) = plan else {
            return self.not_sent(&flush.task);
        };
        let (history, outbox) = (&self.deps.history, context.outbox.as_ref());
        let (arguments, notification) = (&context.arguments, &flush.notification);
        let recorder = recorder(history, arguments, settings, notification, outbox);
        let log = TaskLog::new(Some(flush.task.clone())).recording(recorder);
        let port: Arc<dyn LogReceiver> = Arc::<LogPort>::clone(&context.port);
        log.hand_over(port);
        let request = Request::of_notification(Arc::clone(notification));
        let persistence = persistence(outbox, arguments, settings, &request, notification);
        let submission = self.deps.dispatcher.submit(SubmitRequest {
            caller: Caller::Outbox(self.config.clone()),
            identity: Identity {
                scope: Arc::clone(&settings.scope),
                key: None,
                fingerprint: plan::own_fingerprint(&flush.task),
            },
            plan,
            policy: Arc::clone(&settings.policy),
            log,
            warnings: warnings.into_lines(),
            batch: None,
            capacity: match persistence {
                Some(_) => CapacityPolicy::LeaveInStore,
                None => CapacityPolicy::Refuse,
            },
            persistence,
            observer: Some(self.observer(0)),
            task_id: flush.task,
        });
        if let Ok(Submission::New(task)) = submission.await {
            self.deps.dispatcher.answered(&task);
        }
    }

    fn not_sent(&self, task: &str) {
        let now = self.clock.now();
        lock(&self.state).not_sent(task, now);
        self.changed.notify_one();
    }
}

/// Tells a scope how the deliveries of a task end.
struct TaskObserver {
    scope: Arc<AlertScope>,
    first: usize,
}

impl DeliveryObserver for TaskObserver {
    fn ended(&self, task: &str, index: usize, outcome: &Outcome) {
        let Some(index) = index.checked_sub(self.first) else {
            return;
        };
        let now = self.scope.clock.now();
        lock(&self.scope.state).ended(task, index, outcome, now);
        self.scope.changed.notify_one();
    }

    fn not_accepted(&self, task: &str) {
        self.scope.not_sent(task);
    }
}

impl fmt::Debug for TaskObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "alerts of {:?}", self.scope.config)
    }
}
