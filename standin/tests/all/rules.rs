//! Rules, records and control.

use std::time::{Duration, Instant};

use crate::client::{End, Wire, get, post, send};
use serde_json::{Value, json};
use standin::{CannedReply, Rule, Standin};

const SLACK: &str = "/services/T0/B0/secret";
const JSON: (&str, &str) = ("Content-Type", "application/json");

async fn start() -> Standin {
    Standin::start().await.expect("starts")
}

fn send_text(standin: &Standin, path: &str) -> crate::client::Reply {
    post(standin.addr(), path, &json!({ "text": "hello" }))
}

#[tokio::test]
async fn a_reply_rule_applies_a_number_of_times_and_then_the_provider_replies_again() {
    let standin = start().await;
    let busy = CannedReply::status(429)
        .header("Retry-After", "1")
        .header("Retry-After", "2")
        .body("busy");
    standin.rule(Rule::reply("/services/*", 2, busy));
    for (status, left) in [(429, 1), (429, 0), (200, 0)] {
        let reply = send_text(&standin, SLACK);
        assert_eq!(
            (reply.status, standin.rules()[0].times),
            (status, Some(left))
        );
        assert_eq!(
            reply.head.matches("retry-after").count(),
            if status == 429 { 2 } else { 0 }
        );
    }
    let accepted: Vec<bool> = standin
        .requests()
        .iter()
        .map(|record| record.accepted)
        .collect();
    assert_eq!(
        (accepted, standin.messages().len()),
        (vec![false, false, true], 1)
    );
}

#[tokio::test]
async fn accept_first_accepts_the_message_before_any_reply() {
    let standin = start().await;
    standin.rule(Rule {
        accept_first: true,
        ..Rule::reply("/services/*", 1, CannedReply::status(500))
    });
    standin.rule(Rule {
        accept_first: true,
        hang: true,
        times: Some(1),
        ..Rule::at("*")
    });
    assert_eq!(send_text(&standin, SLACK).status, 500);
    let mut wire = Wire::open(standin.addr());
    wire.write(format!("POST {SLACK} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{{\"text\":\"t\"}}").as_bytes());
    assert_eq!(wire.read(1).1, End::Quiet);
    let records = standin.requests();
    let told: Vec<_> = records
        .iter()
        .map(|record| (record.status, record.accepted))
        .collect();
    assert_eq!(
        (told, standin.messages().len()),
        (vec![(Some(500), true), (None, true)], 2)
    );
}

#[tokio::test]
async fn a_rule_delays_the_reply_and_sets_its_headers() {
    let standin = start().await;
    let headers = vec![("X-RateLimit-Remaining".to_owned(), "0".to_owned())];
    standin.rule(Rule {
        delay_ms: 80,
        headers,
        method: Some("post".to_owned()),
        ..Rule::at(SLACK)
    });
    let began = Instant::now();
    let reply = send_text(&standin, SLACK);
    assert!(began.elapsed() >= Duration::from_millis(80));
    assert_eq!(
        (reply.status, reply.header("x-ratelimit-remaining")),
        (200, "0")
    );
    // Another path, another method: no rule.
    assert_eq!(
        send_text(&standin, "/services/T0/B0/other").header("x-ratelimit-remaining"),
        ""
    );
    assert_eq!(
        get(standin.addr(), SLACK).header("x-ratelimit-remaining"),
        ""
    );
}

#[tokio::test]
async fn a_rate_limit_applies_per_path_with_the_providers_429_reply() {
    let standin = start().await;
    let limit =
        json!({ "path": "*", "rate_limit": { "burst": 2, "per_ms": 100, "retry_after": "1" } });
    standin.rules_json(limit).expect("a rule");
    let statuses: Vec<u16> = (0..3).map(|_| send_text(&standin, SLACK).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(send_text(&standin, SLACK).header("retry-after"), "1");
    assert_eq!(send_text(&standin, "/services/T0/B0/other").status, 200);
    std::thread::sleep(Duration::from_millis(110));
    assert_eq!(send_text(&standin, SLACK).status, 200);
    let twilio = format!("/2010-04-01/Accounts/AC{}/Messages.json", "0".repeat(32));
    let codes: Vec<Value> = (0..3)
        .map(|_| post(standin.addr(), &twilio, &json!({})).json()["code"].clone())
        .collect();
    assert_eq!(codes, [20003, 20003, 20429]);
}

#[tokio::test]
async fn a_record_has_every_part_of_a_request() {
    let standin = start().await;
    let mut wire = Wire::open(standin.addr());
    let request = "POST /hook/a?b=c&d HTTP/1.1\r\nHost: x\r\nX-Twice: 1\r\nContent-Type: application/json\r\nX-Twice: 2\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(wire.exchange(request).status, 200);
    assert_eq!(wire.exchange(request).status, 200);
    send_text(&standin, SLACK);
    let records = get(standin.addr(), "/_standin/requests?path=/hook").json();
    assert_eq!(records.as_array().map(Vec::len), Some(2));
    let first = &records[0];
    for (name, value) in [
        ("n", json!(1)),
        ("provider", json!("webhook")),
        ("method", json!("POST")),
        ("path", json!("/hook/a")),
        ("query", json!("b=c&d")),
        ("body", json!("{}")),
        ("body_base64", json!("e30=")),
        ("status", json!(200)),
        ("accepted", json!(true)),
        ("problem", json!(null)),
        ("connection", json!(1)),
        ("tls", json!(false)),
    ] {
        assert_eq!(first[name], value, "{name}");
    }
    let twice: Vec<_> = first["headers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|h| h[0] == "x-twice")
        .collect();
    assert_eq!(twice, [&json!(["x-twice", "1"]), &json!(["x-twice", "2"])]);
    assert!(first["at_ms"].as_f64() < records[1]["at_ms"].as_f64());
    assert_eq!(records[1]["connection"], 1);
}

#[tokio::test]
async fn control_works_over_http() {
    let standin = start().await;
    let addr = standin.addr();
    assert_eq!(get(addr, "/_standin/health").json()["ok"], true);
    let rules = json!([{ "path": SLACK, "times": 1, "reply": { "status": 503, "json": { "a": 1 } } }, { "path": "/x" }]);
    assert_eq!(post(addr, "/_standin/rules", &rules).json()["added"], 2);
    assert_eq!(send_text(&standin, SLACK).json(), json!({ "a": 1 }));
    assert_eq!(get(addr, "/_standin/rules").json()[0]["times"], 0);
    assert_eq!(send_text(&standin, SLACK).status, 200);
    assert_eq!(get(addr, "/_standin/messages").json()[0]["text"], "hello");
    assert_eq!(
        send(addr, "POST", "/sink/0/slack/x", &[], "12345").body,
        "ok"
    );
    assert_eq!(
        send(addr, "POST", "/sink/1/discord/x", &[], "1").json()["id"],
        "1"
    );
    let sink = get(addr, "/_standin/sink").json();
    assert_eq!(
        (
            &sink["requests"],
            &sink["body_bytes"],
            &sink["by_kind"]["slack"]["requests"]
        ),
        (&json!(2), &json!(6), &json!(1))
    );
    let fault = post(addr, "/_standin/faults", &json!({ "kind": "close" })).json();
    let place = format!("/_standin/faults/{}", fault["port"]);
    assert_eq!(get(addr, &place).json()["connections"], 0);
    for target in [
        &place,
        "/_standin/requests",
        "/_standin/messages",
        "/_standin/rules",
        "/_standin/sink",
        "/_standin/faults",
    ] {
        assert_eq!(
            send(addr, "DELETE", target, &[], "").status,
            200,
            "{target}"
        );
    }
    assert_eq!(get(addr, &place).status, 404);
    assert_eq!(get(addr, "/_standin/requests").json(), json!([]));
    assert_eq!(get(addr, "/_standin/sink").json()["requests"], 0);
    for (target, body) in [
        ("/_standin/rules", "{"),
        ("/_standin/rules", r#"{"path":"/x","tmies":1}"#),
        ("/_standin/rules", r#"{"times":1}"#),
        ("/_standin/faults", r#"{"kind":"none"}"#),
        ("/_standin/tls", r#"{"cert_pem":"x"}"#),
    ] {
        let reply = send(addr, "POST", target, &[JSON], body);
        assert_eq!(
            (reply.status, reply.json()["error"].is_string()),
            (400, true),
            "{body}"
        );
    }
    assert_eq!(get(addr, "/_standin/nothing").status, 404);
    assert_eq!(
        standin.requests().len(),
        0,
        "control and sink are not recorded"
    );
}

#[tokio::test]
async fn an_incomplete_request_is_recorded_without_a_status() {
    let standin = start().await;
    let mut wire = Wire::open(standin.addr());
    wire.write(b"POST /hook/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf");
    drop(wire);
    standin.wait_for_requests(1, Duration::from_secs(5)).await;
    let long = json!({ "text": "x".repeat(32 << 20) });
    let reply = post(standin.addr(), "/services/T0/B0/x", &long);
    assert_eq!(reply.status, 413);
    let told: Vec<_> = standin
        .requests()
        .into_iter()
        .map(|r| (r.status, r.accepted))
        .collect();
    assert_eq!(told, [(None, false), (Some(413), false)]);
}

#[tokio::test]
async fn a_query_can_wait_for_later_requests_and_messages() {
    let standin = start().await;
    let addr = standin.addr();
    standin.rule(Rule {
        delay_ms: 100,
        ..Rule::at("/services/*")
    });
    let later = std::thread::spawn(move || post(addr, SLACK, &json!({ "text": "late" })).status);
    let long = Duration::from_secs(5);
    assert_eq!(standin.wait_for_requests(1, long).await[0].status, None);
    let shown =
        tokio::task::spawn_blocking(move || get(addr, "/_standin/messages?at_least=1")).await;
    assert_eq!(shown.expect("an answer").json()[0]["text"], "late");
    assert_eq!(standin.wait_for_messages(1, long).await.len(), 1);
    assert_eq!(later.join().expect("an answer"), 200);
    assert!(
        standin
            .wait_for_messages(2, Duration::from_millis(10))
            .await
            .len()
            < 2
    );
}

#[tokio::test]
async fn dropping_the_stand_in_closes_its_ports() {
    let standin = start().await;
    let fault = standin
        .fault(json!({ "kind": "silent" }))
        .await
        .expect("a fault");
    let (addr, port) = (standin.addr(), fault.port());
    drop(standin);
    assert!(std::net::TcpStream::connect(addr).is_err());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn other_addresses_than_loopback_are_rejected() {
    for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let refused = Standin::start_on(addr.parse().expect("an address"), 1);
        assert_eq!(
            refused.map(|_| ()).map_err(|e| e.kind()),
            Err(std::io::ErrorKind::InvalidInput),
            "{addr}"
        );
    }
}
