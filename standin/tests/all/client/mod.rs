//! A raw client: sends and receives bytes, and reports how the connection ended.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A parsed reply.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0);
        Self {
            status,
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
    /// No byte arrived for a while.
    Quiet,
    /// The maximum was read.
    Cut,
}

pub struct Wire(TcpStream);

impl Wire {
    pub fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).expect("connects");
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .expect("a timeout");
        Self(stream)
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("writes");
    }

    /// Reads until the end, a pause, or `max` bytes.
    pub fn read(&mut self, max: usize) -> (Vec<u8>, End) {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        while bytes.len() < max {
            match self.0.read(&mut buffer) {
                Ok(0) => return (bytes, End::Closed),
                Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                Err(e) => return (bytes, ending(&e)),
            }
        }
        (bytes, End::Cut)
    }

    /// Sends a request and reads one reply, by its length.
    pub fn exchange(&mut self, request: &str) -> Reply {
        self.write(request.as_bytes());
        let (bytes, _) = self.read_reply();
        Reply::parse(&bytes)
    }

    fn read_reply(&mut self) -> (Vec<u8>, End) {
        let mut bytes = Vec::new();
        loop {
            let (more, end) = self.read(1);
            bytes.extend(more);
            let reply = Reply::parse(&bytes);
            let complete = bytes.windows(4).any(|w| w == b"\r\n\r\n")
                && reply
                    .header("content-length")
                    .parse()
                    .is_ok_and(|length: usize| reply.body.len() >= length);
            if complete || end != End::Cut {
                return (bytes, end);
            }
        }
    }
}

fn ending(error: &io::Error) -> End {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => End::Quiet,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => End::Reset,
        other => panic!("unexpected {other}: {error}"),
    }
}

/// Sends one request on a new connection.
pub fn send(
    addr: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut request =
        format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let mut wire = Wire::open(addr);
    wire.0
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    wire.exchange(&request)
}

/// A POST of JSON.
pub fn post(addr: SocketAddr, target: &str, body: &Value) -> Reply {
    send(
        addr,
        "POST",
        target,
        &[("Content-Type", "application/json")],
        &body.to_string(),
    )
}

pub fn get(addr: SocketAddr, target: &str) -> Reply {
    send(addr, "GET", target, &[], "")
}
