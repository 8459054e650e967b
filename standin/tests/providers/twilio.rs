//! Twilio's messages.

use base64::Engine as _;
use serde_json::{Value, json};
use standin::Standin;

use crate::client::{Reply, get, send};
use crate::{start, x};

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
