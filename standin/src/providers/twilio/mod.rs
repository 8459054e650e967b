//! Twilio messages: `POST /2010-04-01/Accounts/{AC…}/Messages.json`. `GET` of the same path lists the accepted messages.
//!
//! [`magic`] numbers select an error reply.

mod content;
mod magic;
mod refusal;
mod segments;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::header::AUTHORIZATION;
use jiff::Timestamp;
use serde_json::{Value, json};

use self::content::{check_content, is_sid};
use self::magic::Magic;
use self::refusal::{Refusal, error, refuse};
use self::segments::segments;
use super::{Call, Provider, Verdict, form, retry_after, utf16_units};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::{World, unix_ms};

pub const PROVIDER: Provider = Provider {
    name: "twilio",
    paths: &["/2010-04-01/Accounts/"],
    handle,
    too_many,
};

/// [Twilio docs: error 21617]; "characters", so UTF-16 code units.
const MAX_BODY: usize = 1600;

fn too_many(call: &Call) -> Reply {
    error(429, 20429, "Too Many Requests").with("retry-after", retry_after(call))
}

fn handle(world: &World, call: &Call) -> Verdict {
    let checked = account(call).and_then(|account| authenticated(call, account).map(|()| account));
    let verdict = checked.and_then(|account| match call.method {
        Method::POST => send(world, call, account),
        // A rejected request has no message.
        Method::GET => Ok(Verdict {
            accepted: false,
            ..Verdict::plain(list(world, call, account))
        }),
        _ => Err(refuse(405, 20004, "Method not allowed")),
    });
    verdict.unwrap_or_else(Refusal::into_verdict)
}

/// The account SID of the path.
fn account(call: &Call) -> Result<&str, Refusal> {
    let rest = call
        .path
        .strip_prefix("/2010-04-01/Accounts/")
        .and_then(|rest| rest.strip_suffix("/Messages.json"));
    rest.filter(|sid| is_sid(sid, "AC")).ok_or_else(|| {
        refuse(
            404,
            20404,
            format!("The requested resource {} was not found", call.path),
        )
    })
}

/// Basic authentication with the account's SID and token, or an API key's SID and secret. A password that begins with `wrong` is
/// invalid.
fn authenticated(call: &Call, account: &str) -> Result<(), Refusal> {
    let encoded = call
        .header(AUTHORIZATION)
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let decoded = encoded
        .and_then(|(_, encoded)| STANDARD.decode(encoded).ok())
        .unwrap_or_default();
    let decoded = String::from_utf8_lossy(&decoded);
    let known = |user: &str| user == account || is_sid(user, "SK");
    match decoded.split_once(':') {
        Some((user, password))
            if known(user) && !password.is_empty() && !password.starts_with("wrong") =>
        {
            Ok(())
        }
        _ => Err(refuse(401, 20003, "Authenticate")),
    }
}

fn send(world: &World, call: &Call, account: &str) -> Result<Verdict, Refusal> {
    if call.media_type() != "application/x-www-form-urlencoded" {
        // Without a form body Twilio finds no parameters, and reports the first as missing.
        return Err(refuse(400, 21604, "A 'To' phone number is required."));
    }
    let field = |name| form(&call.body, name).filter(|value| !value.is_empty());
    let to = field("To").ok_or_else(|| refuse(400, 21604, "A 'To' phone number is required."))?;
    let (from, service) = (field("From"), field("MessagingServiceSid"));
    if from.is_none() && service.is_none() {
        return Err(refuse(400, 21603, "A 'From' phone number is required."));
    }
    let body = field("Body").unwrap_or_default();
    let content_sid = field("ContentSid");
    check_body(
        &body,
        content_sid.is_some() || field("MediaUrl").is_some(),
        service.is_some(),
    )?;
    check_numbers(&to, from.as_deref(), service.as_deref())?;
    let variables = check_content(
        &to,
        content_sid.as_deref(),
        field("ContentVariables").as_deref(),
    )?;
    if is_outside_window(&to) && content_sid.is_none() {
        let sentence =
            "Failed to send freeform message because you are outside the allowed window.";
        return Err(refuse(400, 63016, sentence));
    }
    let (status, error_code) = outcome(&to, from.as_deref(), service.as_deref())?;
    let sid = sid(world);
    let now = Timestamp::now()
        .strftime("%a, %d %b %Y %H:%M:%S +0000")
        .to_string();
    let detail = json!({
        "sid": sid, "account_sid": account, "api_version": "2010-04-01", "to": to, "from": from,
        "messaging_service_sid": service, "body": body, "content_variables": variables, "status": status, "direction": "outbound-api",
        "num_segments": segments(&body).to_string(), "num_media": "0", "error_code": error_code, "error_message": null,
        "date_created": now, "date_updated": now, "date_sent": null, "price": null, "price_unit": "USD",
        "uri": format!("/2010-04-01/Accounts/{account}/Messages/{sid}.json"),
        "subresource_uris": { "media": format!("/2010-04-01/Accounts/{account}/Messages/{sid}/Media.json") },
    });
    // "Remove Body and MediaUrl when you send a content template" [Twilio error dictionary: 63016].
    let both = content_sid.filter(|_| !body.is_empty());
    let answer = Verdict::accepted(
        Reply::json(201, &detail),
        Message {
            provider: "twilio",
            destination: to,
            text: body,
            mentions: Vec::new(),
            id: Some(sid),
            detail,
        },
    );
    Ok(answer.with_problem(both.map(|_| "Body beside ContentSid".to_owned())))
}

/// `has_other`: the message has a content template or media, so a text is optional.
fn check_body(body: &str, has_other: bool, has_service: bool) -> Result<(), Refusal> {
    if body.trim().is_empty() && !has_other {
        return Err(match has_service {
            false => refuse(400, 21602, "Message body is required."),
            true => refuse(
                400,
                21619,
                "A Message Body, Media URL or Content SID is required",
            ),
        });
    }
    if utf16_units(body) > MAX_BODY {
        return Err(refuse(
            400,
            21617,
            "The concatenated message body exceeds the 1600 character limit.",
        ));
    }
    Ok(())
}

/// Whether the WhatsApp number has not written within 24 hours. Then only a content template reaches it.
fn is_outside_window(to: &str) -> bool {
    to.starts_with("whatsapp:") && to.ends_with("+15005550022")
}

/// The status and error code of the message, or the error of a magic number.
fn outcome(
    to: &str,
    from: Option<&str>,
    service: Option<&str>,
) -> Result<(&'static str, Option<u32>), Refusal> {
    let values = [
        ("To", Some(to)),
        ("From", from),
        ("MessagingServiceSid", service),
    ];
    let magic = magic::NUMBERS.iter().find(|(field, end, _)| {
        values
            .iter()
            .any(|(name, value)| name == field && value.is_some_and(|value| value.ends_with(end)))
    });
    match magic {
        Some((_, _, Magic::Fails(status, code, message))) => Err(refuse(*status, *code, *message)),
        Some((_, _, Magic::Ends(status, code))) => Ok((status, (*code != 0).then_some(*code))),
        None if service.is_some() => Ok(("accepted", None)),
        None => Ok(("queued", None)),
    }
}

/// `To` is E.164; a leading zero is valid, as in the documented example. `From` may also be a short code or a name. Both belong to
/// the same channel.
fn check_numbers(to: &str, from: Option<&str>, service: Option<&str>) -> Result<(), Refusal> {
    let bare = |number: &str| {
        number
            .strip_prefix("whatsapp:")
            .unwrap_or(number)
            .to_owned()
    };
    if !is_e164(&bare(to)) {
        return Err(refuse(
            400,
            21211,
            format!("The 'To' number {to} is not a valid phone number."),
        ));
    }
    if let Some(from) = from {
        let (number, whatsapp) = (bare(from), from.starts_with("whatsapp:"));
        if !is_e164(&number) && (whatsapp || !is_name(&number) && !is_short_code(&number)) {
            let sentence = "is not a valid phone number, shortcode, or alphanumeric sender ID.";
            return Err(refuse(
                400,
                21212,
                format!("The 'From' number {from} {sentence}"),
            ));
        }
        if whatsapp != to.starts_with("whatsapp:") {
            let sentence = "Invalid From and To pair. From and To should be of the same channel";
            return Err(refuse(400, 21910, sentence));
        }
    }
    match service {
        Some(sid) if !is_sid(sid, "MG") => {
            Err(refuse(400, 21705, "The Messaging Service is invalid"))
        }
        Some(sid) if sid.starts_with("MGdead") => {
            Err(refuse(400, 21701, "The Messaging Service does not exist"))
        }
        _ => Ok(()),
    }
}

/// An alphanumeric sender: up to 11 letters, digits, spaces and `+-_&`, with at least one letter
/// [Twilio docs: alphanumeric sender ID].
fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b" +-_&".contains(&byte);
    text.len() <= 11 && text.bytes().all(known) && text.bytes().any(|b| b.is_ascii_alphabetic())
}

fn is_short_code(text: &str) -> bool {
    (3..=8).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// A message SID: `SM` and 32 hexadecimal digits, unique across runs.
fn sid(world: &World) -> String {
    let (time, number) = (unix_ms(), world.next_id());
    let scramble = |n: u64| (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        "SM{:016x}{:016x}",
        scramble(time.rotate_left(20) ^ number),
        number
    )
}

/// The account's messages, newest first, filtered by `To` and `From`. `Page` begins at 0 [Twilio OpenAPI].
fn list(world: &World, call: &Call, account: &str) -> Reply {
    let wanted = |name: &str, found: &Value| {
        call.parameter(name)
            .is_none_or(|value| found.as_str() == Some(&value))
    };
    let messages = world.messages.newest(|message| {
        let detail = &message.detail;
        message.provider == "twilio"
            && detail["account_sid"] == account
            && wanted("To", &detail["to"])
            && wanted("From", &detail["from"])
    });
    let number = |name, or| {
        call.parameter(name)
            .and_then(|value| value.parse().ok())
            .unwrap_or(or)
    };
    let size: usize = number("PageSize", 50).clamp(1, 1000);
    let page: usize = number("Page", 0).min(messages.len());
    let start = page * size;
    let shown: Vec<&Value> = messages.iter().skip(start).take(size).collect();
    let uri = |page: usize| format!("{}?PageSize={size}&Page={page}", call.path);
    let body = json!({
        "page": page, "page_size": size, "start": start, "end": (start + shown.len()).saturating_sub(1), "uri": uri(page),
        "first_page_uri": uri(0),
        "previous_page_uri": page.checked_sub(1).map(uri),
        "next_page_uri": (start + size < messages.len()).then(|| uri(page + 1)),
        "messages": shown,
    });
    Reply::json(200, &body)
}
