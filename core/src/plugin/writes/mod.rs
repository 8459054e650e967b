//! Handles calls of write triggers. Each row of a table becomes a notification. The call does not wait: a task of the
//! trigger accepts the rows in order.

mod batch;
mod batch_context;
mod lanes;
mod summary;
mod waiting;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use self::batch::RowBatch;
use self::batch_context::BatchContext;
pub use self::lanes::Lanes;
use super::{Call, NeedsVariables, Notifier, Scheduled, no_room_for_rows};
use crate::config::Settings;
use crate::model::problem::Problem;
use crate::model::row::{Row, TableRows};
use crate::observe::{Event, LogReceiver, TaskLog};
use crate::panics::lock;

/// The rows of one call, until the library takes them.
pub type Tables = Mutex<Vec<TableRows>>;

impl Notifier {
    /// Accepts rows without waiting. Later log lines go to `late`. If environment variables are missing, the rows stay
    /// in `tables`.
    pub fn process_writes(
        &self,
        call: &Call,
        tables: &Tables,
        late: &Arc<dyn LogReceiver>,
    ) -> Result<Scheduled, NeedsVariables> {
        let (settings, _) = self.settings(call)?;
        let tables = std::mem::take(&mut *lock(tables));
        let log = TaskLog::new(None);
        for table in tables.into_iter().filter(|table| !table.rows.is_empty()) {
            let (name, rows) = (table.table.clone(), table.rows.len());
            let admission = match &settings {
                // Notifications about history rows would create history rows without end.
                Ok(settings) if settings.history_table.as_deref() == Some(name.as_str()) => {
                    continue;
                }
                Ok(settings) => self.take(table, call, settings, late),
                Err(error) => Err(Problem::clone(error)),
            };
            if let Err(error) = admission {
                let refused = Event::RowsRefused {
                    table: &name,
                    rows,
                    problem: &error,
                };
                self.sink.emit(&log, &refused);
            }
        }
        let mut lines = self.take_pending_log_lines();
        lines.extend(log.take());
        Ok(Scheduled { lines, port: None })
    }

    /// Accepts all rows of a table or none.
    fn take(
        &self,
        table: TableRows,
        call: &Call,
        settings: &Arc<Settings>,
        late: &Arc<dyn LogReceiver>,
    ) -> Result<(), Problem> {
        let caller = call.caller(settings);
        let bytes = table.rows.iter().map(Row::size).sum();
        let bytes = self.dispatcher.reserve_waiting_bytes(&caller, bytes);
        let bytes = bytes.map_err(|_| no_room_for_rows())?;
        let waiting = self
            .lanes
            .count(table.rows.len(), settings.outbox.is_some(), bytes);
        let context = BatchContext {
            dispatcher: self.dispatcher.clone(),
            caller: caller.clone(),
            outboxes: Arc::clone(&self.outboxes),
            recovery_deps: self.recover(),
            sink: self.sink.clone(),
            settings: Arc::clone(settings),
            source: call.source(),
            arrived: Instant::now(),
            late: Arc::clone(late),
        };
        let batch = RowBatch {
            table,
            waiting,
            context,
        };
        self.lanes.push(caller, batch, self.runtime.handle());
        Ok(())
    }

    /// Waits until the outbox has all rows that wait for it, at most for `limit`. Used at the end of the process.
    pub fn store_waiting_rows(&self, limit: Duration) {
        self.runtime.block_on(self.lanes.stored(limit));
    }
}
