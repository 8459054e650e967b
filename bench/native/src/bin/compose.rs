//! How much processor time every channel takes to compose a notification and to classify a reply:
//! `cargo run --release --package bench --bin compose`.
//!
//! Prints the lower quartile of many rounds, in microseconds, for each channel: a plain and a rich notification, a reply that takes the
//! message and one that refuses it.

// All of this file is a measurement.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use notifier_core::channels::{CHANNELS, Channel, ComposeContext, configured, example};
use notifier_core::json::Json;
use notifier_core::model::notification::{AlertStatus, Level, Notification};
use notifier_core::model::wire::{HttpReply, Reply};

const ROUNDS: usize = 2_000;
/// In each round, so that the clock itself does not count.
const REPEATS: u32 = 10;

fn main() {
    let channels: Vec<_> = CHANNELS
        .iter()
        .map(|spec| (spec.key, configured(spec, example).unwrap()))
        .collect();
    let plain = Notification::plain(text("cpu_usage has been above 95 % for 5 minutes"));
    let rich = rich();
    println!(
        "{:<14}{:>10}{:>10}{:>10}{:>10}",
        "µs", "plain", "rich", "taken", "refused"
    );
    let taken = reply(
        200,
        r#"{"ok":true,"id":"1279000000000000000","name":"spaces/a/messages/b","status":1,"requestId":"a","sid":"SM0"}"#,
    );
    let refused = reply(
        400,
        r#"{"code": 50035, "message": "Invalid Form Body", "error": "bad", "description": "Bad Request: chat not found"}"#,
    );
    for (name, channel) in &channels {
        print!("{name:<14}");
        for micros in [
            composed(channel, &plain),
            composed(channel, &rich),
            classified(channel, &taken),
            classified(channel, &refused),
        ] {
            print!("{:>10.2}", micros.as_secs_f64() * 1e6);
        }
        println!();
    }
}

fn reply(status: u16, body: &'static str) -> Reply {
    Reply::Http(HttpReply {
        status,
        headers: http::HeaderMap::new(),
        body: body.into(),
        complete: true,
        received: std::time::SystemTime::now(),
    })
}

/// Processor time of this thread: other processes do not count.
fn cpu() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn composed(channel: &Arc<dyn Channel>, notification: &Notification) -> Duration {
    let cx = ComposeContext::new("7b0c2f0e-5a54-4b0c-9d0b-3f2a5e6f7a10");
    lower_quartile(|| {
        black_box(channel.compose(black_box(notification), &cx).unwrap());
    })
}

fn classified(channel: &Arc<dyn Channel>, reply: &Reply) -> Duration {
    let messages = channel.compose(&Notification::plain(text("x")), &ComposeContext::new("key"));
    let sent = messages.unwrap().parts.remove(0);
    lower_quartile(|| {
        black_box(channel.classify(&sent, black_box(reply)));
    })
}

fn lower_quartile(step: impl Fn()) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let started = cpu();
        (0..REPEATS).for_each(|_| step());
        (cpu() - started) / REPEATS
    });
    let mut rounds: Vec<_> = rounds.collect();
    rounds.sort_unstable();
    *rounds.get(ROUNDS / 4).unwrap()
}

fn rich() -> Notification {
    let field = |(name, value): (&str, Json)| (name.to_owned(), value);
    Notification {
        title: Some("CPU of db1 above 95 %".to_owned()),
        level: Some(Level::Critical),
        status: Some(AlertStatus::Firing),
        fields: [
            ("host", text("db1")),
            ("region", text("eu-central")),
            ("cpu_usage", Json::Number("97.3".to_owned())),
            ("limit", Json::Number("95".to_owned())),
            ("primary", Json::Bool(true)),
        ]
        .map(field)
        .into(),
        link: Some("https://grafana.example.com/d/cpu?var-host=db1&from=now-1h".to_owned()),
        timestamp: Some("2026-11-25T02:41:58Z".parse().unwrap()),
        dedup_key: Some("cpu db1".into()),
        ..Notification::plain(text(
            "cpu_usage has been above 95 % for 5 minutes, and queries are queueing.",
        ))
    }
}

fn text(text: &str) -> Json {
    Json::String(text.to_owned())
}
