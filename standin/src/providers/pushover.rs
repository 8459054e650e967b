//! Pushover: `POST /1/messages.json`, `POST /1/receipts/{receipt}/cancel.json` and
//! `POST /1/receipts/cancel_by_tag/{tag}.json`.
//!
//! Limits and errors are those of [Pushover docs: API, receipts]. The error texts about `html`, `ttl` and receipts are
//! unverified. Tokens that begin with `bad` and users that begin with `gone` are invalid.

use hyper::Method;
use serde_json::{Value, json};

use super::{Call, Provider, Verdict, form};
use crate::lock::lock;
use crate::record::Message;
use crate::reply::Reply;
use crate::world::World;

pub const PROVIDER: Provider = Provider {
    name: "pushover",
    paths: &["/1/messages.json", RECEIPTS],
    handle,
    too_many: |_| {
        Reply::json(
            429,
            // A reply of the real server [Tautulli issue 396].
            &json!({ "token": "invalid", "status": 0, "errors": ["application has exceeded current limit of 10000 messages"] }),
        )
        .with("x-limit-app-limit", "10000")
        .with("x-limit-app-remaining", "0")
    },
};

const RECEIPTS: &str = "/1/receipts/";

/// [Pushover docs: API, sounds]. An application's custom sounds are not supported here.
const SOUNDS: [&str; 23] = [
    "pushover",
    "bike",
    "bugle",
    "cashregister",
    "classical",
    "cosmic",
    "falling",
    "gamelan",
    "incoming",
    "intermission",
    "magic",
    "mechanical",
    "pianobar",
    "siren",
    "spacealarm",
    "tugboat",
    "alien",
    "climb",
    "persistent",
    "echo",
    "updown",
    "vibrate",
    "none",
];

/// Fields and the maximum length of their values, in code points.
const LONGEST: [(&str, usize); 4] = [
    ("message", 1_024),
    ("title", 250),
    ("url", 512),
    ("url_title", 100),
];

fn handle(world: &World, call: &Call) -> Verdict {
    let request = format!("request-{:08}", world.next_id());
    let refuse = |(field, word, sentence): (&str, &str, String)| {
        let mut body = json!({ "status": 0, "request": request, "errors": [sentence] });
        body[field] = word.into();
        Verdict::rejected(Reply::json(400, &body), sentence)
    };
    if call.method != Method::POST || call.media_type() != "application/x-www-form-urlencoded" {
        return Verdict::rejected(Reply::error(405, "a form by POST"), "no form, or no POST");
    }
    let field = |name: &str| form(&call.body, name);
    if let Err(wrong) = check_key(field("token"), "token", "application token", "bad") {
        return refuse(wrong);
    }
    if let Some(path) = call.path.strip_prefix(RECEIPTS) {
        let token = field("token").unwrap_or_default();
        let cancelled = cancel(world, path, &token);
        return cancelled.map_or_else(refuse, |count| {
            let body = json!({ "status": 1, "canceled": count, "request": request });
            Verdict::plain(Reply::json(200, &body))
        });
    }
    let checked = check_key(field("user"), "user", "user identifier", "gone")
        .and_then(|()| check_message(&field));
    if let Err(wrong) = checked {
        return refuse(wrong);
    }
    let texts = [field("title"), field("message")].into_iter().flatten();
    let mut reply = json!({ "status": 1, "request": request });
    let mut fields: serde_json::Map<_, _> = form_urlencoded::parse(&call.body)
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect();
    let is_emergency = field("priority").as_deref() == Some(EMERGENCY);
    if is_emergency {
        let receipt = Value::from(format!("r{:029}", world.next_id()));
        reply[RECEIPT] = receipt.clone();
        fields.insert(RECEIPT.to_owned(), receipt);
    }
    // "Ignored for messages with a priority value of 2" [Pushover docs: API, time to live].
    let ignored =
        (is_emergency && field("ttl").is_some()).then(|| "ttl of an emergency".to_owned());
    let message = Message {
        provider: "pushover",
        destination: call.full_path.clone(),
        text: texts.collect::<Vec<_>>().join("\n"),
        mentions: Vec::new(),
        id: Some(request),
        detail: fields.into(),
    };
    Verdict::accepted(Reply::json(200, &reply), message).with_problem(ignored)
}

const EMERGENCY: &str = "2";
const RECEIPT: &str = "receipt";

/// Cancels the emergency of a receipt, or the emergencies of a tag, of this application. Returns how many were active.
fn cancel(world: &World, path: &str, token: &str) -> Result<usize, Wrong> {
    let tag = path
        .strip_prefix("cancel_by_tag/")
        .map(|tag| tag.strip_suffix(".json"));
    let by_receipt = path.strip_suffix("/cancel.json");
    let is_one_segment = |text: &str| !text.is_empty() && !text.contains('/');
    let fits = |detail: &Value| match (tag, by_receipt) {
        (Some(tag), _) => {
            let tags = detail["tags"].as_str().unwrap_or_default();
            tags.split(',').any(|one| Some(one) == tag)
        }
        (None, receipt) => detail[RECEIPT].as_str() == receipt,
    };
    match (tag, by_receipt) {
        (Some(tag), _) if !tag.is_some_and(is_one_segment) => {
            return Err(("tag", "invalid", "tag is invalid".to_owned()));
        }
        (None, receipt) if !receipt.is_some_and(is_one_segment) => return Err(no_receipt()),
        _ => {}
    }
    let emergencies = world.messages.newest(|message| {
        let detail = &message.detail;
        message.provider == "pushover"
            && detail["token"] == token
            && detail[RECEIPT].is_string()
            && fits(detail)
    });
    if emergencies.is_empty() && tag.is_none() {
        return Err(no_receipt());
    }
    let mut cancelled = lock(&world.cancelled);
    let receipts = emergencies
        .iter()
        .filter_map(|detail| detail[RECEIPT].as_str());
    Ok(receipts
        .filter(|receipt| cancelled.insert((*receipt).to_owned()))
        .count())
}

fn no_receipt() -> Wrong {
    let sentence = "receipt not found; may be invalid or expired";
    (RECEIPT, "not found", sentence.to_owned())
}

type Wrong = (&'static str, &'static str, String);

fn check_key(
    value: Option<String>,
    field: &'static str,
    what: &str,
    dead: &str,
) -> Result<(), Wrong> {
    let is_key = |key: &String| {
        key.len() == 30 && key.bytes().all(|b| b.is_ascii_alphanumeric()) && !key.starts_with(dead)
    };
    match value.filter(is_key) {
        Some(_) => Ok(()),
        None => Err((field, "invalid", format!("{what} is invalid"))),
    }
}

fn check_message(field: &impl Fn(&str) -> Option<String>) -> Result<(), Wrong> {
    if field("message").is_none_or(|message| message.is_empty()) {
        return Err((
            "message",
            "cannot be blank",
            "message cannot be blank".to_owned(),
        ));
    }
    for (name, longest) in LONGEST {
        if field(name).is_some_and(|text| text.chars().count() > longest) {
            return Err((name, "is too long", format!("{name} is too long")));
        }
    }
    let is_on = |name| field(name).is_some_and(|value| value == "1");
    if is_on("html") && is_on("monospace") {
        let sentence = "html and monospace are mutually exclusive";
        return Err(("monospace", "invalid", sentence.to_owned()));
    }
    if field("sound").is_some_and(|sound| !SOUNDS.contains(&sound.as_str())) {
        let sentence = "sound is invalid, see https://pushover.net/api#sounds";
        return Err(("sound", "invalid", sentence.to_owned()));
    }
    let seconds = |name| field(name).map(|text| text.parse::<u64>());
    if seconds("ttl").is_some_and(|ttl| !ttl.is_ok_and(|ttl| ttl > 0)) {
        return Err(("ttl", "invalid", "ttl must be a positive number".to_owned()));
    }
    if seconds("timestamp").is_some_and(|time| time.is_err()) {
        return Err(("timestamp", "invalid", "timestamp is invalid".to_owned()));
    }
    let number = |name| field(name).and_then(|text| text.parse::<i64>().ok());
    let priority = field("priority").map_or(Some(0), |text| text.parse::<i64>().ok());
    match priority {
        Some(-2..=1) => Ok(()),
        Some(2) if number("retry").is_none_or(|retry| retry < 30) => {
            let sentence = "retry must be supplied with priority=2, and be 30 at least";
            Err(("retry", "invalid", sentence.to_owned()))
        }
        Some(2) if number("expire").is_none_or(|expire| !(1..=10_800).contains(&expire)) => {
            let sentence = "expire must be supplied with priority=2, and be 10800 at most";
            Err(("expire", "invalid", sentence.to_owned()))
        }
        Some(2) => Ok(()),
        _ => Err(("priority", "invalid", "priority is invalid".to_owned())),
    }
}
