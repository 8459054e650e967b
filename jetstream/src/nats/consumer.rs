//! Consumers of the request stream, and their messages.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{Info, PullConsumer, pull};
use async_nats::jetstream::{self, Context};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryFutureExt};

use super::refusal::call_error;
use crate::server::{CallError, Consumer, Pull, PulledMessage, StreamMessage};

/// A consumer as the servers describe it.
pub fn consumer(context: &Context, info: Info) -> Consumer {
    let seen = [
        Some(info.created),
        info.delivered.last_active,
        info.ack_floor.last_active,
    ];
    let last_used = seen.into_iter().flatten().max();
    let config = pull::Config {
        durable_name: Some(info.name.clone()),
        ..pull::Config::default()
    };
    Consumer {
        name: info.name.clone(),
        subjects: info.config.filter_subject.clone(),
        pending: info.num_pending,
        unacknowledged: info.num_ack_pending as u64,
        acknowledged_before: info.ack_floor.stream_sequence,
        last_used: last_used.map_or(0, |last| millis(last.unix_timestamp_nanos())),
        pull: Arc::new(NatsPull(PullConsumer::new(config, info, context.clone()))),
    }
}

pub struct NatsPull(pub PullConsumer);

impl Pull for NatsPull {
    fn fetch(
        &self,
        limit: usize,
        wait: Option<Duration>,
    ) -> BoxStream<'static, Result<PulledMessage, CallError>> {
        let consumer = self.0.clone();
        let fetched = async move {
            let fetched = match wait {
                Some(wait) => {
                    let batch = consumer.batch().max_messages(limit).expires(wait);
                    batch.messages().await
                }
                None => consumer.fetch().max_messages(limit).messages().await,
            };
            fetched.map_err(|error| call_error(&error))
        };
        let messages = fetched.map_ok(|messages| {
            messages.map(|message| {
                let message = message.map_err(|error| call_error(&*error))?;
                handed(&message).ok_or(CallError::NoReply)
            })
        });
        messages.try_flatten_stream().boxed()
    }
}

fn handed(message: &jetstream::Message) -> Option<PulledMessage> {
    let info = message.info().ok()?;
    Some(PulledMessage {
        deliveries: u64::try_from(info.delivered).unwrap_or_default(),
        reply: message.reply.as_ref()?.to_string(),
        message: StreamMessage {
            subject: message.subject.to_string(),
            sequence: info.stream_sequence,
            payload: message.payload.clone(),
            published: millis(info.published.unix_timestamp_nanos()),
        },
    })
}

/// Milliseconds from nanoseconds since 1970.
pub fn millis(nanos: i128) -> u64 {
    u64::try_from(nanos / 1_000_000).unwrap_or(0)
}
