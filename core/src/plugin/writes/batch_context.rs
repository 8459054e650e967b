//! The context that all rows of one call share.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::summary::Summary;
use crate::config::Settings;
use crate::delivery::{Caller, Dispatcher};
use crate::observe::{LogReceiver, Sink, TaskLog};
use crate::plugin::context::{RecoveryDeps, TriggerContext};
use crate::plugin::outboxes::{OpenOutbox, Outboxes};
use crate::store::{StoreError, StoreErrorKind};

/// The first pause before a retry with a failing outbox. Each further pause is twice as long.
pub const LEAST_PAUSE: Duration = Duration::from_millis(20);
pub const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The context that all rows of one call share.
#[derive(Clone)]
pub struct BatchContext {
    pub dispatcher: Dispatcher,
    /// The owner of the rows' share of the limits.
    pub caller: Caller,
    pub outboxes: Arc<Outboxes>,
    pub recovery_deps: RecoveryDeps,
    pub sink: Sink,
    pub settings: Arc<Settings>,
    /// The data of the call.
    pub source: TriggerContext,
    pub arrived: Instant,
    pub late: Arc<dyn LogReceiver>,
}

impl BatchContext {
    /// Opens the outbox of the settings, if any, and recovers its requests, so that these precede the rows.
    pub async fn open_outbox(&self) -> Result<Option<Arc<OpenOutbox>>, StoreError> {
        let Some(outbox) = &self.settings.outbox else {
            return Ok(None);
        };
        let (until, mut pause) = (self.deadline(), LEAST_PAUSE);
        let open = loop {
            let (outboxes, location) = (Arc::clone(&self.outboxes), outbox.location.clone());
            let (recovery_deps, runtime) = (self.recovery_deps.clone(), Handle::current());
            // The disk may be slow.
            let opening = tokio::task::spawn_blocking(move || {
                outboxes.get(&location, || recovery_deps, &runtime)
            });
            let stopped = || StoreError::new(outbox.location.key(), StoreErrorKind::Stopped);
            match opening.await.unwrap_or_else(|_| Err(stopped())) {
                Err(error) if error.is_transient() && Instant::now() < until => {}
                opened => break opened?,
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        for line in open.port.connect(Arc::clone(&self.late)) {
            self.late.push(line);
        }
        let recovery_deps = || self.recovery_deps.clone();
        // After a failed recovery, storing the rows fails as well, and the log shows the reason.
        let _ = open
            .register_call(false, self.source.clone(), recovery_deps)
            .await;
        Ok(Some(open))
    }

    /// Returns the time until which a row waits for a failing outbox.
    pub fn deadline(&self) -> Instant {
        self.arrived + self.settings.policy.delivery_timeout
    }

    pub fn report(&self, summary: &Summary, log: &TaskLog) {
        summary.accepted(&self.sink, log);
    }
}
