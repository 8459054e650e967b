//! What is answered where nothing was done, and why.

use std::time::Duration;

use super::{Body, CallLog, Response};
use crate::api::request::RequestError;
use crate::api::response::{ErrorAnswer, ErrorDetail, Results, Status};
use crate::delivery::{Full, NotKept};
use crate::observe::{Event, TaskLog};
use crate::outbox::OutboxError;
use crate::settings::arguments::ArgumentError;

/// An answer to what was not taken, with its log line.
pub fn refused(status: u16, retry_after: Option<Duration>, error: RequestError) -> Response {
    let log = TaskLog::new(None);
    log.log(&Event::Refused {
        status,
        message: &error.message,
        hint: &error.hint,
    });
    Response {
        status,
        retry_after,
        body: Body::Error(Box::new(ErrorAnswer {
            status: Status::Failed,
            message: error.message.clone(),
            task_id: None,
            results: Results::default(),
            deliveries: [],
            warnings: Vec::new(),
            error: error_detail(error),
        })),
        news: Vec::new(),
        log: CallLog::Closed(log),
        port: None,
    }
}

pub fn silent(mut response: Response) -> Response {
    response.log = CallLog::Closed(TaskLog::new(None));
    response
}

pub fn error_detail(error: RequestError) -> ErrorDetail {
    ErrorDetail {
        code: error.code,
        path: error.path,
        hint: error.hint,
    }
}

pub fn key_conflict() -> RequestError {
    RequestError {
        code: "idempotency_conflict",
        message: "The idempotency key belongs to a request with another body: nothing was sent."
            .to_owned(),
        path: Some("idempotency_key".to_owned()),
        hint: "Give each notification a key of its own; repeat a request with the very same body."
            .to_owned(),
    }
}

pub fn argument_error(error: &ArgumentError) -> RequestError {
    RequestError {
        code: error.code,
        message: error.what.clone(),
        path: Some(error.name.to_owned()),
        hint: error.hint.clone(),
    }
}

pub fn not_kept(why: &NotKept) -> RequestError {
    match why {
        NotKept::Outbox(error) => outbox_error(error),
        NotKept::NoKey => RequestError {
            code: "outbox_key_missing",
            message: "The outbox keeps no destinations that a request brings without a key to seal them: nothing was sent."
                .to_owned(),
            path: Some("senders_config".to_owned()),
            hint: "Set outbox_key = { env = \"NAME\" } in the configuration file's [settings], or name receivers of that \
                   file in place of senders_config."
                .to_owned(),
        },
    }
}

pub fn no_outbox() -> RequestError {
    RequestError {
        code: "no_outbox",
        message: "This scheduled trigger has no outbox to look after.".to_owned(),
        path: Some("outbox".to_owned()),
        hint: "Give it the outbox of the request trigger, as an argument or by the same config_file_path.".to_owned(),
    }
}

pub fn outbox_error(error: &OutboxError) -> RequestError {
    RequestError {
        code: "outbox",
        message: format!("{error} Nothing was sent."),
        path: Some("outbox".to_owned()),
        hint: error.hint().to_owned(),
    }
}

/// The rows of a call that are one too many.
pub fn no_room_for_rows() -> RequestError {
    RequestError {
        code: "overloaded",
        message: "Too many rows wait already.".to_owned(),
        path: None,
        hint: "Look which destination or outbox does not answer, or write fewer rows at a time."
            .to_owned(),
    }
}

/// What becomes of rows when a panic ends their batch.
pub fn internal() -> RequestError {
    RequestError {
        code: "internal",
        message: "An error of the notifier's own.".to_owned(),
        path: None,
        hint: "Please report it, with the line before this.".to_owned(),
    }
}

/// When to come again after a 503: most deliveries take less.
pub const COME_AGAIN: Duration = Duration::from_secs(2);

pub fn no_room(full: Full) -> RequestError {
    let (what, hint) = match full {
        Full::InFlight => (
            "Too many deliveries are in flight: nothing was sent.",
            "Try again later, or raise max_in_flight.",
        ),
        Full::Bytes => (
            "The deliveries in flight hold too many bytes: nothing was sent.",
            "Try again later, or send shorter texts.",
        ),
    };
    RequestError {
        code: "overloaded",
        message: what.to_owned(),
        path: None,
        hint: hint.to_owned(),
    }
}
