//! What the log has of a batch of rows: a line for each thing, however many rows it is so of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Became, Taken};
use crate::api::request::RequestError;
use crate::delivery::Task;
use crate::model::outcome::Outcome;
use crate::model::row::{Columns, Row};
use crate::model::text::did_you_mean;
use crate::observe::{Event, LateLog, LogLine, TaskLog};

/// Different things that one batch warns of.
const MAX_WARNINGS: usize = 20;
/// Lines of one batch's deliveries.
const MAX_LINES: usize = 100;

/// Lets so many lines through.
pub struct FewLines {
    late: Arc<dyn LateLog>,
    left: AtomicUsize,
}

impl FewLines {
    pub fn new(late: &Arc<dyn LateLog>) -> Self {
        Self {
            late: Arc::clone(late),
            left: AtomicUsize::new(MAX_LINES),
        }
    }
}

impl LateLog for FewLines {
    fn push(&self, line: LogLine) {
        let one_less = |left: usize| left.checked_sub(1);
        let left = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        if left.is_ok() {
            self.late.push(line);
        }
    }
}

/// Counts of one batch, for its lines.
pub struct Summary<'a> {
    table: &'a str,
    rows: usize,
    pub filtered: usize,
    notifications: usize,
    known: usize,
    nobody: usize,
    /// By what they say of which column; of how many rows each is so.
    warnings: Vec<(String, usize)>,
    more_warnings: usize,
    lost: Vec<(RequestError, usize)>,
}

impl<'a> Summary<'a> {
    pub fn new(table: &'a str, rows: usize) -> Self {
        Self {
            table,
            rows,
            filtered: 0,
            notifications: 0,
            known: 0,
            nobody: 0,
            warnings: Vec::new(),
            more_warnings: 0,
            lost: Vec::new(),
        }
    }

    /// Warns of columns that the settings name and no row has.
    pub fn look_for_columns(&mut self, columns: &Columns, rows: &[Row]) {
        for column in columns.named() {
            if rows.iter().any(|row| row.get(column).is_some()) {
                continue;
            }
            let known = rows.first().into_iter().flat_map(|row| &row.columns);
            let meant = did_you_mean(column, known.map(|(name, _)| name.as_str()));
            let warning = format!("{column}: no row has this column{meant}");
            self.warnings.push((warning, rows.len()));
        }
    }

    /// Counts what a row warns of.
    fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            let room = self.warnings.len() < MAX_WARNINGS;
            let mut known = self.warnings.iter_mut();
            match known.find(|(known, _)| gist(known) == gist(warning)) {
                Some((_, count)) => *count += 1,
                None if room => self.warnings.push((warning.clone(), 1)),
                None => self.more_warnings += 1,
            }
        }
    }

    /// Counts a row; gives back its task where it is new.
    pub fn note(&mut self, taken: Taken) -> Option<Arc<Task>> {
        self.warn(&taken.warnings);
        match taken.became {
            Became::Task(task) => {
                self.notifications += 1;
                return Some(task);
            }
            Became::Known => self.known += 1,
            Became::Nobody => self.nobody += 1,
            Became::Lost(error) => self.lost(error),
        }
        None
    }

    /// Counts a row that nobody is told of.
    pub fn lost(&mut self, error: RequestError) {
        let mut known = self.lost.iter_mut();
        match known.find(|(known, _)| known.message == error.message) {
            Some((_, count)) => *count += 1,
            None => self.lost.push((error, 1)),
        }
    }

    /// Says what became of the rows; gives back the lines that are errors. Where the filter kept back all of them there is
    /// nothing to say.
    pub fn accepted(&self, log: &TaskLog) -> Vec<LogLine> {
        let table = self.table;
        for (warning, rows) in &self.warnings {
            let rows = of_rows(*rows);
            log.log(&Event::Warning(&format!("{table}: {warning} ({rows})")));
        }
        if self.more_warnings > 0 {
            let more = self.more_warnings;
            log.log(&Event::Warning(&format!(
                "{table}: and {more} more warnings"
            )));
        }
        if self.filtered < self.rows {
            log.log(&Event::RowsAccepted {
                table,
                rows: self.rows,
                notifications: self.notifications,
                filtered: self.filtered,
                known: self.known,
                nobody: self.nobody,
            });
        }
        let lost = self.lost.iter().map(|(error, rows)| {
            log.log(&Event::RowsRefused {
                table,
                rows: *rows,
                message: &error.message,
                hint: &error.hint,
            })
        });
        lost.collect()
    }

    /// Says how the deliveries ended, in one line for all.
    pub fn ended(&self, log: &TaskLog, tasks: &[Arc<Task>]) {
        let [mut delivered, mut failed, mut ambiguous, mut suppressed] = [0; 4];
        for report in tasks.iter().flat_map(|task| task.reports()) {
            match report.outcome {
                Outcome::Delivered { .. } => delivered += 1,
                Outcome::Failed(_) => failed += 1,
                Outcome::Ambiguous(_) => ambiguous += 1,
                Outcome::Suppressed { .. } => suppressed += 1,
                Outcome::Pending(_) | Outcome::DryRun | Outcome::Ignored => {}
            }
        }
        log.log(&Event::RowsEnded {
            table: self.table,
            delivered,
            failed,
            ambiguous,
            suppressed,
        });
    }
}

/// A warning without what it has found: rows that differ in that are warned of together.
fn gist(warning: &str) -> &str {
    warning.split(", found '").next().unwrap_or(warning)
}

fn of_rows(rows: usize) -> String {
    match rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}
