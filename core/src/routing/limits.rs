//! Limits of one request, checked before and during planning.

use super::refusal::{MAX_DELIVERIES, Refusal};
use super::rules::Routed;
use crate::api::request::Request;
use crate::channels::{self, Fields};
use crate::config::Settings;
use crate::config::arguments::RequestDestinations;
use crate::delivery::MAX_BYTES;
use crate::json::Json;

/// Refuses a request with more deliveries, of every kind, than one request or the dispatcher may have. Also refuses a
/// notification that is too long for its number of deliveries. Creates no delivery.
pub fn check(request: &Request, settings: &Settings, routed: &Routed) -> Result<(), Refusal> {
    let (composed, others) = senders(request, settings);
    let deliveries = composed + others + receivers(request, settings, routed);
    let in_flight = settings.policy.max_in_flight;
    if deliveries > MAX_DELIVERIES.min(in_flight) {
        return Err(Refusal::TooManyDeliveries {
            deliveries,
            in_flight,
        });
    }
    // A template's result may be shorter.
    match request.template {
        None => within(routed.notification.size().saturating_mul(composed)),
        Some(_) => Ok(()),
    }
}

/// Returns the number of a request's composed deliveries, and of its deliveries with an unknown or ignored sender.
fn senders(request: &Request, settings: &Settings) -> (usize, usize) {
    let is_used = settings.request_destinations != RequestDestinations::Ignore;
    let (mut composed, mut others) = (0, 0);
    for (sender, configuration) in request.senders.as_deref().unwrap_or_default() {
        match (is_used, channels::find(sender), configuration) {
            (false, ..) => others += configurations(configuration),
            (true, None, _) => others += 1,
            (true, Some(spec), Json::Array(items)) if !items.is_empty() => {
                let each = items.iter();
                composed += each
                    .map(|item| Fields::count(spec.parameters, item))
                    .sum::<usize>();
            }
            (true, Some(spec), item) => composed += Fields::count(spec.parameters, item),
        }
    }
    (composed, others)
}

/// Returns the number of configurations of one sender: a list has one in each element.
pub fn configurations(configuration: &Json) -> usize {
    match configuration {
        Json::Array(items) => items.len().max(1),
        _ => 1,
    }
}

fn receivers(request: &Request, settings: &Settings, routed: &Routed) -> usize {
    let config = &settings.config;
    let destinations = |index: usize| {
        let receiver = config.receivers.get(index);
        receiver.map_or(0, |receiver| receiver.destinations.len())
    };
    let named = request.receivers.iter().map(|name| {
        let index = config.by_name.get(name);
        index.map_or(1, |index| destinations(*index))
    });
    let reached = routed.receivers.iter();
    let reached = reached.map(|reached| destinations(reached.receiver));
    named.chain(reached).sum()
}

/// The memory of one request during planning.
#[derive(Default)]
pub struct Bytes {
    looked_at: usize,
    held: usize,
}

impl Bytes {
    /// Counts the notification once more: a channel also reads the part that it cuts off.
    pub fn look_at(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.looked_at = self.looked_at.saturating_add(bytes);
        within(self.looked_at)
    }

    /// Counts the memory of a delivery, in addition to the memory that all deliveries share.
    pub fn add_delivery(&mut self, bytes: usize, shared: usize) -> Result<(), Refusal> {
        self.held = self.held.saturating_add(bytes);
        within(self.held.saturating_add(shared))
    }
}

const fn within(bytes: usize) -> Result<(), Refusal> {
    match bytes > MAX_BYTES {
        true => Err(Refusal::TooLarge),
        false => Ok(()),
    }
}
