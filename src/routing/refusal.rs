//! Why a request has no plan.

use crate::api::request::{Request, RequestError, no_destination};
use crate::delivery::MAX_BYTES;

/// Nothing of the request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It names no destination, and no route or default receiver applies.
    NoDestination,
    /// It brings destinations, and the operator denies that.
    DestinationsDenied,
    /// Its messages together are longer than what may be held at once.
    TooLarge,
}

impl Refusal {
    /// The HTTP status of the answer.
    pub const fn status(self) -> u16 {
        match self {
            Refusal::NoDestination | Refusal::TooLarge => 400,
            Refusal::DestinationsDenied => 403,
        }
    }

    /// What the caller reads.
    pub fn error(self, request: &Request) -> RequestError {
        match self {
            Refusal::NoDestination => no_destination(request),
            Refusal::TooLarge => RequestError {
                code: "too_large",
                message: format!(
                    "The messages of this request have more than {} MiB together: nothing was sent.",
                    MAX_BYTES / (1024 * 1024)
                ),
                path: Some("notification_text".to_owned()),
                hint: "Shorten notification_text, or send it to fewer destinations.".to_owned(),
            },
            Refusal::DestinationsDenied => RequestError {
                code: "destinations_denied",
                message: "This trigger takes no destinations from requests: nothing was sent.".to_owned(),
                path: Some("senders_config".to_owned()),
                hint: "Leave out senders_config and name receivers; who runs the trigger set request_destinations=deny."
                    .to_owned(),
            },
        }
    }
}
