//! Tests the input of a digest that routing attaches to a delivery: a digest renders the destination's own templates
//! again.

use std::collections::BTreeMap;

use notifier_core::api::request;
use notifier_core::config::{Environment, Named, SettingsCache};
use notifier_core::json::Json;
use notifier_core::model::notification::Notification;
use notifier_core::model::plan::{ComposeInput, Disposition};
use notifier_core::model::read_options::ReadOptions;
use notifier_core::routing;
use notifier_core::warnings::Warnings;

const FILE: &str = r#"
[receivers.hook.http]
webhook_url = "https://hooks.example/x"
body_template = '{"text": {{ notification.text | tojson }}, "room": {{ data.room | tojson }}}'
[receivers.broken.http]
webhook_url = "https://hooks.example/y"
body_template = "{{ 1 // 0 }}"
[receivers.phone.sms]
sid = "AC00000000000000000000000000000001"
token = "t"
from_number = "+15005550006"
to_number = "+15005550007"
content_sid = "HX00000000000000000000000000000001"
content_variables = { 1 = "{{ notification.text }}" }
[receivers.plain.http]
webhook_url = "https://hooks.example/z"
"#;

/// Returns the stored inputs of one request's deliveries under these settings, by the receivers' names.
fn inputs(settings: &str) -> BTreeMap<String, Option<ComposeInput>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notifier.toml");
    std::fs::write(&path, format!("{settings}{FILE}")).unwrap();
    let path = path.to_str().unwrap().to_owned();
    let arguments = BTreeMap::from([("config_file_path".to_owned(), path)]);
    let settings = SettingsCache::default()
        .resolve(&arguments, &Environment::default(), &Named::new())
        .settings()
        .unwrap();
    let body = br#"{"notification_text": "cpu", "receivers": ["hook", "broken", "phone", "plain"], "data": {"room": "ops"}}"#;
    let request = request::read(body, &BTreeMap::new(), &ReadOptions::default()).unwrap();
    let mut warnings = Warnings::default();
    let plan = routing::plan(&request, &settings, "task", &mut warnings).unwrap();
    assert_eq!(warnings.iter().count(), 1, "{warnings:?}");
    let inputs = plan.deliveries.into_iter().map(|delivery| {
        let Disposition::Send(sending) = delivery.disposition else {
            panic!("{delivery:?}")
        };
        (
            delivery.receiver.unwrap(),
            sending.input.map(|input| *input),
        )
    });
    inputs.collect()
}

#[test]
fn a_digest_has_the_body_that_its_destination_asks_for() {
    let digest = Notification::plain(Json::String("and 5 \"more\"".to_owned()));
    let inputs = inputs("[settings]\nmax_per_minute = 5\n");
    for (receiver, expected, warned) in [
        (
            "hook",
            vec![(
                "body_template",
                r#"{"text": "and 5 \"more\"", "room": "ops"}"#,
            )],
            false,
        ),
        ("broken", vec![], true),
        (
            "phone",
            vec![("content_variables", r#"{"1":"and 5 \"more\""}"#)],
            false,
        ),
    ] {
        let parameters = inputs[receiver].as_ref().unwrap().parameters.as_ref();
        let mut warnings = Warnings::default();
        let made = parameters.unwrap().render(&digest, &mut warnings);
        let made: Vec<_> = made.iter().map(|(name, text)| (*name, &**text)).collect();
        assert_eq!(made, expected, "{receiver}");
        assert_eq!(!warnings.is_empty(), warned, "{warnings:?}");
    }
    assert!(inputs["plain"].as_ref().unwrap().parameters.is_none());
}

#[test]
fn where_no_storm_is_bounded_nothing_is_kept_for_a_digest() {
    assert!(inputs("").values().all(Option::is_none));
}
