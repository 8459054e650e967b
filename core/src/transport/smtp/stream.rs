//! The connection to a mail server: the unencrypted commands before TLS, and the stream that lettre uses.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::failure::{broken, malformed, permanent};
use crate::model::outcome::Reason;
use crate::model::wire::{MailServer, MailTls, SmtpReply, SmtpStage};
use crate::transport::failure::unusable;
use crate::transport::{SendError, tls};

/// Lines of a reply, together; a longer one is no mail server's.
const MAX_REPLY_BYTES: usize = 16 * 1024;

/// Greeting, EHLO, STARTTLS. Returns the stream when the server is ready for the handshake, or the server's refusal.
pub async fn start_tls(
    mut stream: TcpStream,
    hello: &ClientId,
) -> Result<Result<TcpStream, SmtpReply>, SendError> {
    let greeting = read_reply(&mut stream, SmtpStage::Greeting).await?;
    if greeting.code != 220 {
        return Ok(Err(greeting));
    }
    let offers = send_command(&mut stream, &format!("EHLO {hello}\r\n"), SmtpStage::Hello).await?;
    if offers.code != 250 {
        return Ok(Err(offers));
    }
    let words = offers.text.split_whitespace();
    if !words
        .into_iter()
        .any(|word| word.eq_ignore_ascii_case("STARTTLS"))
    {
        return Err(permanent(Reason::Tls, NO_STARTTLS));
    }
    let ready = send_command(&mut stream, "STARTTLS\r\n", SmtpStage::StartTls).await?;
    // Further unencrypted bytes of the server are not read: this reads one reply and no byte more.
    Ok(if ready.code == 220 {
        Ok(stream)
    } else {
        Err(ready)
    })
}

const NO_STARTTLS: &str = "the mail server offers no STARTTLS on this port, and in clear nothing is sent (is it a port for email_tls = tls?)";

async fn send_command(
    stream: &mut TcpStream,
    command: &str,
    stage: SmtpStage,
) -> Result<SmtpReply, SendError> {
    let written = stream.write_all(command.as_bytes()).await;
    written.map_err(|error| broken(&error))?;
    read_reply(stream, stage).await
}

/// Reads one reply: lines of `250-` and one of `250 `.
async fn read_reply(stream: &mut TcpStream, stage: SmtpStage) -> Result<SmtpReply, SendError> {
    let (mut line, mut lines, mut bytes) = (Vec::new(), Vec::new(), 0);
    loop {
        let byte = stream.read_u8().await.map_err(|error| broken(&error))?;
        bytes += 1;
        if bytes > MAX_REPLY_BYTES {
            return Err(malformed());
        }
        if byte != b'\n' {
            line.push(byte);
            continue;
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        let code = text
            .get(..3)
            .filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()));
        let code: u16 = code
            .and_then(|code| code.parse().ok())
            .ok_or_else(malformed)?;
        lines.push(text.get(4..).unwrap_or_default().trim().to_owned());
        match text.as_bytes().get(3) {
            Some(b'-') => line.clear(),
            None | Some(b' ' | b'\r') => {
                return Ok(SmtpReply {
                    stage,
                    code,
                    text: lines.join(" "),
                });
            }
            Some(_) => return Err(malformed()),
        }
    }
}

/// The stream below lettre: encrypted if the configuration says so. It records whether the final dot may have been
/// sent.
pub struct SmtpStream {
    inner: Box<dyn ByteStream>,
    peer: io::Result<SocketAddr>,
    /// Read before the server's bytes: lettre expects a greeting, which the server does not repeat after STARTTLS.
    greeting: &'static [u8],
    /// The bytes received since our last command.
    received_bytes: usize,
    pub dot: Arc<AtomicBool>,
}

/// The end of the message, which lettre writes on its own.
const DOT: &[u8] = b"\r\n.\r\n";

/// Encrypted or not.
trait ByteStream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> ByteStream for T {}

impl SmtpStream {
    pub fn unencrypted(stream: TcpStream) -> Self {
        let peer = stream.peer_addr();
        Self::new(stream, peer)
    }

    fn new(inner: impl ByteStream + 'static, peer: io::Result<SocketAddr>) -> Self {
        Self {
            inner: Box::new(inner),
            peer,
            greeting: b"",
            received_bytes: 0,
            dot: Arc::default(),
        }
    }

    pub const fn after_greeting(mut self) -> Self {
        self.greeting = b"220 \r\n";
        self
    }
}

pub async fn encrypted(
    stream: TcpStream,
    server: &MailServer,
    config: rustls::ClientConfig,
) -> Result<SmtpStream, SendError> {
    let name = ServerName::try_from(server.host.clone())
        .map_err(|_| unusable("the mail server's name cannot be checked"))?;
    let connector = TlsConnector::from(Arc::new(config));
    let peer = stream.peer_addr();
    let inner = connector.connect(name, stream).await.map_err(|error| {
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match tls {
            Some(tls) => refused(tls, server.tls),
            None => broken(&error),
        }
    })?;
    Ok(SmtpStream::new(inner, peer))
}

fn refused(error: &rustls::Error, tls: MailTls) -> SendError {
    let mut refused = permanent(Reason::Tls, tls::sentence(error));
    refused.failure.hint = match (error, tls) {
        (rustls::Error::InvalidMessage(_), MailTls::Implicit) => Some(STARTTLS_PORT.into()),
        (error, _) => tls::hint(error).map(Into::into),
    };
    refused
}

const STARTTLS_PORT: &str = "A server that begins in clear answers so: use STARTTLS there (port 587, as a rule), or give the port at which it speaks TLS from the \
                             first byte (465).";

impl fmt::Debug for SmtpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl AsyncRead for SmtpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() && buffer.remaining() >= self.greeting.len() {
            buffer.put_slice(std::mem::take(&mut self.greeting));
            return Poll::Ready(Ok(()));
        }
        // lettre measures a line only once it has ended.
        if self.received_bytes > MAX_REPLY_BYTES {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        self.received_bytes += buffer.filled().len() - before;
        Poll::Ready(read)
    }
}

impl AsyncWrite for SmtpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.received_bytes = 0;
        if bytes == DOT {
            self.dot.store(true, Ordering::Release);
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for SmtpStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.peer {
            Ok(peer) => Ok(*peer),
            Err(error) => Err(error.kind().into()),
        }
    }
}
