//! The events of requests and deliveries.

use std::time::Duration;

use crate::model::outcome::{Failure, Outcome};
use crate::model::problem::Problem;
use crate::model::report::DeliveryReport;

/// A later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Info,
    Warn,
    Error,
}

/// An event of a request or of one of its deliveries.
#[derive(Debug)]
pub enum Event<'a> {
    Accepted {
        deliveries: usize,
    },
    /// A message leaves.
    Attempt {
        sender: &'a str,
    },
    /// A delivery will be tried again.
    Retry {
        destination: &'a str,
        failure: &'a Failure,
        attempt: u32,
        wait: Duration,
    },
    /// A warning about a destination that accepts its messages, such as a changed address.
    DestinationWarning {
        destination: &'a str,
        message: &'a str,
    },
    /// The result of a message is unknown, and the dispatcher will ask the provider.
    LookUp {
        destination: &'a str,
        failure: &'a Failure,
        wait: Duration,
    },
    /// A delivery came to its end.
    Ended(&'a DeliveryReport),
    /// A delivery could not even be tried.
    NotTried {
        report: &'a DeliveryReport,
        /// The sender as metrics name it: names that no channel has are one.
        label: &'a str,
    },
    /// A delivery of a request that the store does not have. The response to the request says so, or its own log line.
    NotPersisted(&'a DeliveryReport),
    /// Lines of this kind that are not written, since there are too many.
    LeftOut {
        level: LogLevel,
        lines: usize,
        noun: &'a str,
    },
    /// One digest replaces many notifications, because of a rule.
    Digest {
        destination: &'a str,
        notifications: usize,
        rule: &'a str,
        /// The task of the first.
        first: &'a str,
    },
    /// An identical request is in flight: its end is this one's.
    Joined {
        task: &'a str,
    },
    /// An alert was reported again, and nothing of it changed.
    Unchanged,
    /// Deliveries of a process that has ended, or that an operator has redriven, continue here.
    Recovered {
        deliveries: usize,
    },
    /// Another process took the delivery over, or an operator dropped it.
    LeaseLost {
        destination: &'a str,
    },
    /// A delivery could not be stored.
    StoreFailed {
        destination: &'a str,
        message: &'a str,
    },
    /// Nobody can notify a receiver of the end of its alerts: the configuration file does not have it any more.
    ReceiverRemoved {
        receiver: &'a str,
        group: &'a str,
        alerts: usize,
    },
    /// A changed configuration file is in use now.
    ConfigReloaded {
        receivers: usize,
        routes: usize,
    },
    /// A changed configuration file cannot be used.
    ConfigBroken(&'a Problem),
    /// A warning of the answer.
    Warning(&'a str),
    /// A scheduled call did nothing, for this reason.
    ScheduledCallSkipped(&'a Problem),
    /// The database takes no rows of the history.
    HistoryOff {
        why: &'a str,
    },
    /// The rows of a table were accepted.
    RowsAccepted {
        table: &'a str,
        rows: usize,
        notifications: usize,
        filtered: usize,
        known: usize,
        nobody: usize,
        /// The notifications that are stored but not in flight.
        left: usize,
    },
    /// Rows wait in memory, and why.
    RowsWait {
        table: &'a str,
        problem: &'a Problem,
    },
    /// All deliveries of a table's rows have ended.
    RowsEnded {
        table: &'a str,
        delivered: usize,
        failed: usize,
        ambiguous: usize,
        suppressed: usize,
    },
    /// Rows that cause no notification, and why.
    RowsRefused {
        table: &'a str,
        rows: usize,
        problem: &'a Problem,
    },
    /// A refused request, with the reason.
    Refused {
        status: u16,
        problem: &'a Problem,
    },
}

impl Event<'_> {
    /// Returns whether the status view lists the event among the last errors.
    pub const fn is_shown_in_status(&self) -> bool {
        match self {
            Event::Ended(report) => {
                matches!(report.outcome, Outcome::Failed(_) | Outcome::Ambiguous(_))
            }
            Event::NotTried { .. }
            | Event::StoreFailed { .. }
            | Event::ReceiverRemoved { .. }
            | Event::ConfigBroken(_)
            | Event::RowsWait { .. }
            | Event::RowsRefused { .. } => true,
            _ => false,
        }
    }
}
