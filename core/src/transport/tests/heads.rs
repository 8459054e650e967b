//! Sends reply heads from a raw socket: which are replies, and the message's result if they are not.

use super::*;

/// Answers every request with these bytes and closes. Counts the requests.
async fn server(reply: Vec<u8>) -> (u16, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n{}") {
                if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            *counted.lock().unwrap() += 1;
            let _ = stream.write_all(&reply).await;
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut head).await;
        }
    });
    (port, count)
}

/// The status, or the reason and how much the other side has seen.
async fn outcome(reply: Vec<u8>) -> Result<u16, (Reason, Sent)> {
    let world = World::new(&[("hooks.example", &[&[PUBLIC]])]);
    let (port, count) = server(reply).await;
    let outbound = Outbound::Http(HttpRequest {
        method: Method::POST,
        url: Url::parse(&format!("http://hooks.example:{port}/x")).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        resend: ResendEffect::ShownTwice,
    });
    let key = world.key(Allow);
    let sent = world
        .transport
        .send(&outbound, &key, Duration::from_secs(5));
    let outcome = match sent.await {
        Ok(Reply::Http(reply)) => Ok(reply.status),
        Ok(Reply::Smtp(_)) => unreachable!(),
        Err(error) => Err((error.failure.reason, error.sent)),
    };
    assert_eq!(*count.lock().unwrap(), 1, "the client repeats nothing");
    outcome
}

fn head(lines: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: 2\r\n\r\nok").into_bytes()
}

#[tokio::test]
async fn an_untidy_head_is_a_reply() {
    let many = |count: usize| {
        let lines: Vec<_> = (0..count).map(|n| format!("X-{n}: {n}")).collect();
        head(&lines.join("\r\n"))
    };
    for reply in [
        head("X-Folded: one\r\n two\r\n\tthree"),
        head(" begins with a fold"),
        head("X-Blank : x"),
        head("X Blank: x"),
        head("no colon"),
        head(": no name"),
        head("X-Control: a\u{1}b"),
        head("X-\u{fc}: x"),
        many(150),
        many(MAX_HEADERS - 1),
        b"HTTP/1.1 200\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 \r\n\r\n".to_vec(),
        b"HTTP/1.0 200 OK\n\nok".to_vec(),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".to_vec(),
    ] {
        let shown = String::from_utf8_lossy(&reply)
            .chars()
            .take(80)
            .collect::<String>();
        assert_eq!(outcome(reply).await, Ok(200), "{shown:?}");
    }
}

#[tokio::test]
async fn an_invalid_reply_head_counts_as_a_reply() {
    let many: Vec<_> = (0..10_000).map(|n| format!("X-{n}: {n}")).collect();
    for reply in [
        head(&many.join("\r\n")),
        head(&format!("X-Huge: {}", "x".repeat(1_000_000))),
        head("Content-Length: many"),
        head("Content-Length: 3"),
        b"HTTP/1.1 2OO OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 20 OK\r\n\r\n".to_vec(),
        b"HTTP/7.3 200 OK\r\n\r\n".to_vec(),
        b"HTTP/2.0 200 OK\r\n\r\n".to_vec(),
        b"<html>HTTP/0.9</html>\n".to_vec(),
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        b"\0\0\0".to_vec(),
    ] {
        let shown = String::from_utf8_lossy(&reply)
            .chars()
            .take(80)
            .collect::<String>();
        let expected = Err((Reason::MalformedReply, Sent::Answered));
        assert_eq!(outcome(reply).await, expected, "{shown:?}");
    }
}

#[tokio::test]
async fn a_head_that_ends_too_early_is_a_lost_connection() {
    for reply in [
        "",
        "HTTP/1.1 ",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nX-Cut: a",
    ] {
        let expected = Err((Reason::ConnectionLost, Sent::Maybe));
        assert_eq!(outcome(reply.into()).await, expected, "{reply:?}");
    }
}
