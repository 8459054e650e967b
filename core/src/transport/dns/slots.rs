//! Decides which names to look up next: hanging names must not take the slots of others.
//!
//! Before its lookup, a name that will hang looks like any other. So only half of the slots are free for all. One slot
//! of the other half is granted every 50 ms, and one of the last quarter every 500 ms, to the most recently requested
//! name. So a new name gets a slot before the first hanging lookups have ended. Names that failed before, and names of
//! a request with many, have shares of the first half.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Threads that may hang in the system's resolver at once.
pub const MAX_LOOKUPS: usize = 128;
/// The number of slots that are granted at once.
const AT_ONCE: usize = MAX_LOOKUPS / 2;
/// The slots for names of a request with many, and for names whose last lookup failed.
const MAX_OF_MANY: usize = AT_ONCE * 3 / 4;
const MAX_FAILED: usize = AT_ONCE / 2;
/// The time between two places beyond [`AT_ONCE`], and between two of the last quarter.
const SPACING: Duration = Duration::from_millis(50);
const LAST_SPACING: Duration = Duration::from_millis(500);
/// Maximum queued names of each kind. The oldest is dropped, and its waiters time out.
const MAX_QUEUED: usize = 4096;

/// The history of a name before its look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// Not looked up yet, or the last lookup succeeded.
    Fresh,
    /// Not looked up yet, and one of many names of a request.
    OneOfMany,
    /// Its last lookup failed.
    Failed,
}

/// The next possible step.
#[derive(Debug, PartialEq, Eq)]
pub enum NextLookup {
    Start(String, NameKind),
    /// Wake up then.
    At(Instant),
    Wait,
}

/// The slots and the waiting names. The most recently requested name is at the back.
#[derive(Default)]
pub struct LookupSlots {
    in_use: usize,
    in_use_by_many: usize,
    in_use_by_failed: usize,
    /// The time of the next grant beyond [`AT_ONCE`].
    due: Option<Instant>,
    is_timer_set: bool,
    fresh: VecDeque<String>,
    many: VecDeque<String>,
    failed: VecDeque<String>,
}

impl LookupSlots {
    pub fn queue(&mut self, host: &str, kind: NameKind) {
        let queue = match kind {
            NameKind::Fresh => &mut self.fresh,
            NameKind::OneOfMany => &mut self.many,
            NameKind::Failed => &mut self.failed,
        };
        if queue.len() >= MAX_QUEUED {
            queue.pop_front();
        }
        queue.push_back(host.to_owned());
    }

    /// Returns the next name with a slot. It holds the slot until [`LookupSlots::leave`]. A name may occur twice.
    pub fn next(&mut self, now: Instant) -> NextLookup {
        let is_due = self.due.is_none_or(|due| due <= now);
        if self.in_use < AT_ONCE || (self.in_use < MAX_LOOKUPS && is_due) {
            if let Some(host) = self.fresh.pop_back() {
                let is_last = self.in_use >= MAX_LOOKUPS * 3 / 4;
                self.due = Some(now + if is_last { LAST_SPACING } else { SPACING });
                return self.start(host, NameKind::Fresh);
            }
            if self.in_use < AT_ONCE
                && self.in_use_by_many < MAX_OF_MANY
                && let Some(host) = self.many.pop_back()
            {
                return self.start(host, NameKind::OneOfMany);
            }
            if self.in_use < AT_ONCE
                && self.in_use_by_failed < MAX_FAILED
                && let Some(host) = self.failed.pop_back()
            {
                return self.start(host, NameKind::Failed);
            }
        } else if self.in_use < MAX_LOOKUPS
            && !self.fresh.is_empty()
            && !std::mem::replace(&mut self.is_timer_set, true)
            && let Some(due) = self.due
        {
            return NextLookup::At(due);
        }
        NextLookup::Wait
    }

    /// The time has come that [`NextLookup::At`] gave.
    pub fn woken(&mut self) {
        self.is_timer_set = false;
    }

    fn start(&mut self, host: String, kind: NameKind) -> NextLookup {
        self.in_use += 1;
        self.in_use_by_many += usize::from(kind == NameKind::OneOfMany);
        self.in_use_by_failed += usize::from(kind == NameKind::Failed);
        NextLookup::Start(host, kind)
    }

    /// The name needs no look-up: its place is the next one's at once.
    pub fn give_back(&mut self, kind: NameKind) {
        self.leave(kind);
        self.due = None;
    }

    pub fn leave(&mut self, kind: NameKind) {
        self.in_use -= 1;
        self.in_use_by_many -= usize::from(kind == NameKind::OneOfMany);
        self.in_use_by_failed -= usize::from(kind == NameKind::Failed);
    }
}
