//! Each fault does to a connection what its name says.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::client::{End, Wire, send};
use serde_json::{Value, json};
use standin::{CannedReply, Fault, FaultKind, Standin};

const REQUEST: &str = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";

async fn open(standin: &Standin, kind: Value) -> (Fault, SocketAddr) {
    let fault = standin.fault(kind).await.expect("a fault");
    let addr = ([127, 0, 0, 1], fault.port()).into();
    (fault, addr)
}

async fn start() -> Standin {
    Standin::start().await.expect("starts")
}

#[tokio::test]
async fn each_fault_replies_as_documented() {
    let standin = start().await;
    let pieces = |kind: &str| json!({ "kind": kind });
    // Kind, beginning of what comes back, its least length, the end of the connection.
    for (kind, beginning, least, end) in [
        (pieces("stall"), "", 0, End::Quiet),
        (pieces("silent"), "", 0, End::Quiet),
        (pieces("reset"), "", 0, End::Reset),
        (pieces("reset_before_body"), "", 0, End::Reset),
        (pieces("close"), "", 0, End::Closed),
        (pieces("plain_text"), "HTTP/1.1 200 OK\r\n", 60, End::Closed),
        (
            json!({ "kind": "reset_mid_reply", "status": 503 }),
            "HTTP/1.1 503 Service Unavailable\r\n",
            150,
            End::Reset,
        ),
        (pieces("slow_headers"), "H", 1, End::Quiet),
        (
            json!({ "kind": "slow_headers", "byte_ms": 1, "status": 404 }),
            "HTTP/1.1 404 Not Found\r\n",
            60,
            End::Closed,
        ),
        (
            json!({ "kind": "endless_1xx", "interval_ms": 5 }),
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 ",
            200,
            End::Cut,
        ),
        (pieces("slow_body"), "HTTP/1.1 200 OK\r\n", 60, End::Quiet),
        (
            json!({ "kind": "slow_body", "byte_ms": 1, "length": 20, "status": 500 }),
            "HTTP/1.1 500 ",
            80,
            End::Closed,
        ),
        (
            json!({ "kind": "huge_body", "bytes": 1_000_000 }),
            "HTTP/1.1 200 OK\r\n",
            1_000_000,
            End::Closed,
        ),
        (
            json!({ "kind": "endless_chunked", "status": 500 }),
            "HTTP/1.1 500 ",
            5_000_000,
            End::Cut,
        ),
        (
            json!({ "kind": "gzip_bomb", "bytes": 50_000_000 }),
            "HTTP/1.1 200 OK\r\n",
            40_000,
            End::Closed,
        ),
        (
            pieces("malformed_status"),
            "HTTP/1.1 2OO OK\r\n",
            20,
            End::Closed,
        ),
        (
            pieces("many_headers"),
            "HTTP/1.1 200 OK\r\nX-0: 0\r\nX-1: 1\r\n",
            100_000,
            End::Closed,
        ),
        (
            pieces("huge_header"),
            "HTTP/1.1 200 OK\r\nX-Huge: xxx",
            1_000_000,
            End::Closed,
        ),
        (pieces("http09"), "<html>", 20, End::Closed),
        (
            json!({ "kind": "hostile_body", "status": 400, "variant": "nul" }),
            "HTTP/1.1 400 Bad Request\r\n",
            80,
            End::Closed,
        ),
        (
            json!({ "kind": "hostile_body", "variant": "escapes" }),
            "HTTP/1.1 200 ",
            80,
            End::Closed,
        ),
        (
            json!({ "kind": "hostile_body", "variant": "invalid_utf8" }),
            "HTTP/1.1 200 ",
            80,
            End::Closed,
        ),
        (
            json!({ "kind": "hostile_body", "variant": "long_line" }),
            "HTTP/1.1 200 ",
            10_000_000,
            End::Closed,
        ),
        (
            json!({ "kind": "reply", "status": 299, "reason": "Odd", "headers": [["A", "1"], ["A", "2"], ["Connection", "close"]], "body_base64": "/w==" }),
            "HTTP/1.1 299 Odd\r\nA: 1\r\nA: 2\r\n",
            60,
            End::Closed,
        ),
    ] {
        let (fault, addr) = open(&standin, kind.clone()).await;
        let mut wire = Wire::open(addr);
        wire.write(REQUEST.as_bytes());
        let most = if end == End::Cut { least } else { usize::MAX };
        let (bytes, ended) = wire.read(most);
        assert!(
            String::from_utf8_lossy(&bytes).starts_with(beginning),
            "{kind}: {:?}",
            bytes.get(..80)
        );
        assert!(bytes.len() >= least, "{kind}: {} bytes", bytes.len());
        assert_eq!(ended, end, "{kind}");
        let report = fault.report();
        let reads = !matches!(kind["kind"].as_str(), Some("stall" | "plain_text"));
        let whole = reads && kind["kind"] != "reset_before_body";
        assert_eq!(
            (report.connections, report.requests),
            (1, u64::from(reads)),
            "{kind}"
        );
        assert_eq!(report.heads.len(), usize::from(reads), "{kind}");
        assert_eq!(
            report.bodies,
            if whole { vec!["hello"] } else { vec![] },
            "{kind}"
        );
    }
}

#[tokio::test]
async fn refuse_rejects_connections_and_blackhole_delays_them() {
    let standin = start().await;
    let (_, refused) = open(&standin, json!({ "kind": "refuse" })).await;
    let kind = TcpStream::connect(refused)
        .map(|_| ())
        .map_err(|e| e.kind());
    assert_eq!(kind, Err(ErrorKind::ConnectionRefused));
    let (fault, hole) = open(&standin, json!({ "kind": "blackhole" })).await;
    for _ in 0..3 {
        let kind = TcpStream::connect_timeout(&hole, Duration::from_millis(100))
            .map(|_| ())
            .map_err(|e| e.kind());
        assert_eq!(kind, Err(ErrorKind::TimedOut));
    }
    fault.close();
    let kind = TcpStream::connect(hole).map(|_| ()).map_err(|e| e.kind());
    assert_eq!(kind, Err(ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn a_tls_hello_gets_a_plain_http_reply() {
    let standin = start().await;
    let (_, addr) = open(&standin, json!({ "kind": "plain_text" })).await;
    let mut wire = Wire::open(addr);
    wire.write(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]);
    assert!(wire.read(usize::MAX).0.starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn the_reset_can_come_before_the_body_is_read() {
    let standin = start().await;
    let (fault, addr) = open(&standin, json!({ "kind": "reset_before_body" })).await;
    let mut wire = Wire::open(addr);
    wire.write(b"POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(wire.read(1), (vec![], End::Reset));
    assert_eq!(
        fault.report().heads,
        ["POST /x HTTP/1.1\r\nContent-Length: 5"]
    );
}

#[tokio::test]
async fn a_canned_reply_keeps_the_connection_open_until_its_times_are_used() {
    let standin = start().await;
    let sequence = json!({ "kind": "reply", "status": 503, "body": "no", "times": 1, "then": { "status": 200, "body": "yes" } });
    let (fault, addr) = open(&standin, sequence).await;
    let mut wire = Wire::open(addr);
    let said: Vec<String> = (0..3).map(|_| wire.exchange(REQUEST).body).collect();
    assert_eq!(said, ["no", "yes", "yes"]);
    assert_eq!(
        (fault.report().connections, fault.report().requests),
        (1, 3)
    );
    let kind = FaultKind::reply(CannedReply::status(204));
    let fault = standin.fault(kind).await.expect("a fault");
    let mut wire = Wire::open(([127, 0, 0, 1], fault.port()).into());
    wire.write(REQUEST.as_bytes());
    assert_eq!(
        wire.read(usize::MAX),
        (b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), End::Quiet)
    );
}

#[tokio::test]
async fn a_chunked_body_is_read_to_its_end() {
    let standin = start().await;
    let (fault, addr) = open(&standin, json!({ "kind": "reply", "body": "ok" })).await;
    let mut wire = Wire::open(addr);
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: t\r\n\r\n";
    assert_eq!(wire.exchange(chunked).body, "ok");
    assert_eq!(wire.exchange(REQUEST).body, "ok");
    assert_eq!(fault.report().bodies, ["hello", "hello"]);
}

#[tokio::test]
async fn dead_after_first_replies_once_per_connection() {
    let standin = start().await;
    let (fault, addr) = open(
        &standin,
        json!({ "kind": "dead_after_first", "provider": "twilio" }),
    )
    .await;
    for number in 1..=2 {
        let mut wire = Wire::open(addr);
        let first = wire.exchange(REQUEST);
        assert_eq!(
            (first.status, first.json()["sid"].as_str().map(str::len)),
            (201, Some(34))
        );
        wire.write(REQUEST.as_bytes());
        assert_eq!(wire.read(1).1, End::Quiet);
        assert_eq!(
            (fault.report().connections, fault.report().requests),
            (number, 2 * number)
        );
    }
}

#[tokio::test]
async fn flaky_fails_the_first_requests_only() {
    let standin = start().await;
    let (_, addr) = open(
        &standin,
        json!({ "kind": "flaky", "fail_times": 2, "how": "500" }),
    )
    .await;
    let statuses: Vec<u16> = (0..4)
        .map(|_| send(addr, "POST", "/", &[], "").status)
        .collect();
    assert_eq!(statuses, [500, 500, 200, 200]);
    let (_, addr) = open(
        &standin,
        json!({ "kind": "flaky", "fail_times": 1, "how": "reset" }),
    )
    .await;
    let statuses: Vec<u16> = (0..3)
        .map(|_| send(addr, "POST", "/", &[], "").status)
        .collect();
    assert_eq!(statuses, [0, 200, 200]);
}

#[tokio::test]
async fn the_report_counts_the_bytes_that_a_client_read() {
    let standin = start().await;
    let (fault, addr) = open(&standin, json!({ "kind": "huge_body" })).await;
    let mut wire = Wire::open(addr);
    wire.write(REQUEST.as_bytes());
    wire.read(64 << 10);
    assert_eq!(fault.report().open, 1);
    drop(wire);
    let began = Instant::now();
    while fault.report().open > 0 {
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "the connection stays open"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = fault.report().bytes_sent;
    assert!((64 << 10..100_000_000).contains(&sent), "{sent} bytes");
}
