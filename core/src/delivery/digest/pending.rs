//! Deliveries that are held until one digest tells of them.

use std::sync::Arc;

use super::ahead::{Ahead, AheadGuard};
use super::tally::{Over, Tally};
use crate::delivery::arriving::Arriving;
use crate::delivery::bounds::Place;
use crate::delivery::durability::Kept;
use crate::delivery::task::Task;
use crate::model::plan::DeliveryPolicy;

/// Those of whom one digest will tell. Of all but the first it is known only how they count and who waits for their end.
pub struct PendingDigest {
    pub first: Arriving,
    pub others: Vec<Held>,
    pub tally: Tally,
    pub over: Over,
    /// The messages that it refers to.
    pub ahead: Ahead,
    /// Later digests refer to this one.
    pub ahead_of: Vec<AheadGuard>,
}

/// A delivery that waits for the digest's end.
pub struct Held {
    pub task: Arc<Task>,
    pub index: usize,
    pub kept: Option<Box<Kept>>,
    /// Its own until its end is noted.
    pub place: Option<Place>,
}

impl PendingDigest {
    pub fn new(mut first: Arriving, over: Over) -> Self {
        if let Some(place) = &mut first.place {
            place.set_held(true);
        }
        let mut tally = Tally::default();
        tally.count(&first.sending);
        // It makes no message that another digest could refer to.
        first.ahead_of = Vec::new();
        Self {
            first,
            others: Vec::new(),
            tally,
            over,
            ahead: Ahead::default(),
            ahead_of: Vec::new(),
        }
    }

    pub fn add(&mut self, arriving: Arriving) {
        self.tally.count(&arriving.sending);
        let Arriving {
            task,
            index,
            kept,
            mut place,
            ..
        } = arriving;
        if let Some(place) = &mut place {
            place.give_back_bytes();
            place.set_held(true);
        }
        self.others.push(Held {
            task,
            index,
            kept,
            place,
        });
    }

    /// They are held no longer: the digest is about to be sent.
    pub fn set_due(&mut self) {
        let others = self.others.iter_mut().map(|held| &mut held.place);
        for place in others.chain([&mut self.first.place]).flatten() {
            place.set_held(false);
        }
    }

    pub fn policy(&self) -> &DeliveryPolicy {
        &self.first.policy
    }

    pub fn leave_after(&mut self, ahead: Ahead) {
        self.ahead = ahead;
    }

    pub fn leave_before(&mut self, guard: AheadGuard) {
        self.ahead_of.push(guard);
    }
}
