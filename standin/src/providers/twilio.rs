//! Twilio messages: `POST /2010-04-01/Accounts/{AC…}/Messages.json`, and the same path by GET lists what was accepted.
//!
//! Some numbers make every reply of the error dictionary come about ([`MAGIC`]); those of Twilio's own test credentials keep
//! their meaning. The sentences are Twilio's where documented, the HTTP status of most codes is not [Twilio error dictionary].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use hyper::header::AUTHORIZATION;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Answer, Call, Provider, form, retry_after, units};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::{World, unix_ms};

pub const PROVIDER: Provider = Provider {
    name: "twilio",
    paths: &["/2010-04-01/Accounts/"],
    answer,
    too_many,
};

/// [Twilio docs: error 21617]; "characters", so UTF-16 code units.
const MAX_BODY: usize = 1600;

/// What a magic number brings about.
enum Magic {
    /// An error: HTTP status, code, sentence.
    Fails(u16, u32, &'static str),
    /// A 201 whose message has this status and error code.
    Ends(&'static str, u32),
}
use Magic::{Ends, Fails};

/// Field, end of its value, what comes of it. `whatsapp:` before the number changes nothing.
const MAGIC: [(&str, &str, Magic); 24] = [
    // Twilio's own [Twilio docs: test credentials].
    (
        "To",
        "+15005550001",
        Fails(400, 21211, "The 'To' number is not a valid phone number."),
    ),
    (
        "To",
        "+15005550002",
        Fails(
            400,
            21612,
            "The 'To' phone number is not currently reachable using the 'From' number.",
        ),
    ),
    (
        "To",
        "+15005550003",
        Fails(
            400,
            21408,
            "Permission to send an SMS has not been enabled for the region of the 'To' number.",
        ),
    ),
    (
        "To",
        "+15005550004",
        Fails(400, 21610, "Attempt to send to unsubscribed recipient"),
    ),
    (
        "To",
        "+15005550009",
        Fails(400, 21614, "'To' number is not a valid mobile number"),
    ),
    (
        "From",
        "+15005550000",
        Fails(
            400,
            21212,
            "The 'From' number is not a valid phone number, shortcode, or alphanumeric sender ID.",
        ),
    ),
    (
        "From",
        "+15005550007",
        Fails(
            400,
            21606,
            "The 'From' phone number is not a valid, SMS-capable inbound phone number.",
        ),
    ),
    (
        "From",
        "+15005550008",
        Fails(
            429,
            21611,
            "This 'From' number has exceeded the maximum number of queued messages",
        ),
    ),
    // This stand-in's.
    (
        "To",
        "+15005550011",
        Fails(
            400,
            21608,
            "The number is unverified. Trial accounts cannot send messages to unverified numbers.",
        ),
    ),
    (
        "To",
        "+15005550012",
        Fails(
            429,
            21611,
            "This 'From' number has exceeded the maximum number of queued messages",
        ),
    ),
    (
        "To",
        "+15005550013",
        Fails(503, 21730, "The messaging service is under maintenance"),
    ),
    ("To", "+15005550014", Fails(429, 20429, "Too Many Requests")),
    (
        "To",
        "+15005550015",
        Fails(500, 20500, "Internal Server Error"),
    ),
    (
        "To",
        "+15005550016",
        Fails(503, 20503, "Service Unavailable"),
    ),
    ("To", "+15005550017", Ends("failed", 30008)),
    ("To", "+15005550018", Ends("undelivered", 30003)),
    ("To", "+15005550019", Ends("canceled", 0)),
    (
        "To",
        "+15005550020",
        Fails(400, 30034, "Message from an unregistered number"),
    ),
    ("To", "+15005550021", Fails(400, 30007, "Message filtered")),
    (
        "To",
        "+15005550022",
        Fails(
            400,
            63016,
            "Failed to send freeform message because you are outside the allowed window.",
        ),
    ),
    (
        "From",
        "+15005550031",
        Fails(
            400,
            21659,
            "The 'From' number is not a Twilio phone number or short code country mismatch",
        ),
    ),
    (
        "From",
        "+15005550032",
        Fails(
            400,
            21660,
            "Mismatch between the 'From' number and the account",
        ),
    ),
    (
        "From",
        "+15005550033",
        Fails(
            400,
            63007,
            "Twilio could not find a Channel with the specified From address",
        ),
    ),
    (
        "MessagingServiceSid",
        "0000",
        Fails(
            400,
            21703,
            "The Messaging Service contains no phone numbers",
        ),
    ),
];

struct Refusal {
    status: u16,
    code: u32,
    message: String,
}

fn refuse(status: u16, code: u32, message: impl Into<String>) -> Refusal {
    Refusal {
        status,
        code,
        message: message.into(),
    }
}

impl Refusal {
    fn answer(self) -> Answer {
        Answer::refused(
            error(self.status, self.code, &self.message),
            format!("{}: {}", self.code, self.message),
        )
    }
}

fn error(status: u16, code: u32, message: &str) -> Reply {
    let more_info = format!("https://www.twilio.com/docs/errors/{code}");
    let reply = Reply::json(
        status,
        &json!({ "code": code, "message": message, "more_info": more_info, "status": status }),
    );
    if status == 401 {
        reply.with("www-authenticate", "Basic realm=\"Twilio API\"")
    } else {
        reply
    }
}

fn too_many(call: &Call) -> Reply {
    error(429, 20429, "Too Many Requests").with("retry-after", retry_after(call))
}

fn answer(world: &World, call: &Call) -> Answer {
    let checked = account(call).and_then(|account| authenticated(call, account).map(|()| account));
    let answered = checked.and_then(|account| match call.method {
        Method::POST => send(world, call, account),
        // No message was taken.
        Method::GET => Ok(Answer {
            accepted: false,
            ..Answer::plain(list(world, call, account))
        }),
        _ => Err(refuse(405, 20004, "Method not allowed")),
    });
    answered.unwrap_or_else(Refusal::answer)
}

/// The account SID of the path.
fn account(call: &Call) -> Result<&str, Refusal> {
    let rest = call
        .path
        .strip_prefix("/2010-04-01/Accounts/")
        .and_then(|rest| rest.strip_suffix("/Messages.json"));
    rest.filter(|sid| sid.starts_with("AC") && sid.bytes().all(|b| b.is_ascii_alphanumeric()))
        .ok_or_else(|| {
            refuse(
                404,
                20404,
                format!("The requested resource {} was not found", call.path),
            )
        })
}

/// Basic auth by the account's SID and token, or an API key's SID and secret. A password that begins with `wrong` is wrong.
fn authenticated(call: &Call, account: &str) -> Result<(), Refusal> {
    let encoded = call
        .header(AUTHORIZATION)
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let decoded = encoded
        .and_then(|(_, encoded)| STANDARD.decode(encoded).ok())
        .unwrap_or_default();
    let decoded = String::from_utf8_lossy(&decoded);
    let known = |user: &str| user == account || user.starts_with("SK");
    match decoded.split_once(':') {
        Some((user, password))
            if known(user) && !password.is_empty() && !password.starts_with("wrong") =>
        {
            Ok(())
        }
        _ => Err(refuse(401, 20003, "Authenticate")),
    }
}

fn send(world: &World, call: &Call, account: &str) -> Result<Answer, Refusal> {
    if call.media_type() != "application/x-www-form-urlencoded" {
        // Without a form Twilio finds no parameters, and says so of the first.
        return Err(refuse(400, 21604, "A 'To' phone number is required."));
    }
    let field = |name| form(&call.body, name).filter(|value| !value.is_empty());
    let to = field("To").ok_or_else(|| refuse(400, 21604, "A 'To' phone number is required."))?;
    let (from, service) = (field("From"), field("MessagingServiceSid"));
    if from.is_none() && service.is_none() {
        return Err(refuse(400, 21603, "A 'From' phone number is required."));
    }
    let body = field("Body").unwrap_or_default();
    if body.trim().is_empty() && field("ContentSid").is_none() && field("MediaUrl").is_none() {
        return Err(refuse(400, 21602, "Message body is required."));
    }
    if units(&body) > MAX_BODY {
        return Err(refuse(
            400,
            21617,
            "The concatenated message body exceeds the 1600 character limit.",
        ));
    }
    check_numbers(&to, from.as_deref(), service.as_deref())?;
    let values = [
        ("To", Some(&to)),
        ("From", from.as_ref()),
        ("MessagingServiceSid", service.as_ref()),
    ];
    let magic = MAGIC.iter().find(|(field, end, _)| {
        values
            .iter()
            .any(|(name, value)| name == field && value.is_some_and(|value| value.ends_with(end)))
    });
    let (status, error_code) = match magic {
        Some((_, _, Fails(status, code, message))) => return Err(refuse(*status, *code, *message)),
        Some((_, _, Ends(status, code))) => (*status, (*code != 0).then_some(*code)),
        None if service.is_some() => ("accepted", None),
        None => ("queued", None),
    };
    let sid = sid(world);
    let now = Timestamp::now()
        .strftime("%a, %d %b %Y %H:%M:%S +0000")
        .to_string();
    let detail = json!({
        "sid": sid, "account_sid": account, "api_version": "2010-04-01", "to": to, "from": from,
        "messaging_service_sid": service, "body": body, "status": status, "direction": "outbound-api",
        "num_segments": segments(&body).to_string(), "num_media": "0", "error_code": error_code, "error_message": null,
        "date_created": now, "date_updated": now, "date_sent": null, "price": null, "price_unit": "USD",
        "uri": format!("/2010-04-01/Accounts/{account}/Messages/{sid}.json"),
        "subresource_uris": { "media": format!("/2010-04-01/Accounts/{account}/Messages/{sid}/Media.json") },
    });
    let reply = Reply::json(201, &detail);
    Ok(Answer::accepted(
        reply,
        Message {
            provider: "twilio",
            destination: to,
            text: body,
            mentions: Vec::new(),
            id: Some(sid),
            detail,
        },
    ))
}

/// `To` is E.164 (a leading zero passes: the documented example has one); `From` may be a short code or a name too; both are
/// of one channel.
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
        let named = !whatsapp
            && number.len() <= 11
            && number
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b' ');
        if !is_e164(&number) && !named {
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
        Some(sid) if !sid.starts_with("MG") => {
            Err(refuse(400, 21701, "The Messaging Service does not exist"))
        }
        _ => Ok(()),
    }
}

fn is_e164(number: &str) -> bool {
    number.strip_prefix('+').is_some_and(|digits| {
        (2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// `SM` and 32 hexadecimal digits, different each time, also from another run.
fn sid(world: &World) -> String {
    let (time, number) = (unix_ms(), world.next_id());
    let scramble = |n: u64| (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        "SM{:016x}{:016x}",
        scramble(time.rotate_left(20) ^ number),
        number
    )
}

/// The account's messages, newest first, by `To` and `From`; `Page` counts from 0 [Twilio OpenAPI].
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

/// The GSM 03.38 alphabet, and its extension table whose characters count two [3GPP TS 23.038, 6.2.1].
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const GSM_EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// How many SMS a text takes: 160 septets or 153 each, else 70 UTF-16 code units or 67 each. A character never straddles two.
fn segments(body: &str) -> usize {
    let septets: Option<Vec<usize>> = body.chars().map(septets).collect();
    match septets {
        Some(widths) => packed(&widths, 160, 153),
        None => packed(
            &body.chars().map(char::len_utf16).collect::<Vec<_>>(),
            70,
            67,
        ),
    }
}

fn septets(c: char) -> Option<usize> {
    if GSM.contains(c) {
        Some(1)
    } else {
        GSM_EXTENSION.contains(c).then_some(2)
    }
}

fn packed(widths: &[usize], single: usize, each: usize) -> usize {
    if widths.iter().sum::<usize>() <= single {
        return 1;
    }
    let (count, _) = widths.iter().fold((1, 0), |(count, used), width| {
        if used + width > each {
            (count + 1, *width)
        } else {
            (count, used + width)
        }
    });
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_the_alphabet() {
        for (text, count) in [
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            ("ł".repeat(70), 1),
            ("ł".repeat(71), 2),
            ("😀".repeat(35), 1),
            ("😀".repeat(36), 2),
            // 33 pairs of surrogates in each segment of 67.
            ("😀".repeat(67), 3),
        ] {
            assert_eq!(
                segments(&text),
                count,
                "{} × {:?}",
                text.chars().count(),
                text.chars().next()
            );
        }
    }

    #[test]
    fn the_alphabet_is_whole() {
        // 128 places: one is the escape to the extension table.
        assert_eq!(GSM.chars().count(), 127);
    }
}
