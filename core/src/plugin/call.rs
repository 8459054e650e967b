//! The input and the output of a call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::context::TriggerContext;
use crate::alerts::view::AlertsView;
use crate::api::alert_list::AlertListResponse;
use crate::api::response::{ErrorResponse, RequestResponse};
use crate::api::view::StatusView;
use crate::config::{Environment, Named, Settings};
use crate::delivery::{Caller, Task};
use crate::observe::{LogLine, LogPort, TaskLog};

/// A copy of what the engine passes to `process_request`.
#[derive(Default)]
pub struct Call {
    pub arguments: BTreeMap<String, String>,
    pub environment: Environment,
    /// The environment variables that the configuration file names.
    pub named: Named,
    pub query: BTreeMap<String, String>,
    /// Header names are in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Identifies the trigger within the process, if the engine provides an identifier.
    pub trigger: Option<u64>,
}

impl Call {
    /// Returns the owner of the call's pace and of its share of the limits.
    pub(super) fn caller(&self, settings: &Settings) -> Caller {
        match self.trigger {
            Some(mark) => Caller::Trigger(mark),
            None => Caller::Settings(Arc::clone(&settings.scope)),
        }
    }

    /// Returns the data from which settings can be resolved again.
    pub(super) fn source(&self) -> TriggerContext {
        TriggerContext {
            arguments: self.arguments.clone(),
            environment: self.environment.clone(),
            named: self.named.clone(),
            claimed_config_path: None,
        }
    }
}

impl std::fmt::Debug for Call {
    /// Shows names only: headers contain the caller's token, and arguments and the body may contain secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("arguments", &self.arguments.keys())
            .field("query", &self.query.keys())
            .field("headers", &self.headers.keys())
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

/// The configuration file names environment variables that the call did not pass.
#[derive(Debug)]
pub struct NeedsVariables(pub BTreeSet<String>);

/// The response to the caller.
pub struct Response {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Body,
    /// Lines for the engine's log that belong to no request.
    pub pending_log_lines: Vec<LogLine>,
    /// Lines for the engine's log, and the source of later lines.
    pub log: CallLog,
    /// The source of lines about deliveries of an earlier process.
    pub port: Option<Arc<LogPort>>,
}

/// The result of a call without a response.
pub struct Scheduled {
    pub lines: Vec<LogLine>,
    pub port: Option<Arc<LogPort>>,
}

pub enum Body {
    RequestResponse(Box<RequestResponse>),
    Alerts(Box<AlertListResponse>),
    Error(Box<ErrorResponse>),
    Status(Box<StatusView>),
    AlertsView(Box<AlertsView>),
    /// Metrics in Prometheus text format.
    Metrics(String),
}

/// The log of one call.
pub enum CallLog {
    /// No line follows.
    Closed(TaskLog),
    Task(Arc<Task>),
}
