//! The providers, told apart by path. Each is pure but for the numbers and messages of the [`World`]: a call in, an
//! [`Answer`] out. Sources of the facts are named as `[…]` beside them, as in the channel documentation.

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
use crate::rules::Pace;
use crate::world::World;

/// A request, read to its end.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// As the provider knows it.
    pub path: String,
    /// As it was asked for: any path may stand below `/at/{anything}`, so that each test has a place of its own.
    pub full_path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// By order of a rule.
    pub any_content_type: bool,
    /// Set by a rule with a rate limit.
    pub pace: Option<Pace>,
}

impl Call {
    pub fn new(head: &hyper::http::request::Parts) -> Self {
        let full_path = head.uri.path().to_owned();
        Self {
            method: head.method.clone(),
            path: without_place(&full_path).to_owned(),
            full_path,
            query: head.uri.query().unwrap_or_default().to_owned(),
            headers: head.headers.clone(),
            body: Bytes::new(),
            any_content_type: false,
            pace: None,
        }
    }

    pub fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// First value of a header, empty where absent or not text.
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

    /// A parameter of the query, decoded; the first of that name.
    pub fn parameter(&self, name: &str) -> Option<String> {
        form(self.query.as_bytes(), name)
    }
}

fn without_place(path: &str) -> &str {
    match path.strip_prefix("/at/") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => path,
    }
}

/// A field of form-encoded bytes, decoded; the first of that name.
pub fn form(encoded: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(encoded)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// What a provider makes of a call.
#[derive(Clone, Debug)]
pub struct Answer {
    pub reply: Reply,
    pub accepted: bool,
    /// What is wrong with the call: the reason for a refusal, or what is let pass in silence.
    pub problem: Option<String>,
    /// The message it holds, when accepted.
    pub message: Option<Message>,
}

impl Answer {
    pub fn accepted(reply: Reply, message: Message) -> Self {
        Self {
            reply,
            accepted: true,
            problem: None,
            message: Some(message),
        }
    }

    pub fn refused(reply: Reply, problem: impl Into<String>) -> Self {
        Self {
            reply,
            accepted: false,
            problem: Some(problem.into()),
            message: None,
        }
    }

    /// A request that is no message: a look-up, a status.
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

/// Who answers a path.
#[derive(Debug)]
pub struct Provider {
    /// In the records.
    pub name: &'static str,
    /// Beginnings of its paths; `/` is that path alone.
    pub paths: &'static [&'static str],
    pub answer: fn(&World, &Call) -> Answer,
    /// 429 in the provider's own form.
    pub too_many: fn(&Call) -> Reply,
}

/// The first whose path it is answers.
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

const NOBODY: Provider = Provider {
    name: "none",
    paths: &[],
    answer: |_, _| {
        let sentence = "no provider has this path";
        Answer::refused(Reply::error(404, sentence), sentence)
    },
    too_many,
};

impl Provider {
    pub fn of(path: &str) -> &'static Self {
        let is = |begin: &&str| path == *begin || (*begin != "/" && path.starts_with(*begin));
        let has = |provider: &&Self| provider.paths.iter().any(&is);
        PROVIDERS.iter().find(has).unwrap_or(&NOBODY)
    }
}

/// 429 of nobody's own form.
fn too_many(call: &Call) -> Reply {
    Reply::json(429, &json!({ "error": "too many requests" }))
        .with("retry-after", retry_after(call))
}

/// Value of `Retry-After`: as the rule says, else the whole seconds until the next request passes.
fn retry_after(call: &Call) -> String {
    let given = call
        .pace
        .as_ref()
        .and_then(|pace| pace.limit.retry_after.clone());
    given.unwrap_or_else(|| format!("{:.0}", wait(call).as_secs_f64().ceil()))
}

/// How long until the next request passes: as the rule says if that is a number, else the bucket's time.
fn wait(call: &Call) -> Duration {
    let Some(pace) = &call.pace else {
        return Duration::from_secs(1);
    };
    let given = pace
        .limit
        .retry_after
        .as_ref()
        .and_then(|text| text.parse().ok());
    given
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(pace.reset_after)
}

/// Length where a provider does not say what a character is: UTF-16 code units, never fewer than code points, so that what
/// passes here passes by either count.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}
