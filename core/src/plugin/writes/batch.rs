//! Accepts the rows of one table from one call.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use super::batch_context::{BatchContext, LEAST_PAUSE, LONGEST_PAUSE};
use super::summary::{DeliveryLines, RowAdmission, RowOutcome, Summary};
use super::waiting::WaitingRows;
use crate::api::request::Request;
use crate::api::row;
use crate::config::matcher::MatchInput;
use crate::delivery::{
    self, CapacityPolicy, Need, PERSIST_TIMEOUT, PersistError, Submission, SubmitError,
    SubmitRequest, Task,
};
use crate::model::problem::Problem;
use crate::model::row::{Row, TableRows};
use crate::observe::{Event, LogLevel, LogReceiver, TaskLog};
use crate::plugin::acceptance::{MAX_LOGGED, acceptance};
use crate::plugin::alerts::AlertScope;
use crate::plugin::outboxes::OpenOutbox;
use crate::plugin::records::SubmitContext;
use crate::plugin::refusals::{internal, not_kept, outbox_error};
use crate::routing::Refusal;
use crate::store::{StoreError, StoreErrorKind};

/// The number of rows that a batch stores in an outbox concurrently.
const MAX_CONCURRENT_ROWS: usize = 64;
/// The number of rows after which the task yields the processor.
const ROWS_PER_YIELD: usize = 16;

/// The rows of one table, from one call.
pub struct RowBatch {
    pub table: TableRows,
    pub waiting: WaitingRows,
    pub context: BatchContext,
}

/// A batch while the task accepts its rows.
struct Acceptor {
    context: BatchContext,
    table: Arc<str>,
    open: Option<Arc<OpenOutbox>>,
    alerts: Option<Arc<AlertScope>>,
    /// The batch that limits single notifications.
    digests: Arc<delivery::ThrottleBatch>,
    /// The receiver of lines about deliveries.
    lines: Arc<DeliveryLines>,
    min_level: LogLevel,
    /// Whether the log already contains the reason why rows wait for the outbox.
    has_logged_reason: AtomicBool,
}

impl RowBatch {
    /// Accepts every row. A separate task waits for the end of the deliveries.
    pub async fn accept(self) {
        let Self {
            table: TableRows { table, rows },
            mut waiting,
            context,
        } = self;
        let mut summary = Summary::new(table.clone(), rows.len());
        summary.look_for_columns(&context.settings.rows.columns, &rows);
        let log = TaskLog::new(None);
        log.hand_over(Arc::clone(&context.late));
        let open = match context.open_outbox().await {
            Ok(open) => open,
            Err(error) => {
                summary.lost(outbox_error(&error), rows.len());
                context.report(&summary, &log);
                return;
            }
        };
        let acceptor = Acceptor::new(context, table.into(), rows.len(), open);
        let tasks = acceptor.accept_all(rows, &mut waiting, &mut summary).await;
        acceptor.digests.close();
        acceptor.context.report(&summary, &log);
        if !tasks.is_empty() {
            tokio::spawn(async move { acceptor.follow(&tasks, &summary, &log).await });
        }
    }

    /// Returns a function that reports an internal error for all rows, for use after a panic.
    pub fn report_panic(&self) -> impl FnOnce() + use<> {
        let (table, rows) = (self.table.table.clone(), self.table.rows.len());
        let context = self.context.clone();
        move || {
            let mut summary = Summary::new(table, rows);
            summary.lost(internal(), rows);
            let log = TaskLog::new(None);
            log.hand_over(Arc::clone(&context.late));
            context.report(&summary, &log);
        }
    }
}

impl Acceptor {
    fn new(
        context: BatchContext,
        table: Arc<str>,
        rows: usize,
        open: Option<Arc<OpenOutbox>>,
    ) -> Self {
        Self {
            digests: context.dispatcher.batch(),
            alerts: context.recovery_deps.alerts(
                &context.settings,
                &context.source,
                open.as_ref().map(|open| open.for_alerts()),
                &Handle::current(),
            ),
            lines: Arc::new(DeliveryLines::new(&context.late)),
            min_level: match rows <= MAX_LOGGED {
                true => LogLevel::Info,
                false => LogLevel::Error,
            },
            has_logged_reason: AtomicBool::new(false),
            context,
            table,
            open,
        }
    }

    /// Accepts all rows and returns the tasks of new requests.
    async fn accept_all(
        &self,
        rows: Vec<Row>,
        waiting: &mut WaitingRows,
        summary: &mut Summary,
    ) -> Vec<Arc<Task>> {
        let at_once = match self.open {
            Some(_) => MAX_CONCURRENT_ROWS,
            None => 1,
        };
        let mut tasks = Vec::new();
        let mut note = |admission: RowAdmission, summary: &mut Summary| {
            waiting.done(admission.bytes);
            tasks.extend(summary.note(admission));
        };
        let mut accepting = FuturesUnordered::new();
        let mut under_way = HashSet::new();
        for (index, row) in rows.into_iter().enumerate() {
            let Some(request) = self.request(&row, summary) else {
                continue;
            };
            let key = request.notification.dedup_key.clone();
            // Rows with the same key must be accepted, and so delivered, in their order.
            while accepting.len() >= at_once
                || key.as_ref().is_some_and(|key| under_way.contains(key))
            {
                let admission: Option<RowAdmission> = accepting.next().await;
                let Some(admission) = admission else { break };
                if let Some(key) = &admission.key {
                    under_way.remove(key);
                }
                note(admission, summary);
            }
            under_way.extend(key);
            accepting.push(self.accept(request, row.size()));
            if index % ROWS_PER_YIELD == 0 {
                tokio::task::yield_now().await;
            }
        }
        while let Some(admission) = accepting.next().await {
            note(admission, summary);
        }
        tasks
    }

    /// Converts a row to a request. Returns `None` for a row that the filter excludes.
    fn request(&self, row: &Row, summary: &mut Summary) -> Option<Request> {
        let rows = &self.context.settings.rows;
        let options = &self.context.settings.config.read_options;
        let template = rows.template.as_deref();
        let request = row::read(&self.table, row, &rows.columns, template, options);
        if !rows.filter.matches(&MatchInput::of(&request.notification)) {
            summary.filtered += 1;
            return None;
        }
        Some(request)
    }

    async fn accept(&self, request: Request, bytes: usize) -> RowAdmission {
        let mut warnings = Vec::new();
        let outcome = self.accept_or_wait(&request, &mut warnings).await;
        RowAdmission {
            key: request.notification.dedup_key.clone(),
            bytes,
            warnings,
            outcome,
        }
    }

    /// Accepts a request. Waits for capacity and for a failing outbox.
    async fn accept_or_wait(&self, request: &Request, warnings: &mut Vec<String>) -> RowOutcome {
        let (mut need, mut pause) = (Need::LEAST, LEAST_PAUSE);
        loop {
            match self.wait_for_alerts().await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(lost) => return RowOutcome::Refused(lost),
            }
            let capacity = self.capacity(need).await;
            let acceptance = match self.row_acceptance(request, capacity, warnings) {
                Ok(acceptance) => acceptance,
                Err(outcome) => return outcome,
            };
            let context = &self.context;
            match self.stored(context.dispatcher.submit(acceptance)).await {
                Ok(Submission::New(task)) => return RowOutcome::Task(task),
                Ok(Submission::InOutbox(_)) => {
                    if let Some(open) = &self.open {
                        open.claim_soon();
                    }
                    return RowOutcome::InOutbox;
                }
                Ok(_) => return RowOutcome::Known,
                Err(SubmitError::NoCapacity(_, needed)) => {
                    need = needed;
                    continue;
                }
                Err(SubmitError::NotPersisted(why))
                    if is_final(&why) || Instant::now() >= context.deadline() =>
                {
                    return RowOutcome::Refused(not_kept(&why));
                }
                Err(SubmitError::NotPersisted(why)) => self.log_why_rows_wait(&why),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Plans the request of a row for submission. The summary logs `warnings` once for all rows.
    fn row_acceptance(
        &self,
        request: &Request,
        capacity: CapacityPolicy,
        warnings: &mut Vec<String>,
    ) -> Result<SubmitRequest, RowOutcome> {
        let context = &self.context;
        let submit_context = SubmitContext {
            caller: context.caller.clone(),
            arguments: &context.source.arguments,
            settings: &context.settings,
            outbox: self.open.as_ref().map(|open| &open.outbox),
            history: &context.recovery_deps.history,
        };
        let acceptance = acceptance(request, submit_context, self.alerts.as_ref());
        let mut acceptance = acceptance.map_err(|refusal| match refusal {
            Refusal::NoDestination { .. } => RowOutcome::Unrouted,
            refusal => RowOutcome::Refused(refusal.error(request)),
        })?;
        acceptance.capacity = capacity;
        acceptance.batch = Some(Arc::clone(&self.digests));
        if let Some(persistence) = &mut acceptance.persistence {
            // No call waits.
            persistence.wait = None;
        }
        *warnings = std::mem::take(&mut acceptance.warnings);
        acceptance.log = acceptance.log.from_level(self.min_level);
        let lines: Arc<dyn LogReceiver> = Arc::<DeliveryLines>::clone(&self.lines);
        acceptance.log.hand_over(lines);
        Ok(acceptance)
    }

    /// Loads the alert state. Returns whether it is loaded, or the problem with which the row is lost.
    async fn wait_for_alerts(&self) -> Result<bool, Problem> {
        let Some(alerts) = &self.alerts else {
            return Ok(true);
        };
        let Err(error) = alerts.ready().await else {
            return Ok(true);
        };
        let why = PersistError::Outbox(error);
        if is_final(&why) || Instant::now() >= self.context.deadline() {
            return Err(not_kept(&why));
        }
        self.log_why_rows_wait(&why);
        sleep(LONGEST_PAUSE).await;
        Ok(false)
    }

    /// Returns the policy for a row without capacity: an outbox stores it. A row for a digest waits in memory, because
    /// a stored row would become a separate notification.
    async fn capacity(&self, need: Need) -> CapacityPolicy {
        let policy = &self.context.settings.policy;
        if self.open.is_some() && policy.max_per_batch.is_none() {
            return CapacityPolicy::LeaveInStore;
        }
        let (caller, limit) = (&self.context.caller, policy.max_in_flight);
        let dispatcher = &self.context.dispatcher;
        let permits = dispatcher.wait_for_capacity(caller, need, limit, &self.digests);
        CapacityPolicy::Reserved(permits.await)
    }

    /// Waits for the store without a limit. Logs a wait that takes long.
    async fn stored<T>(&self, accepting: impl Future<Output = T>) -> T {
        tokio::pin!(accepting);
        let Some(open) = &self.open else {
            return accepting.await;
        };
        if let Ok(accepted) = timeout(PERSIST_TIMEOUT, &mut accepting).await {
            return accepted;
        }
        let too_slow = StoreError::new(open.outbox.location(), StoreErrorKind::TimedOut);
        self.log_why_rows_wait(&PersistError::Outbox(too_slow));
        accepting.await
    }

    fn log_why_rows_wait(&self, why: &PersistError) {
        if self.has_logged_reason.swap(true, Ordering::Relaxed) {
            return;
        }
        let error = not_kept(why);
        let log = TaskLog::new(None);
        log.hand_over(Arc::clone(&self.context.late));
        let waiting = Event::RowsWait {
            table: &self.table,
            problem: &error,
        };
        self.context.sink.emit(&log, &waiting);
    }

    async fn follow(&self, tasks: &[Arc<Task>], summary: &Summary, log: &TaskLog) {
        self.context.dispatcher.follow(tasks).await;
        // With few rows, each delivery has its own line.
        if self.min_level > LogLevel::Info {
            summary.ended(&self.context.sink, log, tasks, self.lines.left_out());
        }
    }
}

/// Returns whether a retry would be useless.
fn is_final(why: &PersistError) -> bool {
    match why {
        PersistError::NoKey => true,
        PersistError::Outbox(error) => error.kind == StoreErrorKind::TooLarge,
    }
}
