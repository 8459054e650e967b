//! The providers, by path. Each is a function from a call to a [`Verdict`] that uses only the numbers and messages of the
//! [`World`]. `[…]` in comments names the source of a fact.

pub mod alertmanager;
pub mod discord;
pub mod google_chat;
pub mod ntfy;
pub mod opsgenie;
pub mod pagerduty;
pub mod pushover;
pub mod slack;
pub mod teams;
pub mod telegram;
pub mod twilio;
pub mod webhook;

use std::time::Duration;

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::record::Message;
use crate::reply::Reply;
use crate::rules::RateLimitState;
use crate::world::World;

/// A request with its body.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// The provider's path.
    pub path: String,
    /// The requested path. A test can put any path below `/at/{anything}` to have a separate address.
    pub full_path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Set by a rule.
    pub any_content_type: bool,
    /// Set by a rule with a rate limit.
    pub rate_limit_state: Option<RateLimitState>,
}

impl Call {
    pub fn new(head: &hyper::http::request::Parts) -> Self {
        let full_path = head.uri.path().to_owned();
        Self {
            method: head.method.clone(),
            path: strip_test_prefix(&full_path).to_owned(),
            full_path,
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers.clone(),
            body: Bytes::new(),
            any_content_type: false,
            rate_limit_state: None,
        }
    }

    pub fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// The first value of a header, or an empty string if the header is absent or not text.
    pub fn header(&self, name: impl hyper::header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The media type without parameters, in lower case.
    pub fn media_type(&self) -> String {
        let value = self.header(CONTENT_TYPE);
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    pub fn is_json(&self) -> bool {
        self.media_type() == "application/json"
    }

    pub fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// The first query parameter with this name, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        form(self.query.as_bytes(), name)
    }
}

fn strip_test_prefix(path: &str) -> &str {
    match path.strip_prefix("/at/") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => path,
    }
}

/// The first field with this name in a form-encoded body, decoded.
pub fn form(encoded: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(encoded)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// A provider's decision about a call.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub reply: Reply,
    pub accepted: bool,
    /// The reason for a rejection, or a mistake that the provider silently accepts.
    pub problem: Option<String>,
    /// The accepted message.
    pub message: Option<Message>,
}

impl Verdict {
    pub fn accepted(reply: Reply, message: Message) -> Self {
        Self {
            reply,
            accepted: true,
            problem: None,
            message: Some(message),
        }
    }

    pub fn rejected(reply: Reply, problem: impl Into<String>) -> Self {
        Self {
            reply,
            accepted: false,
            problem: Some(problem.into()),
            message: None,
        }
    }

    /// A request without a message, such as a lookup or a status.
    pub fn plain(reply: Reply) -> Self {
        let accepted = (200..300).contains(&reply.status);
        Self {
            reply,
            accepted,
            problem: None,
            message: None,
        }
    }

    pub fn with_problem(mut self, problem: Option<String>) -> Self {
        self.problem = problem.or(self.problem);
        self
    }
}

/// A provider and its paths.
#[derive(Debug)]
pub struct Provider {
    /// The name in the records.
    pub name: &'static str,
    /// Prefixes of its paths. `/` matches only the root.
    pub paths: &'static [&'static str],
    pub handle: fn(&World, &Call) -> Verdict,
    /// The provider's 429 reply.
    pub too_many: fn(&Call) -> Reply,
}

/// The first provider with a matching path handles the call.
const PROVIDERS: &[Provider] = &[
    alertmanager::PROVIDER,
    slack::PROVIDER,
    discord::PROVIDER,
    twilio::PROVIDER,
    ntfy::PROVIDER,
    pushover::PROVIDER,
    telegram::PROVIDER,
    google_chat::PROVIDER,
    teams::PROVIDER,
    pagerduty::PROVIDER,
    opsgenie::PROVIDER,
    opsgenie::JSM,
    webhook::PROVIDER,
    webhook::STATUS,
    webhook::REDIRECT,
];

const UNKNOWN: Provider = Provider {
    name: "none",
    paths: &[],
    handle: |_, _| {
        let sentence = "no provider has this path";
        Verdict::rejected(Reply::error(404, sentence), sentence)
    },
    too_many,
};

impl Provider {
    pub fn for_path(path: &str) -> &'static Self {
        let is = |begin: &&str| path == *begin || (*begin != "/" && path.starts_with(*begin));
        let has = |provider: &&Self| provider.paths.iter().any(&is);
        PROVIDERS.iter().find(has).unwrap_or(&UNKNOWN)
    }
}

/// A generic 429 reply.
fn too_many(call: &Call) -> Reply {
    Reply::json(429, &json!({ "error": "too many requests" }))
        .with("retry-after", retry_after(call))
}

/// The value of `Retry-After`: the rule's, or the whole seconds until the next request passes.
fn retry_after(call: &Call) -> String {
    let given = call
        .rate_limit_state
        .as_ref()
        .and_then(|state| state.limit.retry_after.clone());
    given.unwrap_or_else(|| format!("{:.0}", wait(call).as_secs_f64().ceil()))
}

/// The time until the next request passes: the rule's `retry_after` if it is a number, or the token bucket's.
fn wait(call: &Call) -> Duration {
    let Some(state) = &call.rate_limit_state else {
        return Duration::from_secs(1);
    };
    let given = state
        .limit
        .retry_after
        .as_ref()
        .and_then(|text| text.parse().ok());
    given
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(state.reset_after)
}

/// The length in UTF-16 code units, for providers that do not define "character". It is never less than the number of code
/// points, so a text that passes here passes by either count.
fn utf16_units(text: &str) -> usize {
    text.encode_utf16().count()
}
