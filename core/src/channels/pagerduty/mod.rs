//! PagerDuty's Events API v2 <https://developer.pagerduty.com/docs/events-api-v2-overview>. The facts here come from
//! the source of these pages <https://github.com/PagerDuty/developer-docs/tree/main/docs/events-API-v2>.

mod context;
mod parameters;
mod replies;

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use serde::Serialize;
use serde_json::{Map, Value};

use self::context::{Context, Image, Link, fits_as_link};
use self::parameters::{BASE_URL, PARAMETERS, ROUTING_KEY};
use crate::channels::shared::endpoint::{Endpoint, join_path};
use crate::channels::shared::http_channel::HttpChannel;
use crate::channels::shared::incident::{self, IncidentAction};
use crate::channels::shared::names::NameRules;
use crate::channels::shared::rich::{FittedField, Truncations};
use crate::channels::shared::{body, texts};
use crate::channels::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, Fields, FollowUps, Length, Limits,
    Messages, OperatorSettings, Protocol,
};
use crate::model::notification::{Level, Notification};
use crate::model::outcome::{Classification, Failure};
use crate::model::problem::Problem;
use crate::model::wire::{HttpReply, HttpRequest, ResendEffect};
use crate::secret::Secret;
use crate::text::Limit;

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "pagerduty",
    about: "PagerDuty, as an incident of a service",
    parameters: PARAMETERS,
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(PagerDuty::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    // "A trigger with the key of an open alert adds to it". An alert that is not open cannot be acknowledged or closed
    // again.
    resend: ResendEffect::Deduplicated,
    follow_ups: FollowUps::incidents(true),
    attachments: Attachments::ImageAddresses,
    limits: Limits::text(Length::Cut(TEXT_LIMIT)),
};

/// "Maximum length 1024", "255" (docs: send an event), without a unit.
const SUMMARY_LIMIT: Limit = Limit::utf16(1_024);
const DEDUP_KEY_LIMIT: Limit = Limit::utf16(255);
/// An event has at most 512 KB (docs: overview). Alertmanager limits it to 512,000 bytes.
const TEXT_LIMIT: Limit = Limit::json_bytes(400_000);
/// The limit of all fields in the event, in bytes of JSON.
const MAX_DETAILS_BYTES: usize = 60_000;
const FIELD_NAMES: NameRules = NameRules {
    reserved: &[WHOLE_TEXT],
    ..NameRules::any(Limit::json_bytes(500), "…")
};
/// The name of the detail with the whole text. The summary may contain only its beginning.
const WHOLE_TEXT: &str = "notification_text";
const VALUE_LIMIT: Limit = Limit::json_bytes(10_000);
#[derive(Debug)]
struct PagerDuty {
    endpoint: Endpoint,
    routing_key: Secret,
    context: Context,
}

#[derive(Serialize)]
struct PagerDutyEvent<'a> {
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
    fn new(fields: &mut Fields<'_>, _: &OperatorSettings) -> Result<Self, Problem> {
        let key = fields.formed(&ROUTING_KEY)?;
        let routing_key = Secret::new(key);
        let url = join_path(&fields.base_url(&BASE_URL)?, ["v2", "enqueue"]);
        Ok(Self {
            endpoint: Endpoint::new(fields.sender(), url, &CAPABILITIES)
                .distinguished_by(fields.sender(), [routing_key.clone()])
                .with_secret_members(&["routing_key"]),
            routing_key,
            context: Context::read(fields)?,
        })
    }

    fn messages(&self, event: &PagerDutyEvent<'_>, warnings: Vec<String>) -> Messages {
        Messages::new(vec![self.endpoint.post(body::json(event), &[])], warnings)
    }

    fn trigger(&self, notification: &Notification, text: &str, dedup_key: String) -> Messages {
        let mut cuts = Truncations::default();
        let summary = incident::headline(notification, text, SUMMARY_LIMIT, &mut cuts);
        let fields = cuts.fields(
            notification,
            usize::MAX,
            MAX_DETAILS_BYTES,
            &FIELD_NAMES,
            detail,
        );
        let link = cuts.link(notification.link.as_deref(), |link| fits_as_link(link));
        let (whole, missing) = texts::shortened(notification, text, TEXT_LIMIT);
        let mut custom_details = Map::new();
        if summary != text {
            custom_details.insert(WHOLE_TEXT.to_owned(), whole.into());
        }
        custom_details.extend(fields);
        for (status, count) in notification
            .group
            .iter()
            .flat_map(|group| group.counts.by_status())
        {
            let name = format!("num_{status}");
            custom_details.entry(name).or_insert_with(|| count.into());
        }
        let event = PagerDutyEvent {
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
        self.messages(&event, warnings)
    }
}

/// Returns the severity. A notification without a level needs attention.
const fn severity(level: Option<Level>) -> &'static str {
    match level {
        Some(Level::Critical) => "critical",
        Some(Level::Error) | None => "error",
        Some(Level::Warning) => "warning",
        Some(Level::Info | Level::Ok) => "info",
    }
}

fn detail(name: String, value: &str) -> FittedField<(String, Value)> {
    FittedField::member(name, value, VALUE_LIMIT, r#""":"","#.len())
}

impl HttpChannel for PagerDuty {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        let text = texts::of(n)?;
        let fits = |key: &str| DEDUP_KEY_LIMIT.unit.of(key) <= DEDUP_KEY_LIMIT.length;
        let dedup_key = incident::name(n, cx, fits)?;
        let event_action = match IncidentAction::of(n) {
            IncidentAction::Trigger => return Ok(self.trigger(n, &text, dedup_key)),
            IncidentAction::Acknowledge => "acknowledge",
            IncidentAction::Resolve => "resolve",
        };
        let event = PagerDutyEvent {
            routing_key: self.routing_key.expose(),
            event_action,
            dedup_key,
            payload: None,
            links: Vec::new(),
            images: &[],
        };
        Ok(self.messages(&event, Vec::new()))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        replies::classify(reply, self.endpoint.redactor())
    }
}
