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
use super::steady_clock::{LONGEST_SLEEP, SteadyClock};
use crate::alerts::alert::later;
use crate::alerts::flush::Flush;
use crate::alerts::plan::{self, PlannedEvent, targets_of};
use crate::alerts::record;
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
use crate::store::{DeliveryId, Store, StoreError, StoreErrorKind, StoreFuture};
use crate::warnings::Warnings;

/// The settings as the file is now; `None`: they cannot be used.
pub type SettingsSource = Arc<dyn Fn() -> Option<Arc<Settings>> + Send + Sync>;

/// How long a notification waits for capacity, or for settings that can be used.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// How often the store is asked how deliveries ended that another process runs.
const LOOK_UP_EVERY: Duration = Duration::from_secs(1);

/// The scopes of the process, by outbox and configuration file.
#[derive(Default)]
pub struct AlertScopes {
    /// Where log lines of no call go, where there is no outbox.
    pub port: Arc<LogPort>,
    scopes: Mutex<HashMap<(String, String), Arc<AlertScope>>>,
}

/// The data of the last call under a configuration file.
#[derive(Clone)]
pub struct ScopeContext {
    pub settings: SettingsSource,
    pub arguments: BTreeMap<String, String>,
    pub outbox: Option<Arc<dyn Store>>,
    /// Whether the outbox stores the state too.
    pub is_stored: bool,
    /// Where log lines of no call go.
    pub port: Arc<LogPort>,
}

impl ScopeContext {
    /// What stores the state; `None`: it is in memory.
    fn store(&self) -> Option<Arc<dyn Store>> {
        self.outbox.clone().filter(|_| self.is_stored)
    }
}

/// Whether memory has what the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoadState {
    No,
    /// Another write has failed.
    Stale,
    Yes,
}

/// The services that all scopes of a process share.
#[derive(Clone)]
pub struct ScopeDeps {
    pub dispatcher: Dispatcher,
    pub history: Arc<History>,
}

/// The alert state under one configuration file.
pub struct AlertScope {
    config: String,
    state: Mutex<ScopeState>,
    loaded: tokio::sync::Mutex<LoadState>,
    context: Mutex<ScopeContext>,
    deps: ScopeDeps,
    clock: SteadyClock,
    /// Something may be due sooner than before.
    changed: Arc<Notify>,
}

impl AlertScopes {
    /// The scope of a configuration file, with what this call brought. Must be called on a runtime.
    pub fn scope(
        &self,
        location: String,
        config: String,
        context: ScopeContext,
        deps: &ScopeDeps,
        runtime: &Handle,
    ) -> Arc<AlertScope> {
        let mut scopes = lock(&self.scopes);
        if let Some(known) = scopes.get(&(location.clone(), config.clone())) {
            *lock(&known.context) = context;
            return Arc::clone(known);
        }
        let clock = SteadyClock::default();
        let scope = Arc::new(AlertScope {
            config: config.clone(),
            state: Mutex::new(ScopeState::new(clock.now())),
            loaded: tokio::sync::Mutex::new(LoadState::No),
            context: Mutex::new(context),
            deps: deps.clone(),
            clock,
            changed: Arc::default(),
        });
        scopes.insert((location, config), Arc::clone(&scope));
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
        let until = living.wake_at();
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
    /// When the timers are looked at next. While deliveries run elsewhere, their ends are asked for every second.
    fn wake_at(&self) -> Instant {
        let now = self.clock.now();
        let is_stored = lock(&self.context).store().is_some();
        let state = lock(&self.state);
        let limit = match is_stored && !state.open_deliveries().is_empty() {
            true => LOOK_UP_EVERY,
            false => LONGEST_SLEEP,
        };
        let due = state.next_due().unwrap_or(Timestamp::MAX);
        self.clock.instant(due.min(later(now.steady, limit)))
    }

    /// Takes an event up, and plans what is sent of it now. Gives back the reply of the store, where something is to be stored.
    pub fn plan(
        self: &Arc<Self>,
        request: &Request,
        settings: &Settings,
        task: &str,
        warnings: &mut Warnings,
    ) -> Result<(PlannedEvent, Option<StoreFuture<()>>), Refusal> {
        let now = self.clock.now();
        let mut state = lock(&self.state);
        let planned = plan::plan(&mut state, request, settings, task, now, warnings);
        match &planned {
            Ok(event) if event.first > 0 => state.place_behind(task, event.first),
            Ok(_) => {}
            Err(_) => state.not_sent(task, now),
        }
        let written = self.write(&mut state);
        drop(state);
        self.changed.notify_one();
        planned.map(|event| (event, written))
    }

    /// Asks the store to write what has changed. Called with the state's lock held, so that the order of the writes is that of
    /// the changes.
    fn write(self: &Arc<Self>, state: &mut ScopeState) -> Option<StoreFuture<()>> {
        let changes = state.take_changes();
        let store = lock(&self.context).store()?;
        let rows = record::rows(state, &changes);
        let written = store.alerts()?.write_alerts(&self.config, rows.clone());
        if rows.is_empty() {
            return None;
        }
        let (scope, location) = (Arc::clone(self), store.location());
        Some(Box::pin(async move {
            let written = match written.await {
                Ok(true) => Ok(()),
                Ok(false) => Err(StoreError::new(location, StoreErrorKind::LedByAnother)),
                Err(error) => Err(error),
            };
            if written.is_err() {
                // Memory is ahead of the store: what the store has is loaded again.
                *scope.loaded.lock().await = LoadState::Stale;
                scope.changed.notify_one();
            }
            written
        }))
    }

    /// Changes the state; nobody waits for the store.
    fn change_in_background(self: &Arc<Self>, change: impl FnOnce(&mut ScopeState)) {
        let mut state = lock(&self.state);
        change(&mut state);
        let written = self.write(&mut state);
        drop(state);
        if let Some(written) = written {
            tokio::spawn(written);
        }
        self.changed.notify_one();
    }

    /// Loads the state that the store has, once, and again after a write that failed.
    pub async fn ready(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut loaded = self.loaded.lock().await;
        if *loaded == LoadState::Yes {
            return Ok(());
        }
        let store = lock(&self.context).store();
        if let Some(store) = store
            && let Some(alerts) = store.alerts()
        {
            let led = alerts.lead_alerts(&self.config).await?;
            let by_another = || StoreError::new(store.location(), StoreErrorKind::LedByAnother);
            let stored = led.ok_or_else(by_another)?;
            let (groups, alerts) = record::read(stored.rows);
            let now = self.clock.now();
            let mut state = ScopeState::new(now);
            state.restore(groups, alerts, stored.idle, now);
            *lock(&self.state) = state;
            self.look_up_deliveries(*loaded == LoadState::No).await?;
        }
        *loaded = LoadState::Yes;
        self.changed.notify_one();
        Ok(())
    }

    /// Asks the store how the deliveries ended that do not run in this process. `is_first`: what the store does not have was
    /// never accepted, since the process ended before.
    async fn look_up_deliveries(self: &Arc<Self>, is_first: bool) -> Result<(), StoreError> {
        let Some(store) = lock(&self.context).store() else {
            return Ok(());
        };
        let Some(alerts) = store.alerts() else {
            return Ok(());
        };
        let open = lock(&self.state).open_deliveries();
        for (task, index) in open {
            let delivery = DeliveryId { task, index };
            if store.running().contains(&delivery) {
                continue;
            }
            let found = alerts.delivery_outcome(&delivery).await?;
            let (task, now) = (&delivery.task, self.clock.now());
            match found {
                Some(Outcome::Pending(_)) => {}
                Some(outcome) => {
                    self.change_in_background(|state| state.ended(task, index, &outcome, now))
                }
                None if is_first => self.not_sent(task),
                None => {}
            }
        }
        Ok(())
    }

    /// What tells the scope how a task's deliveries end.
    pub fn observer(self: &Arc<Self>) -> Arc<dyn DeliveryObserver> {
        let scope = Arc::clone(self);
        Arc::new(TaskObserver { scope })
    }

    /// Sends what is due; `false`: the settings or the store cannot be used.
    async fn fire(self: &Arc<Self>) -> bool {
        let context = lock(&self.context).clone();
        let Some(settings) = (context.settings)() else {
            return false;
        };
        if self.ready().await.is_err() || self.look_up_deliveries(false).await.is_err() {
            return false;
        }
        let (flushes, written) = self.due_flushes(&settings);
        if let Some(written) = written
            && written.await.is_err()
        {
            return false;
        }
        for flush in flushes {
            self.submit(flush, &settings, &context).await;
        }
        true
    }

    fn due_flushes(self: &Arc<Self>, settings: &Settings) -> (Vec<Flush>, Option<StoreFuture<()>>) {
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
        let written = self.write(&mut state);
        (flushes, written)
    }

    /// Submits a group's notification to one destination as its own task.
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
                key: context.store().map(|_| flush.task.clone()),
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
            observer: Some(self.observer()),
            after: None,
            task_id: flush.task,
        });
        if let Ok(Submission::New(task)) = submission.await {
            self.deps.dispatcher.answered(&task);
        }
    }

    fn not_sent(self: &Arc<Self>, task: &str) {
        let now = self.clock.now();
        self.change_in_background(|state| state.not_sent(task, now));
    }
}

/// Tells a scope how the deliveries of a task end.
struct TaskObserver {
    scope: Arc<AlertScope>,
}

impl DeliveryObserver for TaskObserver {
    fn ended(&self, task: &str, index: usize, outcome: &Outcome) {
        let now = self.scope.clock.now();
        self.scope
            .change_in_background(|state| state.ended(task, index, outcome, now));
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
