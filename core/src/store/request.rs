//! A stored request and its deliveries.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::model::notification::DedupKey;
use crate::model::plan::Identity;
use crate::model::report::DeliveryReport;

/// A request that is stored before anything of it is sent.
#[derive(Clone, Debug)]
pub struct NewRequest {
    pub task: String,
    pub identity: Identity,
    /// The trigger's arguments. A later process makes the settings from them.
    pub arguments: BTreeMap<String, String>,
    /// The trigger's `config_file_path`; empty: it has none.
    pub config: String,
    /// The request's JSON, without its destinations.
    pub request_json: String,
    /// Of all its deliveries.
    pub dedup_key: Option<DedupKey>,
    pub warnings: Vec<String>,
    pub accepted: SystemTime,
    /// All deliveries, in the order of the response.
    pub deliveries: Vec<NewDelivery>,
}

/// A request that this process has claimed.
#[derive(Clone, Debug)]
pub struct StoredRequest {
    pub task: String,
    pub identity: Identity,
    pub arguments: BTreeMap<String, String>,
    pub request_json: String,
    pub warnings: Vec<String>,
    /// How long ago it was accepted. A wall clock that jumps while a process uses the store does not change it.
    pub age: Duration,
    /// All deliveries. The new owner performs those with work.
    pub deliveries: Vec<NewDelivery>,
    /// As in [`Accepted::New`](super::Accepted::New).
    pub behind: Vec<usize>,
}

#[derive(Clone, Debug)]
pub struct NewDelivery {
    pub report: DeliveryReport,
    /// `None`: it has ended already.
    pub work: Option<StoredWork>,
}

/// The data to continue a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredWork {
    pub target: Target,
    /// From acceptance or from the claim until the last attempt must have ended. Zero: it is too late.
    pub time_left: Duration,
    /// Deliveries with the same value, of requests under the same configuration file, leave in the order of their acceptance.
    pub order_key: Option<OrderKey>,
    /// Hash of the messages' bodies: delivered parts count only while it is unchanged.
    pub composition_hash: CompositionHash,
    /// When an attempt began that must not be repeated and whose result is unknown.
    pub attempt_began: Option<SystemTime>,
}

/// Where a delivery goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A receiver of the configuration file, and the index of the destination in it.
    Receiver { name: String, index: usize },
    /// The request's own configuration of the sender, sealed.
    Sealed(Vec<u8>),
}

/// The name of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryId {
    pub task: String,
    /// Its index in the request.
    pub index: usize,
}

/// SHA-256.
pub type CompositionHash = [u8; 32];

/// SHA-256 of a destination and a dedup key.
pub type OrderKey = [u8; 32];
