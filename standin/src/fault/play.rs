//! The behaviour of each kind of fault on a connection.

use std::io::{self, Write};
use std::time::Duration;

use flate2::{Compress, Compression, Crc, FlushCompress};
use tokio::time::sleep;

use super::conn::{Conn, Request};
use super::kind::{FaultKind, FlakyFailure, Hostile, ReplyOf, Sequence};
use crate::reply::Reply;

const CHUNK: usize = 16 << 10;

/// Processes one connection. `number` is its number at this fault.
pub async fn play(kind: &FaultKind, conn: &mut Conn, number: u64) -> io::Result<()> {
    match kind {
        // These two have no connections.
        FaultKind::Refuse | FaultKind::Blackhole => Ok(()),
        FaultKind::Stall => std::future::pending().await,
        FaultKind::PlainText => {
            conn.anything().await?;
            conn.write(&framed(200, "text/plain", b"this port speaks plain HTTP\n"))
                .await?;
            conn.finish().await
        }
        FaultKind::Reset => {
            conn.request().await?;
            conn.reset()
        }
        FaultKind::ResetBeforeBody => {
            conn.head().await?;
            conn.reset()
        }
        FaultKind::ResetMidReply { status, pause_ms } => {
            conn.request().await?;
            conn.write(&head(
                *status,
                &["Content-Type: text/plain", "Content-Length: 1000"],
            ))
            .await?;
            conn.write(&[b'x'; 100]).await?;
            sleep(Duration::from_millis(*pause_ms)).await;
            conn.reset()
        }
        FaultKind::Close => {
            conn.request().await?;
            conn.finish().await
        }
        FaultKind::Silent => {
            conn.request().await?;
            conn.swallow().await
        }
        FaultKind::Reply(sequence) => canned(conn, sequence).await,
        FaultKind::DeadAfterFirst { provider } => dead_after_first(conn, *provider, number).await,
        FaultKind::Flaky { fail_times, how } => flaky(conn, *fail_times, *how).await,
        _ => {
            conn.request().await?;
            misreply(kind, conn).await?;
            conn.finish().await
        }
    }
}

/// The faults that send a bad reply to one request and then close the connection.
async fn misreply(kind: &FaultKind, conn: &mut Conn) -> io::Result<()> {
    match kind {
        FaultKind::SlowHeaders { byte_ms, status } => {
            let reply = framed(*status, "text/plain", b"ok");
            conn.drip(&reply, Duration::from_millis(*byte_ms)).await
        }
        FaultKind::Endless1xx { interval_ms } => loop {
            conn.write(b"HTTP/1.1 102 Processing\r\n\r\n").await?;
            sleep(Duration::from_millis(*interval_ms)).await;
        },
        FaultKind::SlowBody {
            byte_ms,
            status,
            length,
        } => {
            conn.write(&head(
                *status,
                &[
                    "Content-Type: text/plain",
                    &format!("Content-Length: {length}"),
                ],
            ))
            .await?;
            let pause = Duration::from_millis(*byte_ms);
            for _ in 0..*length {
                conn.drip(b"x", pause).await?;
            }
            Ok(())
        }
        FaultKind::HugeBody { status, bytes } => {
            conn.write(&head(
                *status,
                &[
                    "Content-Type: text/plain",
                    &format!("Content-Length: {bytes}"),
                ],
            ))
            .await?;
            repeat(conn, &[b'x'; CHUNK], *bytes).await
        }
        FaultKind::EndlessChunked { status } => {
            conn.write(&head(
                *status,
                &["Content-Type: text/plain", "Transfer-Encoding: chunked"],
            ))
            .await?;
            let mut chunk = format!("{CHUNK:x}\r\n").into_bytes();
            chunk.extend([b'x'; CHUNK]);
            chunk.extend(b"\r\n");
            repeat(conn, &chunk, u64::MAX).await
        }
        FaultKind::GzipBomb { status, bytes } => {
            let body = gzip_of_zeros(*bytes)?;
            let length = format!("Content-Length: {}", body.len());
            conn.write(&head(
                *status,
                &[
                    "Content-Type: text/plain",
                    "Content-Encoding: gzip",
                    &length,
                ],
            ))
            .await?;
            conn.write(&body).await
        }
        FaultKind::MalformedStatus { line } => {
            conn.write(format!("{line}\r\nContent-Length: 2\r\n\r\nok").as_bytes())
                .await
        }
        FaultKind::ManyHeaders { count } => {
            let mut lines: Vec<String> = (0..*count).map(|i| format!("X-{i}: {i}")).collect();
            lines.push("Content-Length: 2".to_owned());
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            conn.write(&head(200, &lines)).await?;
            conn.write(b"ok").await
        }
        FaultKind::HugeHeader { bytes } => {
            let huge = format!("X-Huge: {}", "x".repeat(*bytes));
            conn.write(&head(200, &[&huge, "Content-Length: 2"]))
                .await?;
            conn.write(b"ok").await
        }
        FaultKind::Http09 => {
            conn.write(b"<html><body>HTTP/0.9 has neither status nor headers</body></html>\n")
                .await
        }
        FaultKind::HostileBody { status, variant } => {
            conn.write(&framed(*status, "text/plain", &hostile(*variant)))
                .await
        }
        _ => Ok(()),
    }
}

/// Repeats `piece` until `bytes` bytes are written.
async fn repeat(conn: &mut Conn, piece: &[u8], mut bytes: u64) -> io::Result<()> {
    while bytes > 0 {
        let now = piece
            .len()
            .min(usize::try_from(bytes).unwrap_or(usize::MAX));
        conn.write(&piece[..now]).await?;
        bytes -= now as u64;
    }
    Ok(())
}

async fn canned(conn: &mut Conn, sequence: &Sequence) -> io::Result<()> {
    let invalid = |e: String| io::Error::new(io::ErrorKind::InvalidInput, e);
    loop {
        let request = conn.request().await?;
        let first = sequence.times.is_none_or(|times| request.number <= times);
        let reply = if first {
            Some(&sequence.reply)
        } else {
            sequence.then.as_ref()
        };
        let closes = match reply {
            Some(canned) => {
                let reply = canned.to_reply().map_err(invalid)?;
                conn.write(&raw(&reply, canned.reason.as_deref(), &request))
                    .await?;
                reply.headers.iter().any(|(name, value)| {
                    name.eq_ignore_ascii_case("connection") && value == "close"
                })
            }
            None => {
                conn.write(&success_reply(ReplyOf::Webhook, &request, 0))
                    .await?;
                false
            }
        };
        if closes || request.close {
            return conn.finish().await;
        }
    }
}

/// The bytes of a reply, with a `Content-Length` if it has no framing.
fn raw(reply: &Reply, reason: Option<&str>, request: &Request) -> Vec<u8> {
    let framing = ["content-length", "transfer-encoding"];
    let is_framed = reply
        .headers
        .iter()
        .any(|(name, _)| framing.contains(&name.to_ascii_lowercase().as_str()));
    // These have no body and no `Content-Length` [RFC 9110, 8.6].
    let bodiless = reply.status < 200 || matches!(reply.status, 204 | 304);
    let mut bytes = status_line(reply.status, reason);
    for (name, value) in &reply.headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    if !is_framed && !bodiless {
        bytes.extend(format!("Content-Length: {}\r\n", reply.body.len()).bytes());
    }
    bytes.extend(b"\r\n");
    if request.method != "HEAD" {
        bytes.extend(&reply.body);
    }
    bytes
}

async fn dead_after_first(conn: &mut Conn, provider: ReplyOf, number: u64) -> io::Result<()> {
    let request = conn.request().await?;
    conn.write(&success_reply(provider, &request, number))
        .await?;
    loop {
        conn.request().await?;
    }
}

async fn flaky(conn: &mut Conn, fail_times: u64, how: FlakyFailure) -> io::Result<()> {
    loop {
        let request = conn.request().await?;
        let fails = request.number <= fail_times;
        match how {
            FlakyFailure::Reset if fails => return conn.reset(),
            FlakyFailure::Status500 if fails => {
                conn.write(&framed(500, "application/json", br#"{"error":"flaky"}"#))
                    .await?;
            }
            _ => {
                conn.write(&success_reply(ReplyOf::Webhook, &request, 0))
                    .await?
            }
        }
        if request.close {
            return conn.finish().await;
        }
    }
}

/// The successful reply of a provider.
fn success_reply(provider: ReplyOf, request: &Request, number: u64) -> Vec<u8> {
    let json = "application/json";
    match provider {
        ReplyOf::Webhook => framed(200, json, br#"{"received":true}"#),
        ReplyOf::Slack => framed(200, "text/plain; charset=utf-8", b"ok"),
        ReplyOf::Discord => framed(
            200,
            json,
            format!(r#"{{"id":"{number}","channel_id":"1","type":0}}"#).as_bytes(),
        ),
        ReplyOf::Twilio if request.method == "GET" => framed(200, json, br#"{"messages":[]}"#),
        ReplyOf::Twilio => {
            let sid = format!("SM{number:032x}");
            let body = format!(
                r#"{{"sid":"{sid}","status":"queued","num_segments":"1","error_code":null}}"#
            );
            framed(201, json, body.as_bytes())
        }
    }
}

fn status_line(status: u16, reason: Option<&str>) -> Vec<u8> {
    let known = hyper::StatusCode::from_u16(status)
        .ok()
        .and_then(|code| code.canonical_reason());
    format!(
        "HTTP/1.1 {status} {}\r\n",
        reason.or(known).unwrap_or_default()
    )
    .into_bytes()
}

fn head(status: u16, lines: &[&str]) -> Vec<u8> {
    let mut bytes = status_line(status, None);
    for line in lines {
        bytes.extend(line.bytes());
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"\r\n");
    bytes
}

fn framed(status: u16, content_type: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = head(
        status,
        &[
            &format!("Content-Type: {content_type}"),
            &format!("Content-Length: {}", body.len()),
        ],
    );
    bytes.extend(body);
    bytes
}

fn hostile(variant: Hostile) -> Vec<u8> {
    match variant {
        Hostile::InvalidUtf8 => b"bad \xff\xfe\xc3\x28 \xed\xa0\x80 \xf0\x9f end".to_vec(),
        Hostile::Nul => b"before\0after\0\x01\x02\x7f\x1f end".to_vec(),
        Hostile::Escapes => {
            "\x1b[2J\x1b[31mred\x1b]0;title\x07\r\nforged log line\u{9b}31m\u{202e}desrever\u{2066}\u{feff} end".into()
        }
        Hostile::LongLine => vec![b'x'; 10_000_000],
    }
}

/// A valid gzip stream of `bytes` zeros. It repeats one compressed mebibyte, which is possible after a full flush, and combines
/// the checksums.
fn gzip_of_zeros(bytes: u64) -> io::Result<Vec<u8>> {
    const BLOCK: usize = 1 << 20;
    let whole = deflated(&vec![0; BLOCK])?;
    let rest = vec![0; usize::try_from(bytes % BLOCK as u64).unwrap_or(0)];
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut crc, mut block_crc) = (Crc::new(), Crc::new());
    block_crc.update(&vec![0; BLOCK]);
    for _ in 0..bytes / BLOCK as u64 {
        gzip.write_all(&whole)?;
        crc.combine(&block_crc);
    }
    gzip.write_all(&deflated(&rest)?)?;
    crc.update(&rest);
    // The empty last block [RFC 1951, 3.2.6], then checksum and length [RFC 1952, 2.3.1].
    gzip.extend([3, 0]);
    gzip.extend(crc.sum().to_le_bytes());
    gzip.extend(crc.amount().to_le_bytes());
    Ok(gzip)
}

/// A deflate block that is independent of earlier blocks and ends on a byte boundary.
fn deflated(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut block = Vec::with_capacity(plain.len() / 2 + 64);
    Compress::new(Compression::best(), false)
        .compress_vec(plain, &mut block, FlushCompress::Full)
        .map_err(io::Error::other)?;
    Ok(block)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_bomb_is_valid_gzip() {
        for bytes in [0, 1, 1 << 20, (5 << 20) + 17] {
            let gzip = gzip_of_zeros(bytes).expect("compresses");
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&gzip[..])
                .read_to_end(&mut plain)
                .expect("inflates");
            assert_eq!(plain.len() as u64, bytes);
        }
    }
}
