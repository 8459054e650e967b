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

fn validate(world: &World, call: &Call) -> Result<Verdict, (u16, u32, &'static str)> {
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
    // The server decodes members into typed fields [ntfy server: publishMessage].
    text("click")?;
    let words = |value: &Value| {
        value
            .as_array()
            .is_some_and(|words| words.iter().all(Value::is_string))
    };
    let is_typed =
        body.get("tags").is_none_or(words) && body.get("markdown").is_none_or(Value::is_boolean);
    if !is_typed {
        return Err(not_json);
    }
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

fn check_token(call: &Call, topic: &str) -> Result<(), (u16, u32, &'static str)> {
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
