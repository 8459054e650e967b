//! The outboxes of the process. The first call that names an outbox opens it and recovers its requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::acceptance::MAX_LOGGED;
use super::context::{RecoveryDeps, TriggerContext};
use super::records::recorder;
use crate::api::request;
use crate::config::{OutboxLocation, Settings};
use crate::delivery::{Caller, Dispatcher, RecoveredRequest, StoredTask, forget_row};
use crate::model::outcome::{Failure, Reason};
use crate::model::plan::{Disposition, PlannedDelivery};
use crate::observe::{Event, History, LogLevel, LogPort, LogReceiver, Sink, TaskLog};
use crate::panics::{catch_panic, lock};
use crate::routing::{self, RecoveredPlan};
use crate::store::sqlite::SqliteStore;
use crate::store::{Backends, MAX_HISTORY, Store, StoreError, StoredRequest};
use crate::warnings::Warnings;

/// The number of requests in one claim.
const CLAIM_BATCH: usize = 64;
/// The deliveries in flight at which a worker stops claiming and leaves the rest to others.
const BUSY_DELIVERIES: usize = 256;
/// The time that a call waits for recovery.
const RECOVERY_WAIT: Duration = Duration::from_secs(1);
/// The time after which recovery continues when it ran out of capacity.
const CLAIM_RETRY_AFTER: Duration = Duration::from_secs(1);
/// The time that a view waits for a count.
const COUNT_TIMEOUT: Duration = Duration::from_millis(300);

/// The open outboxes by their locations.
pub struct Outboxes {
    backends: Backends,
    open: Mutex<HashMap<String, Arc<OpenOutbox>>>,
}

/// An outbox in use.
pub struct OpenOutbox {
    pub outbox: Arc<dyn Store>,
    /// The receiver of log lines about deliveries that no call of this process accepted.
    pub port: Arc<LogPort>,
    /// The data to resolve settings again, by configuration file, from the last call.
    sources: Mutex<HashMap<String, TriggerContext>>,
    /// Signals that the outbox may hold requests that exceeded the capacity.
    claim_wanted: Arc<Notify>,
}

impl Outboxes {
    pub fn new(backends: Backends) -> Self {
        Self {
            backends,
            open: Mutex::default(),
        }
    }

    /// Returns the outbox and opens it on the first call. Afterwards, a task periodically recovers requests of other
    /// processes until this process ends.
    pub fn get(
        &self,
        location: &OutboxLocation,
        recovery_deps: impl FnOnce() -> RecoveryDeps,
        runtime: &Handle,
    ) -> Result<Arc<OpenOutbox>, StoreError> {
        let mut open = lock(&self.open);
        let key = location.key();
        if let Some(known) = open.get(&key) {
            return Ok(Arc::clone(known));
        }
        let outbox = Arc::new(OpenOutbox {
            outbox: open_outbox(location, self.backends, runtime)?,
            port: Arc::default(),
            sources: Mutex::default(),
            claim_wanted: Arc::default(),
        });
        open.insert(key, Arc::clone(&outbox));
        runtime.spawn(watch(Arc::downgrade(&outbox), recovery_deps()));
        Ok(outbox)
    }

    /// Stops recovery in this process.
    pub fn stop_recovery(&self) {
        for open in lock(&self.open).values() {
            lock(&open.sources).clear();
        }
    }

    /// Releases all unfinished deliveries to other processes.
    pub async fn release(&self) {
        let open: Vec<_> = lock(&self.open).values().cloned().collect();
        for open in open {
            open.outbox.running().release();
            let _ = open.outbox.release().await;
        }
    }

    /// Returns the number of unfinished deliveries in all outboxes.
    pub async fn depth(&self) -> usize {
        let open: Vec<_> = lock(&self.open).values().cloned().collect();
        let mut depth = 0;
        for open in open {
            let count = timeout(COUNT_TIMEOUT, open.outbox.depth()).await;
            depth += count.ok().and_then(Result::ok).unwrap_or(0);
        }
        depth
    }
}

fn open_outbox(
    location: &OutboxLocation,
    backends: Backends,
    runtime: &Handle,
) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match location {
        OutboxLocation::File(path) => Arc::new(SqliteStore::open(path)?),
        OutboxLocation::Servers(_, servers) => backends.of(servers)?.open(servers, runtime),
    })
}

/// Periodically recovers requests without an owner.
async fn watch(outbox: Weak<OpenOutbox>, recovery_deps: RecoveryDeps) {
    let every = |open: Arc<OpenOutbox>| (open.outbox.claim_every(), Arc::clone(&open.claim_wanted));
    while let Some((every, claim_wanted)) = outbox.upgrade().map(every) {
        if timeout(every, claim_wanted.notified()).await.is_ok() {
            // There was no capacity a moment ago.
            sleep(CLAIM_RETRY_AFTER).await;
        }
        let Some(outbox) = outbox.upgrade() else {
            return;
        };
        let sources: Vec<_> = lock(&outbox.sources).values().cloned().collect();
        for source in sources {
            let _ = outbox.recover(&source, &recovery_deps).await;
        }
    }
}

impl OpenOutbox {
    /// Returns the store and the log receiver for the alert state.
    pub fn for_alerts(&self) -> (&Arc<dyn Store>, &Arc<LogPort>) {
        (&self.outbox, &self.port)
    }

    /// Stores the data of a call. The first call under a configuration file and each `scheduled` call also recover
    /// requests, so that earlier requests come first. Returns the number of recovered requests.
    pub async fn register_call(
        self: &Arc<Self>,
        scheduled: bool,
        source: TriggerContext,
        recovery_deps: impl FnOnce() -> RecoveryDeps,
    ) -> Result<usize, StoreError> {
        let known = lock(&self.sources).insert(source.config(), source.clone());
        if known.is_some() && !scheduled {
            return Ok(0);
        }
        let (outbox, recovery_deps) = (Arc::clone(self), recovery_deps());
        // A separate task, so that claimed requests continue after the call stops waiting.
        let taking = tokio::spawn(async move { outbox.recover(&source, &recovery_deps).await });
        match timeout(RECOVERY_WAIT, taking).await {
            Ok(Ok(recovered)) => recovered,
            _ => Ok(0),
        }
    }

    /// Schedules a claim for a request that this process stored for lack of capacity.
    pub fn claim_soon(&self) {
        self.claim_wanted.notify_one();
    }

    /// Recovers requests without an owner, then history rows. Returns the number of requests.
    async fn recover(
        &self,
        source: &TriggerContext,
        recovery_deps: &RecoveryDeps,
    ) -> Result<usize, StoreError> {
        // Without settings, the requests wait in the outbox.
        let Some(settings) = recovery_deps.resolve(source, &source.arguments) else {
            return Ok(0);
        };
        let recovered = self
            .recover_requests(source, recovery_deps, &settings)
            .await?;
        // A worker cannot write rows.
        if settings.history_table.is_some() && source.claimed_config_path.is_none() {
            self.recover_history(&source.config(), &recovery_deps.history)
                .await?;
        }
        Ok(recovered)
    }

    /// Recovers requests while there is capacity.
    async fn recover_requests(
        &self,
        source: &TriggerContext,
        recovery_deps: &RecoveryDeps,
        settings: &Arc<Settings>,
    ) -> Result<usize, StoreError> {
        let RecoveryDeps {
            dispatcher,
            history,
            ..
        } = recovery_deps;
        let config = source.config();
        let is_worker = source.claimed_config_path.is_some();
        let for_workers = settings
            .outbox
            .as_ref()
            .is_some_and(|outbox| outbox.for_workers);
        if for_workers && !is_worker {
            return Ok(0);
        }
        let caller = Caller::Outbox(config.clone());
        let max_in_flight = settings.policy.max_in_flight;
        let room = || match dispatcher.has_much_capacity(&caller, max_in_flight) {
            true => CLAIM_BATCH,
            // The deliveries that use the capacity may wait for a request without an owner.
            false => usize::from(dispatcher.waits_for_older(max_in_flight)),
        };
        let mut recovered = 0;
        while let limit @ 1.. = room() {
            let asked = Instant::now();
            let claimed = self.outbox.claim(&config, limit).await?;
            if let Some(warning) = self.outbox.warning() {
                dispatcher
                    .sink()
                    .emit(&self.log(), &Event::Warning(&warning));
            }
            let count = claimed.len();
            recovered += count;
            let least = self.log_recovery(&claimed, dispatcher.sink());
            for stored_request in claimed {
                // Use the arguments of the trigger that accepted the request, or this call's if those are invalid.
                let own = recovery_deps.resolve(source, &source.arguments_of(&stored_request));
                let settings = (&**own.as_ref().unwrap_or(settings), caller.clone());
                self.resume(stored_request, asked, settings, dispatcher, history, least);
            }
            if limit < CLAIM_BATCH {
                break;
            }
            if count < CLAIM_BATCH
                || (is_worker && dispatcher.gauges().in_flight >= BUSY_DELIVERIES)
            {
                return Ok(recovered);
            }
        }
        self.claim_soon();
        Ok(recovered)
    }

    /// Logs one line for a large number of recovered requests. Returns the minimum level of the lines of each request.
    fn log_recovery(&self, claimed: &[StoredRequest], sink: &Sink) -> LogLevel {
        if claimed.len() <= MAX_LOGGED {
            return LogLevel::Info;
        }
        let deliveries = claimed
            .iter()
            .flat_map(|stored_request| &stored_request.deliveries);
        let deliveries = deliveries
            .filter(|delivery| delivery.work.is_some())
            .count();
        sink.emit(&self.log(), &Event::Recovered { deliveries });
        LogLevel::Error
    }

    /// Returns a log for lines that belong to no request.
    fn log(&self) -> TaskLog {
        let log = TaskLog::new(None);
        log.hand_over(Arc::<LogPort>::clone(&self.port));
        log
    }

    /// Queues the history rows of an earlier process.
    async fn recover_history(&self, config: &str, history: &History) -> Result<(), StoreError> {
        for row in self.outbox.claim_history(config, MAX_HISTORY).await? {
            history.push(row, Some(forget_row(Arc::<dyn Store>::clone(&self.outbox))));
        }
        Ok(())
    }

    fn resume(
        &self,
        stored_request: StoredRequest,
        claimed: Instant,
        (settings, caller): (&Settings, Caller),
        dispatcher: &Dispatcher,
        history: &Arc<History>,
        least: LogLevel,
    ) {
        let mut warnings = Warnings::default();
        // The request was valid when it was stored.
        let request =
            request::read_stored(&stored_request.request_json, &settings.config.read_options).ok();
        let plan =
            |request| routing::recover_plan(&stored_request, request, settings, &mut warnings);
        let planned = catch_panic(|| request.as_ref().map(plan));
        // Every claimed request must end, whatever its error.
        let planned = planned
            .ok()
            .flatten()
            .unwrap_or_else(|| unrecoverable_plan(&stored_request));
        let recorder = request.and_then(|request| {
            let outbox = Some(&self.outbox);
            recorder(
                history,
                &stored_request.arguments,
                settings,
                &request.notification,
                outbox,
            )
        });
        let log = TaskLog::new(Some(stored_request.task.clone())).recording(recorder);
        let log = log.from_level(least);
        let port: Arc<dyn LogReceiver> = Arc::<LogPort>::clone(&self.port);
        log.hand_over(port);
        for warning in warnings.into_lines() {
            dispatcher.sink().emit(&log, &Event::Warning(&warning));
        }
        let reports = stored_request.deliveries.into_iter();
        let task = dispatcher.recover(RecoveredRequest {
            task_id: stored_request.task,
            caller,
            identity: stored_request.identity,
            age: stored_request.age,
            reports: reports.map(|delivery| delivery.report).collect(),
            deliveries: planned.deliveries,
            shared_bytes: planned.shared_bytes,
            policy: Arc::clone(&settings.policy),
            log,
            warnings: stored_request.warnings,
            observer: None,
            stored: StoredTask {
                outbox: Arc::clone(&self.outbox),
                behind: stored_request.behind,
                confirmed: claimed,
            },
        });
        dispatcher.answered(&task);
    }
}

/// Returns a plan that rejects the open deliveries of a request that cannot be planned again.
fn unrecoverable_plan(stored_request: &StoredRequest) -> RecoveredPlan {
    let open = stored_request.deliveries.iter().enumerate();
    let open = open.filter(|(_, delivery)| delivery.work.is_some());
    let rejected = open.map(|(index, delivery)| {
        let disposition = Disposition::Reject {
            failure: Failure::new(Reason::Internal),
            path: None,
        };
        let delivery = PlannedDelivery {
            sender: delivery.report.sender.clone(),
            receiver: delivery.report.receiver.clone(),
            disposition,
            origin: delivery.report.origin.clone(),
        };
        (index, delivery)
    });
    RecoveredPlan {
        deliveries: rejected.collect(),
        shared_bytes: 0,
    }
}
