//! Maps server errors to store errors.

use std::error::Error;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};

use crate::server::CallError;
use notifier_core::store::StoreErrorKind;

/// The error kind of a server's error code.
pub fn kind_of_code(error: &jetstream::Error) -> StoreErrorKind {
    match error.error_code() {
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            StoreErrorKind::NoJetStream
        }
        ErrorCode::STREAM_SUBJECT_OVERLAP => StoreErrorKind::OtherSettings,
        ErrorCode::CLUSTER_NO_PEERS => StoreErrorKind::TooFewServers,
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::STREAM_STORE_FAILED
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => StoreErrorKind::NoSpace,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => StoreErrorKind::TooLarge,
        ErrorCode::CLUSTER_NOT_AVAILABLE
        | ErrorCode::CLUSTER_NOT_LEADER
        | ErrorCode::STREAM_OFFLINE
        | ErrorCode::CLUSTER_INCOMPLETE => StoreErrorKind::NoLeader,
        _ => StoreErrorKind::Refused,
    }
}

/// The error kind of a server error anywhere in the chain; `None`: the server sent none.
pub fn refusal(error: &(dyn Error + 'static)) -> Option<StoreErrorKind> {
    error_chain(error).find_map(|error| {
        if let Some(refused) = error.downcast_ref::<jetstream::Error>() {
            return Some(kind_of_code(refused));
        }
        (publish_error(error) == Some(PublishErrorKind::MaxPayloadExceeded))
            .then_some(StoreErrorKind::TooLarge)
    })
}

/// The call error of a client error.
pub fn call_error(error: &(dyn Error + 'static)) -> CallError {
    match refusal(error) {
        Some(kind) => CallError::Refused(kind),
        None if has_no_stream(error) => CallError::NoStream,
        None => CallError::NoReply,
    }
}

/// Returns whether no stream has the subject of a publication.
fn has_no_stream(error: &(dyn Error + 'static)) -> bool {
    error_chain(error).any(|error| publish_error(error) == Some(PublishErrorKind::StreamNotFound))
}

fn publish_error(error: &(dyn Error + 'static)) -> Option<PublishErrorKind> {
    error.downcast_ref::<PublishError>().map(PublishError::kind)
}

/// An error and its sources.
fn error_chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
