//! A webhook of the user's own: JSON in a POST, any 2xx is success.

use std::sync::Arc;

use http::HeaderValue;
use http::header::HeaderName;
use serde::{Serialize, Serializer};

use super::headers::HostHeader;
use super::webhook::Webhook;
use super::{
    Channel, ChannelSpec, Composing, Composition, ConfigError, Fields, Operator, Parameter,
    USER_AGENT, verdict,
};
use crate::model::json::Json;
use crate::model::notification::{Level, Notification, Status};
use crate::model::outcome::{Failure, Gate, Judgement};
use crate::model::wire::{Destination, Repeat, Reply};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "http",
    parameters: &[
        Parameter {
            name: "http_webhook_url",
            required: true,
            secret: true,
            environment: None,
            example: "https://example.com/hooks/alerts",
            description: "Where to POST the notification.",
        },
        Parameter {
            name: "http_headers",
            required: false,
            secret: true,
            environment: None,
            example: "eyJBdXRob3JpemF0aW9uIjogIkJlYXJlciBYWFhYIn0=",
            description: "Headers to send besides: base64 of a JSON object of strings.",
        },
    ],
    limits: None,
    // A receiver that checks the idempotency key recognises it; we cannot count on that.
    repeat: Repeat::ShowsTwice,
    parse: |fields, operator| Ok(Arc::new(Http::new(fields, operator)?)),
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(Debug)]
struct Http {
    webhook: Webhook,
}

#[derive(Serialize)]
struct Payload<'a> {
    message: &'a Json,
    #[serde(flatten)]
    rich: Option<Members<'a>>,
}

/// What else the notification has, under the names and in the order of the request.
#[derive(Serialize)]
struct Members<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "object")]
    fields: &'a [(String, Json)],
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dedup_key: Option<&'a str>,
}

impl<'a> Members<'a> {
    fn of(notification: &'a Notification) -> Self {
        Self {
            title: notification.title.as_deref(),
            level: notification.level.map(Level::word),
            status: notification.status.map(Status::word),
            fields: &notification.fields,
            link: notification.link.as_deref(),
            timestamp: notification.timestamp.map(|time| time.to_string()),
            dedup_key: notification.dedup_key.as_deref(),
        }
    }
}

fn object<S: Serializer>(fields: &[(String, Json)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

impl Http {
    fn new(fields: &mut Fields<'_>, _: &Operator) -> Result<Self, ConfigError> {
        let webhook = Webhook::read(fields, USER_AGENT, HostHeader::Allowed)?;
        Ok(Self { webhook })
    }
}

impl Channel for Http {
    fn destination(&self) -> &Destination {
        &self.webhook.destination
    }

    fn repeat(&self) -> Repeat {
        SPEC.repeat
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &Composing<'_>,
    ) -> Result<Composition, Failure> {
        let body = super::json_body(&Payload {
            message: &notification.text,
            rich: notification.is_rich().then(|| Members::of(notification)),
        });
        // The same on every attempt; a caller's own wins.
        let key = HeaderValue::from_str(&cx.message_key(0)).ok();
        let own: Vec<_> = key.map(|key| (IDEMPOTENCY_KEY, key)).into_iter().collect();
        Ok(Composition {
            messages: vec![self.webhook.post(body, &own)],
            segments: None,
            warnings: Vec::new(),
        })
    }

    fn judge(&self, reply: &Reply) -> Judgement {
        let Reply::Http(reply) = reply;
        let detail = verdict::words("the receiver", &reply.text(), self.webhook.redactor());
        let mut judgement = verdict::by_status(reply, detail);
        if reply.status == 410 {
            // "Gone" asks to stop sending (Standard Webhooks, operational considerations).
            judgement.gate = Some(Gate::Refuse {
                wait: verdict::REFUSAL,
            });
        }
        judgement
    }
}
