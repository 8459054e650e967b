//! An operator's view of a file and changes to it, while processes use it.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, Result, TransactionBehavior, named_params, params};

use super::file::Database;
use super::owners::remove_dead;
use super::purge::purge;
use super::reserve::Reserve;
use super::rows;
use super::time::{FileTime, Moment};
use crate::model::report::DeliveryReport;
use crate::store::StoreError;
use crate::store::clock::{Clock, SystemClock};
use crate::store::operator::{
    DeliveryFilter, ListedDelivery, Operator, Stats, StoredState, dropped, retried,
};
use crate::store::record::Record;

/// An operator's connection to a file.
pub struct SqliteOperator {
    database: Database,
    reserve: Reserve,
    clock: Arc<dyn Clock>,
}

/// Deliveries that one transaction changes.
const MAX_BATCH_DELIVERIES: usize = 50;

const MATCHES: &str = "
  FROM deliveries JOIN requests ON id = request
  WHERE (:task IS NULL OR substr(task, 1, length(:task)) = :task)
    AND (:index IS NULL OR delivery_index = :index)
    AND (:states = '' OR instr(:states, CASE state WHEN 'claimed' THEN 'waiting' ELSE state END) > 0)
    AND (:sender IS NULL OR report ->> 'sender' = :sender)
    AND (:receiver IS NULL OR deliveries.receiver = :receiver)
    AND (:reason IS NULL OR report ->> 'reason' = :reason)";

impl SqliteOperator {
    /// Opens an existing file.
    pub fn open(path: &Path) -> std::result::Result<Self, StoreError> {
        Self::open_with(path, Arc::new(SystemClock))
    }

    /// Like `open`, with the given clocks.
    pub fn open_with(path: &Path, clock: Arc<dyn Clock>) -> std::result::Result<Self, StoreError> {
        let reserve = Reserve::new(path);
        let database = Database::open_existing(path).or_else(|error| {
            reserve.release_for(&error)?;
            Database::open_existing(path)
        })?;
        Ok(Self {
            database,
            reserve,
            clock,
        })
    }

    /// Deletes expired rows, as every process that uses the file does from time to time.
    pub fn purge_expired(&mut self) -> std::result::Result<(), StoreError> {
        self.transaction(purge)
    }

    /// Changes the selected deliveries in batches: a full disk has no space for a long transaction.
    fn change(
        &mut self,
        filter: &DeliveryFilter,
        condition: &str,
        change: impl Fn(&Connection, Moment, &SelectedDelivery) -> Result<()>,
    ) -> std::result::Result<usize, StoreError> {
        let (mut count, mut after) = (0, (0, -1));
        loop {
            let changed = self.transaction(|db, now| {
                let chosen = select_deliveries(db, filter, condition, after)?;
                chosen.iter().try_for_each(|one| change(db, now, one))?;
                Ok(chosen)
            })?;
            count += changed.len();
            let Some(last) = changed.last() else {
                return Ok(count);
            };
            after = (last.request, i64::try_from(last.index).unwrap_or(i64::MAX));
        }
    }

    /// On a full disk the transaction uses the reserved space.
    fn transaction<T>(
        &mut self,
        mut work: impl FnMut(&Connection, Moment) -> Result<T>,
    ) -> std::result::Result<T, StoreError> {
        let clock = self.clock.read();
        let path = self.database.path.clone();
        let mut transact = |database: &mut Database| {
            database.transact(TransactionBehavior::Immediate, |db| {
                remove_dead(db, &path)?;
                let now = FileTime::read(db, clock.clone(), None)?.at(&clock);
                work(db, now)
            })
        };
        transact(&mut self.database).or_else(|error| {
            self.reserve.release_for(&error)?;
            transact(&mut self.database).or_else(|_| {
                self.database.shorten_log();
                transact(&mut self.database)
            })
        })
    }
}

impl Operator for SqliteOperator {
    fn list(
        &mut self,
        filter: &DeliveryFilter,
        limit: usize,
    ) -> std::result::Result<Vec<ListedDelivery>, StoreError> {
        self.transaction(|db, now| list(db, now, filter, limit))
    }

    fn request_json(&mut self, task: &str) -> std::result::Result<Option<String>, StoreError> {
        self.transaction(|db, _| {
            let mut select = db.prepare("SELECT coalesce(json, '{}') FROM requests LEFT JOIN request_bodies ON request = id WHERE task = ?")?;
            let mut found = select.query_map([task], |row| row.get(0))?;
            found.next().transpose()
        })
    }

    fn retry(&mut self, filter: &DeliveryFilter) -> std::result::Result<usize, StoreError> {
        self.change(filter, "state = 'dead'", retry)
    }

    fn drop(&mut self, filter: &DeliveryFilter) -> std::result::Result<usize, StoreError> {
        let open = "state IN ('waiting', 'claimed', 'dead')";
        self.change(filter, open, drop_delivery)
    }

    fn stats(&mut self) -> std::result::Result<Stats, StoreError> {
        self.transaction(|db, _| stats(db))
    }
}

fn list(
    db: &Connection,
    now: Moment,
    filter: &DeliveryFilter,
    limit: usize,
) -> Result<Vec<ListedDelivery>> {
    let mut select = db.prepare(&format!(
        "SELECT task, delivery_index, state, accepted, deadline, ended, owner IS NOT NULL AND ended IS NULL,
                sealed_config IS NOT NULL, report
         {MATCHES} ORDER BY id, delivery_index LIMIT :limit"
    ))?;
    let (task, index) = filter.task.clone().unzip();
    let rows = select.query_map(
        named_params! {
            ":task": task, ":index": index.flatten(), ":states": state_words(&filter.states),
            ":sender": filter.sender, ":receiver": filter.receiver, ":reason": filter.reason,
            ":limit": limit,
        },
        |row| {
            let json: String = row.get(8)?;
            Ok(ListedDelivery {
                task: row.get(0)?,
                state: StoredState::of(&row.get::<_, String>(2)?),
                accepted: row.get(3)?,
                deadline: row.get::<_, Option<i64>>(4)?.map(|age| now.wall_at(age)),
                ended: row.get(5)?,
                owned: row.get(6)?,
                sealed: row.get(7)?,
                report: Record::read(&json).unwrap_or_default().report(row.get(1)?),
            })
        },
    )?;
    rows.collect()
}

fn state_words(states: &[StoredState]) -> String {
    let words: Vec<_> = states.iter().map(|state| state.word()).collect();
    words.join(" ")
}

/// A delivery that an operator changes.
struct SelectedDelivery {
    request: i64,
    index: usize,
    report: DeliveryReport,
}

/// Returns the next selected deliveries whose state the condition allows.
fn select_deliveries(
    db: &Connection,
    filter: &DeliveryFilter,
    condition: &str,
    after: (i64, i64),
) -> Result<Vec<SelectedDelivery>> {
    let mut select = db.prepare(&format!(
        "SELECT request, delivery_index, report {MATCHES} AND {condition} AND (id, delivery_index) > (:id, :after)
         ORDER BY id, delivery_index LIMIT {MAX_BATCH_DELIVERIES}"
    ))?;
    let (task, index) = filter.task.clone().unzip();
    let rows = select.query_map(
        named_params! {
            ":task": task, ":index": index.flatten(), ":states": state_words(&filter.states),
            ":sender": filter.sender, ":receiver": filter.receiver, ":reason": filter.reason,
            ":id": after.0, ":after": after.1,
        },
        |row| {
            let index = row.get(1)?;
            let json: String = row.get(2)?;
            Ok(SelectedDelivery {
                request: row.get(0)?,
                index,
                report: Record::read(&json).unwrap_or_default().report(index),
            })
        },
    )?;
    rows.collect()
}

fn retry(db: &Connection, now: Moment, chosen: &SelectedDelivery) -> Result<()> {
    let report = Record::of(&retried(&chosen.report)).json();
    db.execute(
        "UPDATE deliveries
         SET state = 'waiting', deadline = ?1 + timeout, attempt_began = NULL, report = ?2
         WHERE request = ?3 AND delivery_index = ?4",
        params![now.age, report, chosen.request, chosen.index],
    )?;
    // If all others have ended, the request has no owner; else its owner claims the delivery.
    db.execute(
        "UPDATE requests SET ended = NULL, ended_used = NULL, owner = NULL WHERE id = ? AND ended IS NOT NULL",
        [chosen.request],
    )
    .map(drop)
}

fn drop_delivery(db: &Connection, now: Moment, chosen: &SelectedDelivery) -> Result<()> {
    let report = Record::of(&dropped(&chosen.report)).json();
    db.execute(
        "UPDATE deliveries SET state = 'dropped', sealed_config = NULL, report = ? WHERE request = ? AND delivery_index = ?",
        params![report, chosen.request, chosen.index],
    )?;
    rows::finish_request(db, now, chosen.request)
}

fn stats(db: &Connection) -> Result<Stats> {
    let mut stats = Stats::default();
    let mut select = db.prepare("SELECT state, count(*) FROM deliveries GROUP BY state")?;
    let counts = select.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
    })?;
    for count in counts {
        let (state, count) = count?;
        match StoredState::of(&state) {
            StoredState::Waiting => stats.waiting += count,
            StoredState::Dead => stats.dead += count,
            StoredState::Ended => stats.ended += count,
            StoredState::Dropped => stats.dropped += count,
        }
    }
    (stats.requests, stats.oldest) = db.query_row(
        "SELECT count(*), min(accepted) FILTER (WHERE ended IS NULL) FROM requests",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let number = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    stats.bytes = number("page_count")? * number("page_size")?;
    Ok(stats)
}
