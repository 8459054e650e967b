//! What a delivery is before it has its place in line.

use std::sync::Arc;

use tokio::time::Instant;

use super::bounds::Place;
use super::digest::AheadGuard;
use super::durability::Kept;
use super::task::Task;
use crate::model::plan::{DeliveryPolicy, Sending};

/// A delivery that is to be sent, with its place among those in flight.
pub struct Arriving {
    pub task: Arc<Task>,
    pub index: usize,
    pub sender: String,
    pub receiver: Option<String>,
    pub sending: Box<Sending>,
    pub policy: Arc<DeliveryPolicy>,
    pub place: Option<Place>,
    /// Its side of the store, where it is stored.
    pub kept: Option<Box<Kept>>,
    /// When the last try must have ended.
    pub deadline: Instant,
    /// Digests that refer to it.
    pub ahead_of: Vec<AheadGuard>,
}
