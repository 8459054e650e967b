//! The generic webhook and its helpers.

use serde_json::json;

use super::start;
use crate::client::{get, send};

#[tokio::test]
async fn the_generic_webhook_accepts_json() {
    let standin = start().await;
    let json = ("Content-Type", "application/json; charset=utf-8");
    for (method, headers, body, status) in [
        ("POST", &[json][..], r#"{"message":"m"}"#, 200),
        ("PUT", &[json], "[]", 200),
        (
            "PATCH",
            &[("Content-Type", "application/cloudevents+json")],
            "{}",
            200,
        ),
        ("POST", &[json], "{", 400),
        ("POST", &[("Content-Type", "text/plain")], "{}", 415),
        ("POST", &[], "{}", 415),
        ("GET", &[], "", 405),
    ] {
        assert_eq!(
            send(standin.addr(), method, "/hook/a/b", headers, body).status,
            status,
            "{method} {body}"
        );
    }
    assert_eq!(standin.messages()[0].text, "m");
    standin
        .rules_json(json!({ "path": "/hook/*", "any_content_type": true }))
        .expect("a rule");
    assert_eq!(
        send(
            standin.addr(),
            "POST",
            "/hook/a",
            &[("Content-Type", "text/plain")],
            "plain"
        )
        .status,
        200
    );
    assert_eq!(
        standin.messages().last().map(|m| m.text.clone()),
        Some("plain".to_owned())
    );
}

#[tokio::test]
async fn the_status_and_redirect_paths_reply_with_the_requested_status() {
    let standin = start().await;
    for status in 200..600 {
        let reply = get(standin.addr(), &format!("/status/{status}/x"));
        assert_eq!(reply.status, status);
        assert_eq!(
            reply.body.is_empty(),
            matches!(status, 204 | 304),
            "{status}: {}",
            reply.body
        );
    }
    assert_eq!(get(standin.addr(), "/status/199/x").status, 404);
    let redirect = get(
        standin.addr(),
        "/redirect/307?to=http%3A%2F%2Flocalhost%3A1%2F",
    );
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (307, "http://localhost:1/")
    );
    let nobody = get(standin.addr(), "/elsewhere");
    assert_eq!(
        (nobody.status, standin.requests().last().map(|r| r.provider)),
        (404, Some("none"))
    );
}
