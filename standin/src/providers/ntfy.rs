//! ntfy: `POST /` with JSON, for any topic.
//!
//! Codes and sentences are those of the server [ntfy server: errors.go], checks those of server.go. Topics that begin with
//! `protected` require a token. Tokens that begin with `tk_bad` are invalid.

use hyper::Method;
use hyper::header::AUTHORIZATION;
use serde_json::{Map, Value, json};

use super::{Call, Provider, Verdict};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::{World, unix_ms};

pub const PROVIDER: Provider = Provider {
    name: "ntfy",
    paths: &["/"],
    handle,
    too_many: |_| {
        error(
            429,
            42901,
            "limit reached: too many requests, please be nice",
        )
    },
};

/// A message of this size or more becomes an attachment [ntfy server: Peek].
const MAX_MESSAGE: usize = 4096;
/// Twice that: the server reads no further [ntfy server: transformBodyJSON, Peek].
const MAX_JSON: usize = 8192;
/// [ntfy server: DefaultDisallowedTopics]
const RESERVED: [&str; 10] = [
    "docs", "static", "file", "app", "metrics", "account", "settings", "signup", "login", "v1",
];

fn handle(world: &World, call: &Call) -> Verdict {
    validate(world, call).unwrap_or_else(|(status, code, sentence)| {
        Verdict::rejected(error(status, code, sentence), sentence)
    })
}

fn error(status: u16, code: u32, sentence: &str) -> Reply {
    let body = json!({
        "code": code, "http": status, "error": sentence, "link": "https://ntfy.sh/docs/publish/",
    });
    Reply::json(status, &body)
}

fn validate(world: &World, call: &Call) -> Result<Verdict, Refusal> {
    if !matches!(call.method, Method::POST | Method::PUT) {
        return Err((404, 40401, "page not found"));
    }
    if call.body.len() >= MAX_JSON {
        return Err((413, 41303, "JSON body too large"));
    }
    let not_json = (
        400,
        40017,
        "invalid request: request body must be message JSON",
    );
    let Ok(Value::Object(body)) = call.json() else {
        return Err(not_json);
    };
    let text = |name| {
        body.get(name)
            .map_or(Ok(""), |value| value.as_str().ok_or(not_json))
    };
    let (topic, message, title) = (text("topic")?, text("message")?, text("title")?);
    if !is_topic(topic) {
        return Err((400, 40009, "invalid request: topic invalid"));
    }
    if RESERVED.contains(&topic) {
        return Err((400, 40010, "invalid request: topic name is not allowed"));
    }
    text("click")?;
    if !has_types(&body) {
        return Err(not_json);
    }
    check_addresses(text("icon")?, text("attach")?)?;
    check_actions(body.get("actions"))?;
    check_delay(text("delay")?, text("email")?, text("call")?)?;
    let sequence = text("sequence_id")?;
    if !sequence.is_empty() && !is_topic(sequence) {
        return Err((400, 40049, "invalid request: sequence ID invalid"));
    }
    check_token(call, topic)?;
    let priority = body.get("priority").map_or(Some(0), Value::as_i64);
    let priority = priority.ok_or(not_json)?;
    if !(0..=5).contains(&priority) {
        return Err((400, 40007, "invalid priority parameter"));
    }
    if message.len() >= MAX_MESSAGE {
        return Err((400, 40014, "invalid request: attachments not allowed"));
    }
    let message = if message.is_empty() {
        "triggered"
    } else {
        message
    };
    Ok(accept(world, call, &body, topic, [title, message]))
}

/// The server decodes members into typed fields [ntfy server: publishMessage].
fn has_types(body: &Map<String, Value>) -> bool {
    let words = |value: &Value| {
        let words = value.as_array();
        words.is_some_and(|words| words.iter().all(Value::is_string))
    };
    body.get("tags").is_none_or(words) && body.get("markdown").is_none_or(Value::is_boolean)
}

type Refusal = (u16, u32, &'static str);

/// [ntfy server: urlRegex]
fn check_addresses(icon: &str, attach: &str) -> Result<(), Refusal> {
    let is_url =
        |text: &str| text.is_empty() || text.starts_with("https://") || text.starts_with("http://");
    if !is_url(icon) {
        return Err((400, 40021, "invalid request: icon URL is invalid"));
    }
    if !is_url(attach) {
        return Err((400, 40013, "invalid request: attachment URL is invalid"));
    }
    Ok(())
}

/// At most three actions, each with a label; `view` requires an address [ntfy server: actions.go].
fn check_actions(actions: Option<&Value>) -> Result<(), Refusal> {
    let invalid = (400, 40018, "invalid request: actions invalid");
    let Some(actions) = actions else {
        return Ok(());
    };
    let actions = actions.as_array().ok_or(invalid)?;
    let fits = |action: &Value| {
        let has = |name: &str| action[name].as_str().is_some_and(|text| !text.is_empty());
        match action["action"].as_str() {
            Some("view" | "http") => has("label") && has("url"),
            Some("broadcast") => has("label"),
            _ => false,
        }
    };
    match actions.len() <= 3 && actions.iter().all(fits) {
        true => Ok(()),
        false => Err(invalid),
    }
}

/// Durations only; the server also reads times and English. At least 10 seconds, at most 3 days [ntfy docs:
/// scheduled delivery].
fn check_delay(delay: &str, email: &str, call: &str) -> Result<(), Refusal> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !(call.is_empty() || call == "yes" || call.strip_prefix('+').is_some_and(digits)) {
        return Err((400, 40033, "invalid request: phone number invalid"));
    }
    if delay.is_empty() {
        return Ok(());
    }
    if !email.is_empty() {
        return Err((400, 40003, "delayed e-mail notifications are not supported"));
    }
    if !call.is_empty() {
        return Err((400, 40037, "delayed call notifications are not supported"));
    }
    let unparsed = (400, 40004, "invalid delay parameter: unable to parse delay");
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        Some(
            delay
                .strip_suffix(*unit)?
                .parse::<u64>()
                .ok()?
                .saturating_mul(*seconds),
        )
    });
    match parsed.ok_or(unparsed)? {
        0..10 => Err((
            400,
            40005,
            "invalid delay parameter: too small, please refer to the docs",
        )),
        10..=259_200 => Ok(()),
        _ => Err((
            400,
            40006,
            "invalid delay parameter: too large, please refer to the docs",
        )),
    }
}

fn check_token(call: &Call, topic: &str) -> Result<(), Refusal> {
    let token = call.header(AUTHORIZATION);
    if !token.is_empty() && (!token.starts_with("Bearer tk_") || token.contains("tk_bad")) {
        return Err((401, 40101, "unauthorized"));
    }
    if topic.starts_with("protected") && token.is_empty() {
        return Err((403, 40301, "forbidden"));
    }
    Ok(())
}

/// [ntfy server: topicRegex, sequenceIDRegex]
fn is_topic(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(known)
}

fn accept(
    world: &World,
    call: &Call,
    body: &Map<String, Value>,
    topic: &str,
    texts: [&str; 2],
) -> Verdict {
    let id = format!("msg{:09}", world.next_id());
    let mut detail = json!({
        "id": id, "time": unix_ms() / 1000, "expires": unix_ms() / 1000 + 43_200, "event": "message", "topic": topic,
    });
    if let Some(detail) = detail.as_object_mut() {
        let given = body.iter().filter(|(name, _)| *name != "topic");
        detail.extend(given.map(|(name, value)| (name.clone(), value.clone())));
    }
    let shown: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
    let message = Message {
        provider: "ntfy",
        destination: call.full_path.clone(),
        text: shown.join("\n"),
        mentions: Vec::new(),
        id: Some(id),
        detail: detail.clone(),
    };
    Verdict::accepted(Reply::json(200, &detail), message)
}
