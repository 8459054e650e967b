//! The generic webhook, and two helpers: `/status/{code}/…` answers that status, `/redirect/{code}?to=URL` sends elsewhere.

use hyper::Method;
use serde_json::{Value, json};

use super::{Answer, Call, Provider, too_many};
use crate::record::Message;
use crate::reply::Reply;

pub const PROVIDER: Provider = Provider {
    name: "webhook",
    paths: &["/hook/", "/hooks/"],
    answer: |_, call| answer(call),
    too_many,
};

pub const STATUS: Provider = Provider {
    name: "status",
    paths: &["/status/"],
    answer: |_, call| status(call),
    too_many,
};

pub const REDIRECT: Provider = Provider {
    name: "redirect",
    paths: &["/redirect/"],
    answer: |_, call| redirect(call),
    too_many,
};

/// `POST|PUT|PATCH /hook/…`: JSON, unless a rule lets any body pass.
fn answer(call: &Call) -> Answer {
    if !matches!(call.method, Method::POST | Method::PUT | Method::PATCH) {
        let reply = Reply::error(405, "POST, PUT or PATCH").with("allow", "POST, PUT, PATCH");
        return Answer::refused(reply, format!("method {}", call.method));
    }
    let body = call.json();
    if !call.any_content_type {
        let media_type = call.media_type();
        if media_type != "application/json"
            && !(media_type.starts_with("application/") && media_type.ends_with("+json"))
        {
            let problem = format!("content type {media_type:?}");
            return Answer::refused(
                Reply::error(415, "the content type must be application/json"),
                problem,
            );
        }
        if let Err(error) = &body {
            return Answer::refused(
                Reply::error(400, "the body is not JSON"),
                format!("not JSON: {error}"),
            );
        }
    }
    let detail = body.unwrap_or(Value::Null);
    let text = match detail.get("message").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => String::from_utf8_lossy(&call.body).into_owned(),
    };
    let message = Message {
        provider: "webhook",
        destination: call.path.clone(),
        text,
        mentions: Vec::new(),
        id: None,
        detail,
    };
    Answer::accepted(Reply::json(200, &json!({ "received": true })), message)
}

/// `/status/{code}/…`: that status from 200 to 599, by any method.
fn status(call: &Call) -> Answer {
    match code(call, "/status/") {
        Some(code) => Answer::plain(Reply::json(code, &json!({ "status": code }))),
        None => Answer::refused(
            Reply::error(404, "a status from 200 to 599"),
            "no such status",
        ),
    }
}

/// `/redirect/{code}?to=URL`: `Location` is the URL as given, so a hostile one can be tried too.
fn redirect(call: &Call) -> Answer {
    match (code(call, "/redirect/"), call.parameter("to")) {
        (Some(code), Some(to)) => {
            let reply = Reply::json(code, &json!({ "status": code })).with("location", to);
            Answer {
                accepted: false,
                ..Answer::plain(reply)
            }
        }
        _ => Answer::refused(
            Reply::error(404, "/redirect/{code}?to=URL"),
            "no code or no target",
        ),
    }
}

fn code(call: &Call, prefix: &str) -> Option<u16> {
    let rest = call.path.strip_prefix(prefix)?;
    let code = rest.split('/').next()?.parse().ok()?;
    (200..600).contains(&code).then_some(code)
}
