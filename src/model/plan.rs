//! What routing makes and delivery runs.

use std::sync::Arc;
use std::time::Duration;

use super::channel::{Channel, Composition};
use super::outcome::Failure;
use super::policy::{PrivateAddresses, ProxySettings};

/// All deliveries of one request, in the order of the answer.
#[derive(Debug, Default)]
pub struct Plan {
    pub deliveries: Vec<Delivery>,
}

/// One notification to one destination.
#[derive(Debug)]
pub struct Delivery {
    /// The sender's name in the request.
    pub sender: String,
    pub receiver: Option<String>,
    pub work: Work,
}

/// What is to be done for a delivery.
#[derive(Debug)]
pub enum Work {
    Send(Sending),
    /// Composed, and then left: a dry run.
    Preview(Sending),
    /// It cannot even be tried.
    Reject {
        failure: Failure,
        /// Where in the request the fault is.
        path: Option<String>,
    },
}

#[derive(Debug)]
pub struct Sending {
    pub channel: Arc<dyn Channel>,
    pub composition: Composition,
    /// The trigger's, where a request chose the destination; what the operator chose is not judged.
    pub private_addresses: PrivateAddresses,
    /// Deliveries with one key go to a destination one after another.
    pub dedup_key: Option<String>,
}

/// The rules of one trigger for how deliveries are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// From acceptance to the last try.
    pub delivery_timeout: Duration,
    /// For each message; a 429 is not counted.
    pub max_attempts: u32,
    pub initial_backoff: Duration,
    pub max_backoff: Duration,
    pub attempt_timeout: Duration,
    /// Deliveries in flight in the whole process.
    pub max_in_flight: usize,
    /// Attempts under way in the whole process.
    pub max_connections: usize,
    /// For each destination.
    pub rate_limit: Option<Rate>,
    pub connect_timeout: Duration,
    pub proxy: Arc<ProxySettings>,
}

/// So many messages in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    pub messages: u32,
    pub per: Duration,
}

impl Rate {
    /// The time between two messages.
    pub fn interval(self) -> Duration {
        self.per / self.messages.max(1)
    }
}
