//! The operations of JetStream that the store uses. [`nats`](crate::nats) sends them to servers; tests use a model.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use notifier_core::store::{StoreError, StoreErrorKind};
use tokio::time::Instant;

/// The reply to a question.
pub type ReplyFuture<'a, T> = BoxFuture<'a, Result<T, CallError>>;

/// Opens connections to the servers.
pub trait Connect: Send + Sync {
    /// The addresses of the servers, for messages.
    fn location(&self) -> &str;

    /// Connects, finds the streams, and creates missing ones.
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, StoreError>>;
}

/// An open connection with its streams. A bucket is a stream in which the last message under a key is its entry.
pub trait Session: Send + Sync {
    fn is_connected(&self) -> bool;

    /// Returns the refusals that the servers sent since then, separately from replies.
    fn refused_since(&self, since: Instant) -> Option<StoreErrorKind>;

    fn max_payload(&self) -> usize;

    /// Finds the streams again by the same connection.
    fn reopen(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, StoreError>>;

    /// Returns the creation time of the stream. A replaced stream of the same name has another one.
    fn created(&self, stream: StreamName) -> i128;

    fn info(&self, stream: StreamName) -> ReplyFuture<'_, StreamInfo>;

    /// Publishes a message, and gives its sequence. A stream takes the same `id` once.
    fn publish(&self, subject: String, payload: Bytes, id: Option<&str>) -> ReplyFuture<'_, u64>;

    /// Returns the message of a sequence, as the stream's leader has it.
    fn message(&self, stream: StreamName, sequence: u64) -> ReplyFuture<'_, Option<StreamMessage>>;

    /// Returns the first message of these subjects at or after a sequence, as the stream's leader has it.
    fn next_message(
        &self,
        stream: StreamName,
        subjects: &str,
        from: u64,
    ) -> ReplyFuture<'_, Option<StreamMessage>>;

    fn last_message(
        &self,
        stream: StreamName,
        subject: &str,
    ) -> ReplyFuture<'_, Option<StreamMessage>>;

    /// Returns the subjects among these that have messages in the stream.
    fn subjects(&self, stream: StreamName, subjects: &str) -> ReplyFuture<'_, Vec<String>>;

    fn delete_message(&self, stream: StreamName, sequence: u64) -> ReplyFuture<'_, ()>;

    /// Removes the messages of these subjects; in a bucket, the entries of a key or of a pattern of keys, without a trace.
    fn purge(&self, stream: StreamName, subjects: &str) -> ReplyFuture<'_, ()>;

    fn entry(&self, bucket: StreamName, key: &str) -> ReplyFuture<'_, Option<BucketEntry>>;

    /// Writes an entry over the one of this revision, zero: over none; `None`: over any. Gives its revision.
    fn write(
        &self,
        bucket: StreamName,
        key: &str,
        value: Bytes,
        over: Option<u64>,
    ) -> ReplyFuture<'_, u64>;

    /// The consumers of the stream of requests.
    fn consumers(&self) -> ReplyFuture<'_, Vec<Consumer>>;

    /// Makes a consumer of the stream of requests, or changes the one of that name.
    fn make_consumer(&self, name: &str, subjects: &str) -> ReplyFuture<'_, Arc<dyn Pull>>;

    fn delete_consumer(&self, name: &str) -> ReplyFuture<'_, ()>;

    /// Acknowledges a message that was handed out.
    fn acknowledge(&self, reply: &str, how: Acknowledgement) -> ReplyFuture<'_, ()>;

    /// Returns whether a process of that name is alive.
    fn is_alive(&self, owner: &str) -> BoxFuture<'_, bool>;
}

/// A consumer hands out messages to the process that pulls.
pub trait Pull: Send + Sync {
    /// At most `limit` messages. Ends when there are no more, or waits so long for them.
    fn fetch(
        &self,
        limit: usize,
        wait: Option<Duration>,
    ) -> BoxStream<'static, Result<PulledMessage, CallError>>;
}

/// The streams, and the buckets after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamName {
    Work,
    Dead,
    History,
    Attempts,
    IdempotencyKeys,
    LastNotifications,
}

/// The reason why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Another process has written meanwhile.
    Conflict,
    /// The stream is missing or has no leader.
    NoStream,
    Refused(StoreErrorKind),
    /// No reply came. The servers may have performed the call, or may do so later.
    NoReply,
}

/// A message in a stream. Times are milliseconds since 1970 by the servers' clock.
#[derive(Clone, Debug)]
pub struct StreamMessage {
    pub subject: String,
    pub sequence: u64,
    pub payload: Bytes,
    pub published: u64,
}

/// A message that this process pulled from a consumer.
#[derive(Clone, Debug)]
pub struct PulledMessage {
    pub message: StreamMessage,
    /// The number of deliveries by the server.
    pub deliveries: u64,
    /// The subject of its acknowledgement.
    pub reply: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// The message is done: the stream removes it.
    Done,
    /// The work continues: the server renews the lease.
    InProgress,
    /// The server may redeliver it, at once or after that time.
    Redeliver(Option<Duration>),
}

/// An entry of a bucket.
#[derive(Clone, Debug)]
pub struct BucketEntry {
    pub value: Bytes,
    pub revision: u64,
    pub written: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct StreamInfo {
    pub created: i128,
    pub messages: u64,
    pub bytes: u64,
    /// The time of the server that replied.
    pub now: Option<u64>,
}

/// A consumer and its progress.
#[derive(Clone)]
pub struct Consumer {
    pub name: String,
    pub subjects: String,
    /// Messages that it has not delivered yet.
    pub pending: u64,
    /// Delivered messages without acknowledgement.
    pub unacknowledged: u64,
    /// All older messages are acknowledged.
    pub acknowledged_before: u64,
    pub last_used: u64,
    pub pull: Arc<dyn Pull>,
}
