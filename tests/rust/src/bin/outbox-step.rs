//! Goes with an outbox to one step of a delivery, and is killed there: `outbox-step sqlite:PATH STEP`, or `jetstream:URL`.

use std::path::Path;

use influxdb3_notifier::outbox::Outbox;
use influxdb3_notifier::outbox::jetstream::JetStreamOutbox;
use influxdb3_notifier::outbox::sqlite::SqliteOutbox;
use rust_tests::nats::nats;
use tokio::runtime::Handle;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let [_, place, step] = <[String; 3]>::try_from(std::env::args().collect::<Vec<_>>()).unwrap();
    let (kind, path) = place.split_once(':').unwrap();
    let outbox: Box<dyn Outbox> = match kind {
        "sqlite" => Box::new(SqliteOutbox::open(Path::new(path)).unwrap()),
        "jetstream" => Box::new(JetStreamOutbox::new(nats(path), Handle::current())),
        _ => panic!("no outbox of the kind {kind}"),
    };
    rust_tests::outbox::steps_to(&*outbox, &step).await;
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
}
