//! One connection of a fault: reads requests as bytes, counts them, and closes with FIN or RST.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Log;

/// The maximum size of a request head.
const MAX_HEAD: usize = 1 << 20;
const MAX_BODY: usize = 32 << 20;
/// The maximum wait for the client's close after a reply, because an early RST would discard the reply.
const DRAIN: Duration = Duration::from_secs(2);

/// A complete request.
#[derive(Debug)]
pub struct Request {
    /// The number of the request at this fault, from 1.
    pub number: u64,
    pub method: String,
    pub close: bool,
}

/// The framing information of a request head.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    pub method: String,
    pub length: usize,
    pub chunked: bool,
    pub close: bool,
    pub expects_continue: bool,
}

impl Head {
    pub fn parse(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default();
        let value = |wanted: &str| {
            let mut fields = text
                .split("\r\n")
                .skip(1)
                .filter_map(|line| line.split_once(':'));
            fields
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.trim().to_ascii_lowercase())
        };
        let connection = value("connection").unwrap_or_default();
        Self {
            method: start.split(' ').next().unwrap_or_default().to_owned(),
            length: value("content-length")
                .and_then(|length| length.parse().ok())
                .unwrap_or(0),
            chunked: value("transfer-encoding").is_some_and(|coding| coding.contains("chunked")),
            close: connection.contains("close")
                || (start.ends_with("HTTP/1.0") && !connection.contains("keep-alive")),
            expects_continue: value("expect").is_some_and(|expected| expected == "100-continue"),
        }
    }
}

/// A connection with its read buffer.
#[derive(Debug)]
pub struct Conn {
    stream: TcpStream,
    ahead: Vec<u8>,
    log: Arc<Log>,
}

impl Conn {
    pub fn new(stream: TcpStream, log: Arc<Log>) -> Self {
        log.open.fetch_add(1, Relaxed);
        Self {
            stream,
            ahead: Vec::new(),
            log,
        }
    }

    /// Reads the next request.
    pub async fn request(&mut self) -> io::Result<Request> {
        let (number, head) = self.head().await?;
        if head.expects_continue {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let body = if head.chunked {
            self.chunks().await?
        } else {
            self.take(head.length).await?
        };
        self.log.body(&body);
        Ok(Request {
            number,
            method: head.method,
            close: head.close,
        })
    }

    /// Reads the head of the next request. Later bytes stay in the buffer.
    pub async fn head(&mut self) -> io::Result<(u64, Head)> {
        let head = self.until(b"\r\n\r\n", MAX_HEAD).await?;
        Ok((self.log.head(&head), Head::parse(&head)))
    }

    /// Reads a chunked body, and drops the trailers.
    async fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.until(b"\r\n", MAX_HEAD).await?;
            let text = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            if size == 0 {
                while !self.until(b"\r\n", MAX_HEAD).await?.is_empty() {}
                return Ok(body);
            }
            if body.len() + size > MAX_BODY {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            body.extend(self.take(size).await?);
            self.until(b"\r\n", MAX_HEAD).await?;
        }
    }

    /// Reads up to a delimiter, and drops the delimiter.
    async fn until(&mut self, mark: &[u8], max: usize) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.ahead[searched..]
                .windows(mark.len())
                .position(|window| window == mark)
            {
                let found = self.ahead.drain(..searched + at).collect();
                self.ahead.drain(..mark.len());
                return Ok(found);
            }
            searched = self.ahead.len().saturating_sub(mark.len() - 1);
            if searched > max {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > MAX_BODY {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        while self.ahead.len() < length {
            self.more().await?;
        }
        Ok(self.ahead.drain(..length).collect())
    }

    /// Reads more bytes. A close by the client is an error, which ends the fault's connection.
    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.ahead).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Waits for any byte.
    pub async fn anything(&mut self) -> io::Result<()> {
        if self.ahead.is_empty() {
            self.more().await
        } else {
            Ok(())
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = self.stream.write(rest).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.log.sent.fetch_add(written as u64, Relaxed);
            rest = &rest[written..];
        }
        Ok(())
    }

    /// Writes byte by byte, with a pause after each.
    pub async fn drip(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        for byte in bytes {
            self.write(&[*byte]).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Makes the close send RST instead of FIN.
    pub fn reset(&mut self) -> io::Result<()> {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    /// Sends FIN, then waits for the client's close.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let _ = tokio::time::timeout(DRAIN, self.swallow()).await;
        Ok(())
    }

    /// Reads and discards bytes until the client closes.
    pub async fn swallow(&mut self) -> io::Result<()> {
        loop {
            self.ahead.clear();
            self.more().await?;
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.log.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_determines_the_framing_of_the_body() {
        let head = Head::parse(
            b"POST /x HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 12\r\nExpect: 100-Continue",
        );
        assert_eq!(
            (head.method.as_str(), head.length, head.chunked, head.close),
            ("POST", 12, false, false)
        );
        assert!(head.expects_continue);
        for (head, close) in [
            (&b"GET / HTTP/1.1\r\nConnection: close"[..], true),
            (b"GET / HTTP/1.0", true),
            (b"GET / HTTP/1.0\r\nConnection: Keep-Alive", false),
            (b"GET / HTTP/1.1", false),
        ] {
            assert_eq!(Head::parse(head).close, close);
        }
        assert!(Head::parse(b"PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked").chunked);
    }
}
