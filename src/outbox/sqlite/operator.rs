//! What an operator looks at and does, while processes go on working with the file.

use std::path::Path;

use rusqlite::{Connection, Result, TransactionBehavior, named_params, params};

use super::file::Database;
use super::rows;
use crate::model::report::DeliveryReport;
use crate::outbox::OutboxError;
use crate::outbox::operator::{Choice, Listed, Operator, State, Stats, dropped, retried};
use crate::outbox::record::Record;

/// An operator's own way to a file.
pub struct SqliteOperator {
    database: Database,
}

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
    pub fn open(path: &Path) -> std::result::Result<Self, OutboxError> {
        Ok(Self {
            database: Database::open_existing(path)?,
        })
    }

    /// Forgets what nobody will ask for any more, as every process that uses the file does now and again.
    pub fn tidy(&mut self) -> std::result::Result<(), OutboxError> {
        self.transaction(rows::purge)
    }

    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> std::result::Result<T, OutboxError> {
        let transact = |connection: &mut Connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        transact(&mut self.database.connection).map_err(|error| self.database.error(&error))
    }
}

impl Operator for SqliteOperator {
    fn list(
        &mut self,
        choice: &Choice,
        limit: usize,
    ) -> std::result::Result<Vec<Listed>, OutboxError> {
        self.transaction(|db| list(db, choice, limit))
    }

    fn said(&mut self, task: &str) -> std::result::Result<Option<String>, OutboxError> {
        self.transaction(|db| {
            let mut select = db.prepare("SELECT said FROM requests WHERE task = ?")?;
            let mut found = select.query_map([task], |row| row.get(0))?;
            found.next().transpose()
        })
    }

    fn retry(&mut self, choice: &Choice) -> std::result::Result<usize, OutboxError> {
        self.transaction(|db| retry(db, choice))
    }

    fn drop(&mut self, choice: &Choice) -> std::result::Result<usize, OutboxError> {
        self.transaction(|db| drop_chosen(db, choice))
    }

    fn stats(&mut self) -> std::result::Result<Stats, OutboxError> {
        self.transaction(stats)
    }
}

fn list(db: &Connection, choice: &Choice, limit: usize) -> Result<Vec<Listed>> {
    let mut select = db.prepare(&format!(
        "SELECT task, place, state, accepted, deadline, ended, owner IS NOT NULL AND lease >= :now,
                sealed IS NOT NULL, report
         {CHOSEN} ORDER BY id, place LIMIT :limit"
    ))?;
    let (task, place) = choice.task.clone().unzip();
    let rows = select.query_map(
        named_params! {
            ":task": task, ":place": place.flatten(), ":states": words(&choice.states),
            ":sender": choice.sender, ":receiver": choice.receiver, ":reason": choice.reason,
            ":now": rows::now(), ":limit": limit,
        },
        |row| {
            let json: String = row.get(8)?;
            Ok(Listed {
                task: row.get(0)?,
                state: State::of(&row.get::<_, String>(2)?),
                accepted: row.get(3)?,
                deadline: row.get(4)?,
                ended: row.get(5)?,
                owned: row.get(6)?,
                sealed: row.get(7)?,
                report: Record::read(&json).unwrap_or_default().report(row.get(1)?),
            })
        },
    )?;
    rows.collect()
}

fn words(states: &[State]) -> String {
    let words: Vec<_> = states.iter().map(|state| state.word()).collect();
    words.join(" ")
}

/// Rows that are meant, and whose state the condition allows.
fn chosen(
    db: &Connection,
    choice: &Choice,
    condition: &str,
) -> Result<Vec<(i64, usize, DeliveryReport)>> {
    let mut select = db.prepare(&format!(
        "SELECT request, place, report {CHOSEN} AND {condition} ORDER BY id, place"
    ))?;
    let (task, place) = choice.task.clone().unzip();
    let rows = select.query_map(
        named_params! {
            ":task": task, ":place": place.flatten(), ":states": words(&choice.states),
            ":sender": choice.sender, ":receiver": choice.receiver, ":reason": choice.reason,
        },
        |row| {
            let place = row.get(1)?;
            let json: String = row.get(2)?;
            let report = Record::read(&json).unwrap_or_default().report(place);
            Ok((row.get(0)?, place, report))
        },
    )?;
    rows.collect()
}

fn retry(db: &Connection, choice: &Choice) -> Result<usize> {
    let rows = chosen(db, choice, "state = 'dead'")?;
    for (request, place, report) in &rows {
        db.execute(
            "UPDATE deliveries
             SET state = 'waiting', deadline = ?1 + timeout, attempting = NULL, report = ?2
             WHERE request = ?3 AND place = ?4",
            params![
                rows::now(),
                Record::of(&retried(report)).json(),
                request,
                place
            ],
        )?;
        // Where the others have ended it belongs to nobody; else its owner takes it up.
        db.execute(
            "UPDATE requests SET ended = NULL, owner = NULL, lease = 0 WHERE id = ? AND ended IS NOT NULL",
            [request],
        )?;
    }
    Ok(rows.len())
}

fn drop_chosen(db: &Connection, choice: &Choice) -> Result<usize> {
    let rows = chosen(db, choice, "state IN ('waiting', 'claimed', 'dead')")?;
    for (request, place, report) in &rows {
        db.execute(
            "UPDATE deliveries SET state = 'dropped', sealed = NULL, report = ? WHERE request = ? AND place = ?",
            params![Record::of(&dropped(report)).json(), request, place],
        )?;
        rows::ended(db, *request)?;
    }
    Ok(rows.len())
}

fn stats(db: &Connection) -> Result<Stats> {
    let mut stats = Stats::default();
    let mut select = db.prepare("SELECT state, count(*) FROM deliveries GROUP BY state")?;
    let counts = select.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))
    })?;
    for count in counts {
        let (state, count) = count?;
        match State::of(&state) {
            State::Waiting => stats.waiting += count,
            State::Dead => stats.dead += count,
            State::Ended => stats.ended += count,
            State::Dropped => stats.dropped += count,
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
