//! Discord webhook: `POST /api/webhooks/{id}/{token}` (API v6) and `/api/v{N}/webhooks/{id}/{token}`. `PATCH` of the same path
//! with `/messages/{id}` edits a message.
//!
//! Lengths are code points, counted after outer white space is trimmed [Discord docs: message; Discord staff in api-docs
//! issue 1315]. Up to v7 waits are milliseconds and form errors are flat; from v8 on waits are decimal seconds and form errors
//! are nested with codes [Discord docs: reference, change log 2020-09-24; api-docs issue 2360].

mod form;
mod refusal;
mod shown;
mod thread;

use std::time::Duration;

use hyper::Method;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use serde_json::{Map, Value, json};

use self::form::{Form, version};
use self::refusal::{Refusal, refuse};
use self::shown::{embed_texts, is_visible, mentions};
use self::thread::{check_edit, check_thread};
use super::{Call, Provider, Verdict, wait};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::{World, unix_ms};

pub const PROVIDER: Provider = Provider {
    name: "discord",
    paths: &["/api/webhooks/", "/api/v"],
    handle,
    too_many,
};

/// The epoch of Discord's IDs, the first second of 2015, in milliseconds since 1970 [Discord docs: reference].
const EPOCH_MS: u64 = 1_420_070_400_000;
/// The usual headers of a webhook: five in two seconds [api-docs issue 367]. Only a rule limits requests.
const USUAL_LIMIT: (u32, f64) = (5, 2.0);

fn handle(world: &World, call: &Call) -> Verdict {
    let answer = match validate(world, call) {
        Ok(answer) => answer,
        Err(refusal) => {
            Verdict::rejected(Reply::json(refusal.status, &refusal.body), refusal.problem)
        }
    };
    Verdict {
        reply: with_limits(answer.reply, call),
        ..answer
    }
}

/// 429, with a decimal `retry_after`, and a header that is rounded up [Discord docs: rate limits].
fn too_many(call: &Call) -> Reply {
    let seconds = wait(call).as_secs_f64();
    let milliseconds = version(&call.path) < 8;
    let limit = call.rate_limit_state.as_ref().map(|state| &state.limit);
    let global = limit.is_some_and(|limit| limit.global);
    let scope = limit
        .and_then(|limit| limit.scope.as_deref())
        .unwrap_or(if global { "global" } else { "user" });
    let (body, header) = match milliseconds {
        true => (
            json!((seconds * 1000.0).ceil() as u64),
            (seconds * 1000.0).ceil(),
        ),
        false => (json!(seconds), seconds.ceil()),
    };
    let body =
        json!({ "message": "You are being rate limited.", "retry_after": body, "global": global });
    let mut reply = Reply::json(429, &body)
        .with("retry-after", format!("{header:.0}"))
        .with("x-ratelimit-scope", scope);
    if global {
        reply = reply.with("x-ratelimit-global", "true");
    }
    with_limits(reply, call)
}

/// Adds the rate limit headers, which every reply has [Discord docs: rate limits].
fn with_limits(reply: Reply, call: &Call) -> Reply {
    let (limit, remaining, reset_after) = match &call.rate_limit_state {
        Some(state) if state.exceeded => (state.limit.burst, 0, wait(call).as_secs_f64()),
        Some(state) => (
            state.limit.burst,
            state.remaining,
            state.reset_after.as_secs_f64(),
        ),
        None => (USUAL_LIMIT.0, USUAL_LIMIT.0 - 1, USUAL_LIMIT.1),
    };
    let reset = Duration::from_millis(unix_ms()).as_secs_f64() + reset_after;
    reply
        .with("x-ratelimit-limit", limit.to_string())
        .with("x-ratelimit-remaining", remaining.to_string())
        .with("x-ratelimit-reset", format!("{reset:.3}"))
        .with("x-ratelimit-reset-after", format!("{reset_after:.3}"))
        .with("x-ratelimit-bucket", bucket(&call.path))
}

/// An opaque name of a webhook's bucket.
fn bucket(path: &str) -> String {
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn validate(world: &World, call: &Call) -> Result<Verdict, Refusal> {
    let edited = check_address(call)?;
    if !call.is_json() {
        let sentence = r#"Expected "Content-Type" header to be one of {'application/json'}."#;
        return Err(refuse(
            400,
            50035,
            sentence,
            format!("content type {:?}", call.header(CONTENT_TYPE)),
        ));
    }
    let not_json = |e: serde_json::Error| {
        refuse(
            400,
            50109,
            "The request body contains invalid JSON.",
            e.to_string(),
        )
    };
    let body = call.json().map_err(not_json)?;
    let mut form = Form::default();
    let Value::Object(payload) = &body else {
        form.add(
            "_",
            "MODEL_TYPE_CONVERT",
            "Only dictionaries may be used in a ModelType",
        );
        return Err(form.refusal(call));
    };
    let text = form.check(payload);
    if !form.errors.is_empty() {
        return Err(form.refusal(call));
    }
    match edited {
        Some(id) => check_edit(world, call, id)?,
        None => check_thread(call, payload)?,
    }
    let mut embeds = payload
        .get("embeds")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    if text.is_empty() && !embeds.any(is_visible) {
        return Err(refuse(
            400,
            50006,
            "Cannot send an empty message",
            "neither content nor embeds",
        ));
    }
    let problem = form.notes.pop();
    Ok(accept(world, call, payload, text, edited).with_problem(problem))
}

/// The ID of the message to edit; None: a new message.
fn check_address(call: &Call) -> Result<Option<&str>, Refusal> {
    let version = version(&call.path);
    if !(6..=10).contains(&version) {
        return Err(refuse(
            400,
            50041,
            "Invalid API version",
            format!("version {version}"),
        ));
    }
    let segments: Vec<&str> = call
        .path
        .trim_start_matches("/api/")
        .split('/')
        .skip_while(|s| *s != "webhooks")
        .skip(1)
        .collect();
    let (id, token, edited) = match segments[..] {
        [id, token] => (id, token, None),
        [id, token, "messages", message] => (id, token, Some(message)),
        _ => {
            return Err(refuse(
                404,
                0,
                "404: Not Found",
                "the path is not …/webhooks/{id}/{token}",
            ));
        }
    };
    let method = if edited.is_some() {
        Method::PATCH
    } else {
        Method::POST
    };
    if call.method != method {
        return Err(refuse(
            405,
            0,
            "405: Method Not Allowed",
            format!("method {}", call.method),
        ));
    }
    check_webhook(call, id, token)?;
    Ok(edited)
}

/// Checks the user agent and that the webhook exists.
fn check_webhook(call: &Call, id: &str, token: &str) -> Result<(), Refusal> {
    // Cloudflare may block other user agents [Discord docs: reference, opcodes].
    if !call.header(USER_AGENT).starts_with("DiscordBot (") {
        let problem = format!(
            "user agent {:?} does not begin with `DiscordBot (`",
            call.header(USER_AGENT)
        );
        return Err(refuse(403, 40333, "internal network error", problem));
    }
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
        let mut form = Form::default();
        form.add(
            "webhook_id",
            "NUMBER_TYPE_COERCE",
            &format!("Value \"{id}\" is not snowflake."),
        );
        return Err(form.refusal(call));
    }
    if token.is_empty() || token.starts_with("gone") {
        return Err(refuse(
            404,
            10015,
            "Unknown Webhook",
            "a token that begins with gone",
        ));
    }
    if token.starts_with("badtoken") {
        return Err(refuse(
            401,
            50027,
            "Invalid Webhook Token",
            "a token that begins with badtoken",
        ));
    }
    Ok(())
}

fn accept(
    world: &World,
    call: &Call,
    payload: &Map<String, Value>,
    text: String,
    edited: Option<&str>,
) -> Verdict {
    let new_id = (unix_ms().saturating_sub(EPOCH_MS) << 22) | (world.next_id() & 0x3f_ffff);
    let id = edited.map_or(new_id.to_string(), str::to_owned);
    let mut segments = call.path.split('/').skip_while(|s| *s != "webhooks");
    let webhook = segments.nth(1).unwrap_or_default();
    let mentions = mentions(&text, payload.get("allowed_mentions"));
    let calls_everyone = mentions.iter().any(|mention| !mention.starts_with('<'));
    let channel = thread::channel(call);
    let empty = json!([]);
    let detail = json!({
        "id": id, "type": 0, "channel_id": channel, "webhook_id": webhook,
        "content": text, "embeds": payload.get("embeds").unwrap_or(&empty),
        "author": { "id": webhook, "username": payload.get("username"), "bot": true },
        "attachments": [], "mentions": [], "mention_roles": [], "mention_everyone": calls_everyone,
        "tts": false, "pinned": false, "flags": 0, "components": [], "edited_timestamp": null,
        "timestamp": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string(),
    });
    // Without `wait` the reply has no body [Discord docs: webhook resource].
    let waits = edited.is_some()
        || call
            .parameter("wait")
            .is_some_and(|value| matches!(value.as_str(), "true" | "True" | "1"));
    let reply = if waits {
        Reply::json(200, &detail)
    } else {
        Reply::empty(204)
    };
    let shown = if text.is_empty() {
        embed_texts(payload).join("\n")
    } else {
        text
    };
    let message = Message {
        provider: "discord",
        destination: call.path.clone(),
        text: shown,
        mentions,
        id: waits.then_some(id),
        detail,
    };
    Verdict::accepted(reply, message)
}
