//! What each provider checks, and how it answers.

mod client;

use base64::Engine as _;
use client::{Reply, get, post, send};
use serde_json::{Value, json};
use standin::Standin;

async fn start() -> Standin {
    Standin::start().await.expect("starts")
}

fn x(count: usize) -> String {
    "x".repeat(count)
}

// Slack

const SLACK: &str = "/services/T0/B0/secret";

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

fn header(text: &str) -> Value {
    json!({ "type": "header", "text": { "type": "plain_text", "text": text } })
}

fn fields(count: usize, text: &str) -> Value {
    json!({ "type": "section", "fields": vec![json!({ "type": "plain_text", "text": text }); count] })
}

#[tokio::test]
async fn slack_judges_payloads() {
    let standin = start().await;
    let blocks = |blocks: Value| json!({ "text": "t", "blocks": blocks });
    for (payload, status, word) in [
        (json!({ "text": "hello" }), 200, "ok"),
        (json!({}), 400, "no_text"),
        (json!({ "text": "" }), 400, "no_text"),
        (json!({ "text": 1 }), 400, "invalid_payload"),
        (json!(["text"]), 400, "invalid_payload"),
        (json!({ "blocks": [section("s")] }), 200, "ok"),
        (json!({ "attachments": [{ "text": "a" }] }), 200, "ok"),
        (
            json!({ "text": "t", "attachments": vec![json!({ "text": "a" }); 101] }),
            400,
            "too_many_attachments",
        ),
        (blocks(json!([header(&x(150))])), 200, "ok"),
        (blocks(json!([header(&x(151))])), 400, "invalid_blocks"),
        (blocks(json!([section(&x(3000))])), 200, "ok"),
        (blocks(json!([section(&x(3001))])), 400, "invalid_blocks"),
        // A character outside the basic plane counts two.
        (
            blocks(json!([section(&"😀".repeat(1501))])),
            400,
            "invalid_blocks",
        ),
        (blocks(json!([section("")])), 400, "invalid_blocks"),
        (blocks(json!([fields(10, &x(1000))])), 200, "ok"),
        (blocks(json!([fields(11, "f")])), 400, "invalid_blocks"),
        (blocks(json!([fields(1, &x(2001))])), 400, "invalid_blocks"),
        (blocks(json!(vec![section("s"); 50])), 200, "ok"),
        (blocks(json!(vec![section("s"); 51])), 400, "invalid_blocks"),
        (
            blocks(json!([{ "type": "header", "text": { "type": "mrkdwn", "text": "h" } }])),
            400,
            "invalid_blocks",
        ),
        (
            blocks(
                json!([{ "type": "context", "elements": vec![json!({ "type": "mrkdwn", "text": "c" }); 11] }]),
            ),
            400,
            "invalid_blocks",
        ),
        (
            blocks(json!([{ "type": "no_such" }])),
            400,
            "invalid_blocks",
        ),
        (
            json!({ "text": "t", "attachments": [{ "blocks": [header(&x(151))] }] }),
            400,
            "invalid_blocks",
        ),
        (
            json!({ "text": "t", "attachments": [{ "color": 1, "blocks": [section("s")] }] }),
            400,
            "invalid_attachments",
        ),
        // Those of the message and of its attachments together.
        (
            json!({ "blocks": vec![section("s"); 26], "attachments": [{ "blocks": vec![section("s"); 25] }] }),
            400,
            "invalid_blocks",
        ),
        (blocks(json!(vec![section(&x(2600)); 5])), 200, "ok"),
        (
            json!({ "blocks": vec![section(&x(2600)); 4], "attachments": [{ "blocks": [section(&x(2601))] }] }),
            400,
            "msg_blocks_too_long",
        ),
        (
            blocks(
                json!([{ "type": "header", "text": { "type": "plain_text", "text": "h", "emoji": false } }]),
            ),
            200,
            "ok",
        ),
        (
            blocks(
                json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "s", "emoji": false } }]),
            ),
            400,
            "invalid_blocks",
        ),
        (
            blocks(
                json!([{ "type": "section", "text": { "type": "mrkdwn", "text": "s", "verbatim": "yes" } }]),
            ),
            400,
            "invalid_blocks",
        ),
    ] {
        let reply = post(standin.addr(), SLACK, &payload);
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (status, word),
            "{payload}"
        );
        assert!(reply.header("content-type").starts_with("text/plain"));
    }
    let accepted = standin
        .requests()
        .iter()
        .filter(|record| record.accepted)
        .count();
    assert_eq!(accepted, standin.messages().len());
    assert_eq!(standin.messages()[0].text, "hello");
}

#[tokio::test]
async fn slack_judges_addresses() {
    let standin = start().await;
    for (path, status, word) in [
        ("/services/T0/B0/revoked1", 403, "invalid_token"),
        ("/services/T0/B0/archived1", 410, "channel_is_archived"),
        ("/services/T0/B0/gone1", 404, "no_service"),
        ("/services/T0/B0", 404, "no_service"),
        ("/services/X/B0/x", 404, "no_team"),
    ] {
        let reply = post(standin.addr(), path, &json!({ "text": "t" }));
        assert_eq!(
            (reply.status, reply.body.as_str()),
            (status, word),
            "{path}"
        );
    }
    let plain = send(
        standin.addr(),
        "POST",
        SLACK,
        &[("Content-Type", "text/plain")],
        r#"{"text":"t"}"#,
    );
    assert_eq!(plain.body, "invalid_payload");
}

#[tokio::test]
async fn slack_cuts_long_text_in_silence_but_the_record_tells() {
    let standin = start().await;
    assert_eq!(
        post(standin.addr(), SLACK, &json!({ "text": x(40_001) })).status,
        200
    );
    let record = &standin.requests()[0];
    assert!(
        record.accepted
            && record
                .problem
                .as_ref()
                .is_some_and(|problem| problem.contains("was cut"))
    );
    assert_eq!(standin.messages()[0].text.len(), 40_000);
}

#[tokio::test]
async fn slack_tells_whom_a_message_calls() {
    let standin = start().await;
    let call = "<!channel> <@U1> <!subteam^S1> <#C1> <https://example.org|@U2> &lt;!here&gt; @here";
    let called = json!(["<!channel>", "<@U1>", "<!subteam^S1>"]);
    let plain = |text| json!({ "type": "plain_text", "text": text });
    for (payload, mentions) in [
        (json!({ "text": call }), called.clone()),
        (json!({ "blocks": [section(call)] }), called.clone()),
        (
            json!({ "text": call, "attachments": [{ "text": "a" }] }),
            called.clone(),
        ),
        (
            json!({ "text": "t", "attachments": [{ "blocks": [section(call)] }] }),
            called,
        ),
        // Beside blocks a text is for notifications; plain text is no markup.
        (
            json!({ "text": call, "blocks": [section("s"), header(call), { "type": "section", "fields": [plain(call)] }] }),
            json!([]),
        ),
    ] {
        assert_eq!(post(standin.addr(), SLACK, &payload).status, 200);
        let message = standin.messages().pop().expect("a message");
        assert_eq!(json!(message.mentions), mentions, "{payload}");
    }
}

// Discord

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

// Twilio

const TWILIO: &str = "/2010-04-01/Accounts/AC123/Messages.json";

fn twilio_as(
    standin: &Standin,
    user: &str,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
) -> Reply {
    let auth = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(user)
    );
    let headers = [
        ("Authorization", auth.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    send(standin.addr(), method, target, &headers, &body)
}

fn twilio(standin: &Standin, to: &str, from: &str, body: &str) -> Reply {
    twilio_as(
        standin,
        "AC123:token",
        "POST",
        TWILIO,
        &[("To", to), ("From", from), ("Body", body)],
    )
}

#[tokio::test]
async fn twilio_judges_messages() {
    let standin = start().await;
    let (to, from) = ("+15551230000", "+15557650000");
    let cyrillic = "я".repeat(71);
    for (to, from, body, status, code) in [
        (to, from, "hi", 201, 0),
        ("+0123456", from, "hi", 201, 0),
        (to, "InfluxDB", "hi", 201, 0),
        (to, from, &x(1600), 201, 0),
        (to, from, &x(1601), 400, 21617),
        (to, from, &cyrillic, 201, 0),
        ("", from, "hi", 400, 21604),
        (to, "", "hi", 400, 21603),
        (to, from, "", 400, 21602),
        ("5551230000", from, "hi", 400, 21211),
        ("+1555x", from, "hi", 400, 21211),
        (to, "+1-555", "hi", 400, 21212),
        (
            "whatsapp:+15551230000",
            "whatsapp:+15557650000",
            "hi",
            201,
            0,
        ),
        ("whatsapp:+15551230000", from, "hi", 400, 21910),
        ("+15005550001", from, "hi", 400, 21211),
        ("+15005550002", from, "hi", 400, 21612),
        ("+15005550003", from, "hi", 400, 21408),
        ("+15005550004", from, "hi", 400, 21610),
        (
            "whatsapp:+15005550004",
            "whatsapp:+15557650000",
            "hi",
            400,
            21610,
        ),
        ("+15005550009", from, "hi", 400, 21614),
        ("+15005550014", from, "hi", 429, 20429),
        ("+15005550015", from, "hi", 500, 20500),
        ("+15005550016", from, "hi", 503, 20503),
        (to, "+15005550000", "hi", 400, 21212),
        (to, "+15005550007", "hi", 400, 21606),
        (to, "+15005550031", "hi", 400, 21659),
    ] {
        let reply = twilio(&standin, to, from, body);
        let json = reply.json();
        assert_eq!(
            (reply.status, json["code"].as_u64().unwrap_or(0)),
            (status, code),
            "{to} {from}: {json}"
        );
        if status >= 400 {
            assert_eq!(json["status"], status);
            assert_eq!(
                json["more_info"],
                format!("https://www.twilio.com/docs/errors/{code}")
            );
        }
    }
    let last = twilio(&standin, to, from, &cyrillic).json();
    assert_eq!(
        (last["status"].as_str(), last["num_segments"].as_str()),
        (Some("queued"), Some("2"))
    );
    assert!(
        last["error_code"].is_null()
            && last["date_created"]
                .as_str()
                .is_some_and(|date| date.ends_with(" +0000"))
    );
    let sid = last["sid"].as_str().unwrap_or_default();
    assert!(
        sid.len() == 34 && sid.starts_with("SM") && sid[2..].bytes().all(|b| b.is_ascii_hexdigit()),
        "{sid}"
    );
    let failed = twilio(&standin, "+15005550017", from, "hi").json();
    assert_eq!(
        (failed["status"].as_str(), failed["error_code"].as_u64()),
        (Some("failed"), Some(30008))
    );
}

#[tokio::test]
async fn twilio_wants_the_account_or_an_api_key() {
    let standin = start().await;
    let fields = [
        ("To", "+15551230000"),
        ("MessagingServiceSid", "MG1"),
        ("Body", "hi"),
    ];
    for (user, status) in [
        ("AC123:token", 201),
        ("SK1:secret", 201),
        ("AC999:token", 401),
        ("AC123:wrong-token", 401),
        ("AC123:", 401),
        ("AC123", 401),
    ] {
        let reply = twilio_as(&standin, user, "POST", TWILIO, &fields);
        assert_eq!(reply.status, status, "{user}");
        if status == 401 {
            assert_eq!(reply.json()["code"], 20003);
            assert!(reply.header("www-authenticate").starts_with("Basic"));
        } else {
            assert_eq!(reply.json()["status"], "accepted");
        }
    }
    assert_eq!(get(standin.addr(), TWILIO).status, 401);
    assert_eq!(
        get(standin.addr(), "/2010-04-01/Accounts/AC123/Calls.json").status,
        404
    );
}

#[tokio::test]
async fn twilio_lists_what_it_accepted_newest_first() {
    let standin = start().await;
    for (to, body) in [
        ("+15551230001", "one"),
        ("+15551230002", "other"),
        ("+15551230001", "two"),
    ] {
        assert_eq!(twilio(&standin, to, "+15557650000", body).status, 201);
    }
    let listed = |query: &str| {
        let list = twilio_as(
            &standin,
            "AC123:token",
            "GET",
            &format!("{TWILIO}?{query}"),
            &[],
        )
        .json();
        let bodies = list["messages"]
            .as_array()
            .map(|messages| messages.iter().map(|m| m["body"].clone()).collect());
        (
            Value::Array(bodies.unwrap_or_default()),
            list["next_page_uri"].as_str().map(str::to_owned),
        )
    };
    assert_eq!(
        listed("To=%2B15551230001&From=%2B15557650000"),
        (json!(["two", "one"]), None)
    );
    assert_eq!(listed("To=%2B15551230009").0, json!([]));
    let (first, next) = listed("PageSize=2");
    assert_eq!(first, json!(["two", "other"]));
    let next = next.expect("a second page");
    assert_eq!(
        listed(next.split_once('?').expect("a query").1),
        (json!(["one"]), None)
    );
    // Another account has sent nothing.
    let other = twilio_as(
        &standin,
        "AC9:token",
        "GET",
        "/2010-04-01/Accounts/AC9/Messages.json",
        &[],
    );
    assert_eq!(other.json()["messages"], json!([]));
}

// Generic webhook and helpers

#[tokio::test]
async fn the_generic_webhook_takes_json() {
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
async fn statuses_and_redirects_come_as_asked_for() {
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
