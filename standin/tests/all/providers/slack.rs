//! Slack's incoming webhooks.

use serde_json::{Value, json};

use super::{start, x};
use crate::client::{post, send};

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

fn markdown(length: usize) -> Value {
    json!({ "type": "markdown", "text": x(length) })
}

fn table(rows: usize, columns: usize) -> Value {
    let row = vec![json!({ "type": "raw_text", "text": "c" }); columns];
    json!({ "type": "table", "rows": vec![row; rows] })
}

#[tokio::test]
async fn slack_validates_payloads() {
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
            json!({ "text": "t", "attachments": [{ "text": "a", "blocks": [section("s")] }] }),
            400,
            "invalid_attachments",
        ),
        (
            json!({ "text": "t", "attachments": [{ "fallback": "a", "blocks": [section("s")] }] }),
            200,
            "ok",
        ),
        (
            json!({ "text": "t", "attachments": [{ "no_such": "a" }] }),
            400,
            "invalid_attachments",
        ),
        (
            blocks(json!([{ "type": "divider", "text": "d" }])),
            400,
            "invalid_blocks",
        ),
        (
            blocks(
                json!([{ "type": "header", "text": { "type": "plain_text", "text": "h" }, "color": "#fff" }]),
            ),
            400,
            "invalid_blocks",
        ),
        (blocks(json!([markdown(6_000), markdown(6_000)])), 200, "ok"),
        (
            blocks(json!([markdown(6_000), markdown(6_001)])),
            400,
            "invalid_blocks",
        ),
        (blocks(json!([table(100, 20)])), 200, "ok"),
        (blocks(json!([table(101, 1)])), 400, "invalid_blocks"),
        (blocks(json!([table(1, 21)])), 400, "invalid_blocks"),
        (
            blocks(json!([table(1, 1), table(1, 1)])),
            400,
            "invalid_blocks",
        ),
        (
            blocks(
                json!([{ "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": [] }] }]),
            ),
            200,
            "ok",
        ),
        (
            blocks(json!([{ "type": "rich_text", "elements": [{ "type": "section" }] }])),
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
async fn slack_validates_addresses() {
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
async fn slack_silently_truncates_a_long_text_and_the_record_has_a_problem() {
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
async fn slack_accepts_a_text_that_it_splits_and_the_record_has_a_problem() {
    let standin = start().await;
    for (payload, problem) in [
        (json!({ "text": x(4_000) }), None),
        (
            json!({ "text": x(4_001) }),
            Some("was broken into messages"),
        ),
        (json!({ "text": x(4_001), "blocks": [section("s")] }), None),
        (
            json!({ "text": "t", "no_such": 1 }),
            Some("no_such has no effect"),
        ),
    ] {
        assert_eq!(post(standin.addr(), SLACK, &payload).status, 200);
        let record = standin.requests().pop().expect("a request");
        let told = record.problem.unwrap_or_default();
        assert!(told.contains(problem.unwrap_or_default()), "{told}");
        assert_eq!(told.is_empty(), problem.is_none(), "{told}");
    }
}

#[tokio::test]
async fn slack_workflows_accept_an_object_of_strings() {
    let standin = start().await;
    let (new, old) = ("/triggers/T0/123/secret", "/workflows/T0/A0/123/secret");
    for (path, payload, status) in [
        (new, json!({ "text": "t" }), 200),
        (old, json!({ "text": "t", "host": "db1" }), 200),
        (new, json!({ "text": "t", "blocks": [section("s")] }), 400),
        (new, json!({ "host": "db1" }), 400),
        (new, json!(["text"]), 400),
        ("/triggers/T0/123/gone1", json!({ "text": "t" }), 404),
        ("/triggers/T0/123", json!({ "text": "t" }), 404),
    ] {
        let reply = post(standin.addr(), path, &payload);
        assert_eq!(reply.status, status, "{path} {payload}");
        let body: Value = serde_json::from_str(&reply.body).expect("JSON");
        assert_eq!(body["ok"], json!(status == 200), "{path} {payload}");
    }
    assert_eq!(standin.messages().len(), 2);
}

#[tokio::test]
async fn slack_messages_list_their_mentions() {
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
