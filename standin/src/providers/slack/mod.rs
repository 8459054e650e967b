//! Slack incoming webhook: `POST /services/{T…}/{B…}/{secret}`, and [workflow] webhooks.
//!
//! Replies are single words in plain text [Slack docs: incoming webhooks; Slack changelog 2016-05-17]. Lengths are counted in
//! UTF-16 code units, because Slack's documentation says only "characters".

mod blocks;
mod members;
mod refusal;
mod workflow;

use hyper::Method;
use serde_json::{Map, Value};

use self::blocks::{check_all_blocks, mentions};
use self::refusal::{Refusal, refuse};
use super::{Call, Provider, Verdict, retry_after, utf16_units};
use crate::record::Message;
use crate::reply::Reply;

pub const PROVIDER: Provider = Provider {
    name: "slack",
    paths: &["/services/", "/triggers/T", "/workflows/T"],
    handle: |_, call| match call.path.starts_with("/services/") {
        true => handle(call),
        false => workflow::handle(call),
    },
    too_many,
};

/// A longer text is silently truncated [Slack changelog 2018-04: truncating really long messages].
const MAX_TEXT: usize = 40_000;
/// A longer text is split into several messages at any character [Slack changelog 2018-04; chainloop issue 272].
const ONE_MESSAGE: usize = 4_000;
/// The known members. Others have no effect [Slack node SDK: webhook, IncomingWebhookSendArguments; Slack docs: incoming webhooks].
const MEMBERS: [&str; 17] = [
    "text",
    "blocks",
    "attachments",
    "thread_ts",
    "mrkdwn",
    "response_type",
    "replace_original",
    "delete_original",
    "metadata",
    "unfurl_links",
    "unfurl_media",
    "link_names",
    "parse",
    "channel",
    "username",
    "icon_url",
    "icon_emoji",
];
/// The maximum length of all blocks. Slack rejects more with the undocumented `msg_blocks_too_long` [bolt-js issue 2509].
const BLOCKS_TOO_LONG: usize = 13_000;

/// Prefixes of the URL's last segment, and the error reply that each selects.
const DEAD_SECRETS: [(&str, u16, &str); 3] = [
    ("revoked", 403, "invalid_token"),
    ("archived", 410, "channel_is_archived"),
    ("gone", 404, "no_service"),
];

fn handle(call: &Call) -> Verdict {
    match validate(call) {
        Ok((message, problem)) => {
            Verdict::accepted(Reply::text(200, "ok"), message).with_problem(problem)
        }
        Err(refusal) => {
            Verdict::rejected(Reply::text(refusal.status, refusal.word), refusal.problem)
        }
    }
}

/// 429 with whole seconds [Slack docs: rate limits]. The body is unverified.
fn too_many(call: &Call) -> Reply {
    Reply::text(429, "rate_limited").with("retry-after", retry_after(call))
}

fn validate(call: &Call) -> Result<(Message, Option<String>), Refusal> {
    check_address(call)?;
    let body = read(call)?;
    let Value::Object(payload) = &body else {
        return Err(refuse(400, "invalid_payload", "not an object"));
    };
    let text = text_of(payload)?;
    let mut blocks = check_all_blocks(payload)?;
    let attachments = payload
        .get("attachments")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    if text.trim().is_empty() && blocks.count == 0 && attachments == 0 {
        return Err(refuse(
            400,
            "no_text",
            "neither text nor blocks nor attachments",
        ));
    }
    if blocks.length > BLOCKS_TOO_LONG {
        let problem = format!("blocks of {} characters", blocks.length);
        return Err(refuse(400, "msg_blocks_too_long", problem));
    }
    let unknown = payload
        .keys()
        .find(|name| !MEMBERS.contains(&name.as_str()));
    let mut problem = unknown.map(|name| format!("the member {name} has no effect"));
    let mut shown = text.to_owned();
    if utf16_units(text) > ONE_MESSAGE && blocks.count == 0 {
        problem = Some(format!(
            "text of {} characters was broken into messages of {ONE_MESSAGE}",
            utf16_units(text)
        ));
    }
    if utf16_units(text) > MAX_TEXT {
        problem = Some(format!(
            "text of {} characters was cut to {MAX_TEXT}",
            utf16_units(text)
        ));
        shown = cut(text, MAX_TEXT);
    }
    // A message with blocks uses the text only for push notifications, so its mentions have no effect.
    if blocks.count > 0 {
        shown = blocks.texts.join("\n");
    } else {
        blocks.mentions.extend(mentions(&shown));
    }
    let message = Message {
        provider: "slack",
        destination: call.path.clone(),
        text: shown,
        mentions: blocks.mentions,
        id: None,
        detail: body,
    };
    Ok((message, problem))
}

fn text_of(payload: &Map<String, Value>) -> Result<&str, Refusal> {
    match payload.get("text") {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(refuse(400, "invalid_payload", "text is not a string")),
    }
}

fn read(call: &Call) -> Result<Value, Refusal> {
    if !call.is_json() {
        return Err(refuse(
            400,
            "invalid_payload",
            format!("content type {:?}", call.media_type()),
        ));
    }
    call.json()
        .map_err(|e| refuse(400, "invalid_payload", format!("not JSON: {e}")))
}

fn check_address(call: &Call) -> Result<(), Refusal> {
    let segments: Vec<&str> = call
        .path
        .trim_start_matches("/services/")
        .split('/')
        .collect();
    let [team, webhook, secret] = segments[..] else {
        return Err(refuse(
            404,
            "no_service",
            "the path is not /services/T…/B…/…",
        ));
    };
    if !team.starts_with('T') {
        return Err(refuse(
            404,
            "no_team",
            "the first part does not begin with T",
        ));
    }
    if !webhook.starts_with('B') || secret.is_empty() {
        return Err(refuse(
            404,
            "no_service",
            "the second part does not begin with B, or there is no secret",
        ));
    }
    if call.method != Method::POST {
        // Slack's reply in this case is unverified.
        return Err(refuse(
            405,
            "method_not_allowed",
            format!("method {}", call.method),
        ));
    }
    match DEAD_SECRETS
        .iter()
        .find(|(beginning, ..)| secret.starts_with(beginning))
    {
        Some((beginning, status, word)) => Err(refuse(
            *status,
            word,
            format!("a secret that begins with {beginning}"),
        )),
        None => Ok(()),
    }
}

fn cut(text: &str, max: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.len_utf16();
        used <= max
    };
    text.chars().take_while(fits).collect()
}
