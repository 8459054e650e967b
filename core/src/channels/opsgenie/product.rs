//! The two products that take the same requests.

/// Which of the two products, and what differs.
#[derive(Debug)]
pub struct Product {
    pub name: &'static str,
    /// The parameter that holds the integration's key.
    pub key: &'static str,
    pub api: &'static str,
    pub wrong_key: &'static str,
    pub wrong_address: &'static str,
}

pub const OPSGENIE: Product = Product {
    name: "Opsgenie",
    key: "opsgenie_api_key",
    api: "https://api.opsgenie.com",
    wrong_key: "Give opsgenie_api_key as the API integration shows it, and see that the integration is on; keys of the EU need base_url, and those of Jira Service Management the channel jsm.",
    wrong_address: "base_url must be the API's address, such as https://api.eu.opsgenie.com.",
};

pub const SERVICE_MANAGEMENT: Product = Product {
    name: "Jira Service Management",
    key: "jsm_api_key",
    api: "https://api.atlassian.com/jsm/ops/integration",
    wrong_key: "Give jsm_api_key as the API integration shows it, and see that the integration is on.",
    wrong_address: "base_url must be the API's address, such as https://api.atlassian.com/jsm/ops/integration.",
};
