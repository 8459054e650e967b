//! Pushover: `POST /1/messages.json`, and `POST /1/receipts/cancel_by_tag/{tag}.json`.
//!
//! Limits and errors are those of [Pushover docs: API, receipts]. Tokens that begin with `bad` are no application's, users that
//! begin with `gone` nobody's.

use hyper::Method;
use serde_json::json;

use super::{Answer, Call, Provider, form};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::World;

pub const PROVIDER: Provider = Provider {
    name: "pushover",
    paths: &["/1/messages.json", "/1/receipts/cancel_by_tag/"],
    answer,
    too_many: |_| {
        Reply::json(
            429,
            &json!({ "status": 0, "errors": ["application is over its monthly message limit"] }),
        )
        .with("x-limit-app-limit", "10000")
        .with("x-limit-app-remaining", "0")
    },
};

/// Fields and their longest values, in code points.
const LONGEST: [(&str, usize); 4] = [
    ("message", 1_024),
    ("title", 250),
    ("url", 512),
    ("url_title", 100),
];

fn answer(world: &World, call: &Call) -> Answer {
    let request = format!("request-{:08}", world.next_id());
    let refuse = |(field, word, sentence): (&str, &str, String)| {
        let mut body = json!({ "status": 0, "request": request, "errors": [sentence] });
        body[field] = word.into();
        Answer::refused(Reply::json(400, &body), sentence)
    };
    if call.method != Method::POST || call.media_type() != "application/x-www-form-urlencoded" {
        return Answer::refused(Reply::error(405, "a form by POST"), "no form, or no POST");
    }
    let field = |name: &str| form(&call.body, name);
    if let Err(wrong) = check_key(field("token"), "token", "application token", "bad") {
        return refuse(wrong);
    }
    if let Some(tag) = call.path.strip_prefix("/1/receipts/cancel_by_tag/") {
        return match tag.strip_suffix(".json") {
            Some(tag) if !tag.is_empty() && !tag.contains('/') => Answer::plain(Reply::json(
                200,
                &json!({ "status": 1, "canceled": 0, "request": request }),
            )),
            _ => refuse(("tag", "invalid", "tag is invalid".to_owned())),
        };
    }
    let checked = check_key(field("user"), "user", "user identifier", "gone")
        .and_then(|()| check_message(&field));
    if let Err(wrong) = checked {
        return refuse(wrong);
    }
    let texts = [field("title"), field("message")].into_iter().flatten();
    let mut reply = json!({ "status": 1, "request": request });
    if field("priority").as_deref() == Some("2") {
        reply["receipt"] = "rLqVuqTRh62UzxtmqiaLzQmVcPgiCy".into();
    }
    let fields: serde_json::Map<_, _> = form_urlencoded::parse(&call.body)
        .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
        .collect();
    let message = Message {
        provider: "pushover",
        destination: call.full_path.clone(),
        text: texts.collect::<Vec<_>>().join("\n"),
        mentions: Vec::new(),
        id: Some(request),
        detail: fields.into(),
    };
    Answer::accepted(Reply::json(200, &reply), message)
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
