//! The card of a message: its elements, members and values, by the schema of version 1.2 [adaptivecards.io: explorer]. Teams
//! does not post an invalid card, and does not show unknown members.

use serde_json::{Map, Value};

type Members = &'static [(&'static str, Kind)];

/// The type of a member's value.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    OneOf(&'static [&'static str]),
    /// Checked elsewhere, or not used by the notifier.
    Any,
}

const SPACING: Kind = Kind::OneOf(&[
    "default",
    "none",
    "small",
    "medium",
    "large",
    "extralarge",
    "padding",
]);
const STYLE: Kind = Kind::OneOf(&[
    "default",
    "emphasis",
    "good",
    "attention",
    "warning",
    "accent",
]);
const SIZE: Kind = Kind::OneOf(&["default", "small", "medium", "large", "extralarge"]);
const WEIGHT: Kind = Kind::OneOf(&["default", "lighter", "bolder"]);
const COLOR: Kind = Kind::OneOf(&[
    "default",
    "dark",
    "light",
    "accent",
    "good",
    "warning",
    "attention",
]);
const ALIGNMENT: Kind = Kind::OneOf(&["left", "center", "right"]);
const FONT: Kind = Kind::OneOf(&["default", "monospace"]);

const MESSAGE: Members = &[
    ("type", Kind::Text),
    ("attachments", Kind::Any),
    ("summary", Kind::Text),
];
const ATTACHMENT: Members = &[
    ("contentType", Kind::Text),
    ("contentUrl", Kind::Any),
    ("content", Kind::Any),
    ("name", Kind::Any),
];
const CARD: Members = &[
    ("type", Kind::Text),
    ("$schema", Kind::Text),
    (
        "version",
        Kind::OneOf(&["1.0", "1.1", "1.2", "1.3", "1.4", "1.5"]),
    ),
    ("body", Kind::Any),
    ("actions", Kind::Any),
    ("fallbackText", Kind::Text),
    ("speak", Kind::Text),
    ("lang", Kind::Text),
    ("minHeight", Kind::Text),
    ("msteams", Kind::Any),
];
const TEXT_BLOCK: Members = &[
    ("text", Kind::Text),
    ("wrap", Kind::Flag),
    ("weight", WEIGHT),
    ("size", SIZE),
    ("color", COLOR),
    ("isSubtle", Kind::Flag),
    ("fontType", FONT),
    ("horizontalAlignment", ALIGNMENT),
    ("maxLines", Kind::Any),
];
const RICH_TEXT_BLOCK: Members = &[("inlines", Kind::Any), ("horizontalAlignment", ALIGNMENT)];
const CONTAINER: Members = &[
    ("items", Kind::Any),
    ("style", STYLE),
    ("bleed", Kind::Flag),
    ("minHeight", Kind::Text),
    ("selectAction", Kind::Any),
];
/// The members of every element.
const ELEMENT: Members = &[
    ("type", Kind::Text),
    ("id", Kind::Text),
    ("isVisible", Kind::Flag),
    ("separator", Kind::Flag),
    ("spacing", SPACING),
    ("height", Kind::OneOf(&["auto", "stretch"])),
    ("fallback", Kind::Any),
];
const TEXT_RUN: Members = &[
    ("type", Kind::OneOf(&["textrun"])),
    ("text", Kind::Text),
    ("weight", WEIGHT),
    ("size", SIZE),
    ("color", COLOR),
    ("isSubtle", Kind::Flag),
    ("fontType", FONT),
    ("highlight", Kind::Flag),
    ("italic", Kind::Flag),
    ("strikethrough", Kind::Flag),
    ("underline", Kind::Flag),
    ("selectAction", Kind::Any),
];
const OPEN_URL: Members = &[
    ("type", Kind::OneOf(&["action.openurl"])),
    ("title", Kind::Text),
    ("url", Kind::Text),
    ("iconUrl", Kind::Text),
    (
        "style",
        Kind::OneOf(&["default", "positive", "destructive"]),
    ),
    ("id", Kind::Text),
    ("fallback", Kind::Any),
];

/// The texts of the card in order, or the reason why Teams does not post it.
pub fn read(body: &Value) -> Result<Vec<String>, String> {
    let message = object(body, "message", &[MESSAGE])?;
    if message.get("type").and_then(Value::as_str) != Some("message") {
        return Err("no message".to_owned());
    }
    let attachments = message.get("attachments").and_then(Value::as_array);
    let [attachment] = attachments.map(Vec::as_slice).unwrap_or_default() else {
        return Err("not one attachment".to_owned());
    };
    let attachment = object(attachment, "attachment", &[ATTACHMENT])?;
    let kind = attachment.get("contentType").and_then(Value::as_str);
    if kind != Some("application/vnd.microsoft.card.adaptive") {
        return Err("no Adaptive Card".to_owned());
    }
    let card = object(
        attachment.get("content").unwrap_or(&Value::Null),
        "card",
        &[CARD],
    )?;
    if card.get("type").and_then(Value::as_str) != Some("AdaptiveCard")
        || !card.contains_key("version")
    {
        return Err("a card needs its type and a version".to_owned());
    }
    let width = card.get("msteams").and_then(|msteams| msteams.get("width"));
    if width.is_some_and(|width| width != "Full") {
        return Err("msteams.width is not Full".to_owned());
    }
    let mut texts = Vec::new();
    for element in list(card, "body")? {
        read_element(element, &mut texts)?;
    }
    let actions = card.get("actions").and_then(Value::as_array);
    for action in actions.into_iter().flatten() {
        let action = object(action, "action", &[OPEN_URL])?;
        let url = action
            .get("url")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !url.starts_with("http") {
            return Err("Action.OpenUrl needs an address".to_owned());
        }
    }
    match texts.iter().any(|text: &String| !text.trim().is_empty()) {
        true => Ok(texts),
        false => Err("an empty card".to_owned()),
    }
}

fn read_element(element: &Value, texts: &mut Vec<String>) -> Result<(), String> {
    let kind = element
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match kind {
        "TextBlock" => {
            let block = object(element, kind, &[ELEMENT, TEXT_BLOCK])?;
            texts.push(text(block)?);
        }
        "RichTextBlock" => {
            let block = object(element, kind, &[ELEMENT, RICH_TEXT_BLOCK])?;
            let runs = list(block, "inlines")?.iter();
            let runs = runs.map(|run| text(object(run, "TextRun", &[TEXT_RUN])?));
            let line = runs.collect::<Result<Vec<_>, _>>()?.concat();
            if line.contains('\n') {
                return Err("a line break in a TextRun, which shows none".to_owned());
            }
            texts.push(line);
        }
        "Container" => {
            let container = object(element, kind, &[ELEMENT, CONTAINER])?;
            for item in list(container, "items")? {
                read_element(item, texts)?;
            }
        }
        other => return Err(format!("no element {other:?}")),
    }
    Ok(())
}

/// Checks that an object has only these members, each with its type.
fn object<'a>(
    value: &'a Value,
    name: &str,
    known: &[Members],
) -> Result<&'a Map<String, Value>, String> {
    let object = value
        .as_object()
        .ok_or_else(|| format!("{name} is no object"))?;
    for (member, value) in object {
        let mut known = known.iter().copied().flatten();
        let (_, kind) = known
            .find(|(known, _)| known == member)
            .ok_or_else(|| format!("{name} has no member {member:?}"))?;
        let fits = match kind {
            Kind::Any => true,
            Kind::Text => value.is_string(),
            Kind::Flag => value.is_boolean(),
            Kind::OneOf(words) => value
                .as_str()
                .is_some_and(|word| words.contains(&word.to_ascii_lowercase().as_str())),
        };
        if !fits {
            return Err(format!("{name}: {member} cannot be {value}"));
        }
    }
    Ok(object)
}

fn list<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a [Value], String> {
    let list = object.get(name).and_then(Value::as_array);
    list.map(Vec::as_slice)
        .ok_or_else(|| format!("{name} is missing"))
}

fn text(object: &Map<String, Value>) -> Result<String, String> {
    let text = object.get("text").and_then(Value::as_str);
    text.map(str::to_owned)
        .ok_or_else(|| "text is missing".to_owned())
}

/// The first single line break outside a list, which a card does not show [Teams docs: format cards].
pub fn lost_break(text: &str) -> Option<String> {
    let is_item = |line: &str| {
        let line = line.trim_start();
        line.starts_with(['-', '*', '+', ' ']) || line.starts_with(|c: char| c.is_ascii_digit())
    };
    let is_plain =
        |line: &str| !line.trim().is_empty() && !is_item(line) && !line.starts_with([' ', '\t']);
    let lines: Vec<&str> = text.split('\n').collect();
    let pair = lines
        .windows(2)
        .find(|pair| pair.iter().all(|line| is_plain(line)));
    pair.map(|pair| format!("the lines {pair:?} run together"))
}
