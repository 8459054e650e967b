//! The types that channels and transport share: messages, replies, destinations.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use url::Url;

use crate::secret::{MASK, Secret};

/// One address of a channel, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The label for people: `slack hooks.slack.com#9c41`, `sms +1***90`.
    pub label: String,
    /// The queue's key. All deliveries to this address have the same key.
    pub key: String,
    /// The configuration's host, normalised. `None` if the operator sets the host (Twilio).
    pub host: Option<String>,
    /// The host of the configuration's `Host` header, normalised.
    pub host_header: Option<String>,
    /// The account for pauses of several destinations: Discord for this host's address, a Twilio account.
    pub account: Option<String>,
    /// The maximum number of concurrent attempts, if the provider allows fewer than the default.
    pub at_once: Option<usize>,
}

/// The effect of sending a message twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResendEffect {
    /// The provider recognises the repeated message.
    Deduplicated,
    /// People see the message twice, which is better than not at all.
    ShownTwice,
    /// A repetition is forbidden: an SMS costs money and wakes the recipient twice.
    Forbidden,
}

/// One outgoing message.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // Nearly all messages are requests.
pub enum Outbound {
    Http(HttpRequest),
    Mail(Box<Mail>),
}

impl Outbound {
    /// Returns the request of an HTTP message.
    pub const fn http(&self) -> Option<&HttpRequest> {
        match self {
            Outbound::Http(request) => Some(request),
            Outbound::Mail(_) => None,
        }
    }

    /// Returns the effect of sending the message twice.
    pub const fn resend(&self) -> ResendEffect {
        match self {
            Outbound::Http(request) => request.resend,
            Outbound::Mail(mail) => mail.resend,
        }
    }

    /// Returns the approximate memory size in bytes, with body and headers.
    pub fn size(&self) -> usize {
        let within = match self {
            Outbound::Http(request) => request.size(),
            Outbound::Mail(mail) => mail.size(),
        };
        size_of::<Self>() + within
    }

    /// Returns the content without the address.
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

    /// Returns the body's content type. Empty if there is none, or if its value is not text.
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

/// An HTTP request; `sign` completes it. `url` never contains userinfo.
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

/// The memory of a header in a map, besides its name and value.
const HEADER_BYTES: usize = 64;

impl fmt::Debug for HttpRequest {
    /// Omits path, query, headers and body, which may all contain secrets.
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

/// A mail to one recipient, not yet encoded.
#[derive(Clone)]
pub struct Mail {
    pub server: MailServer,
    pub from: Mailbox,
    /// The envelope's recipient, which the headers may omit.
    pub recipient: String,
    /// The recipients in the headers.
    pub to: Vec<Mailbox>,
    pub cc: Vec<Mailbox>,
    pub reply_to: Vec<Mailbox>,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    /// The id without angle brackets. The same on every attempt.
    pub message_id: String,
    /// The id of the thread's first message, in the same form.
    pub thread: Option<String>,
    /// The start of the attempt, set just before it.
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

    /// Whether an address in the envelope or the headers has non-ASCII characters. Not every server accepts such a
    /// mail.
    pub fn needs_smtputf8(&self) -> bool {
        let mut addresses = self.mailboxes().map(|mailbox| &mailbox.address);
        !self.recipient.is_ascii() || addresses.any(|address| !address.is_ascii())
    }

    fn mailboxes(&self) -> impl Iterator<Item = &Mailbox> {
        let lists = [&self.to, &self.cc, &self.reply_to];
        lists.into_iter().flatten().chain([&self.from])
    }
}

/// A mail address, with or without a display name.
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
    /// Masks the address, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// The mail server and its connection settings.
#[derive(Clone)]
pub struct MailServer {
    /// A name in ASCII, or an IP address.
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub credentials: Option<Credentials>,
    /// The name in `EHLO`. `None` means the client's own address.
    pub hello: Option<String>,
}

/// The encryption of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// Encrypted after an unencrypted greeting.
    StartTls,
    /// Encrypted from the first byte.
    Implicit,
    /// Not encrypted: only to a private address and without credentials.
    Clear,
}

#[derive(Clone)]
pub struct Credentials {
    pub username: Secret,
    pub password: Secret,
}

impl fmt::Debug for Mail {
    /// Omits addresses and texts, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MailServer { host, port, .. } = &self.server;
        write!(f, "mail by {host}:{port} ({} bytes)", self.text.len())
    }
}

/// The last reply of a mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpReply {
    /// The command before the reply.
    pub stage: SmtpStage,
    /// The code's three digits.
    pub code: u16,
    /// The reply's lines without the code, joined by spaces.
    pub text: String,
}

impl fmt::Debug for SmtpReply {
    /// Omits the text, which may quote the command.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {:?}", self.code, self.stage)
    }
}

/// The stages of a mail's transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpStage {
    Greeting,
    Hello,
    StartTls,
    Auth,
    Sender,
    Recipient,
    /// The client announced the message.
    Data,
    /// The client sent the message to its final dot.
    Message,
}

/// A reply's status and headers, and the part of its body that the client read.
#[derive(Clone)]
pub struct HttpReply {
    pub status: u16,
    pub headers: HeaderMap,
    /// The decoded body, at most 64 KiB.
    pub body: Bytes,
    /// False if the body was lost, late, too long or in an unknown coding. Then only the status counts.
    pub complete: bool,
    /// The wall-clock time at which the headers arrived. An HTTP date in `Retry-After` is relative to it.
    pub received: SystemTime,
}

impl HttpReply {
    /// Returns the body as text, with invalid UTF-8 as U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Returns the body as JSON, or `None` if it is not JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Returns a header's value, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl fmt::Debug for HttpReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.status, self.body.len())
    }
}
