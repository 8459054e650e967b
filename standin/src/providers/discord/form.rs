//! Validation of a message: limits, texts, mentions.

use serde_json::{Map, Value, json};

use super::refusal::Refusal;
use crate::providers::Call;

const MAX_CONTENT: usize = 2000;
const MAX_EMBEDS: usize = 10;
const MAX_EMBED_TOTAL: usize = 6000;

/// The errors of a message, each with a path such as `embeds.0.title`, a code and a sentence; and silently accepted mistakes.
#[derive(Default)]
pub struct Form {
    pub errors: Vec<(String, &'static str, String)>,
    pub notes: Vec<String>,
}

impl Form {
    pub fn add(&mut self, place: &str, code: &'static str, sentence: &str) {
        self.errors
            .push((place.to_owned(), code, sentence.to_owned()));
    }

    /// The error reply: nested with codes from v8 on, flat before; embeds then have only an index [seen: `{"embeds": ["0"]}`].
    pub fn refusal(&self, call: &Call) -> Refusal {
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

    /// Checks all fields, and returns the trimmed content.
    pub fn check(&mut self, payload: &Map<String, Value>) -> String {
        let text = self
            .text(payload.get("content"), "content", MAX_CONTENT)
            .unwrap_or_default();
        if let Some(name) = self.text(payload.get("username"), "username", 80) {
            self.required(&name, "username");
            let lower = name.to_lowercase();
            // Discord rejects it as a webhook's name. Whether it does so for an override is unverified.
            if lower.contains("discord") || lower.contains("clyde") {
                self.notes.push(format!("username {name:?} may be refused"));
            }
        }
        self.text(payload.get("thread_name"), "thread_name", 100);
        self.address(payload.get("avatar_url"), "avatar_url");
        self.members(payload);
        self.options(payload);
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

    /// Checks the members. Unknown members have no effect, nor have components of a webhook without an application [Discord
    /// docs: webhook, execute webhook].
    fn members(&mut self, payload: &Map<String, Value>) {
        const MEMBERS: [&str; 12] = [
            "content",
            "username",
            "avatar_url",
            "tts",
            "embeds",
            "allowed_mentions",
            "attachments",
            "flags",
            "thread_name",
            "applied_tags",
            "poll",
            "payload_json",
        ];
        let others = payload
            .keys()
            .filter(|name| !MEMBERS.contains(&name.as_str()));
        let notes = others.map(|name| format!("the member {name} has no effect"));
        self.notes.extend(notes);
    }

    /// Checks flags and the tags of a forum's post [Discord OpenAPI: IncomingWebhookRequestPartial]. The sentences are
    /// unverified.
    fn options(&mut self, payload: &Map<String, Value>) {
        const SUPPRESS: u64 = (1 << 2) | (1 << 12);
        if payload.get("tts").is_some_and(|tts| !tts.is_boolean()) {
            self.add(
                "tts",
                "BOOLEAN_TYPE_CONVERT",
                "Must be either true or false.",
            );
        }
        let flags = payload.get("flags").map_or(Some(0), Value::as_u64);
        if flags.is_none_or(|flags| flags & !SUPPRESS != 0) {
            self.add("flags", "BITFIELD_TYPE_CONVERT", "Invalid flags.");
        }
        let is_id = |tag: &Value| {
            let id = tag.as_str().unwrap_or_default();
            !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
        };
        let tags = payload
            .get("applied_tags")
            .map_or(Some(&[][..]), |tags| tags.as_array().map(Vec::as_slice));
        if !tags.is_some_and(|tags| tags.len() <= 5 && tags.iter().all(is_id)) {
            self.add(
                "applied_tags",
                "BASE_TYPE_MAX_LENGTH",
                "Must be 5 or fewer in length.",
            );
        }
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

    /// An embed's address, of at most 2048 characters.
    fn address(&mut self, value: Option<&Value>, place: &str) {
        let Some(url) = self.text(value, place, 2048) else {
            return;
        };
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        if !matches!(scheme, "http" | "https") {
            let sentence = format!(
                "Scheme \"{scheme}\" is not supported. Scheme must be one of ('http', 'https')."
            );
            self.add(place, "URL_TYPE_INVALID_SCHEME", &sentence);
        } else if !is_well_formed(&url) {
            self.add(place, "URL_TYPE_INVALID_URL", "Not a well formed URL.");
        }
    }

    /// `parse` and a list of the same type exclude each other [Discord docs: message].
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

    /// Checks one embed [Discord docs: message, embed limits], and returns its length.
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
        for pointer in [
            "url",
            "image/url",
            "thumbnail/url",
            "footer/icon_url",
            "author/url",
            "author/icon_url",
        ] {
            let place = format!("{place}.{}", pointer.replace('/', "."));
            self.address(embed.pointer(&format!("/{pointer}")), &place);
        }
        let time = embed.get("timestamp").filter(|time| !time.is_null());
        let is_time = |time: &Value| {
            let text = time.as_str().unwrap_or_default();
            text.parse::<jiff::Timestamp>()
                .is_ok_and(|time| time.as_second() >= 0)
        };
        if time.is_some_and(|time| !is_time(time)) {
            let sentence = format!("Could not parse {}. Should be ISO8601.", json!(time));
            let place = format!("{place}.timestamp");
            self.add(&place, "DATE_TIME_TYPE_PARSE", &sentence);
        }
        if embed
            .get("color")
            .is_some_and(|color| !color.is_null() && color.as_u64().is_none_or(|c| c > 0xff_ffff))
        {
            let sentence = "int value should be less than or equal to 16777215.";
            self.add(&format!("{place}.color"), "NUMBER_TYPE_MAX", sentence);
        }
        length + self.fields(embed, place)
    }

    /// Checks the fields of an embed, and returns their length.
    fn fields(&mut self, embed: &Value, place: &str) -> usize {
        let mut length = 0;
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

/// Whether Discord accepts an embed's address: `http` or `https`, and a host with a top-level domain or an IP address [grafana
/// issue 65270; gitea issue 11124].
fn is_well_formed(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let host = rest
        .and_then(|rest| rest.split(['/', '?', '#', ':']).next())
        .unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    labels.len() > 1 && labels.iter().all(is_label)
}

/// The API version of a path; 6 if it has none.
pub fn version(path: &str) -> u32 {
    let stated = path
        .strip_prefix("/api/v")
        .and_then(|rest| rest.split('/').next());
    stated.and_then(|number| number.parse().ok()).unwrap_or(6)
}
