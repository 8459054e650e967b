//! Pushover: forms, and emergencies until they are cancelled.

use standin::Standin;

use super::{start, x};
use crate::client::{Reply, send};

const TOKEN: &str = "azGDORePK8gMaC0QOYAMyEEuzJnyUi";
const USER: &str = "uQiRzpo4DXghDmr9QzzfQu27cmVRsG";

fn post(standin: &Standin, path: &str, fields: &[(&str, &str)]) -> Reply {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    send(standin.addr(), "POST", path, &[kind], &form)
}

fn message(standin: &Standin, fields: &[(&str, &str)]) -> Reply {
    let own = [("token", TOKEN), ("user", USER), ("message", "hi")];
    post(standin, "/1/messages.json", &[&own, fields].concat())
}

#[tokio::test]
async fn pushover_validates_forms() {
    let standin = start().await;
    let long = |count| x(count);
    for (fields, status) in [
        (vec![], 200),
        (vec![("html", "1")], 200),
        (vec![("monospace", "1")], 200),
        (vec![("html", "1"), ("monospace", "0")], 200),
        (vec![("html", "1"), ("monospace", "1")], 400),
        (vec![("ttl", "3600")], 200),
        (vec![("ttl", "0")], 400),
        (vec![("ttl", "-1")], 400),
        (vec![("ttl", "an hour")], 400),
        (vec![("sound", "siren")], 200),
        (vec![("sound", "none")], 200),
        (vec![("sound", "no such sound")], 400),
        (vec![("timestamp", "1795574518")], 200),
        (vec![("timestamp", "2026-11-25")], 400),
        (vec![("url", &long(512)), ("url_title", &long(100))], 200),
        (vec![("url", &long(513))], 400),
        (
            vec![("url", "https://a.example"), ("url_title", &long(101))],
            400,
        ),
        (vec![("title", &long(250))], 200),
        (vec![("title", &long(251))], 400),
    ] {
        assert_eq!(message(&standin, &fields).status, status, "{fields:?}");
    }
    let emergency = [
        ("priority", "2"),
        ("retry", "30"),
        ("expire", "60"),
        ("ttl", "60"),
    ];
    assert_eq!(message(&standin, &emergency).status, 200);
    let record = standin.requests().pop().expect("a request");
    assert!(record.accepted && record.problem.is_some());
}

#[tokio::test]
async fn pushover_counts_the_emergencies_that_a_receipt_or_a_tag_cancels() {
    let standin = start().await;
    let emergency = |tags| {
        let fields = [
            ("priority", "2"),
            ("retry", "30"),
            ("expire", "60"),
            ("tags", tags),
        ];
        message(&standin, &fields).json()["receipt"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let cancel = |path: &str, token| {
        let reply = post(
            &standin,
            &format!("/1/receipts/{path}"),
            &[("token", token)],
        );
        (reply.status, reply.json()["canceled"].as_u64())
    };
    let (first, _, third) = (emergency("cpu"), emergency("disk,cpu"), emergency("disk"));
    message(&standin, &[("tags", "cpu")]);
    assert_eq!(first.len(), 30);
    assert_eq!(
        cancel(&format!("{first}/cancel.json"), TOKEN),
        (200, Some(1))
    );
    assert_eq!(
        cancel(&format!("{first}/cancel.json"), TOKEN),
        (200, Some(0))
    );
    // Another application's are not its own.
    let other = "b".repeat(30);
    assert_eq!(cancel("cancel_by_tag/cpu.json", &other), (200, Some(0)));
    assert_eq!(cancel("cancel_by_tag/cpu.json", TOKEN), (200, Some(1)));
    assert_eq!(cancel("cancel_by_tag/cpu.json", TOKEN), (200, Some(0)));
    assert_eq!(cancel("cancel_by_tag/no_such.json", TOKEN), (200, Some(0)));
    assert_eq!(cancel(&format!("{third}/cancel.json"), &other), (400, None));
    assert_eq!(cancel("no_such/cancel.json", TOKEN), (400, None));
    assert_eq!(cancel("cancel_by_tag/a/b.json", TOKEN), (400, None));
    assert_eq!(cancel("cancel_by_tag/.json", TOKEN), (400, None));
    assert_eq!(cancel("cancel_by_tag/disk.json", "bad"), (400, None));
}
