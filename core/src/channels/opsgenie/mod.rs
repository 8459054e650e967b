//! Alerts of Opsgenie <https://docs.opsgenie.com/docs/alert-api> and of Jira Service Management. The latter accepts
//! the same requests at another address
//! <https://developer.atlassian.com/cloud/jira/service-desk-ops/jira-service-desk-ops.1.postman.json> ("Integration
//! events"). There `identifierType=alias` works but is undocumented
//! <https://jira.atlassian.com/browse/JSDCLOUD-14179>.

mod html;
mod options;
mod product;
mod replies;

use std::sync::Arc;

use jiff::Timestamp;

use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use self::html::without_markup;
use self::options::AlertOptions;
use self::product::{OPSGENIE, Product, SERVICE_MANAGEMENT};
use super::shared::endpoint::{Endpoint, join_path};
use super::shared::http_channel::HttpChannel;
use super::shared::incident::{self, IncidentAction};
use super::shared::names::NameRules;
use super::shared::rich::{self, FittedField, Truncations};
use super::shared::{body, texts};
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, Fields, FollowUps, Length, Limits,
    Messages, Protocol,
};
use crate::model::notification::{Level, Notification};
use crate::model::outcome::{Classification, Failure};
use crate::model::problem::Problem;
use crate::model::wire::{HttpReply, HttpRequest, Outbound, ResendEffect};
use crate::secret::Secret;
use crate::text::{Limit, Unit};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "opsgenie",
    about: "Opsgenie, as an alert",
    parameters: &OPSGENIE.parameters(),
    capabilities: &CAPABILITIES,
    parse: |fields, _| Ok(Arc::new(Opsgenie::new(fields, &OPSGENIE)?)),
};

pub const JSM: ChannelSpec = ChannelSpec {
    key: "jsm",
    about: "Jira Service Management, as an alert",
    parameters: &SERVICE_MANAGEMENT.parameters(),
    capabilities: &CAPABILITIES,
    parse: |fields, _| Ok(Arc::new(Opsgenie::new(fields, &SERVICE_MANAGEMENT)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    // An open alert with the same alias increments its count.
    resend: ResendEffect::Deduplicated,
    follow_ups: FollowUps::incidents(true),
    attachments: Attachments::None,
    limits: Limits::text(Length::Cut(DESCRIPTION_LIMIT)),
};

/// "Characters" (section "alert fields"), without a unit. HTML characters are escaped.
const MESSAGE_LIMIT: Limit = Limit::new(130, Unit::Utf16Escaped);
const ALIAS_LIMIT: Limit = Limit::utf16(512);
const DESCRIPTION_LIMIT: Limit = Limit::new(15_000, Unit::Utf16Escaped);
/// The limit of all names and values together, in UTF-16 code units.
const MAX_DETAILS_CODE_UNITS: usize = 8_000;
const FIELD_NAMES: NameRules = NameRules::any(Limit::utf16(100), "…");
const VALUE_LIMIT: Limit = Limit::utf16(1_000);
/// The limit of the link below the text in the description, in UTF-16 code units.
const MAX_LINK_CODE_UNITS: usize = 2_000;
const SOURCE: &str = "influxdb3-notifier";

#[derive(Debug)]
struct Opsgenie {
    /// The endpoint `…/v2/alerts`.
    endpoint: Endpoint,
    product: &'static Product,
    options: AlertOptions,
}

#[derive(Serialize)]
struct CreateAlertBody<'a> {
    message: String,
    alias: String,
    description: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    details: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<&'a str>,
    source: &'static str,
    #[serde(flatten)]
    options: &'a AlertOptions,
}

/// The body of an acknowledgement or a close.
#[derive(Serialize)]
struct AlertNote {
    note: String,
    source: &'static str,
}

impl Opsgenie {
    fn new(fields: &Fields<'_>, product: &'static Product) -> Result<Self, Problem> {
        let key = fields.formed(&product.key)?;
        let url = join_path(&fields.base_url(&product.base_url)?, ["v2", "alerts"]);
        let mut endpoint = Endpoint::new(fields.sender(), url, &CAPABILITIES)
            .distinguished_by(fields.sender(), [Secret::new(&*key)]);
        endpoint.authorize(&format!("GenieKey {key}"));
        Ok(Self {
            endpoint,
            product,
            options: AlertOptions::read(fields, &product.options)?,
        })
    }

    fn alert(&self, notification: &Notification, text: &str, alias: String) -> Messages {
        let mut cuts = Truncations::default();
        let message = incident::headline(notification, text, MESSAGE_LIMIT, &mut cuts);
        let details = cuts.fields(
            notification,
            usize::MAX,
            MAX_DETAILS_CODE_UNITS,
            &FIELD_NAMES,
            detail,
        );
        let link = cuts.link(notification.link.as_deref(), |link| {
            MESSAGE_LIMIT.unit.of(link) <= MAX_LINK_CODE_UNITS
        });
        let mut tail = String::new();
        if notification.is_rich() {
            let summary = rich::summary_without_heading(notification, &cuts);
            let lines = summary.iter().map(String::as_str).chain(link);
            tail = format!("\n\n{}", lines.collect::<Vec<_>>().join("\n"));
        }
        let room = DESCRIPTION_LIMIT.length - DESCRIPTION_LIMIT.unit.of(&tail);
        let limit = Limit::new(room, DESCRIPTION_LIMIT.unit);
        let (text, missing) = texts::shortened(notification, text, limit);
        let alert = CreateAlertBody {
            message: without_markup(&message),
            alias,
            description: without_markup(&(text + &tail)),
            details: details.into_iter().collect(),
            priority: self
                .options
                .priority
                .as_deref()
                .or(priority(notification.level_for_rules())),
            source: SOURCE,
            options: &self.options,
        };
        let mut warnings = cuts.warnings();
        warnings.extend(texts::cut_warning(missing));
        Messages::new(vec![self.endpoint.post(body::json(&alert), &[])], warnings)
    }

    /// Returns a request to `…/v2/alerts/{alias}/close?identifierType=alias`.
    fn change(&self, n: &Notification, text: &str, alias: &str, verb: &str) -> Messages {
        let mut url: Url = join_path(&self.endpoint.url, [alias, verb]);
        url.query_pairs_mut().append_pair("identifierType", "alias");
        let (note, missing) = texts::shortened(n, text, DESCRIPTION_LIMIT);
        let note = body::json(&AlertNote {
            note,
            source: SOURCE,
        });
        Messages {
            parts: vec![Outbound::Http(HttpRequest {
                url,
                ..self.endpoint.request(note, &[])
            })],
            segments: None,
            warnings: texts::cut_warning(missing).into_iter().collect(),
        }
    }
}

/// Whether the text is a valid alias. The path contains it too.
fn is_alias(text: &str) -> bool {
    let known = |c: char| !c.is_control() && !"/\\%?#".contains(c);
    ALIAS_LIMIT.unit.of(text) <= ALIAS_LIMIT.length
        && text.chars().all(known)
        && !matches!(text, "." | "..")
}

/// Returns the priority. Opsgenie's default is `P3`.
const fn priority(level: Option<Level>) -> Option<&'static str> {
    match level {
        Some(Level::Critical) => Some("P1"),
        Some(Level::Error) => Some("P2"),
        Some(Level::Warning) => Some("P3"),
        Some(Level::Info | Level::Ok) => Some("P5"),
        None => None,
    }
}

fn detail(name: String, value: &str) -> FittedField<(String, Value)> {
    FittedField::member(name, value, VALUE_LIMIT, 0)
}

impl HttpChannel for Opsgenie {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        let text = texts::of(n)?;
        let alias = incident::name(n, cx, is_alias)?;
        Ok(match IncidentAction::of(n) {
            IncidentAction::Trigger => self.alert(n, &text, alias),
            IncidentAction::Acknowledge => self.change(n, &text, &alias, "acknowledge"),
            IncidentAction::Resolve => self.change(n, &text, &alias, "close"),
        })
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        replies::classify(reply, self.product, self.endpoint.redactor())
    }
}
