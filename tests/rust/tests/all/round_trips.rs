//! Tests that a channel's payload contains its input: texts, headers and addresses of any content.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::{
    BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD,
};
use http::HeaderMap;
use notifier_core::channels::{
    self, CHANNELS, Channel, ChannelSpec, ComposeContext, Fields, Length, Messages,
    OperatorSettings, Origin, find,
};
use notifier_core::json::{Json, Path};
use notifier_core::model::notification::Notification;
use notifier_core::model::wire::{HttpRequest, Outbound};
use notifier_core::warnings::Warnings;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

fn configured(spec: &'static ChannelSpec, members: &[(&str, &str)]) -> Arc<dyn Channel> {
    let members: Vec<(String, Json)> = members
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Json::String((*value).to_owned())))
        .collect();
    let mut warnings = Warnings::default();
    let mut fields = Fields::new(
        spec.key,
        Origin::Request,
        spec.parameters,
        &members,
        Path::root().key(spec.key),
        &mut warnings,
    );
    let channel = (spec.parse)(&mut fields, &OperatorSettings::default()).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    channel
}

fn channel(spec: &'static ChannelSpec) -> Arc<dyn Channel> {
    channels::configured(spec, |one| one.required.then(|| one.example.to_owned())).unwrap()
}

fn compose(channel: &dyn Channel, text: &str) -> Messages {
    let notification = Notification::plain(Json::String(text.to_owned()));
    let cx = ComposeContext::new("task");
    channel.compose(&notification, &cx).unwrap()
}

fn requests(messages: &Messages) -> impl Iterator<Item = &HttpRequest> {
    messages.parts.iter().filter_map(Outbound::http)
}

/// Every string in a payload, as the provider reads it.
fn strings(message: &Outbound) -> Vec<String> {
    let request = match message {
        Outbound::Http(request) => request,
        Outbound::Mail(mail) => return vec![mail.text.clone()],
    };
    let Ok(json) = serde_json::from_slice::<Value>(&request.body) else {
        let form = url::form_urlencoded::parse(&request.body);
        return form.map(|(_, value)| value.into_owned()).collect();
    };
    let mut found = Vec::new();
    let mut values = vec![&json];
    while let Some(value) = values.pop() {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(items) => values.extend(items),
            Value::Object(members) => values.extend(members.values()),
            _ => {}
        }
    }
    found
}

/// The possible content of a text: all of Unicode, controls, characters that JSON and forms escape, and clusters of
/// several code points.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => any::<char>().prop_map(String::from),
        4 => "[ -~]{1,20}",
        1 => Just("👨\u{200d}👩\u{200d}👧\u{200d}👦".to_owned()),
        1 => Just("🇩🇪🇫🇷".to_owned()),
        1 => Just("e\u{301}\u{323}".to_owned()),
        1 => Just("\r\n".to_owned()),
        1 => Just("&<>\"\\%+=\u{0}\u{7f}".to_owned()),
    ];
    let length = prop_oneof![3 => 1_usize..60, 1 => 300_usize..1_500];
    length
        .prop_flat_map(move |length| vec(piece.clone(), length))
        .prop_map(|pieces| pieces.concat())
        .prop_filter("blank texts are refused", |text| !text.trim().is_empty())
        .prop_filter("fences are closed and reopened at a cut", |text| {
            !text.contains("```")
        })
}

/// Returns the text as a reader sees it, if a channel formats it: Teams makes a paragraph of each line, and JSM and
/// Opsgenie show HTML.
fn shown(sender: &str, text: &str) -> String {
    match sender {
        "teams" => text.replace(['\r', '\n'], ""),
        "opsgenie" | "jsm" => text.replace("&lt;", "<").replace("&amp;", "&"),
        _ => text.to_owned(),
    }
}

/// A header's value: visible characters, none at its ends that are cut off.
fn header_value() -> impl Strategy<Value = String> {
    "[!-~]([ -~ä€😀]{0,40}[!-~])?"
}

proptest! {
    #[test]
    fn every_text_comes_out_of_every_channels_payload(text in any_text()) {
        for spec in CHANNELS {
            let messages = compose(&*channel(spec), &text);
            let total = messages.parts.len();
            let whole = match spec.key {
                "teams" => shown(spec.key, &text),
                _ => text.clone(),
            };
            let mut rest = whole.as_str();
            for (n, message) in messages.parts.iter().enumerate() {
                let prefix = if total > 1 { format!("({}/{total}) ", n + 1) } else { String::new() };
                // If the provider has several fields for texts, one of them contains the whole part.
                let parts = strings(message).into_iter().filter_map(|found| {
                    let part = shown(spec.key, found.strip_prefix(&prefix)?);
                    let fits = spec.capabilities.limits.text.limit().is_none_or(|limit| limit.unit.of(&found) <= limit.length);
                    (fits && rest.starts_with(&part)).then_some(part.len())
                });
                let Some(length) = parts.max() else {
                    prop_assert!(!messages.warnings.is_empty(), "{}: {rest:?}", spec.key);
                    break;
                };
                rest = rest.get(length..).unwrap();
            }
            let is_cut = !messages.warnings.is_empty();
            prop_assert!(!is_cut || total == 10 || matches!(spec.capabilities.limits.text, Length::Cut(_)), "{}", spec.key);
            prop_assert!(is_cut || rest.is_empty(), "{}: {rest:?}", spec.key);
        }
    }

    #[test]
    fn every_header_that_can_stand_on_the_wire_arrives(
        given in btree_map("x-[a-z0-9!#$%&'*+.^_`|~-]{1,20}", header_value(), 0..10),
        alphabet in 0..4_usize,
        at in 0..1_000_usize,
    ) {
        let json = serde_json::to_string(&given).unwrap();
        let engine = [&BASE64_STANDARD, &BASE64_STANDARD_NO_PAD, &BASE64_URL_SAFE, &BASE64_URL_SAFE_NO_PAD][alphabet];
        let mut encoded = engine.encode(json);
        encoded.insert_str(at % encoded.len(), " \r\n\t");
        let members = [("http_webhook_url", "https://hooks.example/x"), ("http_headers", encoded.as_str())];
        let messages = compose(&*configured(find("http").unwrap(), &members), "x");
        let sent: &HeaderMap = &requests(&messages).next().unwrap().headers;
        for (name, value) in &given {
            let values: Vec<_> = sent.get_all(name.as_str()).iter().collect();
            prop_assert_eq!(values.len(), 1, "{}", name);
            prop_assert_eq!(values[0].as_bytes(), value.as_bytes(), "{}", name);
        }
        // And ours: content-type, user-agent, idempotency-key.
        prop_assert_eq!(sent.len(), given.len() + 3);
    }

    #[test]
    fn every_address_is_sent_to_as_it_was_written(
        user in "\\PC{0,10}",
        password in "\\PC{0,10}",
        segments in vec("\\PC{1,10}", 1..5),
        query in "\\PC{1,20}",
    ) {
        let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        // The only segments with a special meaning.
        prop_assume!(!segments.iter().any(|segment| segment == "." || segment == ".."));
        let path: String = segments.iter().map(|segment| format!("/{}", escape(segment))).collect();
        let url = format!("https://{}:{}@hooks.example{path}?q={}", escape(&user), escape(&password), escape(&query));
        let spec = find("http").unwrap();
        let messages = compose(&*configured(spec, &[("http_webhook_url", &url)]), "x");
        let request = requests(&messages).next().unwrap();
        prop_assert_eq!(request.url.path(), path);
        prop_assert_eq!(request.url.query_pairs().next().unwrap().1, query);
        prop_assert!(request.url.username().is_empty() && request.url.password().is_none());
        let expected = (!user.is_empty() || !password.is_empty())
            .then(|| format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))));
        let sent = request.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        prop_assert_eq!(sent, expected);
    }
}
