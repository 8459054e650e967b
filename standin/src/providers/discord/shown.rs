//! The visible parts and the mentions of a message.

use serde_json::{Map, Value, json};

/// Whether an embed is visible. An embed with only a colour or an address is not, and makes the message empty.
pub fn is_visible(embed: &Value) -> bool {
    const SHOWN: [&str; 7] = [
        "title",
        "description",
        "fields",
        "image",
        "thumbnail",
        "author",
        "footer",
    ];
    let shows = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    };
    SHOWN.iter().any(|name| embed.get(name).is_some_and(shows))
}

/// The texts of the embeds in reading order.
pub fn embed_texts(payload: &Map<String, Value>) -> Vec<String> {
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

/// The allowed mentions of a content. By default a webhook may mention users. Embeds mention nobody [Discord docs: message].
pub fn mentions(content: &str, allowed: Option<&Value>) -> Vec<String> {
    let default = json!({ "parse": ["users"] });
    let allowed = allowed.filter(|value| !value.is_null()).unwrap_or(&default);
    let lists = |list: &str, item: &str| {
        let list = allowed.get(list).and_then(Value::as_array);
        list.is_some_and(|list| list.contains(&json!(item)))
    };
    let ids = content.split("<@").skip(1);
    let ids = ids.filter_map(|rest| Some(rest.split_once('>')?.0));
    let called = ids.filter_map(|id| {
        let (sort, number) = match id.strip_prefix('&') {
            Some(role) => ("roles", role),
            None => ("users", id.trim_start_matches('!')),
        };
        let is_id = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        (is_id && (lists("parse", sort) || lists(sort, number))).then(|| format!("<@{id}>"))
    });
    let mut mentions: Vec<String> = called.collect();
    for word in ["@everyone", "@here"] {
        if lists("parse", "everyone") && content.contains(word) {
            mentions.push(word.to_owned());
        }
    }
    mentions
}
