//! Google Chat: `POST /v1/spaces/{space}/messages?key=…&token=…`.
//!
//! Formats are those of [Google Chat docs: messages.create, cards]. The error of a deleted webhook is unverified. Spaces that
//! begin with `gone` do not exist, and tokens that begin with `bad` are invalid.

mod members;

use hyper::Method;
use serde_json::{Value, json};

use self::members::{MESSAGE, check_members};
use super::{Call, Provider, Verdict, retry_after};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::World;

pub const PROVIDER: Provider = Provider {
    name: "google_chat",
    paths: &["/v1/spaces/"],
    handle,
    too_many: |call| {
        error(429, "RESOURCE_EXHAUSTED", "Quota exceeded").with("retry-after", retry_after(call))
    },
};

/// Of the whole message [Google Chat docs: messages.create].
const MAX_BYTES: usize = 32_000;
/// Of a card; "any widgets beyond this limit are ignored" [Google Chat docs: cards, widgets].
const MAX_WIDGETS: usize = 100;
const MAX_THREAD_KEY: usize = 4_000;

fn error(code: u16, status: &str, message: &str) -> Reply {
    Reply::json(
        code,
        &json!({ "error": { "code": code, "message": message, "status": status } }),
    )
}

fn handle(world: &World, call: &Call) -> Verdict {
    validate(world, call).unwrap_or_else(|(code, status, message)| {
        Verdict::rejected(error(code, status, &message), message)
    })
}

type Refusal = (u16, &'static str, String);

fn invalid(message: impl Into<String>) -> Refusal {
    (400, "INVALID_ARGUMENT", message.into())
}

fn validate(world: &World, call: &Call) -> Result<Verdict, Refusal> {
    let space = space_of(call)?;
    let given = |name| call.parameter(name).filter(|value| !value.is_empty());
    let (Some(_), Some(token)) = (given("key"), given("token")) else {
        return Err((
            403,
            "PERMISSION_DENIED",
            "The caller does not have permission".to_owned(),
        ));
    };
    if token.starts_with("bad") {
        return Err((
            401,
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials.".to_owned(),
        ));
    }
    if call.body.len() > MAX_BYTES {
        return Err(invalid("Message is too long"));
    }
    let body = call.json().ok().filter(|_| call.is_json());
    let body = body
        .filter(Value::is_object)
        .ok_or_else(|| invalid("Invalid JSON payload received."))?;
    check_members(&body, MESSAGE).map_err(invalid)?;
    let text = body.get("text").and_then(Value::as_str).unwrap_or_default();
    let mut texts = vec![text.to_owned()];
    let problem = check_cards(&body, &mut texts)?;
    texts.retain(|text| !text.trim().is_empty());
    if texts.is_empty() {
        return Err(invalid("Message cannot be empty."));
    }
    let option = given("messageReplyOption");
    let key = thread_key(&body, given("threadKey"), option.as_deref())?;
    // Without the option the key is ignored.
    let id = format!("m{}", world.next_id());
    let thread = key
        .filter(|_| option.is_some())
        .unwrap_or_else(|| id.clone());
    let name = format!("spaces/{space}/messages/{id}.{id}");
    let reply = json!({ "name": name, "text": text, "thread": { "name": format!("spaces/{space}/threads/{thread}") } });
    let message = Message {
        provider: "google_chat",
        destination: call.full_path.clone(),
        text: texts.join("\n"),
        mentions: mentions(text),
        id: Some(format!("{id}.{id}")),
        detail: json!({ "thread": thread, "message": body }),
    };
    Ok(Verdict::accepted(Reply::json(200, &reply), message).with_problem(problem))
}

fn space_of(call: &Call) -> Result<&str, Refusal> {
    let rest = call.path.strip_prefix("/v1/spaces/").unwrap_or_default();
    let space = rest
        .strip_suffix("/messages")
        .filter(|_| call.method == Method::POST);
    let space = space.filter(|space| !space.is_empty() && !space.starts_with("gone"));
    space.ok_or_else(|| {
        (
            404,
            "NOT_FOUND",
            "Requested entity was not found.".to_owned(),
        )
    })
}

/// The thread key of the message, from its body or from the URL.
fn thread_key(
    body: &Value,
    in_url: Option<String>,
    option: Option<&str>,
) -> Result<Option<String>, Refusal> {
    let key = body.pointer("/thread/threadKey").and_then(Value::as_str);
    let key = key.map(str::to_owned).or(in_url);
    match (&key, option) {
        (Some(key), _) if key.is_empty() || key.len() > MAX_THREAD_KEY => {
            Err(invalid("Invalid thread key"))
        }
        (None, Some(_)) => Err(invalid("A reply option needs a thread")),
        _ => Ok(key),
    }
}

/// Adds the texts of all cards, in order. Returns content that Google Chat accepts but does not show.
fn check_cards(body: &Value, texts: &mut Vec<String>) -> Result<Option<String>, Refusal> {
    let mut problem = None;
    let cards = body.get("cardsV2").and_then(Value::as_array);
    let cards = cards.map(Vec::as_slice).unwrap_or_default();
    for card in cards {
        // "Required if the message contains multiple cards" [Google Chat docs: messages, CardWithId].
        if cards.len() > 1 && card.get("cardId").and_then(Value::as_str).is_none() {
            return Err(invalid("A card of several needs its cardId"));
        }
        problem = problem.or(check_card(card.get("card").unwrap_or(&Value::Null), texts)?);
    }
    Ok(problem)
}

/// Adds the texts of a card, in order. Returns content that Google Chat accepts but does not show.
fn check_card(card: &Value, texts: &mut Vec<String>) -> Result<Option<String>, Refusal> {
    let title = card.pointer("/header/title").and_then(Value::as_str);
    texts.push(
        title
            .ok_or_else(|| invalid("A card's header needs a title"))?
            .to_owned(),
    );
    texts.extend(
        card.pointer("/header/subtitle")
            .and_then(Value::as_str)
            .map(str::to_owned),
    );
    let sections = card.get("sections").and_then(Value::as_array);
    let mut widgets = Vec::new();
    for section in sections.into_iter().flatten() {
        // "Must contain at least one widget" [Google Chat docs: cards, section].
        let of_section = section.get("widgets").and_then(Value::as_array);
        let of_section = of_section.filter(|widgets| !widgets.is_empty());
        widgets.extend(of_section.ok_or_else(|| invalid("A section needs a widget"))?);
    }
    let count = widgets.len();
    let problem = (count > MAX_WIDGETS)
        .then(|| format!("{count} widgets; those beyond {MAX_WIDGETS} are ignored"));
    for widget in widgets.into_iter().take(MAX_WIDGETS) {
        let buttons = widget
            .pointer("/buttonList/buttons")
            .and_then(Value::as_array);
        for button in buttons.into_iter().flatten() {
            let url = button
                .pointer("/onClick/openLink/url")
                .and_then(Value::as_str);
            if !url.is_some_and(|url| url.starts_with("http")) {
                return Err(invalid("A button needs a link"));
            }
        }
        let text = widget
            .pointer("/decoratedText/text")
            .or_else(|| widget.pointer("/textParagraph/text"));
        if let Some(html) = text.and_then(Value::as_str) {
            texts.push(plain(html)?);
        } else if buttons.is_none() {
            return Err(invalid("Unknown widget"));
        }
    }
    Ok(problem)
}

/// The text of a card's HTML [Google Chat docs: format messages].
fn plain(html: &str) -> Result<String, Refusal> {
    let mut text = html.to_owned();
    for tag in ["<b>", "</b>", "<i>", "</i>"] {
        text = text.replace(tag, "");
    }
    text = text.replace("<br>", "\n");
    if text.contains('<') {
        return Err(invalid(
            "a tag that cards do not know, or an unescaped text",
        ));
    }
    Ok(text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&"))
}

/// `<users/all>`, `<users/123>`. Cards have no mentions.
fn mentions(text: &str) -> Vec<String> {
    let begins = text.match_indices("<users/");
    let found = begins.filter_map(|(at, _)| {
        let end = text[at..].find('>')?;
        Some(text[at..=at + end].to_owned())
    });
    found.collect()
}
