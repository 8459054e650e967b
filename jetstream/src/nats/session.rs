//! The store's requests to the servers, over an open connection.

use std::sync::Arc;

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{AckPolicy, Info, PullConsumer, pull};
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::kv::{self, Operation, UpdateErrorKind};
use async_nats::jetstream::message::{self, PublishMessage};
use async_nats::jetstream::stream::{self, LastRawMessageErrorKind};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt};
use notifier_core::store::{LEASE, StoreError, StoreErrorKind};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::consumer::{NatsPull, consumer, millis};
use super::refusal::call_error;
use super::streams::StreamHandles;
use super::way::Nats;
use crate::server::{
    Acknowledgement, BucketEntry, CallError, Consumer, Pull, ReplyFuture, Session, StreamInfo,
    StreamMessage, StreamName,
};
use crate::subjects;

/// A connection, shared by the sessions that find the streams by it.
pub struct NatsConnection {
    pub nats: Nats,
    pub client: Client,
    /// Answers liveness checks. It ends with the connection, which it would keep open otherwise.
    pub _alive: JoinSet<()>,
}

pub struct NatsSession {
    pub connection: Arc<NatsConnection>,
    pub found: StreamHandles,
}

/// The servers' information about a stream.
#[derive(serde::Deserialize)]
struct InfoReply {
    created: String,
    state: StateReply,
    /// The time of the server that replied.
    #[serde(default)]
    ts: String,
}

#[derive(serde::Deserialize)]
struct StateReply {
    messages: u64,
    bytes: u64,
}

impl NatsSession {
    fn stream(&self, stream: StreamName) -> &stream::Stream {
        match stream {
            StreamName::Work => &self.found.work,
            StreamName::Dead => &self.found.dead,
            StreamName::History => &self.found.history,
            StreamName::Attempts => &self.found.attempts.stream,
            StreamName::IdempotencyKeys => &self.found.known.stream,
            StreamName::LastNotifications => &self.found.lasts.stream,
        }
    }

    /// `None`: it is not a bucket.
    fn bucket(&self, stream: StreamName) -> Option<&kv::Store> {
        match stream {
            StreamName::Attempts => Some(&self.found.attempts),
            StreamName::IdempotencyKeys => Some(&self.found.known),
            StreamName::LastNotifications => Some(&self.found.lasts),
            StreamName::Work | StreamName::Dead | StreamName::History => None,
        }
    }
}

impl Session for NatsSession {
    fn is_connected(&self) -> bool {
        self.connection.client.connection_state() == State::Connected
    }

    fn refused_since(&self, since: Instant) -> Option<StoreErrorKind> {
        self.connection.nats.events.since(since)
    }

    fn max_payload(&self) -> usize {
        self.connection.client.max_payload()
    }

    fn reopen(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, StoreError>> {
        async {
            let connection = Arc::clone(&self.connection);
            let found = connection.nats.find_streams(connection.client.clone());
            let found = found.await?;
            Ok(Arc::new(Self { connection, found }) as Arc<dyn Session>)
        }
        .boxed()
    }

    fn created(&self, stream: StreamName) -> i128 {
        let info = self.stream(stream).cached_info();
        info.created.unix_timestamp_nanos()
    }

    fn info(&self, stream: StreamName) -> ReplyFuture<'_, StreamInfo> {
        async move {
            let name = &self.stream(stream).cached_info().config.name;
            let subject = format!("$JS.API.STREAM.INFO.{name}");
            let reply = self.connection.client.request(subject, Bytes::new()).await;
            let reply = reply.map_err(|error| call_error(&error))?;
            let info = serde_json::from_slice::<InfoReply>(&reply.payload);
            let info = info.map_err(|_| CallError::NoReply)?;
            let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
            Ok(StreamInfo {
                created: time(&info.created).map_or(0, jiff::Timestamp::as_nanosecond),
                messages: info.state.messages,
                bytes: info.state.bytes,
                now: time(&info.ts).and_then(|now| u64::try_from(now.as_millisecond()).ok()),
            })
        }
        .boxed()
    }

    fn publish(&self, subject: String, payload: Bytes, id: Option<&str>) -> ReplyFuture<'_, u64> {
        let message = PublishMessage::build().payload(payload);
        let message = match id {
            Some(id) => message.message_id(id),
            None => message,
        };
        async move {
            let published = async {
                let sent = self.found.context.send_publish(subject, message).await?;
                Ok::<_, PublishError>(sent.await?.sequence)
            };
            published.await.map_err(|error| call_error(&error))
        }
        .boxed()
    }

    fn message(&self, stream: StreamName, sequence: u64) -> ReplyFuture<'_, Option<StreamMessage>> {
        async move { found(self.stream(stream).get_raw_message(sequence).await) }.boxed()
    }

    fn next_message(
        &self,
        stream: StreamName,
        subjects: &str,
        from: u64,
    ) -> ReplyFuture<'_, Option<StreamMessage>> {
        let subjects = subjects.to_owned();
        async move {
            let next = self.stream(stream).raw_message_builder();
            let next = next.next_by_subject(&subjects).sequence(from.max(1));
            found(next.send().await)
        }
        .boxed()
    }

    fn last_message(
        &self,
        stream: StreamName,
        subject: &str,
    ) -> ReplyFuture<'_, Option<StreamMessage>> {
        let subject = subject.to_owned();
        async move {
            let last = self
                .stream(stream)
                .get_last_raw_message_by_subject(&subject);
            found(last.await)
        }
        .boxed()
    }

    fn subjects(&self, stream: StreamName, subjects: &str) -> ReplyFuture<'_, Vec<String>> {
        let filter = subjects.to_owned();
        async move {
            let found = self.stream(stream).info_with_subjects(filter).await;
            let found = found.map_err(|error| call_error(&error))?;
            let subjects = found.map_ok(|(subject, _)| subject).try_collect();
            subjects.await.map_err(|error| call_error(&error))
        }
        .boxed()
    }

    fn delete_message(&self, stream: StreamName, sequence: u64) -> ReplyFuture<'_, ()> {
        async move {
            let deleted = self.stream(stream).delete_message(sequence).await;
            deleted.map(drop).map_err(|error| call_error(&error))
        }
        .boxed()
    }

    fn purge(&self, stream: StreamName, subjects: &str) -> ReplyFuture<'_, ()> {
        let prefix = self
            .bucket(stream)
            .map_or("", |bucket| bucket.prefix.as_str());
        let subjects = format!("{prefix}{subjects}");
        async move {
            let purged = self.stream(stream).purge().filter(subjects).await;
            purged.map(drop).map_err(|error| call_error(&error))
        }
        .boxed()
    }

    fn entry(&self, bucket: StreamName, key: &str) -> ReplyFuture<'_, Option<BucketEntry>> {
        let key = key.to_owned();
        async move {
            let bucket = self.bucket(bucket).ok_or(CallError::NoStream)?;
            let entry = bucket
                .entry(key)
                .await
                .map_err(|error| call_error(&error))?;
            let entry = entry.filter(|entry| entry.operation == Operation::Put);
            Ok(entry.map(|entry| BucketEntry {
                revision: entry.revision,
                written: millis(entry.created.unix_timestamp_nanos()),
                value: entry.value,
            }))
        }
        .boxed()
    }

    fn write(
        &self,
        bucket: StreamName,
        key: &str,
        value: Bytes,
        over: Option<u64>,
    ) -> ReplyFuture<'_, u64> {
        let key = key.to_owned();
        async move {
            let bucket = self.bucket(bucket).ok_or(CallError::NoStream)?;
            match over {
                Some(over) => {
                    let written = bucket.update(&key, value, over).await;
                    written.map_err(|error| match error.kind() {
                        UpdateErrorKind::WrongLastRevision => CallError::Conflict,
                        _ => call_error(&error),
                    })
                }
                None => {
                    let written = bucket.put(&key, value).await;
                    written.map_err(|error| call_error(&error))
                }
            }
        }
        .boxed()
    }

    fn consumers(&self) -> ReplyFuture<'_, Vec<Consumer>> {
        async move {
            let infos = self.found.work.consumers().try_collect::<Vec<Info>>().await;
            let infos = infos.map_err(|error| call_error(&error))?;
            let consumers = infos.into_iter();
            Ok(consumers
                .map(|info| consumer(&self.found.context, info))
                .collect())
        }
        .boxed()
    }

    fn make_consumer(&self, name: &str, subjects: &str) -> ReplyFuture<'_, Arc<dyn Pull>> {
        let needed = pull::Config {
            durable_name: Some(name.to_owned()),
            filter_subject: subjects.to_owned(),
            ack_policy: AckPolicy::Explicit,
            ack_wait: LEASE,
            max_ack_pending: -1,
            ..pull::Config::default()
        };
        let name = name.to_owned();
        async move {
            let work = &self.found.work;
            let found = work.get_or_create_consumer(&name, needed.clone()).await;
            let mut found: PullConsumer = found.map_err(|error| call_error(&error))?;
            if found.cached_info().config.filter_subject != needed.filter_subject {
                // An older version created it for other subjects.
                let created = work.create_consumer(needed).await;
                found = created.map_err(|error| call_error(&error))?;
            }
            Ok(Arc::new(NatsPull(found)) as Arc<dyn Pull>)
        }
        .boxed()
    }

    fn delete_consumer(&self, name: &str) -> ReplyFuture<'_, ()> {
        let name = name.to_owned();
        async move {
            let deleted = self.found.work.delete_consumer(&name).await;
            deleted.map(drop).map_err(|error| call_error(&error))
        }
        .boxed()
    }

    fn acknowledge(&self, reply: &str, how: Acknowledgement) -> ReplyFuture<'_, ()> {
        let reply = reply.to_owned();
        let how = Bytes::from(match how {
            Acknowledgement::Done => AckKind::Ack,
            Acknowledgement::InProgress => AckKind::Progress,
            Acknowledgement::Redeliver(after) => AckKind::Nak(after),
        });
        async move {
            let answered = self.connection.client.request(reply, how).await;
            answered.map(drop).map_err(|error| call_error(&error))
        }
        .boxed()
    }

    fn is_alive(&self, owner: &str) -> BoxFuture<'_, bool> {
        let subject = subjects::alive(owner);
        async move {
            let asked = self.connection.client.request(subject, Bytes::new()).await;
            asked.is_ok()
        }
        .boxed()
    }
}

fn found(
    found: Result<message::StreamMessage, stream::RawMessageError>,
) -> Result<Option<StreamMessage>, CallError> {
    match found {
        Ok(message) => Ok(Some(StreamMessage {
            published: millis(message.time.unix_timestamp_nanos()),
            subject: message.subject.to_string(),
            sequence: message.sequence,
            payload: message.payload,
        })),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(call_error(&error)),
    }
}
