//! Responses and problems for refused calls.

use std::time::Duration;

use super::{Body, CallLog, Response};
use crate::api::response::{ErrorDetail, ErrorResponse, RequestStatus, Results};
use crate::delivery::{CapacityError, PersistError};
use crate::model::problem::{Location, Problem};
use crate::observe::{Event, Sink, TaskLog};
use crate::store::StoreError;

/// Returns the response to a refused request, with its log line.
pub fn refused(
    sink: &Sink,
    status: u16,
    retry_after: Option<Duration>,
    problem: &Problem,
) -> Response {
    let log = TaskLog::new(None);
    sink.emit(&log, &Event::Refused { status, problem });
    Response {
        status,
        retry_after,
        body: Body::Error(Box::new(error_response(problem))),
        pending_log_lines: Vec::new(),
        log: CallLog::Closed(log),
        port: None,
    }
}

pub fn error_response(problem: &Problem) -> ErrorResponse {
    ErrorResponse {
        status: RequestStatus::Failed,
        message: problem.message.clone(),
        task_id: None,
        results: Results::default(),
        deliveries: [],
        warnings: Vec::new(),
        error: error_detail(problem),
    }
}

pub fn silent(mut response: Response) -> Response {
    response.log = CallLog::Closed(TaskLog::new(None));
    response
}

pub fn error_detail(problem: &Problem) -> ErrorDetail {
    ErrorDetail {
        code: problem.code,
        path: problem.location.path.clone().map(String::from),
        hint: problem.hint.clone(),
    }
}

pub fn key_conflict() -> Problem {
    Problem {
        code: "idempotency_conflict",
        message: "The idempotency key belongs to a request with another body: nothing was sent."
            .to_owned(),
        location: Location::path("idempotency_key"),
        hint: "Give each notification a key of its own; repeat a request with the very same body."
            .to_owned(),
    }
}

pub fn not_kept(why: &PersistError) -> Problem {
    match why {
        PersistError::Outbox(error) => outbox_error(error),
        PersistError::NoKey => Problem { code: "outbox_key_missing", message: "The outbox keeps no destinations that a request brings without a key to seal them: nothing was sent."
                .to_owned(), location: Location::path("senders_config"), hint: "Set outbox_key = { env = \"NAME\" } in the configuration file's [settings], or name receivers of that \
                   file in place of senders_config."
                .to_owned() },
    }
}

pub fn no_outbox() -> Problem {
    Problem { code: "no_outbox", message: "This scheduled trigger has no outbox to maintain.".to_owned(), location: Location::path("outbox"), hint: "Give it the outbox of the request trigger, as an argument or by the same config_file_path.".to_owned() }
}

pub fn outbox_error(error: &StoreError) -> Problem {
    Problem {
        code: "outbox",
        message: format!("{error} Nothing was sent."),
        location: Location::path("outbox"),
        hint: error.hint().to_owned(),
    }
}

/// Reports rows that exceed the memory limit.
pub fn no_room_for_rows() -> Problem {
    Problem {
        code: "overloaded",
        message: "Too many rows wait already.".to_owned(),
        location: Location::default(),
        hint: "Look which destination or outbox does not answer, or write fewer rows at a time."
            .to_owned(),
    }
}

/// Reports the loss of rows after a panic in their batch.
pub fn internal() -> Problem {
    Problem {
        code: "internal",
        message: "An internal error of the notifier.".to_owned(),
        location: Location::default(),
        hint: "Please report it, with the line before this.".to_owned(),
    }
}

/// The time after which to retry after a 503. Most deliveries take less time.
pub const COME_AGAIN: Duration = Duration::from_secs(2);

pub fn no_room(full: CapacityError) -> Problem {
    let (message, hint) = match full {
        CapacityError::InFlight => (
            "Too many deliveries are in flight: nothing was sent.",
            "Try again later, or raise max_in_flight.",
        ),
        CapacityError::Bytes => (
            "The deliveries in flight hold too many bytes: nothing was sent.",
            "Try again later, or send shorter texts.",
        ),
    };
    Problem {
        code: "overloaded",
        message: message.to_owned(),
        location: Location::default(),
        hint: hint.to_owned(),
    }
}
