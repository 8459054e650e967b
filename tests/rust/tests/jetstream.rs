//! The outbox on NATS JetStream, by the suite that every outbox passes; and what is the streams' own.

use std::path::Path;
use std::sync::Arc;

use async_nats::jetstream;
use futures_util::TryStreamExt;
use influxdb3_notifier::outbox::Outbox;
use influxdb3_notifier::outbox::jetstream::JetStreamOutbox;
use rust_tests::nats::{NatsServer, nats};
use rust_tests::outbox::Place;
use tokio::runtime::Handle;

struct Server(NatsServer);

impl Server {
    fn new() -> Self {
        Self(NatsServer::start(""))
    }
}

impl Place for Server {
    fn open(&self) -> Arc<dyn Outbox> {
        Arc::new(JetStreamOutbox::new(nats(&self.0.url), Handle::current()))
    }

    fn lapse(&self) {
        let url = self.0.url.clone();
        tokio::task::block_in_place(|| Handle::current().block_on(lapse(&url)));
    }

    fn name(&self) -> String {
        format!("jetstream:{}", self.0.url)
    }

    fn step_program(&self) -> &Path {
        Path::new(env!("CARGO_BIN_EXE_outbox-step"))
    }
}

rust_tests::conformance!(Server::new());

/// Tells the server of every message that is in a process's hand that it is not: as it would find by itself once the
/// process has said nothing for half a minute.
async fn lapse(url: &str) {
    let client = async_nats::connect(url).await.unwrap();
    let context = jetstream::new(client.clone());
    let stream = context.get_stream("notifier_work").await.unwrap();
    let state = &stream.cached_info().state;
    let consumers: Vec<_> = stream.consumers().try_collect().await.unwrap();
    for consumer in consumers {
        let (name, last) = (&consumer.name, consumer.delivered.consumer_sequence);
        let subject = |sequence| format!("$JS.ACK.notifier_work.{name}.1.{sequence}.{last}.1.0");
        for sequence in state.first_sequence..=state.last_sequence {
            client
                .request(subject(sequence), "-NAK".into())
                .await
                .unwrap();
        }
    }
}
