//! Discord webhook: `POST /api/webhooks/{id}/{token}` (API v6) and `/api/v{N}/webhooks/{id}/{token}`.
//!
//! Lengths are code points, counted after outer white space is trimmed [Discord docs: message; Discord staff in api-docs
//! issue 1315]. Up to v7 waits are milliseconds and form errors are flat; from v8 on waits are decimal seconds and form errors
//! are nested with codes [Discord docs: reference, change log 2020-09-24; api-docs issue 2360].

use std::time::Duration;

use hyper::Method;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use serde_json::{Map, Value, json};

use super::{Answer, Call, wait};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::{World, unix_ms};

/// Milliseconds from 1970 to the first second of 2015, where Discord's ids begin [Discord docs: reference].
const EPOCH_MS: u64 = 1_420_070_400_000;
/// Five in two seconds is what the headers of a webhook usually tell [api-docs issue 367]; nothing is limited without a rule.
const USUAL_LIMIT: (u32, f64) = (5, 2.0);
const MAX_CONTENT: usize = 2000;
const MAX_EMBEDS: usize = 10;
const MAX_EMBED_TOTAL: usize = 6000;

pub fn answer(world: &World, call: &Call) -> Answer {
    let answer = match judge(world, call) {
        Ok(answer) => answer,
        Err(refusal) => {
            Answer::refused(Reply::json(refusal.status, &refusal.body), refusal.problem)
        }
    };
    Answer {
        reply: with_limits(answer.reply, call),
        ..answer
    }
}

/// 429: `retry_after` as a decimal number, the header the same rounded up [Discord docs: rate limits].
pub fn too_many(call: &Call) -> Reply {
    let seconds = wait(call).as_secs_f64();
    let milliseconds = version(&call.path) < 8;
    let limit = call.pace.as_ref().map(|pace| &pace.limit);
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

/// The headers that stand on every answer [Discord docs: rate limits].
fn with_limits(reply: Reply, call: &Call) -> Reply {
    let (limit, remaining, reset_after) = match &call.pace {
        Some(pace) if pace.exceeded => (pace.limit.burst, 0, wait(call).as_secs_f64()),
        Some(pace) => (
            pace.limit.burst,
            pace.remaining,
            pace.reset_after.as_secs_f64(),
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

/// An opaque word, the same for the same webhook.
fn bucket(path: &str) -> String {
    let hash = path.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

struct Refusal {
    status: u16,
    body: Value,
    problem: String,
}

fn refuse(status: u16, code: u32, message: &str, problem: impl Into<String>) -> Refusal {
    Refusal {
        status,
        body: json!({ "message": message, "code": code }),
        problem: problem.into(),
    }
}

/// The version that a path means: none is 6.
fn version(path: &str) -> u32 {
    let stated = path
        .strip_prefix("/api/v")
        .and_then(|rest| rest.split('/').next());
    stated.and_then(|number| number.parse().ok()).unwrap_or(6)
}

fn judge(world: &World, call: &Call) -> Result<Answer, Refusal> {
    check_address(call)?;
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
    let embeds = payload
        .get("embeds")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    if text.is_empty() && embeds == 0 {
        return Err(refuse(
            400,
            50006,
            "Cannot send an empty message",
            "neither content nor embeds",
        ));
    }
    let problem = form.notes.pop();
    Ok(accept(world, call, payload, text).with_problem(problem))
}

fn check_address(call: &Call) -> Result<(), Refusal> {
    let version = version(&call.path);
    if !(6..=10).contains(&version) {
        return Err(refuse(
            400,
            50041,
            "Invalid API version",
            format!("version {version}"),
        ));
    }
    let mut segments = call
        .path
        .trim_start_matches("/api/")
        .split('/')
        .skip_while(|s| *s != "webhooks")
        .skip(1);
    let (Some(id), Some(token), None) = (segments.next(), segments.next(), segments.next()) else {
        return Err(refuse(
            404,
            0,
            "404: Not Found",
            "the path is not …/webhooks/{id}/{token}",
        ));
    };
    if call.method != Method::POST {
        return Err(refuse(
            405,
            0,
            "405: Method Not Allowed",
            format!("method {}", call.method),
        ));
    }
    // Cloudflare, in front of Discord, may block others [Discord docs: reference, opcodes].
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

fn accept(world: &World, call: &Call, payload: &Map<String, Value>, text: String) -> Answer {
    let id =
        ((unix_ms().saturating_sub(EPOCH_MS) << 22) | (world.next_id() & 0x3f_ffff)).to_string();
    let webhook = call.path.split('/').rev().nth(1).unwrap_or_default();
    let thread = call.parameter("thread_id");
    let channel = thread.as_deref().unwrap_or(webhook);
    let empty = json!([]);
    let detail = json!({
        "id": id, "type": 0, "channel_id": channel, "webhook_id": webhook,
        "content": text, "embeds": payload.get("embeds").unwrap_or(&empty),
        "author": { "id": webhook, "username": payload.get("username"), "bot": true },
        "attachments": [], "mentions": [], "mention_roles": [], "mention_everyone": false,
        "tts": false, "pinned": false, "flags": 0, "components": [], "edited_timestamp": null,
        "timestamp": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string(),
    });
    // Without `wait` nothing comes back [Discord docs: webhook resource].
    let waits = call
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
        id: waits.then_some(id),
        detail,
    };
    Answer::accepted(reply, message)
}

/// The form's errors, as `embeds.0.title` with a code and a sentence, and what is let pass.
#[derive(Default)]
struct Form {
    errors: Vec<(String, &'static str, String)>,
    notes: Vec<String>,
}

impl Form {
    fn add(&mut self, place: &str, code: &'static str, sentence: &str) {
        self.errors
            .push((place.to_owned(), code, sentence.to_owned()));
    }

    /// Nested with codes; up to v7 flat, embeds by index alone [seen: `{"embeds": ["0"]}`].
    fn refusal(&self, call: &Call) -> Refusal {
        let body = if version(&call.path) < 8 {
            self.flat()
        } else {
            self.nested()
        };
        let told: Vec<String> = self
            .errors
            .iter()
            .map(|(place, _, sentence)| format!("{place}: {sentence}"))
            .collect();
        Refusal {
            status: 400,
            body,
            problem: told.join("; "),
        }
    }

    fn nested(&self) -> Value {
        let mut errors = json!({});
        for (place, code, sentence) in &self.errors {
            let node = place
                .split('.')
                .fold(&mut errors, |node, step| &mut node[step]);
            let error = json!({ "code": code, "message": sentence });
            match node.get_mut("_errors").and_then(Value::as_array_mut) {
                Some(list) => list.push(error),
                None => node["_errors"] = json!([error]),
            }
        }
        json!({ "message": "Invalid Form Body", "code": 50035, "errors": errors })
    }

    fn flat(&self) -> Value {
        let mut body: Map<String, Value> = Map::new();
        for (place, _, sentence) in &self.errors {
            let (field, told) = match place.split_once('.') {
                Some((field, rest)) => (field, rest.split('.').next().unwrap_or_default()),
                None => (place.as_str(), sentence.as_str()),
            };
            let list = body.entry(field).or_insert_with(|| json!([]));
            if let Some(list) = list
                .as_array_mut()
                .filter(|list| !list.contains(&json!(told)))
            {
                list.push(json!(told));
            }
        }
        Value::Object(body)
    }

    /// Checks all fields; gives the trimmed content.
    fn check(&mut self, payload: &Map<String, Value>) -> String {
        let text = self
            .text(payload.get("content"), "content", MAX_CONTENT)
            .unwrap_or_default();
        if let Some(name) = self.text(payload.get("username"), "username", 80) {
            self.required(&name, "username");
            let lower = name.to_lowercase();
            // Refused as a webhook's name; whether as an override too is unverified.
            if lower.contains("discord") || lower.contains("clyde") {
                self.notes.push(format!("username {name:?} may be refused"));
            }
        }
        self.text(payload.get("thread_name"), "thread_name", 100);
        self.mentions(payload.get("allowed_mentions"));
        match payload.get("embeds") {
            None | Some(Value::Null) => {}
            Some(Value::Array(embeds)) => self.embeds(embeds),
            Some(_) => self.add(
                "embeds",
                "LIST_TYPE_CONVERT",
                "Only iterables may be used in a ListType",
            ),
        }
        text
    }

    /// An optional text of at most `max` code points, trimmed.
    fn text(&mut self, value: Option<&Value>, place: &str, max: usize) -> Option<String> {
        let text = match value {
            None | Some(Value::Null) => return None,
            Some(Value::String(text)) => text.trim(),
            Some(Value::Number(number)) => return Some(number.to_string()),
            Some(_) => {
                self.add(
                    place,
                    "STRING_TYPE_CONVERT",
                    "Could not interpret as string.",
                );
                return None;
            }
        };
        if text.chars().count() > max {
            self.add(
                place,
                "BASE_TYPE_MAX_LENGTH",
                &format!("Must be {max} or fewer in length."),
            );
        }
        Some(text.to_owned())
    }

    fn required(&mut self, text: &str, place: &str) {
        if text.is_empty() {
            self.add(place, "BASE_TYPE_REQUIRED", "This field is required");
        }
    }

    /// `parse` and a list of the same sort exclude each other [Discord docs: message].
    fn mentions(&mut self, value: Option<&Value>) {
        let Some(mentions) = value.filter(|value| !value.is_null()) else {
            return;
        };
        let parse = mentions
            .get("parse")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        for (i, sort) in parse.iter().enumerate() {
            if !matches!(sort.as_str(), Some("roles" | "users" | "everyone")) {
                let place = format!("allowed_mentions.parse.{i}");
                self.add(
                    &place,
                    "BASE_TYPE_CHOICES",
                    "Value must be one of ('everyone', 'users', 'roles').",
                );
            }
        }
        for sort in ["users", "roles"] {
            let listed = mentions
                .get(sort)
                .and_then(Value::as_array)
                .is_some_and(|list| !list.is_empty());
            if listed && parse.contains(&json!(sort)) {
                let sentence =
                    format!("parse:[\"{sort}\"] and {sort}: [ids...] are mutually exclusive.");
                self.add(
                    "allowed_mentions",
                    "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                    &sentence,
                );
            }
        }
    }

    fn embeds(&mut self, embeds: &[Value]) {
        if embeds.len() > MAX_EMBEDS {
            self.add(
                "embeds",
                "BASE_TYPE_MAX_LENGTH",
                &format!("Must be {MAX_EMBEDS} or fewer in length."),
            );
        }
        let total: usize = embeds
            .iter()
            .enumerate()
            .map(|(i, embed)| self.embed(embed, &format!("embeds.{i}")))
            .sum();
        if total > MAX_EMBED_TOTAL {
            let sentence = format!("Embed size exceeds maximum size of {MAX_EMBED_TOTAL}");
            self.add("embeds", "MAX_EMBED_SIZE_EXCEEDED", &sentence);
        }
        let mut urls: Vec<&str> = embeds
            .iter()
            .filter_map(|embed| embed.get("url")?.as_str())
            .collect();
        urls.sort_unstable();
        if urls.windows(2).any(|pair| pair[0] == pair[1]) {
            self.notes
                .push("two embeds with one url show once".to_owned());
        }
    }

    /// One embed [Discord docs: message, embed limits]; gives its share of the total.
    fn embed(&mut self, embed: &Value, place: &str) -> usize {
        let mut length = 0;
        for (pointer, max) in [
            ("title", 256),
            ("description", 4096),
            ("footer/text", 2048),
            ("author/name", 256),
        ] {
            let place = format!("{place}.{}", pointer.replace('/', "."));
            let text = self.text(embed.pointer(&format!("/{pointer}")), &place, max);
            length += text.map_or(0, |text| text.chars().count());
        }
        if embed
            .get("color")
            .is_some_and(|color| !color.is_null() && color.as_u64().is_none_or(|c| c > 0xff_ffff))
        {
            let sentence = "int value should be less than or equal to 16777215.";
            self.add(&format!("{place}.color"), "NUMBER_TYPE_MAX", sentence);
        }
        let fields = embed
            .get("fields")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        if fields.len() > 25 {
            self.add(
                &format!("{place}.fields"),
                "BASE_TYPE_MAX_LENGTH",
                "Must be 25 or fewer in length.",
            );
        }
        for (i, field) in fields.iter().enumerate() {
            for (name, max) in [("name", 256), ("value", 1024)] {
                let place = format!("{place}.fields.{i}.{name}");
                let text = self.text(field.get(name), &place, max).unwrap_or_default();
                self.required(&text, &place);
                length += text.chars().count();
            }
        }
        length
    }
}

/// The texts of the embeds in reading order.
fn embed_texts(payload: &Map<String, Value>) -> Vec<String> {
    let embeds = payload
        .get("embeds")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let mut texts = Vec::new();
    for embed in embeds {
        texts.extend(
            ["/author/name", "/title", "/description"]
                .iter()
                .filter_map(|at| text(embed.pointer(at))),
        );
        for field in embed
            .get("fields")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
        {
            texts.extend(
                [text(field.get("name")), text(field.get("value"))]
                    .into_iter()
                    .flatten(),
            );
        }
        texts.extend(text(embed.pointer("/footer/text")));
    }
    texts
}
