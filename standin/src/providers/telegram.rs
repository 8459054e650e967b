//! Telegram: `POST /bot{token}/sendMessage`.
//!
//! Sentences are those of [telegram-bot-api source] and [Telegram docs: sendMessage]. Special values:
//!
//! - a token whose second part begins with `bad` is revoked
//! - chat -404 does not exist, -403 has removed the bot, -400 has migrated to -100400; in -405 and -406 the bot must not write
//! - topic 403 is closed; 404 and 1 do not exist (1 is General, which is not a thread [telegram-bot-api issue 798])

use hyper::Method;
use serde_json::{Map, Value, json};

use super::{Call, Provider, Verdict, wait};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::{World, unix_ms};

pub const PROVIDER: Provider = Provider {
    name: "telegram",
    paths: &["/bot"],
    handle,
    too_many: |call| {
        let seconds = wait(call).as_secs_f64().ceil() as u64;
        let description = format!("Too Many Requests: retry after {seconds}");
        let parameters = json!({ "retry_after": seconds });
        error(429, &description, Some(parameters)).with("retry-after", seconds.to_string())
    },
};

/// In code points, without entities [tdlib: utf8_length].
const MAX_TEXT: usize = 4096;
/// In bytes, with entities. Further bytes are silently truncated [tdlib: clean_input_string, "server-side limit"].
const MAX_INPUT: usize = 35_000;
/// The known members. Others have no effect [Telegram docs: sendMessage].
const MEMBERS: [&str; 18] = [
    "business_connection_id",
    "chat_id",
    "message_thread_id",
    "direct_messages_topic_id",
    "text",
    "parse_mode",
    "entities",
    "link_preview_options",
    "disable_notification",
    "protect_content",
    "allow_paid_broadcast",
    "message_effect_id",
    "suggested_post_parameters",
    "reply_parameters",
    "reply_markup",
    "disable_web_page_preview",
    "reply_to_message_id",
    "allow_sending_without_reply",
];

fn error(code: u16, description: &str, parameters: Option<Value>) -> Reply {
    let mut body = json!({ "ok": false, "error_code": code, "description": description });
    if let Some(parameters) = parameters {
        body["parameters"] = parameters;
    }
    Reply::json(code, &body)
}

fn handle(world: &World, call: &Call) -> Verdict {
    validate(world, call).unwrap_or_else(|(code, description, parameters)| {
        Verdict::rejected(error(code, &description, parameters), description)
    })
}

type Refusal = (u16, String, Option<Value>);

fn refuse(code: u16, description: &str) -> Refusal {
    (code, description.to_owned(), None)
}

fn validate(world: &World, call: &Call) -> Result<Verdict, Refusal> {
    check_token(call)?;
    let body = call.json().ok().filter(|_| call.is_json());
    let Some(Value::Object(body)) = body else {
        return Err(refuse(400, "Bad Request: message text is empty"));
    };
    check_chat(body.get("chat_id"))?;
    check_thread(body.get("message_thread_id"))?;
    check_preview(body.get("link_preview_options"))?;
    let mut problem = body
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()))
        .map(|name| format!("the member {name} has no effect"));
    let text = body.get("text").and_then(Value::as_str).unwrap_or_default();
    if text.len() > MAX_INPUT {
        problem = Some(format!(
            "text of {} bytes was cut to {MAX_INPUT}",
            text.len()
        ));
    }
    let seen = match body.get("parse_mode").and_then(Value::as_str) {
        None => VisibleText {
            text: text.to_owned(),
            looked_at: text.to_owned(),
        },
        Some("HTML") => parse(text)
            .map_err(|what| refuse(400, &format!("Bad Request: can't parse entities: {what}")))?,
        Some(_) => return Err(refuse(400, "Bad Request: unsupported parse_mode")),
    };
    let shown = seen.text.trim();
    if shown.is_empty() {
        return Err(refuse(400, "Bad Request: message text is empty"));
    }
    if shown.chars().count() > MAX_TEXT {
        return Err(refuse(400, "Bad Request: message is too long"));
    }
    check_flags(&body)?;
    check_keyboard(body.get("reply_markup"))?;
    check_reply(world, body.get("reply_parameters"))?;
    let id = world.next_id() + 1;
    let chat = body.get("chat_id").cloned().unwrap_or_default();
    let result = json!({
        "message_id": id, "date": unix_ms() / 1000, "chat": { "id": chat, "type": "supergroup" }, "text": shown,
        "reply_to": body.get("reply_parameters"),
    });
    let message = Message {
        provider: "telegram",
        destination: call.full_path.clone(),
        text: shown.to_owned(),
        mentions: mentions(&seen.looked_at),
        id: Some(id.to_string()),
        detail: result.clone(),
    };
    let reply = Reply::json(200, &json!({ "ok": true, "result": result }));
    Ok(Verdict::accepted(reply, message).with_problem(problem))
}

fn check_token(call: &Call) -> Result<(), Refusal> {
    let token = call
        .path
        .strip_prefix("/bot")
        .and_then(|rest| rest.strip_suffix("/sendMessage"));
    let key = token
        .and_then(|token| token.split_once(':'))
        .map(|(_, key)| key);
    let Some(key) = key.filter(|_| call.method == Method::POST) else {
        return Err(refuse(404, "Not Found"));
    };
    if key.starts_with("bad") {
        return Err(refuse(401, "Unauthorized"));
    }
    Ok(())
}

/// A number, also as a string, or the name of a public chat [telegram-bot-api source: Client.cpp, check_chat].
fn check_chat(chat: Option<&Value>) -> Result<(), Refusal> {
    let not_found = || refuse(400, "Bad Request: chat not found");
    match chat {
        Some(Value::String(name)) if name.len() > 1 && name.starts_with('@') => Ok(()),
        Some(Value::String(id)) if id.is_empty() => {
            Err(refuse(400, "Bad Request: chat_id is empty"))
        }
        Some(id @ (Value::Number(_) | Value::String(_))) => match integer(id) {
            Some(-405) => Err(refuse(
                400,
                "Bad Request: not enough rights to send text messages to the chat",
            )),
            Some(-406) => Err(refuse(400, "Bad Request: CHAT_WRITE_FORBIDDEN")),
            Some(-403) => Err(refuse(403, "Forbidden: bot was kicked from the group chat")),
            Some(-400) => Err((
                400,
                "Bad Request: group chat was upgraded to a supergroup chat".to_owned(),
                Some(json!({ "migrate_to_chat_id": -100_400 })),
            )),
            Some(0 | -404) | None => Err(not_found()),
            Some(_) => Ok(()),
        },
        Some(_) => Err(not_found()),
        None => Err(refuse(400, "Bad Request: chat_id is empty")),
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

fn check_thread(thread: Option<&Value>) -> Result<(), Refusal> {
    match thread.map(integer) {
        None => Ok(()),
        Some(Some(403)) => Err(refuse(400, "Bad Request: TOPIC_CLOSED")),
        Some(Some(id)) if id > 1 && id != 404 => Ok(()),
        Some(_) => Err(refuse(400, "Bad Request: message thread not found")),
    }
}

/// An object of flags and one address [Telegram docs: LinkPreviewOptions]. The sentence is unverified.
fn check_preview(options: Option<&Value>) -> Result<(), Refusal> {
    const FLAGS: [&str; 4] = [
        "is_disabled",
        "prefer_small_media",
        "prefer_large_media",
        "show_above_text",
    ];
    let refuse = |what: &str| {
        let sentence = format!("Bad Request: can't parse link preview options: {what}");
        Err((400, sentence, None))
    };
    let Some(options) = options else {
        return Ok(());
    };
    let Some(options) = options.as_object() else {
        return refuse("object expected");
    };
    for (name, value) in options {
        match name.as_str() {
            "url" if value.is_string() => {}
            flag if FLAGS.contains(&flag) && value.is_boolean() => {}
            other => return refuse(&format!("field \"{other}\" cannot be {value}")),
        }
    }
    Ok(())
}

/// The sentence is unverified.
fn check_flags(body: &Map<String, Value>) -> Result<(), Refusal> {
    for flag in ["disable_notification", "protect_content"] {
        if body.get(flag).is_some_and(|value| !value.is_boolean()) {
            return Err(refuse(
                400,
                &format!("Bad Request: field \"{flag}\" must be of type Boolean"),
            ));
        }
    }
    Ok(())
}

/// Rows of buttons, each with a text and an address [Telegram docs: InlineKeyboardMarkup].
fn check_keyboard(markup: Option<&Value>) -> Result<(), Refusal> {
    let Some(markup) = markup else {
        return Ok(());
    };
    let is_button = |button: &Value| {
        let text = button["text"].as_str().unwrap_or_default();
        let url = button["url"].as_str().unwrap_or_default();
        !text.is_empty() && (url.starts_with("https://") || url.starts_with("http://"))
    };
    let is_row = |row: &Value| row.as_array().is_some_and(|row| row.iter().all(is_button));
    let rows = markup["inline_keyboard"].as_array();
    match rows.is_some_and(|rows| rows.iter().all(is_row)) {
        true => Ok(()),
        false => Err(refuse(
            400,
            "Bad Request: inline keyboard button URL is invalid",
        )),
    }
}

fn check_reply(world: &World, reply: Option<&Value>) -> Result<(), Refusal> {
    let Some(reply) = reply else {
        return Ok(());
    };
    let id = reply.get("message_id").and_then(Value::as_i64);
    let known = id.is_some_and(|id| world.messages.has("telegram", &id.to_string()));
    let may_miss = reply.get("allow_sending_without_reply") == Some(&Value::Bool(true));
    match known || (may_miss && id.is_some()) {
        true => Ok(()),
        false => Err(refuse(400, "Bad Request: message to be replied not found")),
    }
}

/// The visible text, and the part of it that can have mentions: all but code.
struct VisibleText {
    text: String,
    looked_at: String,
}

/// Telegram's HTML, as far as tests need it [Telegram docs: HTML style].
fn parse(html: &str) -> Result<VisibleText, String> {
    let (mut text, mut looked_at) = (String::new(), String::new());
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(character) = rest.chars().next() {
        let (taken, seen) = match character {
            '<' => {
                let end = rest.find('>').ok_or("Unclosed start tag")?;
                let tag = &rest[1..end];
                let name = tag
                    .trim_start_matches('/')
                    .split(' ')
                    .next()
                    .unwrap_or_default();
                match tag.strip_prefix('/') {
                    Some(closed) if open.last() == Some(&closed) => drop(open.pop()),
                    Some(closed) => return Err(format!("Unmatched end tag \"{closed}\"")),
                    None if matches!(name, "b" | "i" | "u" | "s" | "code" | "pre" | "a") => {
                        open.push(name)
                    }
                    None => return Err(format!("Unsupported start tag \"{name}\"")),
                }
                (end + 1, String::new())
            }
            '&' => {
                let known = [
                    ("&lt;", "<"),
                    ("&gt;", ">"),
                    ("&amp;", "&"),
                    ("&quot;", "\""),
                ];
                match known.iter().find(|(name, _)| rest.starts_with(name)) {
                    Some((name, shown)) => (name.len(), (*shown).to_owned()),
                    None => (1, "&".to_owned()),
                }
            }
            other => (other.len_utf8(), other.to_string()),
        };
        if !open.iter().any(|tag| matches!(*tag, "code" | "pre")) {
            looked_at.push_str(&seen);
        }
        text.push_str(&seen);
        rest = &rest[taken..];
    }
    match open.pop() {
        Some(tag) => Err(format!(
            "Can't find end tag corresponding to start tag \"{tag}\""
        )),
        None => Ok(VisibleText { text, looked_at }),
    }
}

/// `@name` with at least four characters, not within a word.
fn mentions(text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let at = text
        .match_indices('@')
        .filter(|(at, _)| !text[..*at].chars().next_back().is_some_and(is_word));
    let names = at.map(|(at, _)| {
        let name: String = text[at + 1..]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        format!("@{name}")
    });
    names.filter(|name| name.len() > 4).collect()
}
