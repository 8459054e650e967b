//! Discord's webhooks.

use serde_json::{Value, json};
use standin::Standin;

use super::{start, x};
use crate::client::{Reply, send};

fn discord(standin: &Standin, target: &str, body: &str) -> Reply {
    let headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", "DiscordBot (https://example.org, 1)"),
    ];
    send(standin.addr(), "POST", target, &headers, body)
}

#[tokio::test]
async fn discord_validates_forms() {
    let standin = start().await;
    let embed = |embed: Value| json!({ "embeds": [embed] });
    for (payload, status, code, place) in [
        (json!({ "content": "hello" }), 200, 0, ""),
        (json!({ "content": x(2000) }), 200, 0, ""),
        // Outer white space does not count; code points do.
        (
            json!({ "content": format!("  {}\n", "😀".repeat(2000)) }),
            200,
            0,
            "",
        ),
        (
            json!({ "content": x(2001) }),
            400,
            50035,
            "/errors/content/_errors/0/code",
        ),
        (json!({ "content": "  " }), 400, 50006, ""),
        (json!({}), 400, 50006, ""),
        (json!([]), 400, 50035, ""),
        (
            json!({ "content": [] }),
            400,
            50035,
            "/errors/content/_errors",
        ),
        (
            json!({ "content": "c", "username": x(81) }),
            400,
            50035,
            "/errors/username/_errors",
        ),
        (
            json!({ "content": "c", "thread_name": x(101) }),
            400,
            50035,
            "/errors/thread_name/_errors",
        ),
        (
            json!({ "content": "c", "allowed_mentions": { "parse": ["all"] } }),
            400,
            50035,
            "/errors/allowed_mentions/parse/0/_errors",
        ),
        (
            embed(json!({ "title": x(256), "description": x(4096) })),
            200,
            0,
            "",
        ),
        (
            embed(json!({ "title": x(257) })),
            400,
            50035,
            "/errors/embeds/0/title/_errors",
        ),
        (
            embed(json!({ "description": x(4097) })),
            400,
            50035,
            "/errors/embeds/0/description/_errors",
        ),
        (
            embed(json!({ "footer": { "text": x(2049) } })),
            400,
            50035,
            "/errors/embeds/0/footer/text/_errors",
        ),
        (
            embed(json!({ "author": { "name": x(257) } })),
            400,
            50035,
            "/errors/embeds/0/author/name/_errors",
        ),
        (
            embed(json!({ "fields": vec![json!({ "name": "n", "value": "v" }); 26] })),
            400,
            50035,
            "/errors/embeds/0/fields/_errors",
        ),
        (
            embed(json!({ "fields": [{ "name": "n", "value": "" }] })),
            400,
            50035,
            "/errors/embeds/0/fields/0/value/_errors",
        ),
        (
            embed(json!({ "fields": [{ "name": "n", "value": x(1025) }] })),
            400,
            50035,
            "/errors/embeds/0/fields/0/value/_errors",
        ),
        (
            embed(
                json!({ "title": "t", "url": "https://grafana.example.org/d", "timestamp": "2026-01-31T12:00:00Z" }),
            ),
            200,
            0,
            "",
        ),
        (
            embed(json!({ "title": "t", "url": "http://10.0.0.1:3000/" })),
            200,
            0,
            "",
        ),
        (
            embed(json!({ "title": "t", "url": "http://grafana:3000/" })),
            400,
            50035,
            "/errors/embeds/0/url/_errors",
        ),
        (
            embed(json!({ "title": "t", "url": "grafana.example.org" })),
            400,
            50035,
            "/errors/embeds/0/url/_errors",
        ),
        (
            embed(json!({ "title": "t", "timestamp": "yesterday" })),
            400,
            50035,
            "/errors/embeds/0/timestamp/_errors",
        ),
        (
            json!({ "embeds": vec![json!({ "title": "t" }); 11] }),
            400,
            50035,
            "/errors/embeds/_errors",
        ),
        (
            json!({ "embeds": vec![json!({ "description": x(3001) }); 2] }),
            400,
            50035,
            "/errors/embeds/_errors",
        ),
    ] {
        let reply = discord(
            &standin,
            "/api/v10/webhooks/1/token?wait=true",
            &payload.to_string(),
        );
        let body = reply.json();
        assert_eq!(
            (reply.status, body["code"].as_u64().unwrap_or(0)),
            (status, code),
            "{payload}"
        );
        assert!(body.pointer(place).is_some(), "{body}");
        assert_eq!(reply.header("x-ratelimit-limit"), "5");
    }
    assert_eq!(standin.messages()[0].text, "hello");
}

#[tokio::test]
async fn discord_messages_list_their_mentions() {
    let standin = start().await;
    let call = "@everyone @here <@1> <@!2> <@&3> <#4>";
    for (payload, mentions) in [
        (json!({ "content": call }), json!(["<@1>", "<@!2>"])),
        (
            json!({ "content": call, "allowed_mentions": { "parse": [] } }),
            json!([]),
        ),
        (
            json!({ "content": call, "allowed_mentions": { "parse": ["everyone"], "roles": ["3"] } }),
            json!(["<@&3>", "@everyone", "@here"]),
        ),
        (json!({ "embeds": [{ "description": call }] }), json!([])),
    ] {
        let target = "/api/v10/webhooks/1/token?wait=true";
        let reply = discord(&standin, target, &payload.to_string());
        assert_eq!(reply.status, 200, "{payload}");
        let message = standin.messages().pop().expect("a message");
        assert_eq!(json!(message.mentions), mentions, "{payload}");
        let everyone = mentions
            .as_array()
            .expect("a list")
            .contains(&json!("@everyone"));
        assert_eq!(reply.json()["mention_everyone"], everyone);
    }
}

#[tokio::test]
async fn discord_validates_addresses_headers_and_methods() {
    let standin = start().await;
    let (bot, json) = (
        ("User-Agent", "DiscordBot (x, 1)"),
        ("Content-Type", "application/json"),
    );
    let good = r#"{"content":"c"}"#;
    for (method, path, headers, body, status, code) in [
        (
            "POST",
            "/api/v10/webhooks/1/token",
            &[bot, json][..],
            "{",
            400,
            50109,
        ),
        (
            "POST",
            "/api/v10/webhooks/1/token",
            &[bot],
            good,
            400,
            50035,
        ),
        (
            "POST",
            "/api/v10/webhooks/1/token",
            &[json],
            good,
            403,
            40333,
        ),
        (
            "POST",
            "/api/v10/webhooks/1/token",
            &[("User-Agent", "curl"), json],
            good,
            403,
            40333,
        ),
        (
            "POST",
            "/api/v10/webhooks/1/gone-token",
            &[bot, json],
            good,
            404,
            10015,
        ),
        (
            "POST",
            "/api/v10/webhooks/1/badtoken",
            &[bot, json],
            good,
            401,
            50027,
        ),
        (
            "POST",
            "/api/v10/webhooks/x/token",
            &[bot, json],
            good,
            400,
            50035,
        ),
        (
            "POST",
            "/api/v11/webhooks/1/token",
            &[bot, json],
            good,
            400,
            50041,
        ),
        (
            "PUT",
            "/api/v10/webhooks/1/token",
            &[bot, json],
            good,
            405,
            0,
        ),
    ] {
        let reply = send(standin.addr(), method, path, headers, body);
        assert_eq!(
            (reply.status, reply.json()["code"].as_u64()),
            (status, Some(code)),
            "{method} {path} {body}"
        );
    }
}

#[tokio::test]
async fn discord_answers_with_the_message_only_when_asked_to_wait() {
    let standin = start().await;
    let good = r#"{"content":"c"}"#;
    let waited = discord(
        &standin,
        "/api/v10/webhooks/1/token?thread_id=42&wait=true",
        good,
    );
    let id = waited.json()["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (waited.status, waited.json()["channel_id"].as_str()),
        (200, Some("42"))
    );
    assert!(
        id.len() >= 18 && id.bytes().all(|b| b.is_ascii_digit()),
        "{id}"
    );
    assert_eq!(standin.messages()[0].id, Some(id));
    let silent = discord(&standin, "/api/webhooks/1/token", good);
    assert_eq!((silent.status, silent.body.as_str()), (204, ""));
}

#[tokio::test]
async fn discord_v6_has_flat_errors_and_milliseconds() {
    let standin = start().await;
    let flat = discord(
        &standin,
        "/api/webhooks/1/token",
        &json!({ "content": x(2001) }).to_string(),
    );
    assert_eq!(
        flat.json(),
        json!({ "content": ["Must be 2000 or fewer in length."] })
    );
    let embeds = json!({ "embeds": [{ "title": x(257) }] }).to_string();
    assert_eq!(
        discord(&standin, "/api/webhooks/1/token", &embeds).json(),
        json!({ "embeds": ["0"] })
    );
    standin
        .rules_json(json!({ "path": "/api/*", "rate_limit": { "burst": 1, "per_ms": 60_000, "retry_after": "0.3" } }))
        .expect("a rule");
    for (path, body, header) in [
        ("/api/webhooks/1/a", json!(300), "300"),
        ("/api/v10/webhooks/1/a", json!(0.3), "1"),
    ] {
        let first = discord(&standin, path, r#"{"content":"c"}"#);
        assert_eq!(
            (first.status, first.header("x-ratelimit-remaining")),
            (204, "0")
        );
        let reply = discord(&standin, path, r#"{"content":"c"}"#);
        assert_eq!(
            (
                reply.status,
                &reply.json()["retry_after"],
                reply.header("retry-after")
            ),
            (429, &body, header)
        );
        assert_eq!(reply.header("x-ratelimit-reset-after"), "0.300");
        assert_eq!(reply.header("x-ratelimit-scope"), "user");
    }
}

fn patch(standin: &Standin, target: &str, body: &str) -> Reply {
    let headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", "DiscordBot (https://example.org, 1)"),
    ];
    send(standin.addr(), "PATCH", target, &headers, body)
}

#[tokio::test]
async fn discord_forums_require_a_thread_and_other_channels_reject_thread_names() {
    let standin = start().await;
    let (plain, named) = (r#"{"content":"c"}"#, r#"{"content":"c","thread_name":"t"}"#);
    for (target, body, status, code) in [
        ("/api/v10/webhooks/1/forum1", plain, 400, 220_001),
        ("/api/v10/webhooks/1/forum1", named, 204, 0),
        ("/api/v10/webhooks/1/forum1?thread_id=7", plain, 204, 0),
        (
            "/api/v10/webhooks/1/forum1?thread_id=7",
            named,
            400,
            220_002,
        ),
        ("/api/v10/webhooks/1/token?thread_id=7", named, 400, 220_002),
        ("/api/v10/webhooks/1/token", named, 400, 220_003),
        ("/api/v10/webhooks/1/token?thread_id=7", plain, 204, 0),
    ] {
        let reply = discord(&standin, target, body);
        assert_eq!(reply.status, status, "{target} {body}");
        if code > 0 {
            assert_eq!(reply.json()["code"], code, "{target} {body}");
        }
    }
}

#[tokio::test]
async fn discord_edits_a_message_only_in_its_thread_and_limits_edits_of_old_messages() {
    let standin = start().await;
    let post = |target: &str| {
        let reply = discord(&standin, target, r#"{"content":"c"}"#);
        reply.json()["id"].as_str().unwrap_or_default().to_owned()
    };
    let in_thread = post("/api/v10/webhooks/1/token?wait=true&thread_id=7");
    let in_channel = post("/api/v10/webhooks/1/token?wait=true");
    let old = post("/api/v10/webhooks/1/old1?wait=true");
    for (target, status, code) in [
        (format!("token/messages/{in_thread}?thread_id=7"), 200, 0),
        (format!("token/messages/{in_thread}"), 404, 10008),
        (format!("token/messages/{in_channel}"), 200, 0),
        (
            format!("token/messages/{in_channel}?thread_id=7"),
            404,
            10008,
        ),
        (format!("old1/messages/{old}"), 429, 30046),
    ] {
        let reply = patch(
            &standin,
            &format!("/api/v10/webhooks/1/{target}"),
            r#"{"content":"d"}"#,
        );
        assert_eq!(reply.status, status, "{target}");
        if code > 0 {
            assert_eq!(reply.json()["code"], code, "{target}");
        }
    }
}

#[tokio::test]
async fn discord_rejects_empty_embeds_and_invalid_addresses() {
    let standin = start().await;
    let embed = |embed: Value| json!({ "embeds": [embed] });
    for (payload, status, code) in [
        (embed(json!({})), 400, 50006),
        (
            embed(json!({ "color": 1, "url": "https://a.example" })),
            400,
            50006,
        ),
        (embed(json!({ "title": " ", "fields": [] })), 400, 50006),
        (embed(json!({ "footer": { "text": "f" } })), 204, 0),
        (
            embed(json!({ "image": { "url": "https://a.example/b.png" } })),
            204,
            0,
        ),
        (embed(json!({ "image": { "url": "b.png" } })), 400, 50035),
        (
            embed(json!({ "title": "t", "thumbnail": { "url": "ftp://a.example" } })),
            400,
            50035,
        ),
        (
            embed(json!({ "author": { "name": "n", "icon_url": "http://grafana/" } })),
            400,
            50035,
        ),
        (json!({ "content": "c", "avatar_url": "x" }), 400, 50035),
    ] {
        let reply = discord(&standin, "/api/v10/webhooks/1/token", &payload.to_string());
        assert_eq!(reply.status, status, "{payload}");
        if code > 0 {
            assert_eq!(reply.json()["code"], code, "{payload}");
        }
    }
}

#[tokio::test]
async fn discord_accepts_members_without_effect_and_the_record_has_a_problem() {
    let standin = start().await;
    for (body, told) in [
        (r#"{"content":"c","components":[]}"#, "components"),
        (r#"{"content":"c","no_such":1}"#, "no_such"),
    ] {
        assert_eq!(
            discord(&standin, "/api/v10/webhooks/1/token", body).status,
            204
        );
        let record = standin.requests().pop().expect("a request");
        assert!(record.accepted && record.problem.unwrap_or_default().contains(told));
    }
}
