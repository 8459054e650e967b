//! Log lines for a batch of rows: one line for each kind of event, for any number of rows.

use std::sync::Arc;

use crate::delivery::Task;
use crate::model::notification::DedupKey;
use crate::model::outcome::Outcome;
use crate::model::problem::Problem;
use crate::model::row::{Columns, Row};
use crate::observe::{
    Event, LineLimiter, LogLevel, LogLine, LogReceiver, MAX_LINES, Sink, TaskLog,
};
use crate::text::did_you_mean;

/// A processed row.
pub struct RowAdmission {
    /// The row's dedup key.
    pub key: Option<DedupKey>,
    /// The size of the row.
    pub bytes: usize,
    pub warnings: Vec<String>,
    pub outcome: RowOutcome,
}

/// The result of accepting a row.
pub enum RowOutcome {
    Task(Arc<Task>),
    /// The outbox has the row. A worker delivers it, or this process does when it has capacity.
    InOutbox,
    /// The request is already in progress: the engine has passed the row twice.
    Known,
    /// The row names no receiver, no route matches, and there is no default receiver.
    Unrouted,
    /// The row was not accepted, for this reason.
    Refused(Problem),
}

/// The maximum number of different warnings in one batch.
const MAX_WARNINGS: usize = 20;

/// The lines of one batch's deliveries.
pub struct DeliveryLines {
    late: Arc<dyn LogReceiver>,
    limiter: LineLimiter,
}

impl DeliveryLines {
    pub fn new(late: &Arc<dyn LogReceiver>) -> Self {
        Self {
            late: Arc::clone(late),
            limiter: LineLimiter::new(MAX_LINES),
        }
    }

    /// Returns the number of omitted lines.
    pub fn left_out(&self) -> usize {
        self.limiter.left_out()
    }
}

impl LogReceiver for DeliveryLines {
    fn push(&self, line: LogLine) {
        if self.limiter.admit() {
            self.late.push(line);
        }
    }
}

/// The counts of one batch for its log lines.
pub struct Summary {
    table: String,
    rows: usize,
    pub filtered: usize,
    notifications: usize,
    known: usize,
    nobody: usize,
    left: usize,
    /// The warnings by kind and column, each with its number of rows.
    warnings: Vec<(String, usize)>,
    more_warnings: usize,
    lost: Vec<(Problem, usize)>,
}

impl Summary {
    pub fn new(table: String, rows: usize) -> Self {
        Self {
            table,
            rows,
            filtered: 0,
            notifications: 0,
            known: 0,
            nobody: 0,
            left: 0,
            warnings: Vec::new(),
            more_warnings: 0,
            lost: Vec::new(),
        }
    }

    /// Warns of columns that the settings name and no row contains.
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

    /// Counts the warnings of a row.
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

    /// Counts a row. Returns its task if the request is new.
    pub fn note(&mut self, admission: RowAdmission) -> Option<Arc<Task>> {
        self.warn(&admission.warnings);
        match admission.outcome {
            RowOutcome::Task(task) => {
                self.notifications += 1;
                return Some(task);
            }
            RowOutcome::InOutbox => {
                self.notifications += 1;
                self.left += 1;
            }
            RowOutcome::Known => self.known += 1,
            RowOutcome::Unrouted => self.nobody += 1,
            RowOutcome::Refused(error) => self.lost(error, 1),
        }
        None
    }

    /// Counts rows that become no notification, with the reason.
    pub fn lost(&mut self, error: Problem, rows: usize) {
        let mut known = self.lost.iter_mut();
        match known.find(|(known, _)| known.message == error.message) {
            Some((_, count)) => *count += rows,
            None => self.lost.push((error, rows)),
        }
    }

    /// Logs the results of the rows. Logs nothing if the filter excludes all of them.
    pub fn accepted(&self, sink: &Sink, log: &TaskLog) {
        let table = self.table.as_str();
        for (warning, rows) in &self.warnings {
            let rows = of_rows(*rows);
            sink.emit(
                log,
                &Event::Warning(&format!("{table}: {warning} ({rows})")),
            );
        }
        if self.more_warnings > 0 {
            let more = self.more_warnings;
            sink.emit(
                log,
                &Event::Warning(&format!("{table}: and {more} more warnings")),
            );
        }
        if self.filtered < self.rows {
            sink.emit(
                log,
                &Event::RowsAccepted {
                    table,
                    rows: self.rows,
                    notifications: self.notifications,
                    filtered: self.filtered,
                    known: self.known,
                    nobody: self.nobody,
                    left: self.left,
                },
            );
        }
        for (problem, rows) in &self.lost {
            let refused = Event::RowsRefused {
                table,
                rows: *rows,
                problem,
            };
            sink.emit(log, &refused);
        }
    }

    /// Logs the results of all deliveries in one line. `left_out` of them have no line of their own.
    pub fn ended(&self, sink: &Sink, log: &TaskLog, tasks: &[Arc<Task>], left_out: usize) {
        if left_out > 0 {
            let table = &self.table;
            sink.emit(
                log,
                &Event::LeftOut {
                    level: LogLevel::Error,
                    lines: left_out,
                    noun: &format!("lines of deliveries of {table}"),
                },
            );
        }
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
        sink.emit(
            log,
            &Event::RowsEnded {
                table: &self.table,
                delivered,
                failed,
                ambiguous,
                suppressed,
            },
        );
    }
}

/// Returns a warning without the value that it quotes, so that rows with different values share one line.
fn gist(warning: &str) -> &str {
    warning.split(", found '").next().unwrap_or(warning)
}

fn of_rows(rows: usize) -> String {
    match rows {
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}
