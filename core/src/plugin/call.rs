//! The input and output of a call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::context::TriggerContext;
use crate::api::response::{ErrorResponse, RequestResponse};
use crate::api::view::StatusView;
use crate::config::{Environment, Named, Settings};
use crate::delivery::{Caller, Task};
use crate::observe::{LogLine, LogPort, TaskLog};

/// A copy of the arguments that the engine passes to `process_request`.
#[derive(Default)]
pub struct Call {
    pub arguments: BTreeMap<String, String>,
    pub environment: Environment,
    /// Variables that the configuration file names.
    pub named: Named,
    pub query: BTreeMap<String, String>,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Tells the triggers of the process apart, where the engine does.
    pub trigger: Option<u64>,
}

impl Call {
    /// The caller whose pace and share of the limits apply.
    pub(super) fn caller(&self, settings: &Settings) -> Caller {
        match self.trigger {
            Some(mark) => Caller::Trigger(mark),
            None => Caller::Settings(Arc::clone(&settings.scope)),
        }
    }

    /// The data to make the settings again.
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
    /// Shows only names: headers hold the caller's token, and arguments and the body may hold anything.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("arguments", &self.arguments.keys())
            .field("query", &self.query.keys())
            .field("headers", &self.headers.keys())
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

/// The configuration file names variables of the environment, and the call did not bring them all.
#[derive(Debug)]
pub struct NeedsVariables(pub BTreeSet<String>);

/// The response to the caller.
pub struct Response {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Body,
    /// Lines of no request that the engine's log should have.
    pub news: Vec<LogLine>,
    /// Lines for the engine's log, and where those of later come from.
    pub log: CallLog,
    /// Where lines of deliveries come from that a former process has left.
    pub port: Option<Arc<LogPort>>,
}

/// The result of a call without a response.
pub struct Scheduled {
    pub lines: Vec<LogLine>,
    pub port: Option<Arc<LogPort>>,
}

pub enum Body {
    RequestResponse(Box<RequestResponse>),
    Error(Box<ErrorResponse>),
    Status(Box<StatusView>),
    /// Prometheus text.
    Metrics(String),
}

/// The log of one call.
pub enum CallLog {
    /// Nothing will come later.
    Closed(TaskLog),
    Task(Arc<Task>),
}
