//! Windows that count deliveries together, and their queued deliveries.

use std::sync::Mutex;
use std::time::Duration;

use hashlink::LinkedHashMap;
use tokio::time::Instant;

use crate::delivery::digest::{Ahead, AheadGuard, LimitKind, PendingDigest};
use crate::delivery::state::Delivery;
use crate::panics::lock;

pub const MINUTE: Duration = Duration::from_secs(60);
/// Minutes that are counted at once.
const MAX_MINUTES: usize = 10_000;

/// The deliveries that one limit counts together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WindowKey {
    pub receiver: Option<String>,
    pub destination: String,
    pub limit: u32,
}

impl WindowKey {
    pub fn new(delivery: &Delivery, limit: u32) -> Self {
        Self {
            receiver: delivery.receiver.clone(),
            destination: delivery.planned.channel.destination().key.clone(),
            limit,
        }
    }
}

/// The number of passed deliveries, and the queued ones.
#[derive(Default)]
pub struct ThrottleWindow {
    passed: u32,
    pub held: Option<Box<PendingDigest>>,
    /// Deliveries that were not queued: the digest leaves after them.
    pub ahead: Ahead,
}

impl ThrottleWindow {
    /// The window whose first message is a digest.
    pub fn beginning_with(digest: &mut PendingDigest) -> Self {
        let mut window = Self::default();
        digest.leave_before(window.count());
        window
    }

    /// Passes a delivery.
    pub fn pass(&mut self, delivery: &mut Delivery, limit: u32) -> bool {
        let free = self.passed < limit;
        if free {
            delivery.digests.push(self.count());
        }
        free
    }

    pub fn count(&mut self) -> AheadGuard {
        self.passed += 1;
        self.ahead.add()
    }

    pub fn hold(&mut self, delivery: Delivery, limit: LimitKind) {
        match &mut self.held {
            Some(digest) => digest.add(delivery),
            None => self.held = Some(Box::new(PendingDigest::new(delivery, limit))),
        }
    }

    /// Takes the digest of the queued deliveries. The next digest of the window leaves after this one.
    pub fn take_digest(&mut self) -> Option<PendingDigest> {
        let mut digest = *self.held.take()?;
        digest.leave_after(std::mem::take(&mut self.ahead));
        digest.leave_before(self.ahead.add());
        Some(digest)
    }
}

/// The minutes of the process, the oldest first.
#[derive(Default)]
pub struct ThrottleWindows {
    pub open: Mutex<LinkedHashMap<WindowKey, OpenWindow>>,
}

pub struct OpenWindow {
    pub began: Instant,
    pub window: ThrottleWindow,
}

impl OpenWindow {
    pub fn end(&self) -> Instant {
        self.began + MINUTE
    }

    pub fn into_digest(mut self) -> Option<PendingDigest> {
        self.window.take_digest()
    }
}

impl ThrottleWindows {
    /// Calls `work` with the open minute of the key, or with a new one. Gives back the digests of minutes that are over.
    pub fn at<T>(
        &self,
        key: &WindowKey,
        work: impl FnOnce(&mut OpenWindow) -> T,
    ) -> (T, Vec<PendingDigest>) {
        let now = Instant::now();
        let mut open = lock(&self.open);
        let mut due = Vec::new();
        let mut window = ThrottleWindow::default();
        if open.get(key).is_some_and(|minute| minute.end() <= now)
            && let Some(mut digest) = open.remove(key).and_then(OpenWindow::into_digest)
        {
            window = ThrottleWindow::beginning_with(&mut digest);
            due.push(digest);
        }
        let is_over = |minute: &OpenWindow| minute.end() <= now && minute.window.held.is_none();
        let full =
            |open: &LinkedHashMap<_, _>| open.len() >= MAX_MINUTES && !open.contains_key(key);
        while open.front().is_some_and(|(_, oldest)| is_over(oldest)) || full(&open) {
            let oldest = open.pop_front();
            due.extend(oldest.and_then(|(_, oldest)| oldest.into_digest()));
        }
        let began = now;
        let minute = open
            .entry(key.clone())
            .or_insert_with(|| OpenWindow { began, window });
        (work(minute), due)
    }

    /// Ends a minute, unless it is over already. Gives back its digest.
    pub fn end(&self, key: &WindowKey, began: Instant) -> Option<PendingDigest> {
        let mut open = lock(&self.open);
        if open.get(key)?.began != began {
            return None;
        }
        let mut digest = open.remove(key)?.into_digest()?;
        let next = OpenWindow {
            began: Instant::now(),
            window: ThrottleWindow::beginning_with(&mut digest),
        };
        open.insert(key.clone(), next);
        Some(digest)
    }
}
