//! Discord's webhooks.

use serde_json::{Value, json};
use standin::Standin;

use crate::client::{Reply, send};
use crate::{start, x};

fn discord(standin: &Standin, target: &str, body: &str) -> Reply {
    let headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", "DiscordBot (https://example.org, 1)"),
    ];
    send(standin.addr(), "POST", target, &headers, body)
}

#[tokio::test]
async fn discord_judges_forms() {
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
async fn discord_tells_whom_a_message_calls() {
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
async fn discord_judges_the_request_around_the_form() {
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
async fn discord_v6_knows_flat_errors_and_milliseconds() {
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
