//! Twilio's messages.

use base64::Engine as _;
use serde_json::{Value, json};
use standin::Standin;

use super::{start, x};
use crate::client::{Reply, get, send};

/// `AC` and 32 hexadecimal digits, as every account's.
macro_rules! account {
    () => {
        "AC0123456789abcdef0123456789abcdef"
    };
}

const TWILIO: &str = concat!("/2010-04-01/Accounts/", account!(), "/Messages.json");
const USER: &str = concat!(account!(), ":token");
const SERVICE: &str = "MG0123456789abcdef0123456789abcdef";
const TEMPLATE: &str = "HX0123456789abcdef0123456789abcdef";

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
        USER,
        "POST",
        TWILIO,
        &[("To", to), ("From", from), ("Body", body)],
    )
}

#[tokio::test]
async fn twilio_validates_messages() {
    let standin = start().await;
    let (to, from) = ("+15551230000", "+15557650000");
    let cyrillic = "я".repeat(71);
    for (to, from, body, status, code) in [
        (to, from, "hi", 201, 0),
        ("+0123456", from, "hi", 201, 0),
        (to, "InfluxDB", "hi", 201, 0),
        (to, "MGM Alerts", "hi", 201, 0),
        (to, "12345", "hi", 201, 0),
        (to, "1234567890", "hi", 400, 21212),
        (to, "Influx.DB", "hi", 400, 21212),
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
async fn twilio_validates_content_templates() {
    let standin = start().await;
    let (sms, whatsapp, outside) = (
        "+15551230000",
        "whatsapp:+15551230000",
        "whatsapp:+15005550022",
    );
    let long = |count| format!(r#"{{"1": "{}"}}"#, x(count));
    for (to, content, variables, status, code) in [
        (sms, TEMPLATE, "", 201, 0),
        (sms, TEMPLATE, r#"{"1": "a    b", "name": "c"}"#, 201, 0),
        (sms, "", r#"{"1": "a"}"#, 400, 21654),
        (sms, "HX1", "", 400, 21655),
        (sms, TEMPLATE, "no JSON", 400, 21656),
        (sms, TEMPLATE, r#"["a"]"#, 400, 21656),
        (sms, TEMPLATE, r#"{"1": 5}"#, 400, 21656),
        (sms, TEMPLATE, r#"{"1": null}"#, 400, 21656),
        (sms, TEMPLATE, r#"{"1": ""}"#, 400, 21656),
        (sms, TEMPLATE, r#"{"1": "a\nb"}"#, 400, 21656),
        (sms, TEMPLATE, r#"{"1": "a\tb"}"#, 400, 21656),
        (sms, TEMPLATE, r#"{"1": "a     b"}"#, 400, 21656),
        (sms, TEMPLATE, r#"{"a b": "a"}"#, 400, 21656),
        (sms, TEMPLATE, r#"{"a_name_of_16_cha": "a"}"#, 201, 0),
        (sms, TEMPLATE, r#"{"a_name_of_17_char": "a"}"#, 400, 21656),
        (sms, TEMPLATE, &long(1_600), 201, 0),
        (sms, TEMPLATE, &long(1_601), 400, 21658),
        (whatsapp, TEMPLATE, &long(1_024), 201, 0),
        (whatsapp, TEMPLATE, &long(1_025), 400, 63021),
        (outside, TEMPLATE, "", 201, 0),
    ] {
        let from = if to == sms {
            "+15557650000"
        } else {
            "whatsapp:+15557650000"
        };
        let body = if content.is_empty() { "hi" } else { "" };
        let fields = [
            ("To", to),
            ("From", from),
            ("Body", body),
            ("ContentSid", content),
            ("ContentVariables", variables),
        ];
        let reply = twilio_as(&standin, USER, "POST", TWILIO, &fields);
        let found = (reply.status, reply.json()["code"].as_u64().unwrap_or(0));
        assert_eq!(found, (status, code), "{to} {content} {variables}");
    }
    let free = twilio(&standin, outside, "whatsapp:+15557650000", "hi");
    assert_eq!(free.json()["code"], 63016);
    // A text beside a template is not sent.
    let both = [
        ("To", sms),
        ("From", "+15557650000"),
        ("Body", "hi"),
        ("ContentSid", TEMPLATE),
    ];
    assert_eq!(twilio_as(&standin, USER, "POST", TWILIO, &both).status, 201);
    let record = standin.requests().pop().expect("a request");
    assert_eq!(record.problem.as_deref(), Some("Body beside ContentSid"));
}

#[tokio::test]
async fn twilio_accepts_a_messaging_service_sid() {
    let standin = start().await;
    for (service, body, status, code) in [
        (SERVICE, "hi", 201, 0),
        (SERVICE, "", 400, 21619),
        ("MGM Alerts", "hi", 400, 21705),
        ("MG0123456789abcdef0123456789abcdeg", "hi", 400, 21705),
        ("MGdead56789abcdef0123456789abcdef0", "hi", 400, 21701),
    ] {
        let fields = [
            ("To", "+15551230000"),
            ("MessagingServiceSid", service),
            ("Body", body),
        ];
        let reply = twilio_as(&standin, USER, "POST", TWILIO, &fields);
        let found = (reply.status, reply.json()["code"].as_u64().unwrap_or(0));
        assert_eq!(found, (status, code), "{service}");
    }
}

#[tokio::test]
async fn twilio_requires_the_account_credentials_or_an_api_key() {
    let standin = start().await;
    let fields = [
        ("To", "+15551230000"),
        ("MessagingServiceSid", SERVICE),
        ("Body", "hi"),
    ];
    for (user, status) in [
        (USER, 201),
        ("SK0123456789abcdef0123456789abcdef:secret", 201),
        ("AC9:token", 401),
        (concat!(account!(), ":wrong-token"), 401),
        (concat!(account!(), ":"), 401),
        (account!(), 401),
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
        get(
            standin.addr(),
            concat!("/2010-04-01/Accounts/", account!(), "/Calls.json")
        )
        .status,
        404
    );
}

#[tokio::test]
async fn twilio_lists_accepted_messages_newest_first() {
    let standin = start().await;
    for (to, body) in [
        ("+15551230001", "one"),
        ("+15551230002", "other"),
        ("+15551230001", "two"),
    ] {
        assert_eq!(twilio(&standin, to, "+15557650000", body).status, 201);
    }
    let listed = |query: &str| {
        let list = twilio_as(&standin, USER, "GET", &format!("{TWILIO}?{query}"), &[]).json();
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
        "AC99999999999999999999999999999999:token",
        "GET",
        "/2010-04-01/Accounts/AC99999999999999999999999999999999/Messages.json",
        &[],
    );
    assert_eq!(other.json()["messages"], json!([]));
}
