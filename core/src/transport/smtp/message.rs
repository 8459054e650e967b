//! A mail in its transfer format.

use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{
    self, ContentTransferEncoding, ContentType, HeaderName, HeaderValue,
};
use lettre::message::{Body, Mailboxes, Message, MultiPart, SinglePart};

use crate::model::wire::{Mail, Mailbox};
use crate::secret::digest;
use crate::transport::SendError;
use crate::transport::failure::unusable;

/// But for its lines that begin with a dot, which are doubled on the way.
pub fn formatted(mail: &Mail) -> Result<Vec<u8>, SendError> {
    let date = mail.date.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let (from, recipient) = (address(&mail.from.address)?, address(&mail.recipient)?);
    let envelope = Envelope::new(Some(from), vec![recipient]);
    let envelope = envelope.map_err(|_| unusable("the mail has no recipient"))?;
    let mut builder = Message::builder()
        .envelope(envelope)
        .header(header::From::from(Mailboxes::from(placeholder()?)))
        .header(header::To::from(mailboxes(&mail.to)?))
        .subject(mail.subject.clone())
        .date(wall_clock(date))
        .message_id(Some(format!("<{}>", mail.message_id)));
    if !mail.cc.is_empty() {
        builder = builder.header(header::Cc::from(mailboxes(&mail.cc)?));
    }
    if !mail.reply_to.is_empty() {
        builder = builder.header(header::ReplyTo::from(mailboxes(&mail.reply_to)?));
    }
    if let Some(thread) = &mail.thread {
        let thread = format!("<{thread}>");
        builder = builder.in_reply_to(thread.clone()).references(thread);
    }
    let text = part(ContentType::TEXT_PLAIN, &mail.text);
    let message = match &mail.html {
        None => builder.singlepart(text),
        Some(html) => {
            // The same on every attempt, and found in no quoted-printable text.
            let boundary = format!("=_{}", digest(&mail.message_id));
            let both = MultiPart::alternative().boundary(boundary);
            builder.multipart(
                both.singlepart(text)
                    .singlepart(part(ContentType::TEXT_HTML, html)),
            )
        }
    };
    let mut message = message.map_err(|_| unusable("the mail could not be put together"))?;
    let from = Mailboxes::from(mailbox(&mail.from)?);
    message.headers_mut().set(header::From::from(from));
    // No absence notes, please (RFC 3834).
    message.headers_mut().insert_raw(HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    ));
    let mut message = message.formatted();
    // lettre ends the last line a second time, before the dot.
    if message.ends_with(b"\r\n") {
        message.truncate(message.len() - 2);
    }
    Ok(message)
}

fn wall_clock(time: jiff::Timestamp) -> SystemTime {
    let seconds = u64::try_from(time.as_second()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn mailboxes(mailboxes: &[Mailbox]) -> Result<Mailboxes, SendError> {
    mailboxes.iter().map(mailbox).collect()
}

fn mailbox(mailbox: &Mailbox) -> Result<lettre::message::Mailbox, SendError> {
    let address = address(&mailbox.address)?;
    Ok(lettre::message::Mailbox::new(mailbox.name.clone(), address))
}

/// lettre parses the sender again when it builds a message, and it accepts fewer names than it writes.
fn placeholder() -> Result<lettre::message::Mailbox, SendError> {
    Ok(lettre::message::Mailbox::new(None, address("a@localhost")?))
}

/// The channel has read it already.
pub fn address(text: &str) -> Result<Address, SendError> {
    text.parse()
        .map_err(|_| unusable("a mail address cannot be used"))
}

/// Quoted-printable for all content: lines stay short, and every byte arrives.
fn part(kind: ContentType, text: &str) -> SinglePart {
    let lines = text.replace("\r\n", "\n").replace('\n', "\r\n");
    let encoding = ContentTransferEncoding::QuotedPrintable;
    let body = Body::new_with_encoding(lines, encoding).unwrap_or_else(Body::new);
    SinglePart::builder().header(kind).body(body)
}
