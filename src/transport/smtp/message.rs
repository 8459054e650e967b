//! A mail as it stands on the wire.

use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};

use crate::model::secret::digest;
use crate::model::wire::Mail;
use crate::transport::SendError;
use crate::transport::failure::unusable;

/// But for its lines that begin with a dot, which are doubled on the way.
pub fn formatted(mail: &Mail) -> Result<Vec<u8>, SendError> {
    let date = mail.date.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let mut builder = Message::builder()
        .from(mailbox(&mail.from)?)
        .to(mailbox(&mail.to)?)
        .subject(mail.subject.clone())
        .date(wall_clock(date))
        .message_id(Some(format!("<{}>", mail.message_id)));
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

/// The channel has read it already.
pub fn mailbox(text: &str) -> Result<Mailbox, SendError> {
    text.parse()
        .map_err(|_| unusable("a mail address cannot be used"))
}

/// Quoted-printable whatever it holds: lines stay short, and every byte comes through.
fn part(kind: ContentType, text: &str) -> SinglePart {
    let lines = text.replace("\r\n", "\n").replace('\n', "\r\n");
    let encoding = ContentTransferEncoding::QuotedPrintable;
    let body = Body::new_with_encoding(lines, encoding).unwrap_or_else(Body::new);
    SinglePart::builder().header(kind).body(body)
}
