//! The two products with the same API.

use crate::channels::Parameter;

/// A product and its differences from the other one.
#[derive(Debug)]
pub struct Product {
    pub name: &'static str,
    /// The parameter for the integration's key.
    pub key: Parameter,
    pub base_url: Parameter,
    pub wrong_key: &'static str,
    pub wrong_address: &'static str,
}

pub const OPSGENIE: Product = Product {
    name: "Opsgenie",
    key: key("opsgenie_api_key"),
    base_url: Parameter::base_url("https://api.opsgenie.com"),
    wrong_key: "Give opsgenie_api_key as the API integration shows it, and see that the integration is on; keys of the EU need base_url, and those of Jira Service Management the channel jsm.",
    wrong_address: "base_url must be the API's address, such as https://api.eu.opsgenie.com.",
};

pub const SERVICE_MANAGEMENT: Product = Product {
    name: "Jira Service Management",
    key: key("jsm_api_key"),
    base_url: Parameter::base_url("https://api.atlassian.com/jsm/ops/integration"),
    wrong_key: "Give jsm_api_key as the API integration shows it, and see that the integration is on.",
    wrong_address: "base_url must be the API's address, such as https://api.atlassian.com/jsm/ops/integration.",
};

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
