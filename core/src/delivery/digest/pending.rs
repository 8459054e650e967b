//! Deliveries that are queued until one digest replaces them.

use super::ahead::{Ahead, AheadGuard};
use super::tally::{LimitKind, Tally};
use crate::delivery::limits::capacity::InFlightPermit;
use crate::delivery::progress::Progress;
use crate::delivery::state::Delivery;
use crate::model::plan::DeliveryPolicy;

/// The deliveries that one digest will replace. The first has the data that the digest is composed from.
pub struct PendingDigest {
    pub first: Delivery,
    pub others: Vec<DigestMember>,
    pub tally: Tally,
    pub limit: LimitKind,
    /// The messages that it refers to.
    pub ahead: Ahead,
    /// Later digests refer to this one.
    pub ahead_of: Vec<AheadGuard>,
}

/// A delivery that is queued for a digest. It ends with the digest's outcome. Its messages and their bytes are freed.
pub struct DigestMember {
    pub progress: Progress,
    /// Until the store has its end.
    pub permit: Option<InFlightPermit>,
}

impl PendingDigest {
    pub fn new(mut first: Delivery, limit: LimitKind) -> Self {
        if let Some(permit) = &mut first.permit {
            permit.set_held(true);
        }
        let mut tally = Tally::default();
        tally.count(&first.planned);
        // It sends no message that another digest could refer to.
        first.digests = Vec::new();
        Self {
            first,
            others: Vec::new(),
            tally,
            limit,
            ahead: Ahead::default(),
            ahead_of: Vec::new(),
        }
    }

    pub fn add(&mut self, delivery: Delivery) {
        self.tally.count(&delivery.planned);
        let mut member = DigestMember::from(delivery);
        if let Some(permit) = &mut member.permit {
            permit.give_back_bytes();
            permit.set_held(true);
        }
        self.others.push(member);
    }

    /// They are held no longer: the digest is about to be sent.
    pub fn set_due(&mut self) {
        let others = self.others.iter_mut().map(|member| &mut member.permit);
        for permit in others.chain([&mut self.first.permit]).flatten() {
            permit.set_held(false);
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

impl From<Delivery> for DigestMember {
    fn from(delivery: Delivery) -> Self {
        Self {
            progress: delivery.progress,
            permit: delivery.permit,
        }
    }
}
