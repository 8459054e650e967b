//! A write trigger's call: each row of its table becomes a notification. The call returns on acceptance.

mod summary;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use self::summary::{DeliveryLines, Summary};
use super::outboxes::OpenOutbox;
use super::{
    Call, NeedsVariables, Notifier, Scheduled, Taking, acceptance, argument_error, no_room,
    not_kept, outbox_error,
};
use crate::api::request::{Request, RequestError};
use crate::api::row;
use crate::delivery::{self, Admission, Dispatcher, NotAccepted, NotKept, Room, Task};
use crate::model::notification::DedupKey;
use crate::model::row::{Row, TableRows};
use crate::observe::{Event, History, LateLog, LogLevel, RecentErrors, TaskLog};
use crate::routing::Refusal;
use crate::settings::Settings;
use crate::settings::matcher::Subject;

/// Of a larger batch only what went wrong is said of each delivery; the batch's own lines say the rest.
const MAX_SAID_ROWS: usize = 20;
/// Rows that are on their way into an outbox at once.
const AT_ONCE: usize = 64;
/// Rows after which others are let to the processor.
const TURN: usize = 16;
/// How long a call waits for an outbox to keep its rows.
const KEEP_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked for room, and for an outbox that works.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a row waits for an outbox that does not work.
const OUTBOX_WITHIN: Duration = Duration::from_secs(30);

/// The rows of one call, until they are taken.
pub type Tables = Mutex<Vec<TableRows>>;

impl Notifier {
    /// Takes charge of rows, and waits for no delivery. What is said later goes to `late`. The rows stay in `tables` where
    /// variables are missing.
    pub fn process_writes(
        &self,
        call: &Call,
        tables: &Tables,
        late: &Arc<dyn LateLog>,
    ) -> Result<Scheduled, NeedsVariables> {
        let (settings, _) = self.settings(call)?;
        let tables = std::mem::take(&mut *tables.lock().unwrap_or_else(PoisonError::into_inner));
        let log = TaskLog::new(None);
        let mut port = None;
        for table in tables.into_iter().filter(|table| !table.rows.is_empty()) {
            let (name, rows) = (table.table.clone(), table.rows.len());
            let taken = match &settings {
                // Its own rows would make rows for ever.
                Ok(settings) if settings.history_table.as_deref() == Some(name.as_str()) => {
                    continue;
                }
                Ok(settings) => self.take(table, call, settings, late),
                Err(error) => Err(argument_error(error)),
            };
            match taken {
                Ok(open) => port = open.map(|open| Arc::clone(&open.port)).or(port),
                Err(error) => {
                    let line = log.log(&Event::RowsRefused {
                        table: &name,
                        rows,
                        message: &error.message,
                        hint: &error.hint,
                    });
                    self.errors.push(line);
                }
            }
        }
        let mut lines = self.take_news();
        lines.extend(log.take());
        Ok(Scheduled { lines, port })
    }

    /// Takes charge of all rows of a table, or of none.
    fn take(
        &self,
        table: TableRows,
        call: &Call,
        settings: &Arc<Settings>,
        late: &Arc<dyn LateLog>,
    ) -> Result<Option<Arc<OpenOutbox>>, RequestError> {
        let open = self
            .outbox(call, settings, Taking::Once)
            .map_err(|error| outbox_error(&error))?
            // Where nothing could be taken over, it will be told why these cannot be kept.
            .map(|(open, _)| open);
        let bytes = table.rows.iter().map(Row::size).sum();
        let room = self.dispatcher.room(bytes);
        let room = room.map_err(no_room)?;
        let batch = Batch {
            dispatcher: self.dispatcher.clone(),
            digests: self.dispatcher.batch(),
            history: Arc::clone(&self.history),
            errors: Arc::clone(&self.errors),
            arguments: call.arguments.clone(),
            settings: Arc::clone(settings),
            open: open.clone(),
            lines: Arc::new(DeliveryLines::new(late)),
            late: Arc::clone(late),
            least: match table.rows.len() <= MAX_SAID_ROWS {
                true => LogLevel::Info,
                false => LogLevel::Error,
            },
        };
        let (accepted, kept) = oneshot::channel();
        self.runtime.spawn(batch.run(table, room, accepted));
        if open.is_some() {
            // What an outbox has not kept is lost if the process ends.
            let kept = async { timeout(KEEP_WITHIN, kept).await };
            let _ = self.runtime.block_on(kept);
        }
        Ok(open)
    }
}

/// What the rows of one table have in common.
struct Batch {
    dispatcher: Dispatcher,
    /// What of them goes to a receiver as it is.
    digests: Arc<delivery::Batch>,
    history: Arc<History>,
    errors: Arc<RecentErrors>,
    arguments: BTreeMap<String, String>,
    settings: Arc<Settings>,
    open: Option<Arc<OpenOutbox>>,
    late: Arc<dyn LateLog>,
    /// For lines of deliveries.
    lines: Arc<DeliveryLines>,
    least: LogLevel,
}

/// A row that was seen to.
struct Taken {
    /// Its dedup key.
    key: Option<DedupKey>,
    warnings: Vec<String>,
    became: Became,
}

/// What became of a row.
enum Became {
    Task(Arc<Task>),
    /// It is under way already: the engine has passed it twice.
    Known,
    /// No receiver is named, routed to or a default.
    Nobody,
    /// It could not be taken; why.
    Lost(RequestError),
}

impl Batch {
    /// Accepts every row, then waits for the end of every delivery.
    async fn run(self, table: TableRows, room: Room, accepted: oneshot::Sender<()>) {
        let TableRows { table, rows } = table;
        let mut summary = Summary::new(&table, rows.len());
        summary.look_for_columns(&self.settings.rows.columns, &rows);
        let tasks = self.accept_all(&table, rows, &mut summary).await;
        self.digests.close();
        drop(room);
        let log = TaskLog::new(None);
        log.hand_over(Arc::clone(&self.late));
        for line in summary.accepted(&log) {
            self.errors.push(line);
        }
        let _ = accepted.send(());
        if tasks.is_empty() {
            return;
        }
        self.dispatcher.follow(&tasks).await;
        // Of a few rows each delivery's line says it.
        if self.least > LogLevel::Info {
            summary.ended(&log, &tasks, self.lines.left_out());
        }
    }

    /// The tasks of those that are new.
    async fn accept_all(
        &self,
        table: &str,
        rows: Vec<Row>,
        summary: &mut Summary<'_>,
    ) -> Vec<Arc<Task>> {
        let at_once = match self.open {
            Some(_) => AT_ONCE,
            None => 1,
        };
        let mut tasks = Vec::with_capacity(rows.len());
        let mut accepting = FuturesUnordered::new();
        let mut under_way = HashSet::new();
        for (index, row) in rows.into_iter().enumerate() {
            let Some(request) = self.request(table, &row, summary) else {
                continue;
            };
            let key = request.notification.dedup_key.clone();
            // Those of one key go in, and so out, in their order.
            while accepting.len() >= at_once
                || key.as_ref().is_some_and(|key| under_way.contains(key))
            {
                let taken: Option<Taken> = accepting.next().await;
                let Some(taken) = taken else { break };
                if let Some(key) = &taken.key {
                    under_way.remove(key);
                }
                tasks.extend(summary.note(taken));
            }
            under_way.extend(key);
            accepting.push(self.accept(request));
            if index % TURN == 0 {
                tokio::task::yield_now().await;
            }
        }
        while let Some(taken) = accepting.next().await {
            tasks.extend(summary.note(taken));
        }
        tasks
    }

    /// The request that a row stands for; none where the filter keeps it back.
    fn request(&self, table: &str, row: &Row, summary: &mut Summary<'_>) -> Option<Request> {
        let rows = &self.settings.rows;
        let options = &self.settings.config.read_options;
        let template = rows.template.as_deref();
        let request = match row::read(table, row, &rows.columns, template, options) {
            Ok(request) => request,
            Err(error) => {
                summary.lost(error);
                return None;
            }
        };
        if !rows.filter.matches(&Subject::of(&request.notification)) {
            summary.filtered += 1;
            return None;
        }
        Some(request)
    }

    async fn accept(&self, request: Request) -> Taken {
        let mut warnings = Vec::new();
        let became = self.accept_or_wait(&request, &mut warnings).await;
        Taken {
            key: request.notification.dedup_key.clone(),
            warnings,
            became,
        }
    }

    /// Waits for room, and for an outbox that works again.
    async fn accept_or_wait(&self, request: &Request, warnings: &mut Vec<String>) -> Became {
        let until = Instant::now() + OUTBOX_WITHIN;
        loop {
            let acceptance = acceptance(
                request,
                &self.arguments,
                &self.settings,
                self.open.as_deref(),
                &self.history,
            );
            let mut acceptance = match acceptance {
                Ok(acceptance) => acceptance,
                Err(Refusal::NoDestination { .. }) => return Became::Nobody,
                Err(refusal) => return Became::Lost(refusal.error(request)),
            };
            acceptance.batch = Some(Arc::clone(&self.digests));
            // They are said once for all rows.
            *warnings = std::mem::take(&mut acceptance.warnings);
            acceptance.log = acceptance.log.from_level(self.least);
            let lines: Arc<dyn LateLog> = Arc::<DeliveryLines>::clone(&self.lines);
            acceptance.log.hand_over(lines);
            match self.dispatcher.accept(acceptance).await {
                Ok(Admission::New(task)) => return Became::Task(task),
                Ok(_) => return Became::Known,
                Err(NotAccepted::Full(_)) => {}
                Err(NotAccepted::NotKept(why @ NotKept::NoKey)) => {
                    return Became::Lost(not_kept(&why));
                }
                Err(NotAccepted::NotKept(why)) if Instant::now() >= until => {
                    return Became::Lost(not_kept(&why));
                }
                Err(NotAccepted::NotKept(_)) => {}
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
