//! What an operator looks at and does, while processes go on working with the file.

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

/// An operator's own way to a file.
pub struct SqliteOperator {
    database: Database,
    reserve: Reserve,
    clock: Arc<dyn Clock>,
}

/// Deliveries that one transaction changes.
const AT_ONCE: usize = 50;

const CHOSEN: &str = "
  FROM deliveries JOIN requests ON id = request
  WHERE (:task IS NULL OR substr(task, 1, length(:task)) = :task)
    AND (:place IS NULL OR place = :place)
    AND (:states = '' OR instr(:states, CASE state WHEN 'claimed' THEN 'waiting' ELSE state END) > 0)
    AND (:sender IS NULL OR report ->> 'sender' = :sender)
    AND (:receiver IS NULL OR deliveries.receiver = :receiver)
    AND (:reason IS NULL OR report ->> 'reason' = :reason)";

impl SqliteOperator {
    /// Opens a file that is there.
    pub fn open(path: &Path) -> std::result::Result<Self, StoreError> {
        Self::open_with(path, Arc::new(SystemClock))
    }

    /// The same, with other clocks.
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

    /// Forgets what nobody will ask for any more, as every process that uses the file does now and again.
    pub fn tidy(&mut self) -> std::result::Result<(), StoreError> {
        self.transaction(purge)
    }

    /// Changes what is meant, some at a time: on a full disk there is no room for a long transaction.
    fn change(
        &mut self,
        choice: &DeliveryFilter,
        condition: &str,
        change: impl Fn(&Connection, Moment, &Chosen) -> Result<()>,
    ) -> std::result::Result<usize, StoreError> {
        let (mut count, mut after) = (0, (0, -1));
        loop {
            let changed = self.transaction(|db, now| {
                let chosen = chosen(db, choice, condition, after)?;
                chosen.iter().try_for_each(|one| change(db, now, one))?;
                Ok(chosen)
            })?;
            count += changed.len();
            let Some(last) = changed.last() else {
                return Ok(count);
            };
            after = (last.request, i64::try_from(last.place).unwrap_or(i64::MAX));
        }
    }

    /// On a full disk the room is used that was reserved for this.
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
        choice: &DeliveryFilter,
        limit: usize,
    ) -> std::result::Result<Vec<ListedDelivery>, StoreError> {
        self.transaction(|db, now| list(db, now, choice, limit))
    }

    fn request_json(&mut self, task: &str) -> std::result::Result<Option<String>, StoreError> {
        self.transaction(|db, _| {
            let mut select = db.prepare("SELECT coalesce(json, '{}') FROM requests LEFT JOIN bodies ON request = id WHERE task = ?")?;
            let mut found = select.query_map([task], |row| row.get(0))?;
            found.next().transpose()
        })
    }

    fn retry(&mut self, choice: &DeliveryFilter) -> std::result::Result<usize, StoreError> {
        self.change(choice, "state = 'dead'", retry)
    }

    fn drop(&mut self, choice: &DeliveryFilter) -> std::result::Result<usize, StoreError> {
        let open = "state IN ('waiting', 'claimed', 'dead')";
        self.change(choice, open, drop_chosen)
    }

    fn stats(&mut self) -> std::result::Result<Stats, StoreError> {
        self.transaction(|db, _| stats(db))
    }
}

fn list(
    db: &Connection,
    now: Moment,
    choice: &DeliveryFilter,
    limit: usize,
) -> Result<Vec<ListedDelivery>> {
    let mut select = db.prepare(&format!(
        "SELECT task, place, state, accepted, deadline, ended, owner IS NOT NULL AND ended IS NULL,
                sealed IS NOT NULL, report
         {CHOSEN} ORDER BY id, place LIMIT :limit"
    ))?;
    let (task, place) = choice.task.clone().unzip();
    let rows = select.query_map(
        named_params! {
            ":task": task, ":place": place.flatten(), ":states": words(&choice.states),
            ":sender": choice.sender, ":receiver": choice.receiver, ":reason": choice.reason,
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

fn words(states: &[StoredState]) -> String {
    let words: Vec<_> = states.iter().map(|state| state.word()).collect();
    words.join(" ")
}

/// A delivery that an operator changes.
struct Chosen {
    request: i64,
    place: usize,
    report: DeliveryReport,
}

/// The next deliveries that are meant, and whose state the condition allows.
fn chosen(
    db: &Connection,
    choice: &DeliveryFilter,
    condition: &str,
    after: (i64, i64),
) -> Result<Vec<Chosen>> {
    let mut select = db.prepare(&format!(
        "SELECT request, place, report {CHOSEN} AND {condition} AND (id, place) > (:id, :after)
         ORDER BY id, place LIMIT {AT_ONCE}"
    ))?;
    let (task, place) = choice.task.clone().unzip();
    let rows = select.query_map(
        named_params! {
            ":task": task, ":place": place.flatten(), ":states": words(&choice.states),
            ":sender": choice.sender, ":receiver": choice.receiver, ":reason": choice.reason,
            ":id": after.0, ":after": after.1,
        },
        |row| {
            let place = row.get(1)?;
            let json: String = row.get(2)?;
            Ok(Chosen {
                request: row.get(0)?,
                place,
                report: Record::read(&json).unwrap_or_default().report(place),
            })
        },
    )?;
    rows.collect()
}

fn retry(db: &Connection, now: Moment, chosen: &Chosen) -> Result<()> {
    let report = Record::of(&retried(&chosen.report)).json();
    db.execute(
        "UPDATE deliveries
         SET state = 'waiting', deadline = ?1 + timeout, attempting = NULL, report = ?2
         WHERE request = ?3 AND place = ?4",
        params![now.age, report, chosen.request, chosen.place],
    )?;
    // Where the others have ended it belongs to nobody; else its owner takes it up.
    db.execute(
        "UPDATE requests SET ended = NULL, ended_used = NULL, owner = NULL WHERE id = ? AND ended IS NOT NULL",
        [chosen.request],
    )
    .map(drop)
}

fn drop_chosen(db: &Connection, now: Moment, chosen: &Chosen) -> Result<()> {
    let report = Record::of(&dropped(&chosen.report)).json();
    db.execute(
        "UPDATE deliveries SET state = 'dropped', sealed = NULL, report = ? WHERE request = ? AND place = ?",
        params![report, chosen.request, chosen.place],
    )?;
    rows::ended(db, now, chosen.request)
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
