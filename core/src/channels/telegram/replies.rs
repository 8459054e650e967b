//! Classifies Telegram's replies <https://core.telegram.org/bots/api#making-requests>.

use serde_json::{Map, Value};

use crate::channels::shared::json_reply::{JsonReply, ProviderError};
use crate::channels::shared::{body, classify};
use crate::model::outcome::{AttemptResult, Classification, Failure, Moved, PauseScope, Reason};
use crate::model::wire::{HttpReply, HttpRequest};
use crate::secret::Redactor;

const MIGRATED: &str = "Give the id that `detail` names as telegram_chat_id.";
const NO_CHAT: &str = "Add the bot to the chat, or send it a message, and check telegram_chat_id: the ids of groups are negative.";
const NO_THREAD: &str = "Check telegram_thread_id: it is the number in a link to the topic.";
const CLOSED: &str =
    "Open the topic again, let the bot manage topics, or give another telegram_thread_id.";
const NO_RIGHTS: &str = "Let members, or the bot as an administrator, send messages in this chat: its permissions forbid it.";
const TOKEN: &str = "Give telegram_bot_token as @BotFather shows it; it may have been revoked.";
const SHUT_OUT: &str =
    "The bot was blocked, removed, or may not write: unblock it, or add it to the chat again.";

/// Descriptions of a 400, in lower case; the first match counts. Descriptions that are upper case in a reply come from
/// Telegram itself, the others from the Bot API's server (core.telegram.org/api/errors; telegram-bot-api: Client.cpp).
const WORDS: [(&str, Reason, &str); 12] = [
    ("chat not found", Reason::UnknownDestination, NO_CHAT),
    ("thread not found", Reason::UnknownDestination, NO_THREAD),
    ("topic_deleted", Reason::UnknownDestination, NO_THREAD),
    ("not a forum", Reason::UnknownDestination, NO_THREAD),
    ("too long", Reason::TooLarge, Reason::TooLarge.hint()),
    ("topic_closed", Reason::Forbidden, CLOSED),
    ("chat_write_forbidden", Reason::Forbidden, NO_RIGHTS),
    ("chat_send_plain_forbidden", Reason::Forbidden, NO_RIGHTS),
    ("chat_restricted", Reason::Forbidden, NO_RIGHTS),
    ("not enough rights", Reason::Forbidden, NO_RIGHTS),
    ("no rights to send", Reason::Forbidden, NO_RIGHTS),
    ("need administrator rights", Reason::Forbidden, NO_RIGHTS),
];

pub fn classify(sent: &HttpRequest, reply: &HttpReply, redactor: &Redactor) -> Classification {
    let json_reply = JsonReply::read("Telegram", reply, redactor, error);
    let parameter = |name| json_reply.get("parameters").and_then(|all| all.get(name));
    match reply.status {
        200..=299 if json_reply.get("ok") == Some(&Value::Bool(true)) => {
            let id = json_reply
                .get("result")
                .and_then(|result| result.get("message_id"));
            let id = id.and_then(Value::as_i64).map(|id| id.to_string());
            json_reply.delivered(id.as_deref())
        }
        200..=299 => json_reply.reject(Reason::Rejected),
        429 => {
            let wait = parameter("retry_after").and_then(Value::as_f64);
            let after = wait.and_then(classify::seconds);
            json_reply.paused(
                after.or_else(|| json_reply.retry_after()),
                PauseScope::Destination,
            )
        }
        400 => {
            if let Some(id) = parameter("migrate_to_chat_id").and_then(Value::as_i64) {
                return moved(sent, id, redactor);
            }
            let words = json_reply
                .text("description")
                .unwrap_or_default()
                .to_lowercase();
            match WORDS.iter().find(|(known, ..)| words.contains(*known)) {
                Some(&(_, reason, hint)) => json_reply.reject_with_hint(reason, hint),
                None => json_reply.by_status(|_| None),
            }
        }
        401 | 404 => json_reply.reject_with_hint(Reason::Unauthorized, TOKEN),
        403 => json_reply.reject_with_hint(Reason::Forbidden, SHUT_OUT),
        _ => json_reply.by_status(|_| None),
    }
}

/// Reads the error of `{"ok": false, "error_code": 400, "description": "…"}`.
fn error(json: &Value) -> ProviderError<'_> {
    ProviderError::of(json.get("description").and_then(Value::as_str))
}

/// Classifies a move: "The group has been migrated to a supergroup with the specified identifier"
/// (ResponseParameters).
fn moved(sent: &HttpRequest, id: i64, redactor: &Redactor) -> Classification {
    let json_reply = format!("the group became a supergroup, whose id is {id}");
    let failure = Failure::new(Reason::UnknownDestination)
        .with_detail(classify::with_provider_words(
            "Telegram",
            &json_reply,
            redactor,
        ))
        .with_hint(MIGRATED);
    let Some(next) = readdressed(sent, id) else {
        return AttemptResult::Reject(failure).into();
    };
    let warning = format!(
        "the group became a supergroup, and the message went there; give {id} as telegram_chat_id"
    );
    AttemptResult::Moved(Box::new(Moved {
        next,
        warning,
        failure,
    }))
    .into()
}

/// Returns the message with the supergroup's address.
fn readdressed(sent: &HttpRequest, id: i64) -> Option<HttpRequest> {
    let mut payload: Map<String, Value> = serde_json::from_slice(&sent.body).ok()?;
    payload.insert("chat_id".to_owned(), id.into());
    // Messages have other ids in the supergroup.
    payload.remove("reply_parameters");
    Some(HttpRequest {
        body: body::json(&payload).into(),
        ..sent.clone()
    })
}
