//! Sends texts of all lengths and with all markup through every channel that splits texts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use super::*;
use crate::text::{Fences, Limit, MAX_PARTS, Markup};

/// Returns the channels that split a long text, with their limit and markup.
fn splitting() -> impl Iterator<Item = (&'static ChannelSpec, Limit, Markup)> {
    CHANNELS
        .iter()
        .filter_map(|spec| match spec.capabilities.limits.text {
            Length::Split(limit, markup) => Some((*spec, limit, markup)),
            Length::Any | Length::Cut(_) => None,
        })
}

/// Returns the paths of the text in a plain message and in the first rich message.
fn places_of_text(sender: &str) -> [&'static str; 2] {
    match sender {
        "slack" => ["/text", "/blocks/1/text/text"],
        "discord" => ["/content", "/embeds/0/description"],
        "telegram" | "google_chat" => ["/text", "/text"],
        "teams" => [
            "/attachments/0/content/body/0/text",
            "/attachments/0/content/body/1/text",
        ],
        "ntfy" => ["/message", "/message"],
        "pushover" => ["message", "message"],
        "sms" | "whatsapp" => ["Body", "Body"],
        other => panic!("where does the text stand in a message of {other}?"),
    }
}

fn text_of(sender: &str, message: &Outbound, is_first_of_rich: bool) -> String {
    let Outbound::Http(request) = message else {
        panic!("{sender} splits no mail");
    };
    let place = places_of_text(sender)[usize::from(is_first_of_rich)];
    if !place.starts_with('/') {
        let mut form = form_urlencoded::parse(&request.body);
        return form.find(|(name, _)| name == place).unwrap().1.into_owned();
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let text = body.pointer(place).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("{sender}: {body} has no {place}"))
        .to_owned()
}

const LINKS: [&str; 5] = [
    "[the runbook](https://a.example/b_(c)?d=e)",
    "<https://a.example/b?d=e|the runbook>",
    "<@U123>",
    "<users/123>",
    "&amp;",
];

/// Whether this markup has the link's syntax.
fn knows(markup: Markup, link: &str) -> bool {
    match link.as_bytes().first() {
        Some(b'[') => markup.links,
        Some(b'<') => markup.angles,
        _ => markup.entities,
    }
}

/// Generates texts of up to a few parts of this channel, with closed blocks of code.
fn texts(limit: Limit) -> impl Strategy<Value = String> {
    let code = select(&["```rust\nlet a = 5;\n", "```sql\nSELECT 😀\n", "``` x"][..]);
    let code = (code, 0..limit.length / 4).prop_map(|(head, length)| {
        let lines = "some code;\n".repeat(length / 11);
        format!("{head}{lines}```\n")
    });
    let words = (
        select(&["word ", "😀", "line\n", "\"", "é", "- item\n", "  more\n"][..]),
        0..limit.length / 2,
    );
    let words = words.prop_map(|(word, length)| word.repeat(length / word.len()));
    let link = select(&LINKS[..]).prop_map(str::to_owned);
    vec(prop_oneof![code, words, link], 1..8).prop_map(|pieces| format!("a{}e", pieces.concat()))
}

/// Returns a text's visible characters without white space.
fn bare(text: &str) -> String {
    let text = text
        .replace("```rust\n", "")
        .replace("```sql\n", "")
        .replace("```", "");
    text.split_whitespace().collect()
}

/// Checks that each part closes its blocks of code and that no link spans two parts.
fn check_markup(sender: &str, markup: Markup, text: &str, parts: &[String]) {
    if markup.fences != Fences::None {
        for part in parts {
            let fences = part.matches("```").count();
            assert_eq!(fences % 2, 0, "{sender}: {part}");
        }
    }
    for link in LINKS.iter().filter(|link| knows(markup, link)) {
        let count = |text: &str| text.matches(link).count();
        let whole: usize = parts.iter().map(|part| count(part)).sum();
        assert_eq!(whole, count(text), "{sender}: {link} of {parts:#?}");
    }
}

fn check_parts(sender: &str, limit: Limit, text: &str, parts: &[String]) {
    for part in parts {
        assert!(limit.unit.of(part) <= limit.length, "{sender}: {part}");
    }
    let without_number = |part: &str| match parts.len() {
        1 => part.to_owned(),
        _ => part.split_once(") ").unwrap().1.to_owned(),
    };
    // A cut may be inside markup that the channel does not support.
    let whole: String = parts.iter().map(|part| without_number(part)).collect();
    assert_eq!(bare(&whole), bare(text), "{sender}");
}

#[test]
fn the_parts_of_a_text_keep_the_limit_lose_nothing_and_break_no_markup() {
    for (spec, limit, markup) in splitting() {
        let channel = channel(spec);
        let sent = |notification: &Notification, is_rich: bool| {
            let messages = composed(channel.as_ref(), notification);
            let messages = messages.iter().enumerate();
            let parts = messages.map(|(n, message)| text_of(spec.key, message, is_rich && n == 0));
            parts.collect::<Vec<_>>()
        };
        let mut runner = TestRunner::new(Config {
            cases: 12,
            failure_persistence: None,
            ..Config::default()
        });
        let held = runner.run(&texts(limit), |text| {
            let plain = Notification::plain(Json::String(text.clone()));
            let parts = sent(&plain, false);
            // A longer text lacks its end.
            prop_assume!(parts.len() < MAX_PARTS);
            check_parts(spec.key, limit, &text, &parts);
            check_markup(spec.key, markup, &text, &parts);
            let rich = Notification {
                level: Some(Level::Critical),
                ..plain
            };
            check_markup(spec.key, markup, &text, &sent(&rich, true));
            Ok(())
        });
        held.unwrap();
    }
}
