//! The generic webhook, and two helpers: `/status/{code}/…` replies with a status, `/redirect/{code}?to=URL` redirects.

use hyper::Method;
use serde_json::{Value, json};

use super::{Call, Provider, Verdict, too_many};
use crate::record::Message;
use crate::reply::Reply;

pub const PROVIDER: Provider = Provider {
    name: "webhook",
    paths: &["/hook/", "/hooks/"],
    handle: |_, call| handle(call),
    too_many,
};

pub const STATUS: Provider = Provider {
    name: "status",
    paths: &["/status/"],
    handle: |_, call| status(call),
    too_many,
};

pub const REDIRECT: Provider = Provider {
    name: "redirect",
    paths: &["/redirect/"],
    handle: |_, call| redirect(call),
    too_many,
};

/// `POST|PUT|PATCH /hook/…`: accepts JSON, or any body if a rule allows it.
fn handle(call: &Call) -> Verdict {
    if !matches!(call.method, Method::POST | Method::PUT | Method::PATCH) {
        let reply = Reply::error(405, "POST, PUT or PATCH").with("allow", "POST, PUT, PATCH");
        return Verdict::rejected(reply, format!("method {}", call.method));
    }
    let body = call.json();
    if !call.any_content_type {
        let media_type = call.media_type();
        if media_type != "application/json"
            && !(media_type.starts_with("application/") && media_type.ends_with("+json"))
        {
            let problem = format!("content type {media_type:?}");
            return Verdict::rejected(
                Reply::error(415, "the content type must be application/json"),
                problem,
            );
        }
        if let Err(error) = &body {
            return Verdict::rejected(
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
    Verdict::accepted(Reply::json(200, &json!({ "received": true })), message)
}

/// `/status/{code}/…`: replies with a status from 200 to 599, to any method.
fn status(call: &Call) -> Verdict {
    match code(call, "/status/") {
        Some(code) => Verdict::plain(Reply::json(code, &json!({ "status": code }))),
        None => Verdict::rejected(
            Reply::error(404, "a status from 200 to 599"),
            "no such status",
        ),
    }
}

/// `/redirect/{code}?to=URL`: `Location` is the unchanged URL, which may be hostile.
fn redirect(call: &Call) -> Verdict {
    match (code(call, "/redirect/"), call.parameter("to")) {
        (Some(code), Some(to)) => {
            let reply = Reply::json(code, &json!({ "status": code })).with("location", to);
            Verdict {
                accepted: false,
                ..Verdict::plain(reply)
            }
        }
        _ => Verdict::rejected(
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
