//! Threads and forums, and which messages can be edited [Discord docs: webhook, opcodes and status codes].
//!
//! A webhook whose token begins with `forum` belongs to a forum. If it begins with `old`, every message is older than an hour and
//! was edited too often.

use serde_json::{Map, Value, json};

use super::refusal::{Refusal, refuse};
use crate::providers::Call;
use crate::world::World;

/// In a forum a message needs a thread or a name for a new thread. In other channels a thread name is an error.
pub fn check_thread(call: &Call, payload: &Map<String, Value>) -> Result<(), Refusal> {
    let has_thread = call.parameter("thread_id").is_some();
    let name = payload.get("thread_name").and_then(Value::as_str);
    let makes_thread = name.is_some_and(|name| !name.trim().is_empty());
    let (code, message) = match (is_token(call, "forum"), has_thread, makes_thread) {
        (true, false, false) => (
            220_001,
            "Webhooks posted to forum channels must have a thread_name or thread_id",
        ),
        (_, true, true) => (
            220_002,
            "Webhooks posted to forum channels cannot have both a thread_name and thread_id",
        ),
        (false, false, true) => (
            220_003,
            "Webhooks can only create threads in forum channels",
        ),
        _ => return Ok(()),
    };
    Err(refuse(400, code, message, message))
}

/// A message exists only in its channel. To edit a message in a thread, the request must name the thread.
pub fn check_edit(world: &World, call: &Call, id: &str) -> Result<(), Refusal> {
    let known = |channel: &str| {
        let messages = world
            .messages
            .newest(|message| message.provider == "discord" && message.id.as_deref() == Some(id));
        messages
            .first()
            .is_some_and(|message| message["channel_id"] == channel)
    };
    if !known(&channel(call)) {
        let problem = "no message of that id in that channel or thread";
        return Err(refuse(404, 10008, "Unknown Message", problem));
    }
    if is_token(call, "old") {
        let message =
            "Maximum number of edits to messages older than 1 hour reached. Try again later.";
        return Err(Refusal {
            status: 429,
            body: json!({ "message": message, "code": 30046, "retry_after": 1800.0, "global": false }),
            problem: message.to_owned(),
        });
    }
    Ok(())
}

/// The channel of a request's message: the named thread, or the webhook's channel.
pub fn channel(call: &Call) -> String {
    let mut segments = call
        .path
        .split('/')
        .skip_while(|segment| *segment != "webhooks");
    let webhook = segments.nth(1).unwrap_or_default();
    call.parameter("thread_id")
        .unwrap_or_else(|| webhook.to_owned())
}

fn is_token(call: &Call, beginning: &str) -> bool {
    let mut segments = call
        .path
        .split('/')
        .skip_while(|segment| *segment != "webhooks");
    segments
        .nth(2)
        .is_some_and(|token| token.starts_with(beginning))
}
