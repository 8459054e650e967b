//! Finds the streams and buckets, and creates missing ones.

use std::error::Error as _;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::context::{
    ContextBuilder, CreateStreamErrorKind, GetStreamErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::{join, join_all};
use tokio::time::{Instant, timeout};

use super::connect::ASK_WITHIN;
use super::refusal::{kind_of_code, refusal};
use super::streams::{
    ATTEMPTS, IDEMPOTENCY_KEYS, LAST_NOTIFICATIONS, StreamHandles, configs, fits, replicas, store,
};
use super::way::Nats;
use crate::subjects;
use notifier_core::store::{StoreError, StoreErrorKind};

/// How long a stream's leader may take to reply, and then the cluster's leader. The sum is less than [`ASK_WITHIN`].
const LEADER_WITHIN: Duration = Duration::from_millis(1000);
const NAMES_WITHIN: Duration = Duration::from_millis(400);
/// A sequence that no stream reaches.
const NO_SEQUENCE: u64 = 1 << 62;
/// An acknowledgement subject without a listener.
const NO_ACKNOWLEDGEMENT: &str = "$JS.ACK.notifier_work.check.1.1.1.1.0";

impl Nats {
    /// Finds the streams and buckets, and creates missing ones.
    pub(super) async fn find_streams(&self, client: Client) -> Result<StreamHandles, StoreError> {
        let begun = Instant::now();
        let context = ContextBuilder::new()
            .timeout(ASK_WITHIN)
            .ack_timeout(ASK_WITHIN)
            .build(client.clone());
        let mut found = Vec::new();
        for config in configs(replicas(&self.servers)) {
            let name = config.name.clone();
            let stream = self.stream(&context, config, begun).await;
            found.push(stream.map_err(|kind| {
                StoreError::new(format!("{}, stream {name},", self.location), kind)
            })?);
        }
        let [work, dead, history, attempts, known, lasts] =
            <[_; 6]>::try_from(found).map_err(|_| self.error(StoreErrorKind::IoFailed))?;
        let found = StreamHandles {
            attempts: store(ATTEMPTS, attempts),
            known: store(IDEMPOTENCY_KEYS, known),
            lasts: store(LAST_NOTIFICATIONS, lasts),
            work,
            dead,
            history,
            context,
        };
        // An operator's user may have read permission only.
        if self.alive.is_some() {
            self.check_permissions(&client, &found).await?;
        }
        Ok(found)
    }

    /// Checks whether this user may publish to the outbox's subjects. Publishes messages that each stream refuses. A
    /// server that does not permit it reports that separately, and sends no reply.
    async fn check_permissions(
        &self,
        client: &Client,
        found: &StreamHandles,
    ) -> Result<(), StoreError> {
        let begun = Instant::now();
        let buckets = [&found.attempts, &found.known, &found.lasts];
        let subjects = buckets.map(|bucket| format!("{}check", bucket.prefix));
        let subjects = subjects.into_iter().chain([
            subjects::dead("check", "check"),
            subjects::history("check", "check"),
            subjects::work("check", "check", None, "check"),
        ]);
        let publications = subjects.map(|subject| async move {
            let message = PublishMessage::build().expected_last_subject_sequence(NO_SEQUENCE);
            let sent = found.context.send_publish(subject, message).await;
            if let Ok(sent) = sent {
                let _ = sent.await;
            }
        });
        let acknowledgement = client.request(NO_ACKNOWLEDGEMENT, Bytes::new());
        let (_, _) = join(join_all(publications), acknowledgement).await;
        match self.events.since(begun) {
            Some(kind) => Err(self.error(kind)),
            None => Ok(()),
        }
    }

    /// Returns the stream, and creates it if it is missing. An existing stream is not changed.
    async fn stream(
        &self,
        context: &Context,
        config: Config,
        begun: Instant,
    ) -> Result<Stream, StoreErrorKind> {
        for _ in 0..3 {
            let answer = timeout(LEADER_WITHIN, context.get_stream(&config.name)).await;
            let Ok(found) = answer else {
                return Err(self.cause_of_silence(context, &config.name, begun).await);
            };
            match found {
                Ok(found) => {
                    return match fits(&found.cached_info().config, &config) {
                        true => Ok(found),
                        false => Err(StoreErrorKind::OtherSettings),
                    };
                }
                Err(error) => match error.kind() {
                    GetStreamErrorKind::JetStream(error)
                        if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
                    GetStreamErrorKind::JetStream(error) => return Err(kind_of_code(&error)),
                    _ => {
                        let source = error
                            .source()
                            .and_then(|e| e.downcast_ref::<RequestError>());
                        return Err(self.cause_of_error(source, begun).await);
                    }
                },
            }
            match context.create_stream(config.clone()).await {
                Ok(created) => return Ok(created),
                Err(error) => match error.kind() {
                    // Another process was faster.
                    CreateStreamErrorKind::JetStream(error)
                        if error.error_code() == ErrorCode::STREAM_NAME_EXIST => {}
                    CreateStreamErrorKind::JetStream(error) => return Err(kind_of_code(&error)),
                    CreateStreamErrorKind::JetStreamUnavailable => {
                        return Err(StoreErrorKind::NoJetStream);
                    }
                    _ => return Err(self.cause_of_error(None, begun).await),
                },
            }
        }
        Err(StoreErrorKind::OtherSettings)
    }

    /// Finds out why a stream does not reply. Only its leader replies. The leader of the cluster knows whether the
    /// stream exists, and so whether it has no leader.
    async fn cause_of_silence(
        &self,
        context: &Context,
        name: &str,
        begun: Instant,
    ) -> StoreErrorKind {
        let names = context.stream_names().try_collect::<Vec<String>>();
        let refused = match timeout(NAMES_WITHIN, names).await {
            Ok(Ok(names)) if names.iter().any(|known| known == name) => {
                Some(StoreErrorKind::NoLeader)
            }
            Ok(Err(error)) => refusal(&error),
            _ => None,
        };
        match refused {
            Some(kind) => kind,
            None => self.cause_of_error(None, begun).await,
        }
    }

    /// The reason why a request got no reply.
    async fn cause_of_error(&self, error: Option<&RequestError>, begun: Instant) -> StoreErrorKind {
        if error.is_some_and(|error| error.kind() == RequestErrorKind::NoResponders) {
            return StoreErrorKind::NoJetStream;
        }
        self.events.since(begun).unwrap_or(StoreErrorKind::TimedOut)
    }
}
