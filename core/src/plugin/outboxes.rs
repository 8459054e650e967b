//! The outboxes of the process. The first call that names one opens it and recovers its requests.

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
use crate::config::{OutboxPlace, Settings};
use crate::delivery::{Caller, Dispatcher, RecoveredRequest, StoredTask, forget_row};
use crate::model::outcome::{Failure, Reason};
use crate::model::plan::{Disposition, PlannedDelivery};
use crate::observe::{Event, History, LogLevel, LogPort, LogReceiver, Sink, TaskLog};
use crate::panics::{catch_panic, lock};
use crate::routing::{self, RecoveredPlan};
use crate::store::sqlite::SqliteStore;
use crate::store::{Backends, MAX_HISTORY, Store, StoreError, StoredRequest};
use crate::warnings::Warnings;

/// Requests that are taken over at a time.
const CLAIM_BATCH: usize = 64;
/// A worker with this many deliveries in flight is busy: it leaves further requests to other workers.
const BUSY_DELIVERIES: usize = 256;
/// Maximum time that a call waits for the recovery of requests.
const RECOVERY_WAIT: Duration = Duration::from_secs(1);
/// How soon it is looked again whether there is room for requests for which there was none.
const CLAIM_RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a view waits for a count.
const COUNT_TIMEOUT: Duration = Duration::from_millis(300);

/// By their places.
pub struct Outboxes {
    backends: Backends,
    open: Mutex<HashMap<String, Arc<OpenOutbox>>>,
}

/// An outbox in use.
pub struct OpenOutbox {
    pub outbox: Arc<dyn Store>,
    /// Where lines of deliveries go that no call of this process has accepted.
    pub port: Arc<LogPort>,
    /// The data to make the settings again, by configuration file, from its last call.
    sources: Mutex<HashMap<String, TriggerContext>>,
    /// The outbox may hold requests for which there was no room.
    claim_wanted: Arc<Notify>,
}

impl Outboxes {
    pub fn new(backends: Backends) -> Self {
        Self {
            backends,
            open: Mutex::default(),
        }
    }

    /// Opens the outbox at the first time; from then on what other processes leave in it is taken over now and again, for
    /// as long as this process lives.
    pub fn get(
        &self,
        place: &OutboxPlace,
        recovery_deps: impl FnOnce() -> RecoveryDeps,
        runtime: &Handle,
    ) -> Result<Arc<OpenOutbox>, StoreError> {
        let mut open = lock(&self.open);
        let key = place.key();
        if let Some(known) = open.get(&key) {
            return Ok(Arc::clone(known));
        }
        let outbox = Arc::new(OpenOutbox {
            outbox: open_outbox(place, self.backends, runtime)?,
            port: Arc::default(),
            sources: Mutex::default(),
            claim_wanted: Arc::default(),
        });
        open.insert(key, Arc::clone(&outbox));
        runtime.spawn(watch(Arc::downgrade(&outbox), recovery_deps()));
        Ok(outbox)
    }

    /// From now on nothing is taken over.
    pub fn stop_recovery(&self) {
        for open in lock(&self.open).values() {
            lock(&open.sources).clear();
        }
    }

    /// Releases open deliveries to other processes.
    pub async fn release(&self) {
        let open: Vec<_> = lock(&self.open).values().cloned().collect();
        for open in open {
            open.outbox.running().release();
            let _ = open.outbox.release().await;
        }
    }

    /// Deliveries in all of them that have not ended.
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
    place: &OutboxPlace,
    backends: Backends,
    runtime: &Handle,
) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match place {
        OutboxPlace::File(path) => Arc::new(SqliteStore::open(path)?),
        OutboxPlace::Servers(_, servers) => backends.of(servers)?.open(servers, runtime),
    })
}

/// Looks for what belongs to nobody.
async fn watch(outbox: Weak<OpenOutbox>, recovery_deps: RecoveryDeps) {
    let every = |open: Arc<OpenOutbox>| (open.outbox.claim_every(), Arc::clone(&open.claim_wanted));
    while let Some((every, claim_wanted)) = outbox.upgrade().map(every) {
        if timeout(every, claim_wanted.notified()).await.is_ok() {
            // A moment ago there was no room.
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
    /// The parts that the alert state needs.
    pub fn for_alerts(&self) -> (&Arc<dyn Store>, &Arc<LogPort>) {
        (&self.outbox, &self.port)
    }

    /// Stores the data of a call. The first call under a configuration file, and each `scheduled` call, recovers the
    /// requests under it first, so that older requests are sent first. Returns the number of recovered requests.
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
        // Its own task: claimed requests continue even if the call stops waiting.
        let taking = tokio::spawn(async move { outbox.recover(&source, &recovery_deps).await });
        match timeout(RECOVERY_WAIT, taking).await {
            Ok(Ok(recovered)) => recovered,
            _ => Ok(0),
        }
    }

    /// This process has left a request for which it had no room.
    pub fn claim_soon(&self) {
        self.claim_wanted.notify_one();
    }

    /// Goes on with what belongs to nobody: requests, then history rows. Gives back how many requests.
    async fn recover(
        &self,
        source: &TriggerContext,
        recovery_deps: &RecoveryDeps,
    ) -> Result<usize, StoreError> {
        // Without settings nothing can continue: the requests wait.
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

    /// Goes on with requests, as long as there is room for them.
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
            // Deliveries in flight may wait for an older one that no process has.
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
                // The arguments of the trigger that accepted it; where they cannot be used any more, this one's.
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

    /// One line for many recovered requests. Returns the lowest level at which each has its own lines.
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

    /// For lines of no request.
    fn log(&self) -> TaskLog {
        let log = TaskLog::new(None);
        log.hand_over(Arc::<LogPort>::clone(&self.port));
        log
    }

    /// Lines up the history rows that a process has left.
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
        // It was read once.
        let request =
            request::read_stored(&stored_request.request_json, &settings.config.read_options).ok();
        let plan =
            |request| routing::recover_plan(&stored_request, request, settings, &mut warnings);
        let planned = catch_panic(|| request.as_ref().map(plan));
        // Every claimed request comes to an end, even an invalid one.
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

/// The deliveries of a request that cannot be made again.
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
        };
        (index, delivery)
    });
    RecoveredPlan {
        deliveries: rejected.collect(),
        shared_bytes: 0,
    }
}
