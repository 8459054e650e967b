//! PagerDuty's Events API v2 <https://developer.pagerduty.com/docs/events-api-v2-overview>, whose pages are made from
//! <https://github.com/PagerDuty/developer-docs/tree/main/docs/events-API-v2>: facts were read there.

mod context;

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use self::context::{Context, Image, Link, fits_as_link};
use crate::channels::shared::endpoint::{Endpoint, below};
use crate::channels::shared::http_channel::HttpChannel;
use crate::channels::shared::incident::{self, Action};
use crate::channels::shared::names::NameRules;
use crate::channels::shared::rich::{Cuts, Drawn};
use crate::channels::shared::{body, classify, texts};
use crate::channels::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, ConfigError, Fields, FollowUps, Kind,
    Length, Limits, Messages, Operator, Parameter, Protocol,
};
use crate::model::notification::{Level, Notification};
use crate::model::outcome::{AttemptResult, Classification, Failure, Reason, Scope};
use crate::model::wire::{HttpReply, HttpRequest, ResendEffect};
use crate::secret::Secret;
use crate::text::{Limit, shorten, with_ending};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "pagerduty",
    about: "PagerDuty, as an incident of a service",
    parameters: &[
        Parameter::new(
            "pagerduty_routing_key",
            "R0151XYZ0151XYZ0151XYZ0151XYZ015",
            "The integration key of the service's Events API v2 integration.",
        )
        .required()
        .secret(),
        Parameter::new(
            "pagerduty_source",
            "db1.example.com",
            "The affected system; the field source or host if absent.",
        ),
        Parameter::new(
            "pagerduty_component",
            "mysql",
            "The part of the system that is affected; the field component if absent.",
        ),
        Parameter::new(
            "pagerduty_group",
            "app-stack",
            "What the system belongs to; the field group if absent.",
        ),
        Parameter::new(
            "pagerduty_class",
            "cpu load",
            "The kind of event; the field class if absent.",
        ),
        Parameter::new(
            "pagerduty_links",
            r#"{ Runbook = "https://wiki.example.com/cpu" }"#,
            "Further links of every incident, by their texts.",
        )
        .of(Kind::Table),
        Parameter::new(
            "pagerduty_images",
            "https://grafana.example.com/render/cpu.png",
            "The address of an image for every incident, or a list of them; https alone.",
        )
        .of(Kind::Texts),
        Parameter::base_url(API),
    ],
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(PagerDuty::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    // "A trigger with the key of an open alert adds to it"; what is no longer open is neither acknowledged nor closed twice.
    resend: ResendEffect::Deduplicated,
    follow_ups: FollowUps::incidents(true),
    attachments: Attachments::ImageAddresses,
    limits: Limits::text(Length::Cut(TEXT)),
};

const API: &str = "https://events.pagerduty.com";

/// "Maximum length 1024", "255" (docs: send an event), of which the unit is not said.
const SUMMARY: Limit = Limit::utf16(1_024);
const DEDUP_KEY: Limit = Limit::utf16(255);
/// An event has at most 512 KB (docs: overview); Alertmanager takes 512,000 bytes for that.
const TEXT: Limit = Limit::json_bytes(400_000);
/// What fields may take of the event, in bytes of JSON.
const DETAILS: usize = 60_000;
const NAMES: NameRules = NameRules {
    reserved: &[WHOLE_TEXT],
    ..NameRules::any(Limit::json_bytes(500), "…")
};
/// Of the details: the text, of which the summary may have only the beginning.
const WHOLE_TEXT: &str = "notification_text";
const VALUE: Limit = Limit::json_bytes(10_000);
/// What a routing key's limit asks for where the answer does not say (docs: overview, rate limits).
const LIMITED: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct PagerDuty {
    endpoint: Endpoint,
    routing_key: Secret,
    context: Context,
}

#[derive(Serialize)]
struct Event<'a> {
    routing_key: &'a str,
    event_action: &'static str,
    dedup_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    links: Vec<Link<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    images: &'a [Image],
}

#[derive(Serialize)]
struct Payload<'a> {
    summary: String,
    source: Cow<'a, str>,
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    custom_details: Map<String, Value>,
}

impl PagerDuty {
    fn new(fields: &mut Fields<'_>, _: &Operator) -> Result<Self, ConfigError> {
        let key = fields.formed("pagerduty_routing_key", KEY_FORM, is_key)?;
        let routing_key = Secret::new(key);
        let url = below(&fields.base_url(API)?, ["v2", "enqueue"]);
        Ok(Self {
            endpoint: Endpoint::new(fields.sender(), url, &CAPABILITIES)
                .told_apart_by(fields.sender(), [routing_key.clone()])
                .with_secret_members(&["routing_key"]),
            routing_key,
            context: Context::read(fields)?,
        })
    }

    fn composition(&self, event: &Event<'_>, warnings: Vec<String>) -> Messages {
        Messages {
            parts: vec![self.endpoint.post(body::json(event), &[])],
            segments: None,
            warnings,
        }
    }

    fn trigger(&self, notification: &Notification, text: &str, dedup_key: String) -> Messages {
        let mut cuts = Cuts::default();
        let summary = incident::headline(notification, text, SUMMARY, &mut cuts);
        let fields = cuts.fields(notification, usize::MAX, DETAILS, &NAMES, detail);
        let link = cuts.link(notification.link.as_deref(), |link| fits_as_link(link));
        let (whole, missing) = with_ending(text, TEXT);
        let mut custom_details = Map::new();
        if summary != text {
            custom_details.insert(WHOLE_TEXT.to_owned(), whole.into());
        }
        custom_details.extend(fields);
        let event = Event {
            routing_key: self.routing_key.expose(),
            event_action: "trigger",
            dedup_key,
            payload: Some(Payload {
                summary,
                source: self.context.source(notification),
                severity: severity(notification.level_for_rules()),
                timestamp: notification.timestamp.map(|time| time.to_string()),
                component: self.context.component(notification),
                group: self.context.group(notification),
                class: self.context.class(notification),
                custom_details,
            }),
            links: self.context.links(link),
            images: &self.context.images,
        };
        let mut warnings = cuts.warnings();
        warnings.extend(texts::cut_warning(missing));
        self.composition(&event, warnings)
    }
}

fn is_about_the_key(error: &str) -> bool {
    let error = error.to_lowercase().replace('_', " ");
    error.contains("routing key")
}

const KEY_HINT: &str = "Give pagerduty_routing_key as the service's Events API v2 integration shows it; keys of the EU need base_url.";

fn hint(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Unauthorized | Reason::Forbidden => Some(KEY_HINT),
        Reason::UnknownDestination => {
            Some("base_url must be the API's address, such as https://events.eu.pagerduty.com.")
        }
        _ => None,
    }
}

const KEY_FORM: &str = "32 letters and digits";

fn is_key(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Without a level it is one that somebody should look at.
const fn severity(level: Option<Level>) -> &'static str {
    match level {
        Some(Level::Critical) => "critical",
        Some(Level::Error) | None => "error",
        Some(Level::Warning) => "warning",
        Some(Level::Info | Level::Ok) => "info",
    }
}

fn detail(name: String, value: &str) -> Drawn<(String, Value)> {
    let mut is_cut = false;
    let value = shorten(value, VALUE, "…", &mut is_cut);
    Drawn {
        length: TEXT.unit.of(&name) + TEXT.unit.of(&value) + r#""":"","#.len(),
        field: (name, value.into()),
        is_cut,
    }
}

impl HttpChannel for PagerDuty {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &ComposeContext<'_>,
    ) -> Result<Messages, Failure> {
        let text = texts::of(notification)?;
        let fits = |key: &str| DEDUP_KEY.unit.of(key) <= DEDUP_KEY.length;
        let dedup_key = incident::name(notification, cx, fits)?;
        let event_action = match Action::of(notification) {
            Action::Trigger => return Ok(self.trigger(notification, &text, dedup_key)),
            Action::Acknowledge => "acknowledge",
            Action::Resolve => "resolve",
        };
        let event = Event {
            routing_key: self.routing_key.expose(),
            event_action,
            dedup_key,
            payload: None,
            links: Vec::new(),
            images: &[],
        };
        Ok(self.composition(&event, Vec::new()))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        let json = reply.json().unwrap_or(Value::Null);
        let errors = json.get("errors").and_then(Value::as_array);
        let errors: Vec<_> = errors
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let message = json.get("message").and_then(Value::as_str);
        let detail = || {
            let all: Vec<_> = message.into_iter().chain(errors.iter().copied()).collect();
            let said = message.map(|_| all.join("; "));
            classify::said(
                "PagerDuty",
                None,
                said.as_deref(),
                reply,
                self.endpoint.redactor(),
            )
        };
        let failure = |reason| Failure::new(reason).with_detail(detail());
        match reply.status {
            200..=299 if json.get("status").and_then(Value::as_str) == Some("success") => {
                let key = json.get("dedup_key").and_then(Value::as_str);
                classify::delivered(key, self.endpoint.redactor()).into()
            }
            200..=299 => AttemptResult::Reject(failure(Reason::Rejected)).into(),
            400 if errors.iter().any(|error| is_about_the_key(error)) => {
                AttemptResult::Reject(failure(Reason::Unauthorized).with_hint(KEY_HINT)).into()
            }
            429 => {
                let after = classify::reply_retry_after(reply).unwrap_or(LIMITED);
                classify::paused(
                    failure(Reason::RateLimited),
                    Some(after),
                    Scope::Destination,
                )
            }
            _ => classify::with_hints(
                classify::by_status(reply, self.endpoint.redactor(), detail),
                hint,
            ),
        }
    }
}
