//! Reasons why a request has no plan.

use crate::api::request::{Request, no_destination};
use crate::delivery::MAX_BYTES;
use crate::model::problem::{Location, Problem};

/// The maximum number of deliveries of one request, of every kind.
pub const MAX_DELIVERIES: usize = 10_000;

/// A reason to refuse the whole request. The plugin sends nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request names no destination, and no route or default receiver applies.
    NoDestination { has_receivers: bool },
    /// The request contains destinations, and the operator denies them.
    DestinationsDenied,
    /// The messages together exceed the memory limit.
    TooLarge,
    /// The request has more deliveries, of every kind, than one request may have, or than may be in flight.
    TooManyDeliveries { deliveries: usize, in_flight: usize },
}

impl Refusal {
    /// Returns the HTTP status of the response.
    pub const fn status(self) -> u16 {
        match self {
            Refusal::NoDestination { .. }
            | Refusal::TooLarge
            | Refusal::TooManyDeliveries { .. } => 400,
            Refusal::DestinationsDenied => 403,
        }
    }

    /// Returns the error for the caller.
    pub fn error(self, request: &Request) -> Problem {
        match self {
            Refusal::NoDestination { has_receivers: false } => no_destination(request),
            Refusal::NoDestination { has_receivers: true } => {
                let error = no_destination(request);
                Problem { message: format!(
                        "{} The request names no destination, no route matches it, and there is no default receiver.",
                        error.message
                    ), hint: "Set default_receivers in [settings], end the routes with one that has no match, or name receivers."
                        .to_owned(), ..error }
            }
            Refusal::TooLarge => Problem { code: "too_large", message: format!(
                    "The messages of this request have more than {} MiB together: nothing was sent.",
                    MAX_BYTES / (1024 * 1024)
                ), location: Location::path("notification_text"), hint: "Shorten notification_text, or send it to fewer destinations.".to_owned() },
            Refusal::TooManyDeliveries {
                deliveries,
                in_flight,
            } => too_many(deliveries, in_flight),
            Refusal::DestinationsDenied => Problem { code: "destinations_denied", message: "This trigger takes no destinations from requests: nothing was sent.".to_owned(), location: Location::path("senders_config"), hint: "Leave out senders_config and name receivers; who runs the trigger set request_destinations=deny."
                    .to_owned() },
        }
    }
}

/// Describes too many deliveries. A retry would not help.
fn too_many(deliveries: usize, in_flight: usize) -> Problem {
    let (message, hint) = match in_flight < MAX_DELIVERIES {
        true => (
            format!(
                "The request alone has {deliveries} deliveries; at most {in_flight} may be in flight."
            ),
            "Send it in several requests, or raise max_in_flight.",
        ),
        false => (
            format!(
                "The request has {deliveries} deliveries; at most {MAX_DELIVERIES} are taken in one: nothing was sent."
            ),
            "Send it in several requests.",
        ),
    };
    Problem {
        code: "too_many_deliveries",
        message,
        location: Location::path("senders_config"),
        hint: hint.to_owned(),
    }
}
