//! Goes with an outbox to one step of a delivery, and is killed there: `outbox-step sqlite:PATH STEP`, or `jetstream:URL`.

use std::path::Path;
use std::sync::Arc;

use notifier_core::outbox::sqlite::SqliteStore;
use notifier_core::outbox::{Backend, Store};
use notifier_jetstream::JetStream;
use rust_tests::nats::nats;
use tokio::runtime::Handle;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let [_, place, step] = <[String; 3]>::try_from(std::env::args().collect::<Vec<_>>()).unwrap();
    let (kind, path) = place.split_once(':').unwrap();
    let outbox: Arc<dyn Store> = match kind {
        "sqlite" => Arc::new(SqliteStore::open(Path::new(path)).unwrap()),
        "jetstream" => JetStream.open(&nats(path), &Handle::current()),
        _ => panic!("no outbox of the kind {kind}"),
    };
    rust_tests::outbox::steps_to(&*outbox, &step).await;
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
}
