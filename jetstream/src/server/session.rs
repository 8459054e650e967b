//! What is done with the streams by an open connection.

use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, PurgeError, RawMessageError, Stream};
use bytes::Bytes;

/// An open connection, and what is there.
pub struct Session {
    pub client: Client,
    pub context: Context,
    pub work: Stream,
    pub dead: Stream,
    pub history: Stream,
    pub attempts: Store,
    pub known: Store,
    pub lasts: Store,
}

impl Session {
    /// Publishes a message once, however often its first publication is repeated. Gives back its sequence.
    pub async fn publish(
        &self,
        subject: String,
        payload: Bytes,
        id: &str,
    ) -> Result<u64, PublishError> {
        let message = PublishMessage::build().payload(payload).message_id(id);
        let sent = self.context.send_publish(subject, message).await?;
        Ok(sent.await?.sequence)
    }

    /// The message of a sequence in the stream of requests, as its leader has it.
    pub async fn find(&self, sequence: u64) -> Result<Option<StreamMessage>, ()> {
        match self.work.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(_) => Err(()),
        }
    }
}

/// The first message of these subjects at a sequence or after it, as the stream's leader has it.
pub async fn next_message(
    stream: &Stream,
    subjects: &str,
    from: u64,
) -> Result<Option<StreamMessage>, RawMessageError> {
    let next = stream.raw_message_builder().next_by_subject(subjects);
    match next.sequence(from.max(1)).send().await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes what a bucket has under a key, or under those that a pattern names, without a trace.
pub async fn purge(bucket: &Store, key: &str) -> Result<(), PurgeError> {
    let subject = format!("{}{key}", bucket.prefix);
    bucket.stream.purge().filter(subject).await.map(drop)
}
