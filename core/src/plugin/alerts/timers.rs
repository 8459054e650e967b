//! The timers of a scope: due groups are flushed, and their notifications submitted.

use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::scope::{AlertScope, ScopeContext};
use crate::alerts::alert::later;
use crate::alerts::destination_flush::Flush;
use crate::alerts::plan;
use crate::api::request::Request;
use crate::config::Settings;
use crate::delivery::{Caller, CapacityPolicy, Submission, SubmitRequest};
use crate::observe::{LogPort, LogReceiver};
use crate::panics::lock;
use crate::plugin::records::SubmitContext;
use crate::plugin::steady_clock::LONGEST_SLEEP;
use crate::store::StoreFuture;
use crate::warnings::Warnings;

/// How long a notification waits for capacity, or for settings that can be used.
const TRY_AGAIN: Duration = Duration::from_secs(10);
/// How often the store is asked how deliveries ended that another process runs.
const LOOK_UP_EVERY: Duration = Duration::from_secs(1);

/// Fires the timers of a scope for as long as it lives.
pub(super) async fn run_timers(scope: Weak<AlertScope>) {
    loop {
        let Some(living) = scope.upgrade() else {
            return;
        };
        let changed = Arc::clone(&living.changed);
        let until = living.wake_at();
        drop(living);
        if timeout_at(until, changed.notified()).await.is_ok() {
            continue;
        }
        let Some(living) = scope.upgrade() else {
            return;
        };
        if !living.fire().await {
            drop(living);
            sleep_until(Instant::now() + TRY_AGAIN).await;
        }
    }
}

impl AlertScope {
    /// When the timers are looked at next. While deliveries run elsewhere, their ends are asked for every second.
    fn wake_at(&self) -> Instant {
        let now = self.clock.now();
        let is_stored = lock(&self.context).store().is_some();
        let state = lock(&self.state);
        let limit = match is_stored && !state.open_deliveries().is_empty() {
            true => LOOK_UP_EVERY,
            false => LONGEST_SLEEP,
        };
        let due = state.next_due().unwrap_or(Timestamp::MAX);
        self.clock.instant(due.min(later(now.steady, limit)))
    }

    /// Sends what is due; `false`: the settings or the store cannot be used.
    async fn fire(self: &Arc<Self>) -> bool {
        let context = lock(&self.context).clone();
        let Some(settings) = (context.settings)() else {
            return false;
        };
        if self.ready().await.is_err() || self.look_up_deliveries(false).await.is_err() {
            return false;
        }
        let (flushes, written) = {
            let _planning = self.planning.write().await;
            self.due_flushes(&settings)
        };
        if let Some(written) = written
            && written.await.is_err()
        {
            return false;
        }
        for flush in flushes {
            self.submit(flush, &settings, &context).await;
        }
        true
    }

    fn due_flushes(self: &Arc<Self>, settings: &Settings) -> (Vec<Flush>, Option<StoreFuture<()>>) {
        let now = self.clock.now();
        let rules = plan::mute_rules(settings);
        let mut state = lock(&self.state);
        state.use_inhibitions(&settings.config);
        let mut flushes = Vec::new();
        for key in state.due_groups(now) {
            flushes.extend(state.flush(&key, settings, &rules, now));
        }
        let closed = state.take_closed();
        let written = self.write(&mut state);
        drop(state);
        self.log_closed(&closed);
        (flushes, written)
    }

    /// Submits a group's notification to one destination as its own task.
    async fn submit(self: &Arc<Self>, flush: Flush, settings: &Settings, context: &ScopeContext) {
        let mut warnings = Warnings::default();
        let origin = lock(&self.state).origin(&flush.task, 0);
        let plan = plan::flush_plan(&flush, origin, settings, &mut warnings);
        let Ok(plan) = plan else {
            return self.not_sent(&flush.task);
        };
        let outbox = context.outbox.as_ref();
        let submit_context = SubmitContext {
            caller: Caller::Outbox(self.config.clone()),
            arguments: &context.arguments,
            settings,
            outbox,
            history: &self.deps.history,
        };
        let request = Request::of_notification(Arc::clone(&flush.notification));
        let key = context.store().map(|_| flush.task.clone());
        let identity = (key, plan::own_fingerprint(&flush.task));
        let submit = submit_context.submit_request(flush.task, &request, plan, identity, warnings);
        let port: Arc<dyn LogReceiver> = Arc::<LogPort>::clone(&context.port);
        submit.log.hand_over(port);
        let submission = self.deps.dispatcher.submit(SubmitRequest {
            capacity: match submit.persistence {
                Some(_) => CapacityPolicy::LeaveInStore,
                None => CapacityPolicy::Refuse,
            },
            observer: Some(self.observer()),
            ..submit
        });
        if let Ok(Submission::New(task)) = submission.await {
            self.deps.dispatcher.answered(&task);
        }
    }
}
