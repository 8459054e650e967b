//! The alert state under one configuration file: in memory, and in the store.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, RwLock, RwLockReadGuard};

use crate::alerts::alert::AlertKey;
use crate::alerts::log::ClosedEntry;
use crate::alerts::plan::{self, PlannedEvent};
use crate::alerts::record;
use crate::alerts::renew::Renewed;
use crate::alerts::state::ScopeState;
use crate::api::request::Request;
use crate::config::Settings;
use crate::delivery::Dispatcher;
use crate::model::observer::{DeliveryObserver, Renewal};
use crate::model::outcome::Outcome;
use crate::model::plan::Disposition;
use crate::observe::{Event, History, LogPort, LogReceiver, TaskLog};
use crate::panics::lock;
use crate::plugin::steady_clock::SteadyClock;
use crate::routing::Refusal;
use crate::store::{DeliveryId, Store, StoreError, StoreErrorKind, StoreFuture};
use crate::warnings::Warnings;

/// The settings as the file is now; `None`: they cannot be used.
pub type SettingsSource = Arc<dyn Fn() -> Option<Arc<Settings>> + Send + Sync>;

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
    pub fn store(&self) -> Option<Arc<dyn Store>> {
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
    pub(super) config: String,
    pub(super) state: Mutex<ScopeState>,
    loaded: tokio::sync::Mutex<LoadState>,
    pub(super) context: Mutex<ScopeContext>,
    pub(super) deps: ScopeDeps,
    pub(super) clock: SteadyClock,
    /// Notifications of groups that failed, or could not be sent.
    pub(super) failed_flushes: AtomicU64,
    /// The digest of the configuration file that the groups have seen.
    config_digest: Mutex<Option<String>>,
    /// Read while a body's alerts are planned, and written while groups become due: one notification has all of them.
    pub(super) planning: RwLock<()>,
    /// Something may be due sooner than before.
    pub(super) changed: Arc<Notify>,
}

impl AlertScope {
    pub(super) fn new(config: String, context: ScopeContext, deps: ScopeDeps) -> Self {
        let clock = SteadyClock::default();
        Self {
            config,
            state: Mutex::new(ScopeState::new(clock.now())),
            loaded: tokio::sync::Mutex::new(LoadState::No),
            context: Mutex::new(context),
            deps,
            clock,
            failed_flushes: AtomicU64::new(0),
            config_digest: Mutex::default(),
            planning: RwLock::default(),
            changed: Arc::default(),
        }
    }

    /// Takes the data of a later call.
    pub(super) fn renew_context(&self, context: ScopeContext) {
        *lock(&self.context) = context;
    }

    /// Lets all groups compare their destinations with another configuration file.
    pub fn note_config(self: &Arc<Self>, digest: &str) {
        let mut known = lock(&self.config_digest);
        let before = known.replace(digest.to_owned());
        if before.is_some_and(|before| before != digest) {
            let now = self.clock.now();
            self.change_in_background(|state| state.config_changed(now));
        }
    }

    pub(super) fn log_closed(&self, closed: &[ClosedEntry]) {
        if closed.is_empty() {
            return;
        }
        let log = TaskLog::new(None);
        let port: Arc<dyn LogReceiver> = Arc::<LogPort>::clone(&lock(&self.context).port);
        log.hand_over(port);
        for entry in closed {
            let event = Event::ReceiverRemoved {
                receiver: &entry.receiver,
                group: &entry.group,
                alerts: entry.alerts,
            };
            self.deps.dispatcher.sink().emit(&log, &event);
        }
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
        let closed = state.take_closed();
        let written = self.write(&mut state);
        drop(state);
        self.log_closed(&closed);
        self.changed.notify_one();
        planned.map(|event| (event, written))
    }

    /// Holds the groups back until the guard is dropped.
    pub async fn hold_groups(&self) -> RwLockReadGuard<'_, ()> {
        self.planning.read().await
    }

    /// Takes a report that repeats an alert's last one. Returns `false` for any other event, which needs a plan.
    pub fn report_again(self: &Arc<Self>, request: &Request, settings: &Settings) -> bool {
        let Some(key) = &request.notification.dedup_key else {
            return false;
        };
        let (key, now) = (AlertKey::of_labels(key), self.clock.now());
        let (notification, reported) = (&request.notification, request.alert);
        let mut state = lock(&self.state);
        let is_known = state.report_again(&key, notification, reported, &settings.scope, now);
        if is_known && let Some(written) = self.write(&mut state) {
            tokio::spawn(written);
        }
        is_known
    }

    /// Asks the store to write what has changed. Called with the state's lock held, so that the order of the writes is that of
    /// the changes.
    pub(super) fn write(self: &Arc<Self>, state: &mut ScopeState) -> Option<StoreFuture<()>> {
        let changes = state.take_changes();
        let store = lock(&self.context).store()?;
        let rows = record::rows(state, &changes);
        let is_empty = rows.is_empty();
        // A write without rows renews the time of the last write.
        let written = store.alerts()?.write_alerts(&self.config, rows);
        if is_empty {
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

    /// Whether this process manages the alerts. While the state loads or is stored, it does.
    pub(super) fn is_loaded(&self) -> bool {
        let loaded = self.loaded.try_lock();
        loaded.map_or(true, |loaded| *loaded == LoadState::Yes)
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
            let found = record::read(stored.rows);
            let now = self.clock.now();
            let mut state = ScopeState::new(now);
            state.restore(found, stored.idle, now);
            *lock(&self.state) = state;
            self.look_up_deliveries(*loaded == LoadState::No).await?;
        }
        *loaded = LoadState::Yes;
        self.changed.notify_one();
        Ok(())
    }

    /// Asks the store how the deliveries ended that do not run in this process. `is_first`: what the store does not have was
    /// never accepted, since the process ended before.
    pub(super) async fn look_up_deliveries(
        self: &Arc<Self>,
        is_first: bool,
    ) -> Result<(), StoreError> {
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

    /// The present content of a notification that no provider can have seen.
    fn renew(self: &Arc<Self>, task: &str, index: usize) -> Option<Renewal> {
        // Most are current, and need no settings.
        if lock(&self.state).is_current(task, index) {
            return None;
        }
        let source = Arc::clone(&lock(&self.context).settings);
        let (settings, now) = (source()?, self.clock.now());
        let rules = plan::mute_rules(&settings);
        let mut renewed = None;
        self.change_in_background(|state| {
            renewed = state.renew(task, index, &*settings, &rules, now);
        });
        match renewed? {
            Renewed::Superseded => Some(Renewal::Superseded),
            Renewed::Replaced(flush) => {
                let origin = lock(&self.state).origin(task, index);
                let plan = plan::flush_plan(&flush, origin, &settings, &mut Warnings::default());
                let delivery = plan.ok().and_then(|mut plan| plan.deliveries.pop());
                if let Some(Disposition::Send(planned)) =
                    delivery.map(|delivery| delivery.disposition)
                {
                    return Some(Renewal::Replaced(planned));
                }
                // The next flush says why it cannot be composed.
                self.not_sent(task);
                Some(Renewal::Superseded)
            }
        }
    }

    pub(super) fn not_sent(self: &Arc<Self>, task: &str) {
        let now = self.clock.now();
        self.failed_flushes.fetch_add(1, Ordering::Relaxed);
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
        self.scope.change_in_background(|state| {
            if matches!(outcome, Outcome::Failed(_)) && state.is_open(task, index) {
                self.scope.failed_flushes.fetch_add(1, Ordering::Relaxed);
            }
            state.ended(task, index, outcome, now);
        });
    }

    fn renew(&self, task: &str, index: usize) -> Option<Renewal> {
        self.scope.renew(task, index)
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
