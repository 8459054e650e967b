//! Webhooks to a user's own server: a POST with JSON. Any 2xx is success.

mod authorization;
mod parameters;
mod signing;
mod success;
mod webhook;

use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::IgnoredAny;

use self::authorization::{authorization, header_value};
use self::parameters::{
    BODY_TEMPLATE, HEADERS, METHOD, PARAMETERS, SIGNING_SECRET, SUCCESS, WEBHOOK_URL,
};
use self::signing::Signer;
use self::success::Success;
use self::webhook::WebhookMembers;
use super::shared::endpoint::Endpoint;
use super::shared::http_channel::HttpChannel;
use super::shared::{body, classify};
use super::spec::headers::HostHeader;
use super::{
    Capabilities, ChannelSpec, ComposeContext, Fields, Length, Limits, Messages, OperatorSettings,
    invalid,
};
use crate::json::Json;
use crate::model::notification::{Notification, NotificationMembers};
use crate::model::outcome::{AttemptResult, Classification, Failure, QueueDirective, Reason};
use crate::model::problem::Problem;
use crate::model::wire::{HttpReply, HttpRequest, Outbound};
use crate::secret::Secret;

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "http",
    about: "a web server of your own",
    parameters: PARAMETERS,
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Http::new(fields, operator)?)),
};

// A receiver may check the idempotency key, but the dispatcher cannot rely on that.
const CAPABILITIES: Capabilities = Capabilities::messages(Limits::text(Length::Any));

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(Debug)]
struct Http {
    endpoint: Endpoint,
    signer: Option<Signer>,
    success: Option<Success>,
    sends_json: bool,
}

#[derive(Serialize)]
struct Payload<'a> {
    message: &'a Json,
    #[serde(flatten)]
    more: NotificationMembers<'a>,
    #[serde(flatten)]
    group: Option<WebhookMembers>,
}

impl Http {
    fn new(fields: &mut Fields<'_>, _: &OperatorSettings) -> Result<Self, Problem> {
        let mut endpoint = Endpoint::read(
            fields,
            (&WEBHOOK_URL, &HEADERS),
            &CAPABILITIES,
            HostHeader::Allowed,
        )?;
        endpoint.method = method(fields)?;
        if let Some(content_type) = fields.optional(&parameters::CONTENT_TYPE)? {
            endpoint.default_header(
                CONTENT_TYPE,
                header_value(fields, &parameters::CONTENT_TYPE, &content_type)?,
            );
        }
        if let Some(authorization) = authorization(fields)? {
            endpoint.default_header(AUTHORIZATION, authorization);
        }
        let signer = Self::signer(fields)?;
        let keys = fields.several(&SIGNING_SECRET)?.into_iter();
        endpoint.hide(keys.map(|(_, key)| Secret::new(key.trim())));
        let success = fields.optional(&SUCCESS)?;
        let success = success.as_deref().map(success::read).transpose();
        let success =
            success.map_err(|message| fields.error(&SUCCESS, format!("success {message}")))?;
        let sends_json = endpoint
            .header(&CONTENT_TYPE)
            .is_none_or(is_json_media_type);
        Ok(Self {
            endpoint,
            signer,
            success,
            sends_json,
        })
    }

    fn signer(fields: &Fields<'_>) -> Result<Option<Signer>, Problem> {
        let name = SIGNING_SECRET.name;
        let secrets = fields.several(&SIGNING_SECRET)?.into_iter();
        let keys: Vec<_> = secrets
            .map(|(path, secret)| {
                signing::key(secret).map_err(|message| invalid(&path, format!("{name} {message}")))
            })
            .collect::<Result<_, _>>()?;
        Ok((!keys.is_empty()).then(|| Signer::new(keys)))
    }
}

fn method(fields: &Fields<'_>) -> Result<Method, Problem> {
    let given = fields.optional(&METHOD)?;
    match given
        .as_deref()
        .map(|word| word.trim().to_ascii_uppercase())
        .as_deref()
    {
        None | Some("POST") => Ok(Method::POST),
        Some("PUT") => Ok(Method::PUT),
        Some("PATCH") => Ok(Method::PATCH),
        Some(_) => Err(fields.error(&METHOD, "method must be POST, PUT or PATCH")),
    }
}

const NO_JSON: &str = "body_template: it makes no valid JSON, so the usual JSON is sent; write each value as {{ … | tojson }}";

/// Whether the request's body is declared as JSON: `application/json`, `application/vnd.api+json`.
fn is_json(request: &HttpRequest) -> bool {
    let content_type = request.headers.get(CONTENT_TYPE);
    content_type.is_some_and(is_json_media_type)
}

fn is_json_media_type(content_type: &HeaderValue) -> bool {
    let media_type = content_type
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    media_type == "application/json" || media_type.ends_with("+json")
}

impl HttpChannel for Http {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        // The key is the same for every attempt. A caller's own key takes precedence.
        let key = HeaderValue::from_str(&cx.message_key(0)).ok();
        let own: Vec<_> = key.map(|key| (IDEMPOTENCY_KEY, key)).into_iter().collect();
        let usual = || {
            body::json(&Payload {
                message: &n.text,
                more: NotificationMembers::of(n),
                group: n.alert_group().map(WebhookMembers::of),
            })
        };
        let mut warnings = Vec::new();
        let request = match cx.rendered(BODY_TEMPLATE.name) {
            None => self.endpoint.request(usual(), &own),
            Some(body) => {
                let mut request = self.endpoint.request(body.as_bytes().to_vec(), &own);
                if is_json(&request) && serde_json::from_str::<IgnoredAny>(body).is_err() {
                    warnings.push(NO_JSON.to_owned());
                    request.body = usual().into();
                }
                request
            }
        };
        Ok(Messages::new(vec![Outbound::Http(request)], warnings))
    }

    fn sign(&self, request: &mut HttpRequest, now: Timestamp) {
        let id = request.headers.get(IDEMPOTENCY_KEY).cloned();
        if let (Some(signer), Some(id)) = (&self.signer, id) {
            signer.sign(request, &id, now);
        }
    }

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        let detail = || {
            classify::with_provider_words("the receiver", &reply.text(), self.endpoint.redactor())
        };
        let mut classification = classify::by_status(reply, || self.endpoint.redactor(), detail);
        if let AttemptResult::Delivered { warning, .. } = &mut classification.result
            && !self.sends_json
        {
            *warning = None;
        }
        if let Some(success) = &self.success {
            let failure = Failure::new(Reason::Rejected).with_detail(detail());
            classification = success.classify(reply, classification, failure);
        }
        if reply.status == 410 {
            // "Gone" asks the sender to stop (Standard Webhooks, operational considerations).
            classification.queue = Some(QueueDirective::Disable {
                wait: classify::REFUSAL,
            });
        }
        classification
    }
}
