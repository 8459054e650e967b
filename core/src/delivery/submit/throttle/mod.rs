//! Limits the number of messages. Notifications beyond `max_per_minute` or `max_per_batch` are queued, and one digest
//! replaces them.

pub mod windows;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use self::windows::{MINUTE, ThrottleWindow, WindowKey};
use crate::delivery::digest::{AheadGuard, LimitKind, PendingDigest};
use crate::delivery::last_notifications;
use crate::delivery::limits::capacity::Usage;
use crate::delivery::state::Delivery;
use crate::delivery::{Dispatcher, Inner};
use crate::model::notification::{AlertState, AlertStatus};
use crate::model::plan::PlannedSend;
use crate::panics::lock;

impl Dispatcher {
    /// Passes a delivery, or queues it for a digest. Must be called on a runtime.
    pub(in crate::delivery) fn throttle(
        &self,
        delivery: Delivery,
        batch: Option<&ThrottleBatch>,
    ) -> Option<Delivery> {
        let limits = (
            delivery.policy.max_per_minute,
            delivery.policy.max_per_batch,
        );
        if limits == (None, None) || self.is_not_counted(&delivery) {
            return Some(delivery);
        }
        let delivery = match (batch, limits.1) {
            (Some(batch), Some(limit)) => batch.admit(delivery, limit)?,
            _ => delivery,
        };
        match limits.0 {
            Some(limit) => self.admit_to_minute(delivery, limit),
            None => Some(delivery),
        }
    }

    /// Returns whether the limits do not count the delivery, because it sends no further message.
    fn is_not_counted(&self, delivery: &Delivery) -> bool {
        let planned = &delivery.planned;
        let Some(state) = planned.state() else {
            return true;
        };
        let changes = state.status.is_some_and(AlertStatus::is_follow_up);
        planned.has_begun()
            || planned.silence.is_some()
            || (changes && planned.channel.capabilities().keeps_incidents())
            || self.is_known_repeat(delivery, state)
    }

    /// Returns whether a delivery repeats the last notification, according to memory and the deliveries before it.
    fn is_known_repeat(&self, delivery: &Delivery, state: AlertState) -> bool {
        let Delivery {
            planned, policy, ..
        } = delivery;
        let key = last_notifications::key(planned);
        let Some((interval, key)) = policy.repeat_interval.zip(key) else {
            return false;
        };
        match self.last_in_line(planned) {
            Some(last) => last == Some(state),
            None => {
                let last = self.0.services.last_notifications.known(&key);
                last.is_some_and(|last| last.is_repeat(state, interval))
            }
        }
    }

    fn last_in_line(&self, planned: &PlannedSend) -> Option<Option<AlertState>> {
        let destination = planned.channel.destination();
        let dedup_key = planned.dedup_key.as_ref()?;
        let queues = &self.0.services.queues;
        queues.last_in_line(destination, dedup_key)
    }

    fn admit_to_minute(&self, mut delivery: Delivery, limit: u32) -> Option<Delivery> {
        let key = WindowKey::new(&delivery, limit);
        let (passed, due) = self.0.throttle_windows.at(&key, |minute| {
            if minute.window.pass(&mut delivery, limit) {
                return Some(delivery);
            }
            if minute.window.held.is_none() {
                let (dispatcher, key, began) = (self.clone(), key.clone(), minute.began);
                tokio::spawn(async move { dispatcher.end_minute(key, began).await });
            }
            delivery.progress.waiting_until(minute.end());
            self.mention(&delivery, minute.window.ahead.add());
            minute.window.hold(delivery, LimitKind::Minute);
            None
        });
        due.into_iter().for_each(|digest| flush(digest, None));
        passed
    }

    /// Sends the digests now if their queued deliveries use much of the capacity. No caller that waits for capacity
    /// waits for the end of a minute. The limits stay reached.
    pub(in crate::delivery) fn relieve(
        &self,
        own: &Usage,
        max_in_flight: usize,
        batch: Option<&ThrottleBatch>,
    ) {
        let Inner {
            services,
            throttle_windows,
            ..
        } = &*self.0;
        if !services.capacity.is_mostly_held(own, max_in_flight) {
            return;
        }
        let mut due = Vec::new();
        due.extend(
            lock(&throttle_windows.open)
                .values_mut()
                .filter_map(|minute| minute.window.take_digest()),
        );
        if let Some(batch) = batch {
            let mut rows = lock(&batch.rows);
            due.extend(
                rows.windows
                    .values_mut()
                    .filter_map(ThrottleWindow::take_digest),
            );
        }
        for digest in due {
            // A digest that fails for minutes must not hold the capacity of its members.
            let patience = digest.policy().attempt_timeout;
            flush(digest, Some(patience));
        }
    }

    async fn end_minute(&self, key: WindowKey, began: Instant) {
        sleep_until(began + MINUTE).await;
        if let Some(digest) = self.0.throttle_windows.end(&key, began) {
            flush(digest, None);
        }
    }

    /// The digest of a batch counts as a message of the minute. It is never held.
    fn count_in_minute(&self, key: &WindowKey) -> AheadGuard {
        let (guard, due) = self
            .0
            .throttle_windows
            .at(key, |minute| minute.window.count());
        due.into_iter().for_each(|digest| flush(digest, None));
        guard
    }

    /// A destination may get only a digest of this notification, so the next one of its key is no repeat. This is
    /// recorded in its turn, behind earlier deliveries. The guard makes the digest leave after them too.
    fn mention(&self, delivery: &Delivery, guard: AheadGuard) {
        let planned = &delivery.planned;
        let Some(key) = last_notifications::key(planned) else {
            return;
        };
        let services = Arc::clone(&self.0.services);
        let entry = &delivery.progress.entry;
        let may_be_known = || {
            self.last_in_line(planned).is_some()
                || services.last_notifications.known(&key).is_some()
        };
        if entry.is_none() && !may_be_known() {
            return;
        }
        let channel = Arc::clone(&planned.channel);
        let mut position = delivery.line_up_as(None);
        let outbox = entry
            .as_ref()
            .map(|entry| entry.shared_last_notifications());
        tokio::spawn(async move {
            position.wait_for_turn().await;
            services
                .last_notifications
                .forget_state(&key, outbox.as_deref())
                .await;
            drop(guard);
            position.release(&services.queues, channel.destination());
        });
    }
}

/// Sends the digest after the messages that it refers to, or when its patience is over. Must be called on a runtime.
fn flush(mut digest: PendingDigest, patience: Option<Duration>) {
    digest.set_due();
    tokio::spawn(digest.flush(patience));
}

/// Notifications that arrive together, such as the rows of one write. With `max_per_batch`, a receiver's destination
/// gets this many messages. One digest replaces the others when the batch is closed.
///
/// Each [`SubmitRequest`](super::SubmitRequest) of the batch refers to it. After the last one, the caller calls
/// [`ThrottleBatch::close`]. Without `max_per_batch` it does nothing.
pub struct ThrottleBatch {
    dispatcher: Dispatcher,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    windows: HashMap<WindowKey, ThrottleWindow>,
    /// The runtime of the digests: that of the first queued request.
    runtime: Option<Handle>,
}

impl ThrottleBatch {
    pub fn new(dispatcher: Dispatcher) -> Self {
        Self {
            dispatcher,
            rows: Mutex::default(),
        }
    }

    fn admit(&self, mut delivery: Delivery, limit: u32) -> Option<Delivery> {
        let mut rows = lock(&self.rows);
        let key = WindowKey::new(&delivery, limit);
        let window = rows.windows.entry(key).or_default();
        if window.pass(&mut delivery, limit) {
            return Some(delivery);
        }
        // No response waits for the decisions of other requests in the batch.
        delivery.progress.waiting();
        self.dispatcher.mention(&delivery, window.ahead.add());
        window.hold(delivery, LimitKind::ThrottleBatch);
        rows.runtime.get_or_insert_with(Handle::current);
        None
    }

    /// Sends the digests of the queued deliveries. Later deliveries are queued too. Does not block, and any thread may
    /// call it. Dropping a batch closes it.
    pub fn close(&self) {
        let Rows { windows, runtime } = &mut *lock(&self.rows);
        let Some(runtime) = runtime else { return };
        let _on = runtime.enter();
        for (key, window) in windows {
            let Some(mut digest) = window.take_digest() else {
                continue;
            };
            if let Some(limit) = digest.policy().max_per_minute {
                let key = key.clone();
                digest.leave_before(self.dispatcher.count_in_minute(&WindowKey { limit, ..key }));
            }
            flush(digest, None);
        }
    }
}

impl Drop for ThrottleBatch {
    fn drop(&mut self) {
        self.close();
    }
}
