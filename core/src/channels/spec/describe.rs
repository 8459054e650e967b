//! Converts the registry to JSON, for the command line and for tests in other languages.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{ChannelSpec, Parameter};
use crate::model::capabilities::{FollowUps, Length, Threading};
use crate::model::wire::ResendEffect;
use crate::text::Unit;

/// Returns the registry's whole description of a channel.
pub fn describe(spec: &ChannelSpec) -> Value {
    let parameters: Vec<_> = spec.parameters.iter().map(Described::of).collect();
    json!({
        "sender": spec.key,
        "about": spec.about,
        "parameters": parameters,
        "longest_text": spec.capabilities.limits.text.limit().map(|limit| json!({
            "length": limit.length,
            "unit": limit.unit.words(),
        })),
        "longer_text": match spec.capabilities.limits.text {
            Length::Any => Value::Null,
            Length::Split(..) => "split".into(),
            Length::Cut(_) => "cut".into(),
        },
        "second_sending": spec.capabilities.resend.words(),
        "resolved": spec.capabilities.follow_ups.words(),
        "example": example(spec),
    })
}

/// Returns a request with the required fields.
fn example(spec: &ChannelSpec) -> Value {
    let required = spec
        .parameters
        .iter()
        .filter(|parameter| parameter.required);
    let configuration: Map<_, _> = required
        .map(|parameter| (parameter.name.to_owned(), parameter.example.into()))
        .collect();
    json!({
        "notification_text": "CPU of db1 at 97 %",
        "senders_config": { spec.key: configuration },
    })
}

#[derive(Serialize)]
struct Described {
    name: &'static str,
    kind: &'static str,
    required: bool,
    secret: bool,
    operator_only: bool,
    environment: Option<&'static str>,
    example: &'static str,
    description: &'static str,
}

impl Described {
    const fn of(parameter: &Parameter) -> Self {
        Self {
            name: parameter.name,
            kind: parameter.kind.word(),
            required: parameter.required,
            secret: parameter.secret,
            operator_only: parameter.operator_only,
            environment: parameter.environment,
            example: parameter.example,
            description: parameter.description,
        }
    }
}

impl Unit {
    /// Returns the unit as the documentation names it. It omits how escaped characters count.
    pub const fn words(self) -> &'static str {
        match self {
            Unit::CodePoints => "code points",
            Unit::Utf16 | Unit::Utf16Escaped => "UTF-16 code units",
            Unit::Bytes => "bytes",
            Unit::JsonBytes => "bytes of JSON",
        }
    }
}

impl ResendEffect {
    pub const fn words(self) -> &'static str {
        match self {
            ResendEffect::Deduplicated => "deduplicated",
            ResendEffect::ShownTwice => "shown twice",
            ResendEffect::Forbidden => "avoided",
        }
    }
}

impl FollowUps {
    /// Returns the documentation's word for how a channel shows a `resolved`.
    pub const fn words(self) -> &'static str {
        match self {
            Self {
                incidents: Some(_), ..
            } => "closes the incident",
            Self { edits: true, .. } => "replaces the message",
            Self {
                threads: Threading::No,
                ..
            } => "is a new message",
            _ => "is a new message in the thread",
        }
    }
}
