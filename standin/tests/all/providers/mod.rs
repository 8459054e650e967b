//! What each provider checks, and how it answers. Those without a file here are asked in `tests/channels`.

mod alertmanager;
mod discord;
mod pushover;
mod slack;
mod twilio;
mod webhook;

use standin::Standin;

async fn start() -> Standin {
    Standin::start().await.expect("starts")
}

fn x(count: usize) -> String {
    "x".repeat(count)
}
