//! A process outside the database that does nothing but take over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Call, NeedsVariables, Notifier, RecoveryMode, outbox_error};
use crate::model::problem::{Location, Problem};
use crate::observe::{LogLine, LogPort};

/// How often a stop looks whether all has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What came of one round.
pub struct ClaimReport {
    pub lines: Vec<LogLine>,
    pub port: Option<Arc<LogPort>>,
    /// Requests that were taken over.
    pub taken: usize,
    pub trouble: Option<ClaimError>,
}

/// Why nothing was taken over.
pub struct ClaimError {
    pub error: Problem,
    /// Whether it is only a matter of time: servers that are away come back.
    pub passes: bool,
}

impl Notifier {
    /// Takes over what belongs to nobody, of triggers whose `config_file_path` is `claimed_config_path`, and goes on with it by this
    /// call's own file. Waits for no delivery.
    pub fn work(
        &self,
        call: &Call,
        claimed_config_path: &str,
    ) -> Result<ClaimReport, NeedsVariables> {
        let (settings, _) = self.settings(call)?;
        let trouble = |error, passes| Some(ClaimError { error, passes });
        let mut count = 0;
        let (port, trouble) = match &settings {
            Err(error) => (None, trouble(Problem::clone(error), false)),
            Ok(settings) => {
                match self.outbox(call, settings, RecoveryMode::For(claimed_config_path)) {
                    Err(error) => (None, trouble(outbox_error(&error), true)),
                    Ok(None) => (None, trouble(nothing_to_work_for(), false)),
                    Ok(Some((open, taken))) => {
                        count = *taken.as_ref().unwrap_or(&0);
                        let missed = taken.err().map(|error| outbox_error(&error));
                        let missed = missed.and_then(|error| trouble(error, true));
                        (Some(Arc::clone(&open.port)), missed)
                    }
                }
            }
        };
        Ok(ClaimReport {
            lines: self.take_news(),
            port,
            taken: count,
            trouble,
        })
    }

    /// Takes over nothing more, waits until what is in flight has ended, or so long, and lets others have the rest. Gives
    /// back how many deliveries that are.
    pub fn stop_work(&self, limit: Duration) -> usize {
        self.outboxes.stop_taking();
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

    /// Prometheus text.
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
