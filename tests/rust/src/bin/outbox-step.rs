//! Goes with an outbox to one step of a delivery, and is killed there: `outbox-step sqlite:PATH STEP`.

use std::path::Path;

use influxdb3_notifier::outbox::sqlite::SqliteOutbox;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let [_, place, step] = <[String; 3]>::try_from(std::env::args().collect::<Vec<_>>()).unwrap();
    let (kind, path) = place.split_once(':').unwrap();
    assert_eq!(kind, "sqlite");
    let outbox = SqliteOutbox::open(Path::new(path)).unwrap();
    rust_tests::outbox::steps_to(&outbox, &step).await;
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::KILL).unwrap();
}
