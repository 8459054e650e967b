//! Stores one row for each ended delivery, as line protocol, until a call writes it to the database.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use influxdb_line_protocol::LineProtocolBuilder;

use super::event::Event;
use super::limiter::{LineLimiter, MAX_LINES};
use crate::json::Json;
use crate::model::notification::{AlertStatus, Level, Notification};
use crate::model::outcome::{Outcome, Reason};
use crate::model::report::{DeliveryReport, HistoryRow};
use crate::panics::lock;
use crate::text::{printable, truncate};

/// Rows that wait for a call under one configuration; the oldest make room.
const MAX_WAITING: usize = 10_000;
/// Maximum length of a value; a caller's longer value is cut.
const MAX_CHARACTERS: usize = 200;

/// The rows of the process.
#[derive(Default)]
pub struct History {
    /// The rows by the configuration file of the triggers that may write them. Empty for triggers without a file.
    queues: Mutex<HashMap<Arc<str>, Queue>>,
    /// The last row's time: two of the same tags and the same time would be one row.
    last: AtomicI64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Queue {
    rows: VecDeque<PendingRow>,
    /// The database takes no rows from this process.
    off: bool,
}

/// Called when a row is in the database or was given up: then its stored copy can be deleted.
pub type OnWritten = Box<dyn FnOnce(HistoryRow) + Send>;

/// Stores a row until it is in the database, and returns the function to call then.
pub type StoreRow = Arc<dyn Fn(&HistoryRow) -> OnWritten + Send + Sync>;

/// A row that waits.
pub struct PendingRow {
    row: HistoryRow,
    written: Option<OnWritten>,
}

impl PendingRow {
    pub fn line(&self) -> &str {
        &self.row.line
    }

    /// The row is in the database, or will never be.
    pub fn done(self) {
        if let Some(written) = self.written {
            written(self.row);
        }
    }
}

/// Writes the history of one notification's deliveries.
pub struct Recorder {
    history: Arc<History>,
    config: Arc<str>,
    table: Arc<str>,
    level: Option<Level>,
    status: Option<AlertStatus>,
    title: Option<String>,
    dedup_key: Option<String>,
    text_bytes: usize,
    /// `None`: rows are lost with the process.
    store: Option<StoreRow>,
    /// Rows of deliveries that were never tried: one request may have ten thousand, which must not push out other rows.
    untried: LineLimiter,
}

impl History {
    /// The oldest row that waits for a call under this configuration.
    pub fn next(&self, config: &str) -> Option<PendingRow> {
        self.lock().get_mut(config)?.rows.pop_front()
    }

    /// Returns whether no row waits.
    pub fn is_empty(&self) -> bool {
        self.lock().values().all(|queue| queue.rows.is_empty())
    }

    /// Turns the history off after the database refused a row. Drops the waiting rows.
    pub fn turn_off(&self, config: &str, refused: PendingRow) {
        let mut rows = VecDeque::from([refused]);
        if let Some(queue) = self.lock().get_mut(config) {
            queue.off = true;
            rows.append(&mut queue.rows);
        }
        rows.into_iter().for_each(|row| self.drop_row(row));
    }

    /// Rows that were never written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// A row waits for a call under its configuration; the oldest make room.
    pub fn push(&self, row: HistoryRow, written: Option<OnWritten>) {
        let config = Arc::clone(&row.config);
        let row = PendingRow { row, written };
        let dropped = {
            let mut queues = self.lock();
            let queue = queues.entry(config).or_default();
            let full = queue.rows.len() >= MAX_WAITING;
            match queue.off {
                true => Some(row),
                false => {
                    queue.rows.push_back(row);
                    full.then(|| queue.rows.pop_front()).flatten()
                }
            }
        };
        dropped.into_iter().for_each(|row| self.drop_row(row));
    }

    fn drop_row(&self, row: PendingRow) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        row.done();
    }

    /// Nanoseconds since 1970, later than at any time before.
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = i64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX);
        let later = |last: i64| Some(now.max(last.saturating_add(1)));
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        now.max(last.unwrap_or(now).saturating_add(1))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Queue>> {
        lock(&self.queues)
    }
}

impl Recorder {
    /// `config` is the configuration file of the trigger. It is empty without one.
    pub fn new(
        history: &Arc<History>,
        config: &str,
        table: &Arc<str>,
        notification: &Notification,
        store: Option<StoreRow>,
    ) -> Self {
        Self {
            history: Arc::clone(history),
            config: config.into(),
            table: Arc::clone(table),
            level: notification.level_for_rules(),
            status: notification.status,
            title: notification.title.as_deref().map(field_text),
            dedup_key: notification.dedup_key.as_deref().map(field_text),
            text_bytes: match &notification.text {
                Json::String(text) => text.len(),
                other => serde_json::to_vec(other).map_or(0, |text| text.len()),
            },
            store,
            untried: LineLimiter::new(MAX_LINES),
        }
    }

    /// Returns a recorder for another notification with the same settings.
    pub fn of(&self, notification: &Notification) -> Self {
        let (history, store) = (&self.history, self.store.clone());
        Self::new(history, &self.config, &self.table, notification, store)
    }

    /// The row waits to be written. It is stored until then, unless `written` says that it is already.
    pub(super) fn record(&self, row: HistoryRow, written: Option<OnWritten>) {
        let store = || self.store.as_ref().map(|store| store(&row));
        let written = written.or_else(store);
        self.history.push(row, written);
    }

    /// The row of an event; `None`: it has none.
    pub(super) fn row(&self, task_id: &str, event: &Event<'_>) -> Option<HistoryRow> {
        let report = event.ended_delivery()?;
        let is_written = report.attempts > 0 || self.untried.admit();
        is_written.then(|| self.row_of(task_id, report))
    }

    /// The columns about notification and receiver. Fields, not tags: a table that exists keeps its set of tags.
    fn texts(&self, report: &DeliveryReport) -> [(&'static str, Option<String>); 7] {
        let origin = report.origin.as_deref();
        [
            ("receiver", report.receiver.as_deref().map(field_text)),
            (
                "route",
                origin
                    .and_then(|origin| origin.route.as_deref())
                    .map(field_text),
            ),
            ("status", self.status.map(|status| status.word().to_owned())),
            ("title", self.title.clone()),
            ("dedup_key", self.dedup_key.clone()),
            (
                "group_key",
                origin
                    .and_then(|origin| origin.group_key.as_deref())
                    .map(field_text),
            ),
            ("kind", origin.and_then(|origin| origin.kind.clone())),
        ]
    }

    fn row_of(&self, task_id: &str, report: &DeliveryReport) -> HistoryRow {
        let reason = match &report.outcome {
            Outcome::Suppressed { rule } => Some(rule.as_str()),
            outcome => outcome
                .failure()
                .map(|failure| failure.reason)
                .map(Reason::code),
        };
        let level = self.level.map(Level::word);
        let tags = [
            ("sender", Some(report.sender.as_str())),
            ("destination", report.destination.as_deref()),
            ("outcome", Some(report.outcome.code())),
            ("reason", reason),
            ("level", level),
        ];
        let mut line = LineProtocolBuilder::new().measurement(&self.table);
        for (name, value) in tags {
            // There is no empty tag.
            if let Some(value) = value.map(tag).filter(|value| !value.is_empty()) {
                line = line.tag(name, &value);
            }
        }
        let elapsed = i64::try_from(report.elapsed.as_millis()).unwrap_or(i64::MAX);
        let bytes = i64::try_from(self.text_bytes).unwrap_or(i64::MAX);
        let mut line = line
            .field("task_id", task_id)
            .field("attempts", i64::from(report.attempts))
            .field("elapsed_ms", elapsed)
            .field("text_bytes", bytes);
        for (name, text) in self.texts(report) {
            if let Some(text) = text {
                line = line.field(name, text.as_str());
            }
        }
        if let Some(status) = report.http_status {
            line = line.field("http_status", i64::from(status));
        }
        if let Outcome::Delivered {
            message: Some(message),
        } = &report.outcome
        {
            line = line.field("message_id", printable(&message.0).as_ref());
        }
        let line = line.timestamp(self.history.now()).close_line().build();
        // The bytes come from a string, so they are UTF-8.
        let mut line = String::from_utf8(line).unwrap_or_default();
        line.truncate(line.trim_end_matches('\n').len());
        HistoryRow {
            config: Arc::clone(&self.config),
            line,
        }
    }
}

impl Event<'_> {
    /// The delivery that has a row of the history, since it has ended.
    const fn ended_delivery(&self) -> Option<&DeliveryReport> {
        match self {
            Event::Ended(report) | Event::NotTried { report, .. } | Event::NotPersisted(report) => {
                Some(report)
            }
            _ => None,
        }
    }
}

/// Returns a valid tag value: one line of limited length. It contains no backslash, because programs disagree about a
/// backslash before a delimiter.
fn tag(value: &str) -> String {
    truncate(&printable(value).replace('\\', "/"), MAX_CHARACTERS)
}

/// A text of a caller's: on one line, and not too long.
fn field_text(value: &str) -> String {
    truncate(&printable(value), MAX_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use influxdb_line_protocol::{FieldValue, parse_lines};

    use super::*;
    use crate::model::outcome::MessageRef;

    fn report(sender: &str, destination: &str, message: &str) -> DeliveryReport {
        let message = Some(MessageRef(message.to_owned()));
        let outcome = Outcome::Delivered { message };
        DeliveryReport {
            destination: Some(destination.to_owned()),
            http_status: Some(200),
            attempts: 2,
            parts: 1,
            parts_delivered: 1,
            elapsed: Duration::from_micros(1_500),
            ..DeliveryReport::new(0, sender.to_owned(), outcome)
        }
    }

    fn recorder(history: &Arc<History>, table: &str) -> Recorder {
        let notification = Notification::plain(Json::String("disk full".to_owned()));
        Recorder::new(history, "n.toml", &table.into(), &notification, None)
    }

    #[test]
    fn the_databases_parser_reads_every_written_line() {
        for hostile in [
            "plain",
            "a b,c=d",
            "\"quoted\" \\ back\\",
            "ends with \\",
            "line\nbreak\r\n\ttab",
            "sender=x,outcome=failed task_id=\"1\" 1\nother f=1",
            "é😀\u{202e}",
            "",
        ] {
            let history = Arc::new(History::default());
            let table = if hostile.is_empty() { "t" } else { hostile };
            // A name that the settings accept for a table.
            let table = table.replace(['\n', '\r', '\t', '\\'], " ");
            ended(
                &recorder(&history, &table),
                hostile,
                &report(hostile, hostile, hostile),
            );
            let row = history.next("n.toml").unwrap();
            let row = row.line();
            let lines: Vec<_> = parse_lines(row).collect::<Result<_, _>>().unwrap();
            let [line] = lines.try_into().unwrap();
            assert_eq!(line.series.measurement.as_str(), table, "{row}");
            let tag = |name| line.tag_value(name).map(ToString::to_string);
            let expected = Some(tag_text(hostile)).filter(|text| !text.is_empty());
            assert_eq!(tag("sender"), expected, "{row}");
            assert_eq!(tag("destination"), expected, "{row}");
            assert_eq!(tag("outcome").as_deref(), Some("delivered"));
            assert_eq!((tag("reason"), tag("level")), (None, None));
            assert!(matches!(
                line.field_value("attempts"),
                Some(FieldValue::I64(2))
            ));
            assert!(matches!(
                line.field_value("elapsed_ms"),
                Some(FieldValue::I64(1))
            ));
            assert!(matches!(
                line.field_value("text_bytes"),
                Some(FieldValue::I64(9))
            ));
            assert!(line.timestamp.is_some());
        }
    }

    fn tag_text(value: &str) -> String {
        printable(value).replace('\\', "/")
    }

    #[test]
    fn no_two_rows_have_the_same_time_and_the_oldest_make_room() {
        let history = Arc::new(History::default());
        let recorder = recorder(&history, "t");
        for number in 0..MAX_WAITING + 5 {
            ended(&recorder, &number.to_string(), &report("http", "d", "m"));
        }
        assert_eq!(history.dropped(), 5);
        let rows = std::iter::from_fn(|| history.next("n.toml"));
        let times: Vec<i64> = rows
            .map(|row| row.line().rsplit(' ').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(times.len(), MAX_WAITING);
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(history.next("other.toml").is_none());
    }

    #[test]
    fn a_disabled_history_stores_nothing_and_reports_it() {
        let history = Arc::new(History::default());
        let recorder = recorder(&history, "t");
        let forgotten = Arc::new(AtomicU64::new(0));
        let push = |task: &str| {
            let forgotten = Arc::clone(&forgotten);
            let written = Box::new(move |_| {
                forgotten.fetch_add(1, Ordering::Relaxed);
            });
            let report = report("http", "d", "m");
            let row = recorder.row(task, &Event::Ended(&report));
            recorder.record(row.unwrap(), Some(written));
        };
        push("1");
        push("2");
        let refused = history.next("n.toml").unwrap();
        assert_eq!(forgotten.load(Ordering::Relaxed), 0);
        history.turn_off("n.toml", refused);
        push("3");
        assert!(history.next("n.toml").is_none());
        assert_eq!(
            (history.dropped(), forgotten.load(Ordering::Relaxed)),
            (3, 3)
        );
    }

    fn ended(recorder: &Recorder, task: &str, report: &DeliveryReport) {
        let row = recorder.row(task, &Event::Ended(report));
        recorder.record(row.unwrap(), None);
    }
}
