//! Events as lines of the engine's log.

use std::time::Duration;

use super::event::{Event, LogLevel};
use crate::model::outcome::{Failure, Outcome};
use crate::model::problem::Problem;
use crate::model::report::DeliveryReport;
use crate::text::{Limit, ascii, cut, printable};

/// A line for the engine's logger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub level: LogLevel,
    pub text: String,
}

impl Event<'_> {
    /// The event as a line of the engine's log: ASCII, on one line, without a secret.
    /// `None`: it has none.
    pub fn line(&self, task_id: Option<&str>) -> Option<LogLine> {
        let (level, text) = self.level_and_text()?;
        let clean = printable(&text);
        let short = cut(&clean, Limit::code_points(MAX_CHARACTERS), "…");
        let task_id = task_id.unwrap_or("-");
        Some(LogLine {
            level,
            text: ["notifier [", task_id, "] ", ascii(&short).as_ref()].concat(),
        })
    }

    fn level_and_text(&self) -> Option<(LogLevel, String)> {
        Some(match self {
            Event::Attempt { .. } | Event::NotPersisted(_) | Event::Unchanged => return None,
            Event::Accepted { deliveries: 1 } => {
                (LogLevel::Info, "accepted: 1 delivery".to_owned())
            }
            Event::Accepted { deliveries } => {
                (LogLevel::Info, format!("accepted: {deliveries} deliveries"))
            }
            Event::Retry {
                destination,
                failure,
                attempt,
                wait,
            } => (
                LogLevel::Warn,
                format!(
                    "{destination}: attempt {attempt} failed, {}; next attempt in {}",
                    unended(failure),
                    milliseconds(*wait)
                ),
            ),
            Event::DestinationWarning {
                destination,
                message,
            } => (LogLevel::Warn, format!("{destination}: {message}")),
            Event::LookUp {
                destination,
                failure,
                wait,
            } => (
                LogLevel::Warn,
                format!(
                    "{destination}: {}; the provider will be asked in {}",
                    unended(failure),
                    milliseconds(*wait)
                ),
            ),
            Event::Ended(report) => ended(report),
            Event::NotTried { report, label: _ } => (LogLevel::Error, not_tried(report)),
            Event::LeftOut { level, lines, noun } => (*level, format!("and {lines} more {noun}")),
            Event::Digest {
                destination,
                notifications,
                rule,
                first,
            } => (
                LogLevel::Info,
                format!(
                    "{destination}: a digest of {notifications} notifications, as {rule} asks; the first is of {first}"
                ),
            ),
            Event::Joined { task } => (
                LogLevel::Info,
                format!("joined {task}: an identical request is in flight"),
            ),
            Event::Recovered { deliveries: 1 } => (
                LogLevel::Warn,
                "taken over from the outbox: 1 delivery".to_owned(),
            ),
            Event::Recovered { deliveries } => (
                LogLevel::Warn,
                format!("taken over from the outbox: {deliveries} deliveries"),
            ),
            Event::LeaseLost { destination } => (
                LogLevel::Warn,
                format!(
                    "{destination}: left to the process that took it over, or dropped by an operator"
                ),
            ),
            Event::StoreFailed {
                destination,
                message,
            } => (LogLevel::Error, format!("{destination}: {message}")),
            Event::ReceiverRemoved {
                receiver,
                group,
                alerts,
            } => (
                LogLevel::Error,
                format!(
                    "{receiver}: the configuration file does not have this receiver any more, so nobody notifies it that {} of \
                     {group} ended. Close them there by hand",
                    counted(*alerts, "alert")
                ),
            ),
            Event::ConfigReloaded { receivers, routes } => (
                LogLevel::Info,
                format!(
                    "the configuration file was reloaded: {}, {}",
                    counted(*receivers, "receiver"),
                    counted(*routes, "route")
                ),
            ),
            Event::ConfigBroken(Problem { message, hint, .. }) => {
                (LogLevel::Error, format!("{message} {KEPT} {hint}"))
            }
            Event::Warning(warning) => (LogLevel::Warn, (*warning).to_owned()),
            Event::ScheduledCallSkipped(Problem { message, hint, .. }) => {
                (LogLevel::Error, format!("{message} {hint}"))
            }
            Event::HistoryOff { why } => (
                LogLevel::Warn,
                format!(
                    "the history cannot be written, and is off until the server restarts: {why}. Remove history_table on \
                     nodes that take no writes"
                ),
            ),
            Event::RowsAccepted {
                table,
                rows,
                notifications,
                filtered,
                known,
                nobody,
                left,
            } => {
                let parts = [
                    (left, "left in the outbox"),
                    (filtered, "filtered out"),
                    (known, "known already"),
                    (nobody, "for nobody"),
                ];
                let parts = parts.iter().filter(|(count, _)| **count > 0);
                let parts: String = parts
                    .map(|(count, label)| format!(", {count} {label}"))
                    .collect();
                let level = match (*notifications, *nobody) {
                    (0, 1..) => LogLevel::Warn,
                    _ => LogLevel::Info,
                };
                let (rows, notifications) = (
                    counted(*rows, "row"),
                    counted(*notifications, "notification"),
                );
                (level, format!("{table}: {rows}: {notifications}{parts}"))
            }
            Event::RowsWait {
                table,
                problem: Problem { message, hint, .. },
            } => (
                LogLevel::Error,
                format!("{table}: rows wait in memory: {message} {hint}"),
            ),
            Event::RowsEnded {
                table,
                delivered,
                failed,
                ambiguous,
                suppressed,
            } => (
                LogLevel::Info,
                format!(
                    "{table}: all deliveries have ended: {delivered} delivered, {failed} failed, {ambiguous} ambiguous, \
                     {suppressed} suppressed"
                ),
            ),
            Event::RowsRefused {
                table,
                rows,
                problem: Problem { message, hint, .. },
            } => (
                LogLevel::Error,
                format!(
                    "{table}: nobody was notified of {}: {message} {hint}",
                    counted(*rows, "row")
                ),
            ),
            Event::Refused {
                status,
                problem: Problem { message, hint, .. },
            } => (
                LogLevel::Error,
                format!("answered {status}: {message} {hint}"),
            ),
        })
    }
}

/// The log line of a configuration file that has become invalid.
pub const KEPT: &str = "The previous configuration stays in use.";

/// The maximum length of a line in characters. Only a long value of a caller exceeds it, such as a sender's name.
const MAX_CHARACTERS: usize = 2_000;

/// The line and level of a delivery's end.
fn ended(report: &DeliveryReport) -> (LogLevel, String) {
    let DeliveryReport {
        sender,
        destination,
        outcome,
        http_status,
        attempts,
        elapsed,
        ..
    } = report;
    let destination = destination.as_ref().unwrap_or(sender);
    let elapsed = milliseconds(*elapsed);
    let status = http_status.map_or(String::new(), |status| format!("HTTP {status}, "));
    match outcome {
        Outcome::Delivered { .. } => (
            LogLevel::Info,
            format!("{destination}: delivered in {elapsed} ({status}attempt {attempts})"),
        ),
        Outcome::Failed(failure) => (
            LogLevel::Error,
            format!(
                "{destination}: failed after {elapsed} ({status}attempts {attempts}), {}. {}",
                unended(failure),
                failure.hint()
            ),
        ),
        Outcome::Ambiguous(failure) => (
            LogLevel::Error,
            format!(
                "{destination}: ambiguous after {elapsed} ({status}attempts {attempts}), {}. {}",
                unended(failure),
                failure.hint()
            ),
        ),
        Outcome::Suppressed { rule } => (
            LogLevel::Info,
            format!("{destination}: suppressed by {rule}"),
        ),
        Outcome::Pending(_) | Outcome::DryRun | Outcome::Ignored => {
            (LogLevel::Info, format!("{destination}: {}", outcome.code()))
        }
    }
}

fn not_tried(report: &DeliveryReport) -> String {
    let (sender, path) = (&report.sender, &report.path);
    let path = path
        .as_ref()
        .map_or(String::new(), |path| format!(" ({path})"));
    match report.outcome.failure() {
        Some(failure) => {
            let (sentence, hint) = (unended(failure), failure.hint());
            format!("{sender}: failed, {sentence}{path}. {hint}")
        }
        None => format!("{sender}: not tried{path}"),
    }
}

/// `1 route`, `2 routes`.
fn counted(count: usize, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// A failure without the full stop of its sentence, to be continued.
fn unended(failure: &Failure) -> String {
    let text = failure.to_string();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::Reason;

    #[test]
    fn a_line_that_tells_of_a_failure_has_one_full_stop_at_a_time() {
        // Without provider detail the line has the reason's sentence, with its full stop.
        let failure = Failure::new(Reason::Redirected);
        let outcomes = [
            Outcome::Failed(failure.clone()),
            Outcome::Ambiguous(failure.clone()),
        ];
        let destination = "http example.com#1234";
        let reports = outcomes.map(|outcome| DeliveryReport {
            destination: Some(destination.to_owned()),
            http_status: Some(301),
            attempts: 1,
            ..DeliveryReport::new(0, "http".to_owned(), outcome)
        });
        let mut events: Vec<_> = reports.iter().map(Event::Ended).collect();
        events.push(Event::NotTried {
            report: &reports[0],
            label: "http",
        });
        events.push(Event::Retry {
            destination,
            failure: &failure,
            attempt: 1,
            wait: Duration::from_secs(1),
        });
        for event in &events {
            let text = event.line(None).unwrap().text;
            let sentence = failure.reason.sentence().trim_end_matches('.');
            assert!(text.contains(sentence), "{text}");
            assert!(!text.contains("..") && !text.contains(".;"), "{text}");
        }
    }
}
