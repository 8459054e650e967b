//! What it means that a server refuses something.

use std::error::Error;

use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};

use crate::server::CallError;
use notifier_core::store::StoreErrorKind;

/// What a server's refusal means.
pub fn of_code(error: &jetstream::Error) -> StoreErrorKind {
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
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => StoreErrorKind::Full,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => StoreErrorKind::TooLarge,
        ErrorCode::CLUSTER_NOT_AVAILABLE
        | ErrorCode::CLUSTER_NOT_LEADER
        | ErrorCode::STREAM_OFFLINE
        | ErrorCode::CLUSTER_INCOMPLETE => StoreErrorKind::NoLeader,
        _ => StoreErrorKind::Refused,
    }
}

/// What a server's refusal means, wherever in an error it stands; `None`: it is none.
pub fn refusal(error: &(dyn Error + 'static)) -> Option<StoreErrorKind> {
    chain(error).find_map(|error| {
        if let Some(refused) = error.downcast_ref::<jetstream::Error>() {
            return Some(of_code(refused));
        }
        (publish_error(error) == Some(PublishErrorKind::MaxPayloadExceeded))
            .then_some(StoreErrorKind::TooLarge)
    })
}

/// What an error says of a question.
pub fn meaning(error: &(dyn Error + 'static)) -> CallError {
    match refusal(error) {
        Some(kind) => CallError::Refused(kind),
        None if has_no_taker(error) => CallError::NoTaker,
        None => CallError::Missed,
    }
}

/// Whether no stream listens to the subject of a publication.
fn has_no_taker(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| publish_error(error) == Some(PublishErrorKind::StreamNotFound))
}

fn publish_error(error: &(dyn Error + 'static)) -> Option<PublishErrorKind> {
    error.downcast_ref::<PublishError>().map(PublishError::kind)
}

/// An error, and all that it comes from.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}
