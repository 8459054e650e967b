//! Goes to one step of a delivery with a store, and is killed there: `outbox-step STORE TASK STEP [MICROSECONDS]`, where the store is
//! `sqlite:PATH` or `jetstream:URL`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notifier_core::store::sqlite::SqliteStore;
use notifier_core::store::{Backend, Store};
use notifier_jetstream::JetStream;
use rust_tests::conformance::kills::{Kill, go_to};
use rust_tests::nats::nats;
use tokio::runtime::Handle;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next();
    let (location, task, step) = (next().unwrap(), next().unwrap(), next().unwrap());
    let (kind, path) = location.split_once(':').unwrap();
    let store: Arc<dyn Store> = match kind {
        "sqlite" => Arc::new(SqliteStore::open(Path::new(path)).unwrap()),
        "jetstream" => JetStream.open(&nats(path), &Handle::current()),
        _ => panic!("no store of the kind {kind}"),
    };
    let kill = Kill {
        task,
        step: step.parse().unwrap(),
        within: next().map(|micros| Duration::from_micros(micros.parse().unwrap())),
    };
    go_to(&*store, &kill, |_| ()).await;
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
}
