//! The golden file of events: of each the log line, its level, the metrics that it changes, and whether the status view shows it.
//!
//! `UPDATE_GOLDEN=1 cargo test --package rust-tests events::` writes it again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use notifier_core::model::outcome::{Failure, Outcome, Reason};
use notifier_core::model::problem::{Location, Problem};
use notifier_core::observe::{Event, Gauges, LogLevel, Metrics};
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
    let outcomes = outcomes(&failure);
    let mut events = deliveries(&failure, &outcomes);
    events.extend(requests(&problem));
    events.extend(rows(&problem));
    let shapes: Vec<_> = events
        .iter()
        .map(|event| {
            let line = event.line(Some(TASK));
            json!({
                "event": name(event),
                "level": match line.level {
                    LogLevel::Info => "info",
                    LogLevel::Warn => "warn",
                    LogLevel::Error => "error",
                },
                "line": line.text,
                "metrics": metrics(event),
                "is_shown_in_status": event.is_shown_in_status(),
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
    let metrics = Metrics::default();
    let before = metrics.render(Gauges::default());
    metrics.count(event);
    let after = metrics.render(Gauges::default());
    let lines = after.lines().filter(|line| !line.contains("_bucket{"));
    lines
        .filter(|line| !before.lines().any(|known| known == *line))
        .map(str::to_owned)
        .collect()
}

/// A new event has a name here, and then an example below.
const fn name(event: &Event<'_>) -> &'static str {
    match event {
        Event::Accepted { .. } => "accepted",
        Event::Retry { .. } => "retry",
        Event::DestinationWarning { .. } => "destination_warning",
        Event::LookUp { .. } => "look_up",
        Event::Ended { .. } => "ended",
        Event::NotTried { .. } => "not_tried",
        Event::LeftOut { .. } => "left_out",
        Event::Digest { .. } => "digest",
        Event::Joined { .. } => "joined",
        Event::TakenOver { .. } => "taken_over",
        Event::HandedOn { .. } => "handed_on",
        Event::NotKept { .. } => "not_kept",
        Event::ConfigTakenUp { .. } => "config_taken_up",
        Event::ConfigBroken(_) => "config_broken",
        Event::Warning(_) => "warning",
        Event::NothingDone(_) => "nothing_done",
        Event::HistoryOff { .. } => "history_off",
        Event::RowsAccepted { .. } => "rows_accepted",
        Event::RowsWait { .. } => "rows_wait",
        Event::RowsEnded { .. } => "rows_ended",
        Event::RowsRefused { .. } => "rows_refused",
        Event::Refused { .. } => "refused",
    }
}

fn outcomes(failure: &Failure) -> Vec<Outcome> {
    vec![
        Outcome::Delivered { message: None },
        Outcome::Failed(failure.clone()),
        Outcome::Ambiguous(failure.clone()),
        Outcome::Suppressed {
            rule: "night".to_owned(),
        },
        Outcome::DryRun,
        Outcome::Ignored,
    ]
}

fn deliveries<'a>(failure: &'a Failure, outcomes: &'a [Outcome]) -> Vec<Event<'a>> {
    let wait = Duration::from_millis(1_000);
    let mut events = vec![
        Event::Accepted { deliveries: 1 },
        Event::Accepted { deliveries: 2 },
        Event::Retry {
            destination: DESTINATION,
            failure,
            attempt: 1,
            wait,
        },
        Event::DestinationWarning {
            destination: DESTINATION,
            what: "the chat has another id",
        },
        Event::LookUp {
            destination: DESTINATION,
            failure,
            wait,
        },
    ];
    events.extend(outcomes.iter().map(|outcome| Event::Ended {
        sender: "http",
        destination: DESTINATION,
        outcome,
        http_status: Some(200),
        attempts: 1,
        elapsed: Duration::from_millis(84),
    }));
    events.extend([
        Event::NotTried {
            sender: "carrier_pigeon",
            label: "unknown",
            failure,
            path: Some("senders_config.carrier_pigeon"),
        },
        Event::LeftOut {
            level: LogLevel::Error,
            lines: 7,
            what: "deliveries failed",
        },
        Event::Digest {
            destination: DESTINATION,
            notifications: 7,
            rule: "max_per_minute",
            first: FIRST_TASK,
        },
        Event::Joined { task: FIRST_TASK },
        Event::TakenOver { deliveries: 1 },
        Event::TakenOver { deliveries: 2 },
        Event::HandedOn {
            destination: DESTINATION,
        },
        Event::NotKept {
            destination: DESTINATION,
            what: "its end could not be stored",
        },
    ]);
    events
}

fn requests(problem: &Problem) -> Vec<Event<'_>> {
    vec![
        Event::ConfigTakenUp {
            receivers: 1,
            routes: 2,
        },
        Event::ConfigBroken(problem),
        Event::Warning("level: unknown value, ignored"),
        Event::NothingDone(problem),
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
