//! Tests names: nonexistent ones, those of dead name servers, and Discord's.

use std::time::{Duration, Instant};

use rust_tests::World;
use serde_json::{Value, json};
use standin::{CannedReply, Rule};

fn http(url: String) -> Value {
    json!({"http_webhook_url": url})
}

#[test]
fn a_missing_name_or_silent_name_server_is_dns_and_retried() {
    let world = World::default();
    let port = world.port();
    let arguments = [
        ("max_attempts", "2"),
        ("initial_backoff", "10ms"),
        ("connect_timeout", "200ms"),
    ];
    let answer = world.notify(
        json!({"http": [http("http://none/x".to_owned()), http("http://dead/x".to_owned()), http(format!("http://works:{port}/hook/x"))]}),
        &arguments,
    );
    let entries = answer["deliveries"].as_array().unwrap();
    for (entry, words) in entries.iter().zip(["does not exist", "did not answer"]) {
        assert_eq!(
            (&entry["outcome"], &entry["reason"]),
            (&json!("failed"), &json!("dns"))
        );
        assert_eq!(entry["attempts"], 2, "{entry}");
        assert!(entry["detail"].as_str().unwrap().contains(words), "{entry}");
    }
    assert_eq!(entries[2]["outcome"], "delivered");
    assert_eq!(world.standin.messages().len(), 1);
}

#[test]
fn forty_names_that_time_out_delay_a_working_one_by_less_than_100_ms() {
    // The best of three tries, because the machine may be busy.
    let delay = (0..3).map(|_| delay_by_dead_names()).min().unwrap();
    assert!(delay < Duration::from_millis(100), "{delay:?}");
}

fn delay_by_dead_names() -> Duration {
    let world = World::default();
    let port = world.port();
    let mut all: Vec<Value> = (0..40).map(|n| http(format!("http://dead{n}/x"))).collect();
    all.push(http(format!("http://works:{port}/hook/x")));
    let started = Instant::now();
    let answer = world.notify(json!({"http": all}), &[("response_timeout", "0s")]);
    assert_eq!(answer["results"]["http"], "pending");
    while world.standin.messages().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(5), "not delivered");
        std::thread::sleep(Duration::from_millis(1));
    }
    started.elapsed()
}

#[test]
fn discords_429_is_heeded_at_version_10_of_its_api() {
    let world = World::default();
    let port = world.port();
    let path = "/api/v10/webhooks/1/token";
    let limited =
        json!({"status": 429, "json": {"message": "limited", "retry_after": 0.3, "global": false}});
    let limited: CannedReply = serde_json::from_value(limited).unwrap();
    world.standin.rule(Rule::reply(path, 1, limited));
    for version in ["", "/v6", "/v10"] {
        let url = format!("http://discord.com:{port}/api{version}/webhooks/1/token?thread_id=7");
        let message = json!({"discord": {"discord_webhook_url": url}});
        let answer = world.notify(message, &[("initial_backoff", "10ms")]);
        assert_eq!(answer["results"]["discord"], true, "{answer}");
    }
    let requests = world.standin.requests();
    assert!(requests.iter().all(|request| request.path == path));
    assert!(
        requests
            .iter()
            .all(|request| request.query == "thread_id=7&wait=true")
    );
    assert_eq!(requests.len(), 4);
    let waited = requests[1].at_ms - requests[0].at_ms;
    assert!((300.0..600.0).contains(&waited), "{waited} ms");
}

#[test]
fn a_block_of_this_servers_address_pauses_every_destination_of_discord() {
    let world = World::default();
    let port = world.port();
    let page = "<!DOCTYPE html><html><title>Access denied</title><body>Ray ID: 1</body></html>";
    let blocked: CannedReply =
        serde_json::from_value(json!({"status": 429, "body": page})).unwrap();
    world
        .standin
        .rule(Rule::reply("/api/v10/webhooks/1/a", 1, blocked));
    for (id, attempts) in [(1, 1), (2, 0), (3, 0)] {
        let url = format!("http://discord.com:{port}/api/webhooks/{id}/a");
        let answer = world.notify(json!({"discord": {"discord_webhook_url": url}}), &[]);
        let entry = &answer["deliveries"][0];
        assert_eq!(entry["outcome"], "failed", "{entry}");
        assert_eq!(entry["reason"], "rate_limited", "{entry}");
        assert_eq!(entry["attempts"], attempts, "{entry}");
        assert!(!entry["detail"].to_string().contains('<'), "{entry}");
    }
    assert_eq!(world.standin.requests().len(), 1);
}

#[test]
fn a_global_limit_pauses_every_destination_of_discord() {
    let world = World::default();
    let port = world.port();
    let limited =
        json!({"status": 429, "json": {"message": "limited", "retry_after": 0.5, "global": true}});
    let limited: CannedReply = serde_json::from_value(limited).unwrap();
    world
        .standin
        .rule(Rule::reply("/api/v10/webhooks/1/a", 1, limited));
    let webhook = |host: &str, id: u8| {
        let url = format!("http://{host}:{port}/api/webhooks/{id}/a");
        json!({"discord": {"discord_webhook_url": url}})
    };
    let pending = world.notify(webhook("discord.com", 1), &[("response_timeout", "100ms")]);
    assert_eq!(pending["results"]["discord"], "pending");
    let other = world.notify(webhook("canary.discord.com", 2), &[]);
    assert_eq!(other["results"]["discord"], true);
    let elsewhere = world.notify(webhook("discord.example", 3), &[]);
    assert_eq!(elsewhere["results"]["discord"], true);
    let at = |id: &str| {
        let requests = world.standin.requests();
        let of = |path: &str| path.contains(&format!("/webhooks/{id}/"));
        requests
            .iter()
            .filter(|r| of(&r.path))
            .map(|r| r.at_ms)
            .next()
            .unwrap()
    };
    assert!(at("2") - at("1") >= 499.0, "paused with the first");
    assert_eq!(elsewhere["deliveries"][0]["attempts"], 1);
}
