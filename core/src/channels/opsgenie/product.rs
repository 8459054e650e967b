//! The two products with the same API.

use super::options::Responder;
use crate::channels::{Parameter, ParameterKind};

/// A product and its differences from the other one.
#[derive(Debug)]
pub struct Product {
    pub name: &'static str,
    /// The parameter for the integration's key.
    pub key: Parameter,
    pub base_url: Parameter,
    pub options: [Parameter; 5],
    pub wrong_key: &'static str,
    pub wrong_address: &'static str,
}

pub const OPSGENIE: Product = Product {
    name: "Opsgenie",
    key: key("opsgenie_api_key"),
    base_url: Parameter::base_url("https://api.opsgenie.com"),
    options: options([
        "opsgenie_responders",
        "opsgenie_tags",
        "opsgenie_actions",
        "opsgenie_entity",
        "opsgenie_priority",
    ]),
    wrong_key: "Give opsgenie_api_key as the API integration shows it, and see that the integration is on; keys of the EU need base_url, and those of Jira Service Management the channel jsm.",
    wrong_address: "base_url must be the API's address, such as https://api.eu.opsgenie.com.",
};

pub const SERVICE_MANAGEMENT: Product = Product {
    name: "Jira Service Management",
    key: key("jsm_api_key"),
    base_url: Parameter::base_url("https://api.atlassian.com/jsm/ops/integration"),
    options: options([
        "jsm_responders",
        "jsm_tags",
        "jsm_actions",
        "jsm_entity",
        "jsm_priority",
    ]),
    wrong_key: "Give jsm_api_key as the API integration shows it, and see that the integration is on.",
    wrong_address: "base_url must be the API's address, such as https://api.atlassian.com/jsm/ops/integration.",
};

impl Product {
    /// Returns all parameters of the product's channel.
    pub const fn parameters(&self) -> [Parameter; 7] {
        let [responders, tags, actions, entity, priority] = self.options;
        [
            self.key,
            responders,
            tags,
            actions,
            entity,
            priority,
            self.base_url,
        ]
    }
}

const fn key(name: &'static str) -> Parameter {
    Parameter::new(
        name,
        "eb243592-faa2-4ba2-a551-1afdf565c889",
        "The key of an API integration.",
    )
    .form(
        "the key of an API integration, letters, digits and hyphens",
        is_key,
    )
    .required()
    .secret()
}

fn is_key(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (16..=64).contains(&text.len()) && text.bytes().all(known)
}

const fn options(
    [responders, tags, actions, entity, priority]: [&'static str; 5],
) -> [Parameter; 5] {
    [
        Parameter::new(
            responders,
            "team:Database",
            "Who is notified: team:NAME, user:MAIL, schedule:NAME, escalation:NAME, or a list.",
        )
        .of(ParameterKind::Texts)
        .form(
            "team:NAME, user:MAIL, schedule:NAME or escalation:NAME",
            is_responder,
        ),
        Parameter::new(tags, "production", "Up to 20 tags: one, or a list.")
            .of(ParameterKind::Texts)
            .form("one line of at most 50 characters", is_word),
        Parameter::new(
            actions,
            "restart",
            "Up to 10 custom actions: one, or a list.",
        )
        .of(ParameterKind::Texts)
        .form("one line of at most 50 characters", is_word),
        Parameter::new(entity, "db1.example.com", "The affected system.")
            .form("one line of at most 512 characters", |text| {
                is_line(text, 512)
            }),
        Parameter::new(
            priority,
            "P2",
            "P1 to P5, in place of the level's priority.",
        )
        .form("P1, P2, P3, P4 or P5", is_priority),
    ]
}

fn is_line(text: &str, longest: usize) -> bool {
    let length = text.encode_utf16().count();
    (1..=longest).contains(&length) && !text.chars().any(char::is_control)
}

fn is_word(text: &str) -> bool {
    is_line(text, 50)
}

fn is_responder(text: &str) -> bool {
    Responder::of(text).is_some() && is_line(text, 512)
}

fn is_priority(text: &str) -> bool {
    matches!(text, "P1" | "P2" | "P3" | "P4" | "P5")
}
