//! Slack incoming webhook: `POST /services/{T…}/{B…}/{secret}`.
//!
//! Answers are single words in plain text [Slack docs: incoming webhooks; Slack changelog 2016-05-17]. Lengths are counted in
//! UTF-16 code units, because Slack says only "characters".

use hyper::Method;
use serde_json::{Map, Value};

use super::{Answer, Call, retry_after, units};
use crate::record::Message;
use crate::reply::Reply;

/// Longer text is cut without a word [Slack docs: chat.postMessage].
const MAX_TEXT: usize = 40_000;
/// [bolt-js issue 2509]
const MAX_BLOCKS: usize = 50;
/// All blocks together beyond this gave `msg_blocks_too_long`, undocumented [bolt-js issue 2509]: noted, not refused.
const BLOCKS_TOO_LONG: usize = 13_000;
/// `too_many_attachments` beyond this [Slack docs: incoming webhooks].
const MAX_ATTACHMENTS: usize = 100;

/// A beginning of the URL's last part that makes the webhook answer so.
const DEAD_SECRETS: [(&str, u16, &str); 3] = [
    ("revoked", 403, "invalid_token"),
    ("archived", 410, "channel_is_archived"),
    ("gone", 404, "no_service"),
];

pub fn answer(call: &Call) -> Answer {
    match judge(call) {
        Ok((message, problem)) => {
            Answer::accepted(Reply::text(200, "ok"), message).with_problem(problem)
        }
        Err(refusal) => Answer::refused(Reply::text(refusal.status, refusal.word), refusal.problem),
    }
}

/// 429 with whole seconds [Slack docs: rate limits]; the body's word is unverified.
pub fn too_many(call: &Call) -> Reply {
    Reply::text(429, "rate_limited").with("retry-after", retry_after(call))
}

struct Refusal {
    status: u16,
    word: &'static str,
    problem: String,
}

fn refuse(status: u16, word: &'static str, problem: impl Into<String>) -> Refusal {
    Refusal {
        status,
        word,
        problem: problem.into(),
    }
}

fn judge(call: &Call) -> Result<(Message, Option<String>), Refusal> {
    check_address(call)?;
    if !call.is_json() {
        return Err(refuse(
            400,
            "invalid_payload",
            format!("content type {:?}", call.media_type()),
        ));
    }
    let body = call
        .json()
        .map_err(|e| refuse(400, "invalid_payload", format!("not JSON: {e}")))?;
    let Value::Object(payload) = &body else {
        return Err(refuse(400, "invalid_payload", "not an object"));
    };
    let text = match payload.get("text") {
        None | Some(Value::Null) => "",
        Some(Value::String(text)) => text,
        Some(_) => return Err(refuse(400, "invalid_payload", "text is not a string")),
    };
    let blocks = check_all_blocks(payload)?;
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
    let mut problem = None;
    if blocks.length > BLOCKS_TOO_LONG {
        problem = Some(format!(
            "blocks of {} characters: Slack may answer msg_blocks_too_long",
            blocks.length
        ));
    }
    let mut shown = text.to_owned();
    if units(text) > MAX_TEXT {
        problem = Some(format!(
            "text of {} characters was cut to {MAX_TEXT}",
            units(text)
        ));
        shown = cut(text, MAX_TEXT);
    }
    if shown.is_empty() {
        shown = blocks.texts.join("\n");
    }
    let message = Message {
        provider: "slack",
        destination: call.path.clone(),
        text: shown,
        id: None,
        detail: body,
    };
    Ok((message, problem))
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
        // What Slack answers here is unverified.
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

/// What was found while the blocks were checked.
#[derive(Default)]
struct Blocks {
    count: usize,
    length: usize,
    texts: Vec<String>,
}

/// The blocks of the message and of its attachments.
fn check_all_blocks(payload: &Map<String, Value>) -> Result<Blocks, Refusal> {
    let mut found = Blocks::default();
    // A webhook answers this word to any block that breaks a rule [sourcegraph issue 49979; bugsink issue 317].
    let invalid = |problem| refuse(400, "invalid_blocks", problem);
    found
        .check_list(payload.get("blocks"), "blocks")
        .map_err(invalid)?;
    let attachments = match payload.get("attachments") {
        None | Some(Value::Null) => return Ok(found),
        Some(Value::Array(attachments)) => attachments,
        Some(_) => return Err(refuse(400, "invalid_payload", "attachments is not a list")),
    };
    if attachments.len() > MAX_ATTACHMENTS {
        return Err(refuse(
            400,
            "too_many_attachments",
            format!("{} attachments", attachments.len()),
        ));
    }
    for (i, attachment) in attachments.iter().enumerate() {
        let Value::Object(attachment) = attachment else {
            return Err(refuse(
                400,
                "invalid_payload",
                format!("attachments[{i}] is not an object"),
            ));
        };
        found
            .check_list(
                attachment.get("blocks"),
                &format!("attachments[{i}].blocks"),
            )
            .map_err(invalid)?;
        found.texts.extend(
            attachment
                .get("text")
                .and_then(Value::as_str)
                .map(str::to_owned),
        );
    }
    Ok(found)
}

impl Blocks {
    fn check_list(&mut self, list: Option<&Value>, place: &str) -> Result<(), String> {
        let list = match list {
            None | Some(Value::Null) => return Ok(()),
            Some(list) => list
                .as_array()
                .ok_or_else(|| format!("{place} is not a list"))?,
        };
        check_count(list, MAX_BLOCKS, place)?;
        for (i, block) in list.iter().enumerate() {
            self.count += 1;
            self.check_block(block, &format!("{place}[{i}]"))?;
        }
        Ok(())
    }

    /// Limits of the block types [Slack node SDK: types]. A type that is not in use here is let pass if it exists.
    fn check_block(&mut self, block: &Value, place: &str) -> Result<(), String> {
        let kind = block
            .get("type")
            .and_then(Value::as_str)
            .ok_or_else(|| format!("{place} has no type"))?;
        match kind {
            "header" => self.check_text(block.get("text"), "plain_text", 150, place),
            "section" => self.check_section(block, place),
            "context" => self.check_context(block, place),
            "actions" => check_elements(block, 25, place)?
                .iter()
                .try_for_each(|button| self.check_button(button, place)),
            "image" => check_image(block, place),
            "divider" | "rich_text" | "video" | "file" | "input" | "markdown" | "table" => Ok(()),
            other => Err(format!("{place}: there is no block type {other:?}")),
        }
    }

    fn check_section(&mut self, block: &Value, place: &str) -> Result<(), String> {
        let (text, fields) = (block.get("text"), block.get("fields"));
        if text.is_none() && fields.is_none() {
            return Err(format!("{place}: a section needs text or fields"));
        }
        if text.is_some() {
            self.check_text(text, "", 3000, place)?;
        }
        if let Some(fields) = fields {
            let fields = fields
                .as_array()
                .ok_or_else(|| format!("{place}.fields is not a list"))?;
            check_count(fields, 10, &format!("{place}.fields"))?;
            fields
                .iter()
                .try_for_each(|field| self.check_text(Some(field), "", 2000, place))?;
        }
        match block.get("accessory") {
            Some(accessory) if accessory.get("type").and_then(Value::as_str) == Some("button") => {
                self.check_button(accessory, place)
            }
            _ => Ok(()),
        }
    }

    fn check_context(&mut self, block: &Value, place: &str) -> Result<(), String> {
        for element in check_elements(block, 10, place)? {
            match element.get("type").and_then(Value::as_str) {
                Some("image") => check_image(element, place)?,
                _ => self.check_text(Some(element), "", 3000, place)?,
            }
        }
        Ok(())
    }

    fn check_button(&mut self, button: &Value, place: &str) -> Result<(), String> {
        self.check_text(button.get("text"), "plain_text", 75, place)?;
        match button.get("url").and_then(Value::as_str) {
            Some(url) if units(url) > 3000 => Err(format!(
                "{place}: a button's URL of {} characters",
                units(url)
            )),
            _ => Ok(()),
        }
    }

    /// A text object: of that type if one is asked for, never empty, no longer than `max`.
    fn check_text(
        &mut self,
        object: Option<&Value>,
        kind: &str,
        max: usize,
        place: &str,
    ) -> Result<(), String> {
        let object = object.ok_or_else(|| format!("{place} has no text"))?;
        let given = object
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !matches!(given, "plain_text" | "mrkdwn") || (!kind.is_empty() && given != kind) {
            return Err(format!("{place}: a text object of type {given:?}"));
        }
        let text = object
            .get("text")
            .and_then(Value::as_str)
            .ok_or_else(|| format!("{place}: text is not a string"))?;
        let length = units(text);
        if text.is_empty() || length > max {
            return Err(format!(
                "{place}: text of {length} characters, 1 to {max} are allowed"
            ));
        }
        self.length += length;
        self.texts.push(text.to_owned());
        Ok(())
    }
}

fn check_elements<'a>(block: &'a Value, max: usize, place: &str) -> Result<&'a Vec<Value>, String> {
    let elements = block
        .get("elements")
        .and_then(Value::as_array)
        .ok_or_else(|| format!("{place} has no elements"))?;
    check_count(elements, max, &format!("{place}.elements"))?;
    Ok(elements)
}

fn check_count(list: &[Value], max: usize, place: &str) -> Result<(), String> {
    match list.len() {
        n if n > max => Err(format!("{place}: {n} items, {max} are allowed")),
        0 if place != "blocks" && !place.ends_with(".blocks") => Err(format!("{place} is empty")),
        _ => Ok(()),
    }
}

fn check_image(image: &Value, place: &str) -> Result<(), String> {
    let has = |name| {
        image
            .get(name)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    if (has("image_url") || image.get("slack_file").is_some()) && has("alt_text") {
        Ok(())
    } else {
        Err(format!("{place}: an image needs image_url and alt_text"))
    }
}
