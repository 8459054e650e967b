//! How long it takes to compose a rich notification for every channel: `cargo run --release --package bench --bin compose`.
//!
//! Prints the median of many rounds, in microseconds: for each channel and for all of them, plain and rich.

// All of this file is a measurement.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use notifier_core::channels::{
    CHANNELS, Channel, ChannelSpec, ComposeContext, Fields, Operator, Origin, Parameter,
};
use notifier_core::json::{Json, Path};
use notifier_core::model::notification::{Level, Notification, Status};
use notifier_core::warnings::Warnings;

const ROUNDS: usize = 2_000;

fn main() {
    let channels: Vec<_> = CHANNELS
        .iter()
        .map(|spec| (spec.key, channel(spec)))
        .collect();
    let plain = Notification::plain(text("cpu_usage has been above 95 % for 5 minutes"));
    let rich = rich();
    println!("{:<10}{:>12}{:>12}", "µs", "plain", "rich");
    for (name, channel) in &channels {
        let one = [channel];
        print_row(name, median(&one, &plain), median(&one, &rich));
    }
    let all: Vec<_> = channels.iter().map(|(_, channel)| channel).collect();
    print_row("all", median(&all, &plain), median(&all, &rich));
}

fn print_row(name: &str, plain: Duration, rich: Duration) {
    let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
    println!("{name:<10}{:>12.2}{:>12.2}", micros(plain), micros(rich));
}

fn median(channels: &[&Arc<dyn Channel>], notification: &Notification) -> Duration {
    let cx = ComposeContext::new("7b0c2f0e-5a54-4b0c-9d0b-3f2a5e6f7a10");
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for channel in channels {
                black_box(channel.compose(black_box(notification), &cx).unwrap());
            }
            started.elapsed()
        })
        .collect();
    rounds.sort_unstable();
    *rounds.get(ROUNDS / 2).unwrap()
}

/// A channel as the examples of its parameters configure it.
fn channel(spec: &ChannelSpec) -> Arc<dyn Channel> {
    let example = |parameter: &Parameter| (parameter.name.to_owned(), text(parameter.example));
    let members: Vec<_> = spec.parameters.iter().map(example).collect();
    let mut warnings = Warnings::default();
    let mut fields = Fields::new(
        spec.key,
        Origin::Request,
        spec.parameters,
        &members,
        Path::root(),
        &mut warnings,
    );
    let parsed = (spec.parse)(&mut fields, &Operator::default());
    parsed.unwrap_or_else(|error| panic!("{}: {}", spec.key, error.what))
}

fn rich() -> Notification {
    let field = |(name, value): (&str, Json)| (name.to_owned(), value);
    Notification {
        title: Some("CPU of db1 above 95 %".to_owned()),
        level: Some(Level::Critical),
        status: Some(Status::Firing),
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
