//! The golden file of events: of each the log line, its level, the metrics that it changes, whether the status view shows it,
//! and its row of the history without the time.
//!
//! `UPDATE_GOLDEN=1 cargo test --package rust-tests events::` writes it again.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notifier_core::json::Json;
use notifier_core::model::notification::Notification;
use notifier_core::model::outcome::{Failure, Outcome, Reason};
use notifier_core::model::problem::{Location, Problem};
use notifier_core::model::report::DeliveryReport;
use notifier_core::observe::{Event, Gauges, History, LogLevel, Recorder, Sink, TaskLog};
use serde_json::json;

const DESTINATION: &str = "http example.com#9c41";
const TASK: &str = "7b0c2f0e-5a54-4b0c-9d0b-3f2a5e6f7a10";
const FIRST_TASK: &str = "00000000-0000-4000-8000-000000000000";

#[test]
fn every_event_has_the_line_of_the_golden_file() {
    let failure = Failure::new(Reason::Timeout);
    let problem = Problem {
        code: "invalid_argument",
        message: "max_attempts is no whole number.".to_owned(),
        location: Location::path("max_attempts"),
        hint: "Write it as 10.".to_owned(),
    };
    let (ended, untried) = (ended(&failure), untried(&failure));
    let mut events = deliveries(&failure, &ended, &untried);
    events.extend(requests(&problem));
    events.extend(rows(&problem));
    let shapes: Vec<_> = events
        .iter()
        .map(|event| {
            let line = event.line(Some(TASK));
            let level = line.as_ref().map(|line| match line.level {
                LogLevel::Info => "info",
                LogLevel::Warn => "warn",
                LogLevel::Error => "error",
            });
            json!({
                "event": name(event),
                "level": level,
                "line": line.map(|line| line.text),
                "metrics": metrics(event),
                "is_shown_in_status": event.is_shown_in_status(),
                "history": history(event),
            })
        })
        .collect();
    let text = format!("{:#}\n", json!(shapes));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/events.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let mut lines = text.lines().zip(golden.lines());
    let first = lines.find(|(text, golden)| text != golden);
    assert!(
        text == golden,
        "{} differs, first here, found and golden: {first:#?}\nWrite it again and read the difference: \
         UPDATE_GOLDEN=1 cargo test --package rust-tests events::",
        path.display()
    );
}

/// The samples that the event changes, without the buckets of histograms.
fn metrics(event: &Event<'_>) -> Vec<String> {
    let sink = Sink::default();
    let metrics = &sink.metrics;
    let before = metrics.render(Gauges::default());
    sink.emit(&TaskLog::new(None), event);
    let after = metrics.render(Gauges::default());
    let lines = after.lines().filter(|line| !line.contains("_bucket{"));
    lines
        .filter(|line| !before.lines().any(|known| known == *line))
        .map(str::to_owned)
        .collect()
}

fn history(event: &Event<'_>) -> Option<String> {
    let history = Arc::new(History::default());
    let notification = Notification::plain(Json::String("disk full".to_owned()));
    let recorder = Recorder::new(&history, "", &"notifications".into(), &notification, None);
    let log = TaskLog::new(Some(TASK.to_owned())).recording(Some(recorder));
    Sink::default().emit(&log, event);
    let row = history.next("")?;
    let (row, _time) = row.line().rsplit_once(' ')?;
    Some(row.to_owned())
}

/// A new event has a name here, and then an example below.
const fn name(event: &Event<'_>) -> &'static str {
    match event {
        Event::Accepted { .. } => "accepted",
        Event::Attempt { .. } => "attempt",
        Event::Retry { .. } => "retry",
        Event::DestinationWarning { .. } => "destination_warning",
        Event::LookUp { .. } => "look_up",
        Event::Ended(_) => "ended",
        Event::NotTried { .. } => "not_tried",
        Event::NotPersisted(_) => "not_persisted",
        Event::LeftOut { .. } => "left_out",
        Event::Digest { .. } => "digest",
        Event::Joined { .. } => "joined",
        Event::Unchanged => "unchanged",
        Event::Recovered { .. } => "recovered",
        Event::LeaseLost { .. } => "lease_lost",
        Event::StoreFailed { .. } => "store_failed",
        Event::ReceiverRemoved { .. } => "receiver_removed",
        Event::ConfigReloaded { .. } => "config_reloaded",
        Event::ConfigBroken(_) => "config_broken",
        Event::Warning(_) => "warning",
        Event::ScheduledCallSkipped(_) => "scheduled_call_skipped",
        Event::HistoryOff { .. } => "history_off",
        Event::RowsAccepted { .. } => "rows_accepted",
        Event::RowsWait { .. } => "rows_wait",
        Event::RowsEnded { .. } => "rows_ended",
        Event::RowsRefused { .. } => "rows_refused",
        Event::Refused { .. } => "refused",
    }
}

fn ended(failure: &Failure) -> Vec<DeliveryReport> {
    let outcomes = [
        Outcome::Delivered { message: None },
        Outcome::Failed(failure.clone()),
        Outcome::Ambiguous(failure.clone()),
        Outcome::Suppressed {
            rule: "night".to_owned(),
        },
        Outcome::DryRun,
        Outcome::Ignored,
    ];
    let reports = outcomes.into_iter().map(|outcome| DeliveryReport {
        destination: Some(DESTINATION.to_owned()),
        http_status: Some(200),
        attempts: 1,
        elapsed: Duration::from_millis(84),
        ..DeliveryReport::new(0, "http".to_owned(), outcome)
    });
    reports.collect()
}

fn untried(failure: &Failure) -> DeliveryReport {
    let outcome = Outcome::Failed(failure.clone());
    DeliveryReport {
        path: Some("senders_config.carrier_pigeon".to_owned()),
        ..DeliveryReport::new(0, "carrier_pigeon".to_owned(), outcome)
    }
}

fn deliveries<'a>(
    failure: &'a Failure,
    ended: &'a [DeliveryReport],
    untried: &'a DeliveryReport,
) -> Vec<Event<'a>> {
    let wait = Duration::from_millis(1_000);
    let mut events = vec![
        Event::Accepted { deliveries: 1 },
        Event::Accepted { deliveries: 2 },
        Event::Attempt { sender: "http" },
        Event::Retry {
            destination: DESTINATION,
            failure,
            attempt: 1,
            wait,
        },
        Event::DestinationWarning {
            destination: DESTINATION,
            message: "the chat has another id",
        },
        Event::LookUp {
            destination: DESTINATION,
            failure,
            wait,
        },
    ];
    events.extend(ended.iter().map(Event::Ended));
    events.extend([
        Event::NotTried {
            report: untried,
            label: "unknown",
        },
        Event::NotPersisted(untried),
        Event::LeftOut {
            level: LogLevel::Error,
            lines: 7,
            noun: "deliveries failed",
        },
        Event::Digest {
            destination: DESTINATION,
            notifications: 7,
            rule: "max_per_minute",
            first: FIRST_TASK,
        },
        Event::Joined { task: FIRST_TASK },
        Event::Unchanged,
        Event::Recovered { deliveries: 1 },
        Event::Recovered { deliveries: 2 },
        Event::LeaseLost {
            destination: DESTINATION,
        },
        Event::StoreFailed {
            destination: DESTINATION,
            message: "its end could not be stored",
        },
    ]);
    events
}

fn requests(problem: &Problem) -> Vec<Event<'_>> {
    vec![
        Event::ReceiverRemoved {
            receiver: "oncall",
            group: "databases:{region=\"eu\"}",
            alerts: 2,
        },
        Event::ConfigReloaded {
            receivers: 1,
            routes: 2,
        },
        Event::ConfigBroken(problem),
        Event::Warning("level: unknown value, ignored"),
        Event::ScheduledCallSkipped(problem),
        Event::HistoryOff {
            why: "the node takes no writes",
        },
        Event::Refused {
            status: 503,
            problem,
        },
    ]
}

fn rows(problem: &Problem) -> Vec<Event<'_>> {
    let accepted = |notifications, filtered, known, nobody, left| Event::RowsAccepted {
        table: "alerts",
        rows: 10,
        notifications,
        filtered,
        known,
        nobody,
        left,
    };
    vec![
        accepted(10, 0, 0, 0, 0),
        accepted(4, 3, 2, 1, 1),
        accepted(0, 0, 0, 10, 0),
        Event::RowsWait {
            table: "alerts",
            problem,
        },
        Event::RowsEnded {
            table: "alerts",
            delivered: 4,
            failed: 3,
            ambiguous: 2,
            suppressed: 1,
        },
        Event::RowsRefused {
            table: "alerts",
            rows: 1,
            problem,
        },
    ]
}
