//! What a delivery is on its way.

use std::sync::Arc;

use tokio::time::Instant;

use super::digest::AheadGuard;
use super::durability::Kept;
use super::engine::Engine;
use super::queue::{DestinationQueue, Turn};
use super::task::Task;
use crate::model::plan::{DeliveryPolicy, Sending};
use crate::observe::Event;

/// One delivery on its way.
pub struct Run {
    pub engine: Arc<Engine>,
    pub task: Arc<Task>,
    pub index: usize,
    pub sender: String,
    pub sending: Box<Sending>,
    pub policy: Arc<DeliveryPolicy>,
    pub queue: Arc<DestinationQueue>,
    pub ticket: u64,
    pub turn: Option<Box<Turn>>,
    /// When the last try must have ended; later where its turn comes late.
    pub deadline: Instant,
    /// Its side of the store, where it is stored.
    pub kept: Option<Box<Kept>>,
    /// Digests that refer to it leave when it has ended.
    pub ahead_of: Vec<AheadGuard>,
}

impl Run {
    /// Says in the answer and the log what is to be known of this destination.
    pub fn warn(&self, what: &str) {
        let destination = &self.sending.channel.destination().label;
        // The parts of a long text all find the same.
        if self.task.warn(format!("{destination}: {what}")) {
            let event = Event::DestinationWarning { destination, what };
            self.task.log.log(&event);
        }
    }
}
