//! A write trigger's call: each row of its table becomes a notification. The call waits for nothing: it leaves the rows to a
//! task of the trigger's, which accepts them in their order.

mod batch;
mod lanes;
mod summary;
mod waiting;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use self::batch::{BatchContext, RowBatch};
pub use self::lanes::Lanes;
use super::{Call, NeedsVariables, Notifier, Scheduled, no_room_for_rows};
use crate::config::Settings;
use crate::model::problem::Problem;
use crate::model::row::{Row, TableRows};
use crate::observe::{Event, LogReceiver, TaskLog};
use crate::panics::lock;

/// The rows of one call, until they are taken.
pub type Tables = Mutex<Vec<TableRows>>;

impl Notifier {
    /// Accepts rows without waiting. Later lines go to `late`. If variables are missing, the rows stay in `tables`.
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
                // Its own rows would make rows for ever.
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

    /// Takes charge of all rows of a table, or of none.
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

    /// Waits until all rows for an outbox are stored, at most for `limit`. For the end of the process.
    pub fn store_waiting_rows(&self, limit: Duration) {
        self.runtime.block_on(self.lanes.stored(limit));
    }
}
