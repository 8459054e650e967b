//! The outboxes of the process: opened at the first call that names one, and what is in them taken over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::acceptance::MAX_SAID;
use super::context::{RecoveryDeps, Source};
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
const CLAIM: usize = 64;
/// Deliveries in flight with which a worker is busy: of what is left over others may have their share.
const ENOUGH: usize = 256;
/// How long a call waits for what a former process has left.
const TAKE_OVER_WITHIN: Duration = Duration::from_secs(1);
/// How soon it is looked again whether there is room for requests for which there was none.
const CLAIM_LEFT_AFTER: Duration = Duration::from_secs(1);
/// How long a view waits for a count.
const COUNT_WITHIN: Duration = Duration::from_millis(300);

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
    /// What is needed to make settings again, by configuration file: as the last call brought it.
    sources: Mutex<HashMap<String, Source>>,
    /// The outbox may hold requests for which there was no room.
    left: Arc<Notify>,
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
        take_over: impl FnOnce() -> RecoveryDeps,
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
            left: Arc::default(),
        });
        open.insert(key, Arc::clone(&outbox));
        runtime.spawn(watch(Arc::downgrade(&outbox), take_over()));
        Ok(outbox)
    }

    /// From now on nothing is taken over.
    pub fn stop_taking(&self) {
        for open in lock(&self.open).values() {
            lock(&open.sources).clear();
        }
    }

    /// Lets other processes have what has not ended here.
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
            let count = timeout(COUNT_WITHIN, open.outbox.depth()).await;
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
async fn watch(outbox: Weak<OpenOutbox>, take_over: RecoveryDeps) {
    let every = |open: Arc<OpenOutbox>| (open.outbox.claim_every(), Arc::clone(&open.left));
    while let Some((every, left)) = outbox.upgrade().map(every) {
        if timeout(every, left.notified()).await.is_ok() {
            // A moment ago there was no room.
            sleep(CLAIM_LEFT_AFTER).await;
        }
        let Some(outbox) = outbox.upgrade() else {
            return;
        };
        let sources: Vec<_> = lock(&outbox.sources).values().cloned().collect();
        for source in sources {
            let _ = outbox.take_over(&source, &take_over).await;
        }
    }
}

impl OpenOutbox {
    /// What the alert state needs of it.
    pub fn for_alerts(&self) -> (&Arc<dyn Store>, &Arc<LogPort>) {
        (&self.outbox, &self.port)
    }

    /// Notes what a call brought. At the first call under a configuration file, and at each that is `scheduled`, takes over
    /// what was left under it, so that what was accepted before goes before. Gives back how many requests that were.
    pub async fn called(
        self: &Arc<Self>,
        scheduled: bool,
        source: Source,
        take_over: impl FnOnce() -> RecoveryDeps,
    ) -> Result<usize, StoreError> {
        let known = lock(&self.sources).insert(source.config(), source.clone());
        if known.is_some() && !scheduled {
            return Ok(0);
        }
        let (outbox, take_over) = (Arc::clone(self), take_over());
        // A task of its own: what is claimed is gone on with, however long the call waits for that.
        let taking = tokio::spawn(async move { outbox.take_over(&source, &take_over).await });
        match timeout(TAKE_OVER_WITHIN, taking).await {
            Ok(Ok(taken)) => taken,
            _ => Ok(0),
        }
    }

    /// This process has left a request for which it had no room.
    pub fn note_left(&self) {
        self.left.notify_one();
    }

    /// Goes on with what belongs to nobody: requests, then history rows. Gives back how many requests.
    async fn take_over(
        &self,
        source: &Source,
        take_over: &RecoveryDeps,
    ) -> Result<usize, StoreError> {
        // Without settings there is nothing to go on with: what is there waits.
        let Some(settings) = take_over.resolve(source, &source.arguments) else {
            return Ok(0);
        };
        let taken = self
            .take_over_requests(source, take_over, &settings)
            .await?;
        // A worker cannot write rows.
        if settings.history_table.is_some() && source.claimed_config_path.is_none() {
            self.recover_history(&source.config(), &take_over.history)
                .await?;
        }
        Ok(taken)
    }

    /// Goes on with requests, as long as there is room for them.
    async fn take_over_requests(
        &self,
        source: &Source,
        take_over: &RecoveryDeps,
        settings: &Arc<Settings>,
    ) -> Result<usize, StoreError> {
        let RecoveryDeps {
            dispatcher,
            history,
            ..
        } = take_over;
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
            true => CLAIM,
            // What takes the room may wait for one that nobody has.
            false => usize::from(dispatcher.waits_for_older(max_in_flight)),
        };
        let mut taken = 0;
        while let limit @ 1.. = room() {
            let asked = Instant::now();
            let claimed = self.outbox.claim(&config, limit).await?;
            if let Some(warning) = self.outbox.warning() {
                dispatcher
                    .sink()
                    .emit(&self.log(), &Event::Warning(&warning));
            }
            let count = claimed.len();
            taken += count;
            let least = self.announce(&claimed, dispatcher.sink());
            for kept in claimed {
                // The arguments of the trigger that accepted it; where they cannot be used any more, this one's.
                let own = take_over.resolve(source, &source.arguments_of(&kept));
                let settings = (&**own.as_ref().unwrap_or(settings), caller.clone());
                self.go_on(kept, asked, settings, dispatcher, history, least);
            }
            if limit < CLAIM {
                break;
            }
            if count < CLAIM || (is_worker && dispatcher.gauges().in_flight >= ENOUGH) {
                return Ok(taken);
            }
        }
        self.note_left();
        Ok(taken)
    }

    /// Of many requests one line says that they were taken over. Gives back from which level on each has lines of its own.
    fn announce(&self, claimed: &[StoredRequest], sink: &Sink) -> LogLevel {
        if claimed.len() <= MAX_SAID {
            return LogLevel::Info;
        }
        let deliveries = claimed.iter().flat_map(|kept| &kept.deliveries);
        let deliveries = deliveries
            .filter(|delivery| delivery.work.is_some())
            .count();
        sink.emit(&self.log(), &Event::TakenOver { deliveries });
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

    fn go_on(
        &self,
        kept: StoredRequest,
        claimed: Instant,
        (settings, caller): (&Settings, Caller),
        dispatcher: &Dispatcher,
        history: &Arc<History>,
        least: LogLevel,
    ) {
        let mut warnings = Warnings::default();
        // It was read once.
        let request = request::read_stored(&kept.request_json, &settings.config.read_options).ok();
        let plan = |request| routing::recover_plan(&kept, request, settings, &mut warnings);
        let planned = catch_panic(|| request.as_ref().map(plan));
        // What was claimed comes to an end, whatever is wrong with it.
        let planned = planned.ok().flatten().unwrap_or_else(|| impossible(&kept));
        let recorder = request.and_then(|request| {
            let outbox = Some(&self.outbox);
            recorder(
                history,
                &kept.arguments,
                settings,
                &request.notification,
                outbox,
            )
        });
        let log = TaskLog::new(Some(kept.task.clone())).recording(recorder);
        let log = log.from_level(least);
        let port: Arc<dyn LogReceiver> = Arc::<LogPort>::clone(&self.port);
        log.hand_over(port);
        for warning in warnings.into_lines() {
            dispatcher.sink().emit(&log, &Event::Warning(&warning));
        }
        let reports = kept.deliveries.into_iter();
        let task = dispatcher.recover(RecoveredRequest {
            task_id: kept.task,
            caller,
            identity: kept.identity,
            age: kept.age,
            reports: reports.map(|delivery| delivery.report).collect(),
            deliveries: planned.deliveries,
            shared_bytes: planned.shared_bytes,
            policy: Arc::clone(&settings.policy),
            log,
            warnings: kept.warnings,
            observer: None,
            stored: StoredTask {
                outbox: Arc::clone(&self.outbox),
                behind: kept.behind,
                confirmed: claimed,
            },
        });
        dispatcher.answered(&task);
    }
}

/// The deliveries of a request that cannot be made again.
fn impossible(kept: &StoredRequest) -> RecoveredPlan {
    let open = kept.deliveries.iter().enumerate();
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
