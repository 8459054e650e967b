//! A worker: a process outside the database that delivers the requests of an outbox.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Call, NeedsVariables, Notifier, RecoveryMode, outbox_error};
use crate::model::problem::{Location, Problem};
use crate::observe::{LogLine, LogPort};

/// The interval at which a stopping worker checks for the end of all deliveries.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The result of one claim.
pub struct ClaimReport {
    pub lines: Vec<LogLine>,
    pub port: Option<Arc<LogPort>>,
    /// The number of claimed requests.
    pub claimed: usize,
    pub error: Option<ClaimError>,
}

/// The reason why no request was claimed.
pub struct ClaimError {
    pub error: Problem,
    /// Whether a later claim may succeed without a change, such as when the servers are reachable again.
    pub is_retryable: bool,
}

impl Notifier {
    /// Claims requests without an owner, of triggers whose `config_file_path` is `claimed_config_path`. Delivers them
    /// with the configuration file of this call. Does not wait for deliveries.
    pub fn work(
        &self,
        call: &Call,
        claimed_config_path: &str,
    ) -> Result<ClaimReport, NeedsVariables> {
        let (settings, _) = self.settings(call)?;
        let failed = |error, is_retryable| {
            Some(ClaimError {
                error,
                is_retryable,
            })
        };
        let mut count = 0;
        let (port, error) = match &settings {
            Err(error) => (None, failed(Problem::clone(error), false)),
            Ok(settings) => {
                match self.outbox(call, settings, RecoveryMode::For(claimed_config_path)) {
                    Err(error) => (None, failed(outbox_error(&error), true)),
                    Ok(None) => (None, failed(nothing_to_work_for(), false)),
                    Ok(Some((open, claimed))) => {
                        count = *claimed.as_ref().unwrap_or(&0);
                        let error = claimed.err().map(|error| outbox_error(&error));
                        let error = error.and_then(|error| failed(error, true));
                        (Some(Arc::clone(&open.port)), error)
                    }
                }
            }
        };
        Ok(ClaimReport {
            lines: self.take_pending_log_lines(),
            port,
            claimed: count,
            error,
        })
    }

    /// Stops claiming, waits at most `limit` for deliveries in flight, and releases the rest to other processes.
    /// Returns the number of released deliveries.
    pub fn stop_work(&self, limit: Duration) -> usize {
        self.outboxes.stop_recovery();
        self.runtime.block_on(async {
            let deadline = Instant::now() + limit;
            while self.dispatcher.gauges().in_flight > 0 && Instant::now() < deadline {
                sleep(LOOK_EVERY).await;
            }
            let left = self.dispatcher.gauges().in_flight;
            self.outboxes.release().await;
            left
        })
    }

    /// Returns the metrics in Prometheus text format.
    pub fn metrics_text(&self) -> String {
        self.sink.metrics.render(self.gauges())
    }
}

fn nothing_to_work_for() -> Problem {
    Problem {
        code: "no_outbox",
        message: "The configuration file names no outbox to work for.".to_owned(),
        location: Location::path("outbox"),
        hint: "Set outbox in its [settings], or give --argument outbox=….".to_owned(),
    }
}
