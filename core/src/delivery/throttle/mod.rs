//! What keeps a storm from making many messages: what is over `max_per_minute` or `max_per_batch` is held, and one digest
//! goes in its place.

mod windows;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

pub use self::windows::Minutes;
use self::windows::{Key, MINUTE, Window};
use super::arriving::Arriving;
use super::bounds::Usage;
use super::digest::{AheadGuard, Over, PendingDigest};
use super::engine::Engine;
use super::last_sent;
use crate::model::notification::{State, Status};
use crate::model::plan::Sending;
use crate::panics::lock;

impl Engine {
    /// Lets a delivery pass, or holds it until a digest tells of it. Must be called on a runtime.
    pub fn throttle(
        self: &Arc<Self>,
        arriving: Arriving,
        batch: Option<&Batch>,
    ) -> Option<Arriving> {
        let limits = (
            arriving.policy.max_per_minute,
            arriving.policy.max_per_batch,
        );
        if limits == (None, None) || self.is_not_counted(&arriving) {
            return Some(arriving);
        }
        let arriving = match (batch, limits.1) {
            (Some(batch), Some(limit)) => batch.admit(arriving, limit)?,
            _ => arriving,
        };
        match limits.0 {
            Some(limit) => self.admit_to_minute(arriving, limit),
            None => Some(arriving),
        }
    }

    /// What makes no message of its own, or has one already.
    fn is_not_counted(&self, arriving: &Arriving) -> bool {
        let sending = &arriving.sending;
        let Some(state) = sending.state() else {
            return true;
        };
        let changes = state.status.is_some_and(Status::follows_up);
        sending.has_begun()
            || sending.silence.is_some()
            || (changes && sending.channel.capabilities().keeps_incidents())
            || self.is_known_repeat(arriving, state)
    }

    /// Whether a delivery will say what its destination knows by then, as far as memory and those in line tell.
    fn is_known_repeat(&self, arriving: &Arriving, state: State) -> bool {
        let Arriving {
            sending, policy, ..
        } = arriving;
        let Some((interval, key)) = policy.repeat_interval.zip(last_sent::key(sending)) else {
            return false;
        };
        match self.last_in_line(sending) {
            Some(last) => last == Some(state),
            None => self
                .last_sents
                .known(&key)
                .is_some_and(|before| before.says(state, interval)),
        }
    }

    fn last_in_line(&self, sending: &Sending) -> Option<Option<State>> {
        let destination = sending.channel.destination();
        let dedup_key = sending.dedup_key.as_ref()?;
        self.queues.last_in_line(destination, dedup_key)
    }

    fn admit_to_minute(self: &Arc<Self>, mut arriving: Arriving, limit: u32) -> Option<Arriving> {
        let key = Key::new(&arriving, limit);
        let (passed, due) = self.minutes.at(&key, |minute| {
            if minute.window.pass(&mut arriving, limit) {
                return Some(arriving);
            }
            if minute.window.held.is_none() {
                let (engine, key, began) = (Arc::clone(self), key.clone(), minute.began);
                tokio::spawn(async move { engine.end_minute(key, began).await });
            }
            arriving.task.waiting(arriving.index, minute.end());
            self.mention(&arriving, minute.window.ahead.add());
            minute.window.hold(arriving, Over::Minute);
            None
        });
        due.into_iter().for_each(|digest| self.tell(digest, None));
        passed
    }

    /// Sends the digest after the messages that it refers to, or when its patience is over. Must be called on a runtime.
    fn tell(self: &Arc<Self>, mut digest: PendingDigest, patience: Option<Duration>) {
        digest.set_due();
        tokio::spawn(digest.tell(Arc::clone(self), patience));
    }

    /// There is no room for a delivery. Where that is so because of those that are held, their digests go now: none that
    /// waits for room waits for them. The limits stay reached.
    pub fn relieve(self: &Arc<Self>, own: &Usage, max_in_flight: usize, batch: Option<&Batch>) {
        if !self.bounds.hold_much(own, max_in_flight) {
            return;
        }
        let mut due = Vec::new();
        due.extend(
            lock(&self.minutes.open)
                .values_mut()
                .filter_map(|minute| minute.window.take_digest()),
        );
        if let Some(batch) = batch {
            let mut rows = lock(&batch.rows);
            due.extend(rows.windows.values_mut().filter_map(Window::take_digest));
        }
        for digest in due {
            // One message that fails for minutes must not keep everybody's room.
            let patience = digest.policy().attempt_timeout;
            self.tell(digest, Some(patience));
        }
    }

    async fn end_minute(self: Arc<Self>, key: Key, began: Instant) {
        sleep_until(began + MINUTE).await;
        if let Some(digest) = self.minutes.end(&key, began) {
            self.tell(digest, None);
        }
    }

    /// A digest of something else is a message of the minute like any other, but for that it is never held.
    fn count_in_minute(self: &Arc<Self>, key: &Key) -> AheadGuard {
        let (guard, due) = self.minutes.at(key, |minute| minute.window.count());
        due.into_iter().for_each(|digest| self.tell(digest, None));
        guard
    }

    /// A digest may be all that is said of this: whatever its key says next is news. That is noted when it would have been
    /// sent, behind those that were accepted before it. The digest comes after them too, which the guard sees to.
    fn mention(self: &Arc<Self>, arriving: &Arriving, guard: AheadGuard) {
        let Arriving { sending, kept, .. } = arriving;
        let key = last_sent::key(sending);
        let Some((key, dedup_key)) = key.zip(sending.dedup_key.as_ref()) else {
            return;
        };
        let may_be_known =
            || self.last_in_line(sending).is_some() || self.last_sents.known(&key).is_some();
        if kept.is_none() && !may_be_known() {
            return;
        }
        let channel = Arc::clone(&sending.channel);
        let queue = self.queues.get(channel.destination());
        let mut turn = queue.line_up(dedup_key, queue.ticket(), None);
        let outbox = kept.as_ref().map(|kept| kept.shared_last_notifications());
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            turn.wait().await;
            engine
                .last_sents
                .forget_state(&key, outbox.as_deref())
                .await;
            drop((turn, guard));
            engine.queues.release(channel.destination(), queue);
        });
    }
}

/// Notifications that come together, such as the rows of one write: with `max_per_batch` so many of them go to a receiver's
/// destination, and one digest tells of the rest when the batch is closed.
///
/// Each [`Acceptance`](super::Acceptance) of the batch is given it; when the last is accepted, [`Batch::close`] is called.
/// Without `max_per_batch` it does nothing.
pub struct Batch {
    engine: Arc<Engine>,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    windows: HashMap<Key, Window>,
    /// Where the digests run: that of the first acceptance that was held.
    runtime: Option<Handle>,
}

impl Batch {
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            rows: Mutex::default(),
        }
    }

    fn admit(&self, mut arriving: Arriving, limit: u32) -> Option<Arriving> {
        let mut rows = lock(&self.rows);
        let key = Key::new(&arriving, limit);
        let window = rows.windows.entry(key).or_default();
        if window.pass(&mut arriving, limit) {
            return Some(arriving);
        }
        // No answer waits for what others of the batch decide.
        arriving.task.asking(arriving.index);
        self.engine.mention(&arriving, window.ahead.add());
        window.hold(arriving, Over::Batch);
        rows.runtime.get_or_insert_with(Handle::current);
        None
    }

    /// Sends the digests of what is held so far: of what comes after that, no more passes than before. Waits for nothing;
    /// may be called from any thread. A batch that is dropped is closed by that.
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
                digest.leave_before(self.engine.count_in_minute(&Key { limit, ..key }));
            }
            self.engine.tell(digest, None);
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.close();
    }
}
