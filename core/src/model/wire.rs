//! The types that channels and transport share: messages, replies, destinations.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use url::Url;

use crate::secret::{MASK, Secret};

/// One address of a channel, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// For people: `slack hooks.slack.com#9c41`, `sms +1***90`.
    pub label: String,
    /// The queue's key: the same for all deliveries to this address.
    pub key: String,
    /// The host that the configuration chose, normalised; none where the operator chooses it (Twilio).
    pub host: Option<String>,
    /// The host that the configuration's `Host` header names, normalised.
    pub host_header: Option<String>,
    /// For pauses that hold for more than one destination: Discord for this host's address, a Twilio account.
    pub account: Option<String>,
    /// How many attempts may be under way at once, where the provider allows fewer than is usual.
    pub at_once: Option<usize>,
}

/// The effect of sending a message twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResendEffect {
    /// The provider recognises it.
    Deduplicated,
    /// People see the message twice; better than not at all.
    ShownTwice,
    /// It must not happen (an SMS costs money, and wakes somebody twice).
    Forbidden,
}

/// One message on its way out.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // Nearly all are requests.
pub enum Outbound {
    Http(HttpRequest),
    Mail(Box<Mail>),
}

impl Outbound {
    /// The request, where it is one.
    pub const fn http(&self) -> Option<&HttpRequest> {
        match self {
            Outbound::Http(request) => Some(request),
            Outbound::Mail(_) => None,
        }
    }

    /// The effect of sending it twice.
    pub const fn resend(&self) -> ResendEffect {
        match self {
            Outbound::Http(request) => request.resend,
            Outbound::Mail(mail) => mail.resend,
        }
    }

    /// Bytes that keeping it costs, roughly: not its body alone.
    pub fn size(&self) -> usize {
        let within = match self {
            Outbound::Http(request) => request.size(),
            Outbound::Mail(mail) => mail.size(),
        };
        size_of::<Self>() + within
    }

    /// The content, without the address.
    pub fn body(&self) -> Cow<'_, [u8]> {
        match self {
            Outbound::Http(request) => Cow::Borrowed(&request.body),
            Outbound::Mail(mail) => {
                let html = mail.html.iter().flat_map(|html| ["\n\n", html]);
                let parts = ["Subject: ", &mail.subject, "\n\n", &mail.text].into_iter();
                let all: String = parts.chain(html).collect();
                Cow::Owned(all.into_bytes())
            }
        }
    }

    /// Of the body; empty where it has none, or one that is no text.
    pub fn content_type(&self) -> &str {
        match self {
            Outbound::Http(request) => {
                let value = request.headers.get(http::header::CONTENT_TYPE);
                value
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default()
            }
            Outbound::Mail(mail) if mail.html.is_some() => "multipart/alternative",
            Outbound::Mail(_) => "text/plain; charset=utf-8",
        }
    }
}

/// A reply.
#[derive(Clone, Debug)]
pub enum Reply {
    Http(HttpReply),
    Smtp(SmtpReply),
}

/// A request; `sign` completes it. `url` never has userinfo.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub resend: ResendEffect,
}

impl HttpRequest {
    fn size(&self) -> usize {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| HEADER_BYTES + name.as_str().len() + value.len());
        self.url.as_str().len() + headers.sum::<usize>() + self.body.len()
    }
}

/// Memory of a header in a map besides its name and value.
const HEADER_BYTES: usize = 64;

impl fmt::Debug for HttpRequest {
    /// Shows no secret: path, query, headers and body may all hold one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}://{}/{MASK} ({} bytes)",
            self.method,
            self.url.scheme(),
            self.url.host_str().unwrap_or("-"),
            self.body.len()
        )
    }
}

/// A mail to one recipient, before it has its form for the wire.
#[derive(Clone)]
pub struct Mail {
    pub server: MailServer,
    pub from: Mailbox,
    /// The address that gets it, which no header need show.
    pub recipient: String,
    /// The recipients in the headers.
    pub to: Vec<Mailbox>,
    pub cc: Vec<Mailbox>,
    pub reply_to: Vec<Mailbox>,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    /// Without the angle brackets; the same on every attempt.
    pub message_id: String,
    /// The id of the first message of its thread, in the same form.
    pub thread: Option<String>,
    /// When the attempt began; set just before it.
    pub date: Option<Timestamp>,
    pub resend: ResendEffect,
}

impl Mail {
    fn size(&self) -> usize {
        let credentials = self.server.credentials.iter();
        let credentials = credentials.flat_map(|both| [&both.username, &both.password]);
        let texts = [&self.server.host, &self.recipient, &self.subject];
        let texts = texts.into_iter().chain([&self.text, &self.message_id]);
        let optional = [&self.html, &self.thread, &self.server.hello];
        let texts = texts.chain(optional.into_iter().flatten());
        texts.map(String::len).sum::<usize>()
            + self.mailboxes().map(Mailbox::size).sum::<usize>()
            + credentials
                .map(|secret| secret.expose().len())
                .sum::<usize>()
    }

    /// Whether an address in it is beyond ASCII, in its envelope or its headers: not every server takes such a mail.
    pub fn needs_smtputf8(&self) -> bool {
        let mut addresses = self.mailboxes().map(|mailbox| &mailbox.address);
        !self.recipient.is_ascii() || addresses.any(|address| !address.is_ascii())
    }

    fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        let lists = [&self.to, &self.cc, &self.reply_to];
        lists.into_iter().flatten().chain([&self.from])
    }
}

/// A mail address, with a name that people read or without.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub name: Option<String>,
    pub address: String,
}

impl Mailbox {
    fn size(&self) -> usize {
        size_of::<Self>() + self.address.len() + self.name.as_ref().map_or(0, String::len)
    }
}

impl fmt::Debug for Mailbox {
    /// It may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Who takes a mail, and how.
#[derive(Clone)]
pub struct MailServer {
    /// A name in ASCII, or an address.
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub credentials: Option<Credentials>,
    /// The name that we give in `EHLO`. None: our own address.
    pub hello: Option<String>,
}

/// How the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// After a greeting in clear.
    StartTls,
    /// From the first byte.
    Implicit,
    /// Not at all: to a private address alone, and without credentials.
    Clear,
}

#[derive(Clone)]
pub struct Credentials {
    pub username: Secret,
    pub password: Secret,
}

impl fmt::Debug for Mail {
    /// Shows no secret: addresses and texts may be.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MailServer { host, port, .. } = &self.server;
        write!(f, "mail by {host}:{port} ({} bytes)", self.text.len())
    }
}

/// The last reply of a mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpReply {
    /// The command that it replies to.
    pub stage: SmtpStage,
    /// Three digits.
    pub code: u16,
    /// Its lines without the code, joined by spaces.
    pub text: String,
}

impl fmt::Debug for SmtpReply {
    /// Without the text, which may quote the command.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {:?}", self.code, self.stage)
    }
}

/// The steps of a mail's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpStage {
    Greeting,
    Hello,
    StartTls,
    Auth,
    Sender,
    Recipient,
    /// The message was announced.
    Data,
    /// The message was sent, to its final dot.
    Message,
}

/// The head of a reply and as much of its body as was read.
#[derive(Clone)]
pub struct HttpReply {
    pub status: u16,
    pub headers: HeaderMap,
    /// At most 64 KiB, decoded.
    pub body: Bytes,
    /// False if the body was lost, late, too long or in an unknown coding. Then only the status counts.
    pub complete: bool,
    /// The wall clock when the head came: what an HTTP date in `Retry-After` is held against.
    pub received: SystemTime,
}

impl HttpReply {
    /// The body as text; invalid UTF-8 becomes U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON, if it is that.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// A header's value, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl fmt::Debug for HttpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.status, self.body.len())
    }
}
