//! The outbox on NATS JetStream: the suite that every outbox passes, and tests of the streams.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use notifier_core::secret::Secret;
use notifier_core::store::operator::DeliveryFilter;
use notifier_core::store::{
    Accepted, Backend, NewDelivery, OutboxServers, Ownership, Store, StoreErrorKind,
};
use notifier_jetstream::JetStream;
use rust_tests::conformance::StoreFixture;
use rust_tests::conformance::kills::{Kill, kill_program};
use rust_tests::conformance::order::in_order;
use rust_tests::fixtures::{delivered, failed, id, new_delivery, request};
use rust_tests::nats::{NatsServer, nats};
use tokio::runtime::Handle;

struct Server(NatsServer);

impl Server {
    fn new() -> Self {
        Self(NatsServer::start(""))
    }
}

impl StoreFixture for Server {
    fn open(&self) -> Arc<dyn Store> {
        JetStream.open(&nats(&self.0.url), &Handle::current())
    }

    fn lapse(&self) {
        let url = self.0.url.clone();
        tokio::task::block_in_place(|| Handle::current().block_on(lapse(&url)));
    }

    fn kill_at(&self, kill: Kill) -> BoxFuture<'_, ()> {
        async move {
            let program = Path::new(env!("CARGO_BIN_EXE_outbox-step"));
            kill_program(program, &format!("jetstream:{}", self.0.url), &kill);
            // The server may still have to read the process's messages.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        .boxed()
    }
}

rust_tests::conformance!(
    #[tokio::test(flavor = "multi_thread")]
    Server::new()
);

#[tokio::test(flavor = "multi_thread")]
async fn of_a_request_with_two_messages_one_at_a_time_is_in_a_process_hand() {
    let server = Server::new();
    let first = server.open();
    let mut given = request("a");
    given.deliveries = vec![new_delivery(0), new_delivery(1)];
    first.accept(given).await.unwrap();
    for index in 0..2 {
        first
            .complete(&id("a", index), &failed(index), None)
            .await
            .unwrap();
    }
    // Each goes again by itself.
    let way = nats(&server.0.url);
    let retried = tokio::task::spawn_blocking(move || {
        let mut operator = JetStream.operator(&way).unwrap();
        let retry = |index| {
            let task = Some(("a".to_owned(), Some(index)));
            operator.retry(&DeliveryFilter {
                task,
                ..DeliveryFilter::default()
            })
        };
        [0, 1].map(retry).map(Result::unwrap)
    });
    assert_eq!(retried.await.unwrap(), [1, 1]);
    let worker = server.open();
    let [taken] = <[_; 1]>::try_from(worker.claim("notifier.toml", 9).await.unwrap()).unwrap();
    let work = |delivery: &NewDelivery| delivery.work.is_some();
    let index = taken.deliveries.iter().position(work).unwrap();
    let owned = worker.check_lease(&id("a", index)).await.unwrap();
    assert_eq!(owned, Ownership::Owned);
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_between_machines_that_keep_the_configuration_file_in_different_places() {
    let server = Server::new();
    let (one, other) = (server.open(), server.open());
    let mut here = in_order("a", 1);
    here.config = "/etc/here/notifier.toml".to_owned();
    let mut there = in_order("b", 1);
    there.config = r"C:\there\notifier.toml".to_owned();
    one.accept(here).await.unwrap();
    let accepted = other.accept(there).await.unwrap();
    assert!(matches!(accepted, Accepted::New { behind } if behind == [0]));
    assert!(other.has_older(&id("b", 0)).await.unwrap());
    one.complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    assert!(!other.has_older(&id("b", 0)).await.unwrap());
}

/// A server that does not permit a publication sends no reply to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_reported_before_anything_is_stored() {
    for subject in [
        "$JS.ACK.>",
        "$KV.notifier_attempts.>",
        "$KV.notifier_idempotency_keys.>",
        "$KV.notifier_last_notifications.>",
        "notifier.work.>",
        "notifier.dead.>",
        "notifier.history.>",
    ] {
        let permissions = format!(r#"{{ publish: {{ deny: ["{subject}"] }} }}"#);
        let user = format!(r#"{{ user: u, password: "p", permissions: {permissions} }}"#);
        let server = NatsServer::start(&format!("authorization {{ users: [{user}] }}\n"));
        let servers = OutboxServers {
            credentials: Some(Secret::new("u:p")),
            ..nats(&server.url)
        };
        let store = JetStream.open(&servers, &Handle::current());
        let refused = store.accept(request("a")).await.unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::NoPermission, "{subject}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_for_subjects_of_another_form_is_made_to_fit() {
    let server = Server::new();
    let outbox = server.open();
    assert!(outbox.claim("notifier.toml", 9).await.unwrap().is_empty());
    let client = async_nats::connect(&server.0.url).await.unwrap();
    let context = jetstream::new(client);
    let stream = context.get_stream("notifier_work").await.unwrap();
    let consumers: Vec<_> = stream.consumers().try_collect().await.unwrap();
    let [info] = <[_; 1]>::try_from(consumers).unwrap();
    let filter = info.config.filter_subject.replace(".>", ".*");
    let older = jetstream::consumer::pull::Config {
        durable_name: Some(info.name.clone()),
        filter_subject: filter,
        ..Default::default()
    };
    stream.delete_consumer(&info.name).await.unwrap();
    stream.create_consumer(older).await.unwrap();
    outbox.enqueue(in_order("a", 1)).await.unwrap();
    assert_eq!(outbox.claim("notifier.toml", 9).await.unwrap().len(), 1);
}

/// Servers without a response do not delay an alert for ever.
#[tokio::test(flavor = "multi_thread")]
async fn whether_there_is_an_older_one_is_an_error_where_servers_are_away() {
    let server = Server::new();
    let (one, other) = (server.open(), server.open());
    one.accept(in_order("a", 1)).await.unwrap();
    other.accept(in_order("b", 1)).await.unwrap();
    drop(server);
    let asked = tokio::time::Instant::now();
    assert!(other.has_older(&id("b", 0)).await.is_err());
    assert!(asked.elapsed() < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_does_not_wait_for_servers_that_are_away() {
    let server = Server::new();
    let outbox = server.open();
    outbox.accept(request("a")).await.unwrap();
    drop(server);
    // The process repeats it until the servers confirm it.
    let ended = outbox.complete(&id("a", 0), &delivered(0, None), None);
    let released = tokio::time::timeout(Duration::from_secs(20), outbox.release());
    assert!(released.await.is_ok());
    drop(ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_looks_up_its_streams_again_leaks_no_connection() {
    let server = Server::new();
    let outbox = server.open();
    outbox.accept(request("a")).await.unwrap();
    let client = async_nats::connect(&server.0.url).await.unwrap();
    let context = jetstream::new(client.clone());
    let owner = {
        let stream = context.get_stream("notifier_work").await.unwrap();
        let names: Vec<_> = stream.consumer_names().try_collect().await.unwrap();
        names[0].split('_').next().unwrap().to_owned()
    };
    outbox
        .complete(&id("a", 0), &delivered(0, None), None)
        .await
        .unwrap();
    context.delete_stream("notifier_work").await.unwrap();
    // The stream and its consumer are created again.
    let accepted = outbox.accept(request("b")).await.unwrap();
    assert!(matches!(accepted, Accepted::New { .. }), "{accepted:?}");
    assert_eq!(outbox.depth().await.unwrap(), 1);
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    let asked = client.publish_with_reply(format!("notifier.alive.{owner}"), inbox, "".into());
    asked.await.unwrap();
    assert!(answers.next().await.is_some());
    let second = tokio::time::timeout(Duration::from_millis(500), answers.next());
    assert!(second.await.is_err(), "the old one answers too");
}

/// Releases every held message at the server, as if its process had been silent for half a minute. Makes history rows a
/// minute older.
async fn lapse(url: &str) {
    let client = async_nats::connect(url).await.unwrap();
    let context = jetstream::new(client.clone());
    make_rows_older(&context).await;
    let stream = context.get_stream("notifier_work").await.unwrap();
    let state = &stream.cached_info().state;
    let consumers: Vec<_> = stream.consumers().try_collect().await.unwrap();
    // A server does not reply for a consumer that has delivered nothing.
    let handed = consumers.iter().filter(|info| info.num_ack_pending > 0);
    for consumer in handed {
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

async fn make_rows_older(context: &jetstream::Context) {
    let stream = context.get_stream("notifier_history").await.unwrap();
    let state = &stream.cached_info().state;
    for sequence in state.first_sequence..=state.last_sequence {
        let Ok(message) = stream.get_raw_message(sequence).await else {
            continue;
        };
        let mut row: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
        row["stored"] = (row["stored"].as_u64().unwrap() - 60_000).into();
        let published = context.publish(message.subject, row.to_string().into());
        published.await.unwrap().await.unwrap();
    }
}
