//! Alerts of Opsgenie <https://docs.opsgenie.com/docs/alert-api>, and of Jira Service Management, which takes the same requests
//! at another address <https://developer.atlassian.com/cloud/jira/service-desk-ops/jira-service-desk-ops.1.postman.json>
//! ("Integration events"); there `identifierType=alias` works and is not documented
//! <https://jira.atlassian.com/browse/JSDCLOUD-14179>.

use std::sync::Arc;

use jiff::Timestamp;

use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use super::shared::endpoint::{Endpoint, below};
use super::shared::http_channel::HttpChannel;
use super::shared::incident::{self, Action};
use super::shared::names::NameRules;
use super::shared::rich::{self, Cuts, Drawn};
use super::shared::{body, classify, texts};
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, ConfigError, Fields, FollowUps, Length,
    Limits, Messages, Parameter, Protocol,
};
use crate::model::notification::{Level, Notification};
use crate::model::outcome::{AttemptResult, Classification, Failure, Reason, Scope};
use crate::model::wire::{HttpReply, HttpRequest, Outbound, ResendEffect};
use crate::secret::Secret;
use crate::text::{Limit, Unit, shorten, with_ending};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "opsgenie",
    about: "Opsgenie, as an alert",
    parameters: &[
        key_parameter(OPSGENIE.key),
        Parameter::base_url(OPSGENIE.api),
    ],
    capabilities: &CAPABILITIES,
    parse: |fields, _| Ok(Arc::new(Opsgenie::new(fields, &OPSGENIE)?)),
};

pub const JSM: ChannelSpec = ChannelSpec {
    key: "jsm",
    about: "Jira Service Management, as an alert",
    parameters: &[
        key_parameter(SERVICE_MANAGEMENT.key),
        Parameter::base_url(SERVICE_MANAGEMENT.api),
    ],
    capabilities: &CAPABILITIES,
    parse: |fields, _| Ok(Arc::new(Opsgenie::new(fields, &SERVICE_MANAGEMENT)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    // An open alert with the same alias counts up.
    resend: ResendEffect::Deduplicated,
    follow_ups: FollowUps::incidents(true),
    attachments: Attachments::None,
    limits: Limits::text(Length::Cut(DESCRIPTION)),
};

/// Which of the two products, and what differs.
#[derive(Debug)]
struct Product {
    name: &'static str,
    /// The parameter that holds the integration's key.
    key: &'static str,
    api: &'static str,
    wrong_key: &'static str,
    wrong_address: &'static str,
}

const OPSGENIE: Product = Product {
    name: "Opsgenie",
    key: "opsgenie_api_key",
    api: "https://api.opsgenie.com",
    wrong_key: "Give opsgenie_api_key as the API integration shows it, and see that the integration is on; keys of the EU need base_url, and those of Jira Service Management the channel jsm.",
    wrong_address: "base_url must be the API's address, such as https://api.eu.opsgenie.com.",
};

const SERVICE_MANAGEMENT: Product = Product {
    name: "Jira Service Management",
    key: "jsm_api_key",
    api: "https://api.atlassian.com/jsm/ops/integration",
    wrong_key: "Give jsm_api_key as the API integration shows it, and see that the integration is on.",
    wrong_address: "base_url must be the API's address, such as https://api.atlassian.com/jsm/ops/integration.",
};

const fn key_parameter(name: &'static str) -> Parameter {
    Parameter::new(
        name,
        "eb243592-faa2-4ba2-a551-1afdf565c889",
        "The key of an API integration.",
    )
    .required()
    .secret()
}

/// "Characters" (section "alert fields"), of which the unit is not said. What may be shown as HTML is escaped.
const MESSAGE: Limit = Limit::new(130, Unit::Utf16Escaped);
const ALIAS: Limit = Limit::utf16(512);
const DESCRIPTION: Limit = Limit::new(15_000, Unit::Utf16Escaped);
/// Of all names and values together, in UTF-16 code units.
const DETAILS: usize = 8_000;
const NAMES: NameRules = NameRules::any(Limit::utf16(100), "…");
const VALUE: Limit = Limit::utf16(1_000);
/// What stands below the text in the description, in UTF-16 code units.
const LINK: usize = 2_000;
const SOURCE: &str = "influxdb3-notifier";

#[derive(Debug)]
struct Opsgenie {
    /// `…/v2/alerts`
    endpoint: Endpoint,
    product: &'static Product,
}

#[derive(Serialize)]
struct Alert {
    message: String,
    alias: String,
    description: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    details: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<&'static str>,
    source: &'static str,
}

/// Of an acknowledgement or a close.
#[derive(Serialize)]
struct Note {
    note: String,
    source: &'static str,
}

impl Opsgenie {
    fn new(fields: &Fields<'_>, product: &'static Product) -> Result<Self, ConfigError> {
        let key = fields.formed(product.key, KEY_FORM, is_key)?;
        let url = below(&fields.base_url(product.api)?, ["v2", "alerts"]);
        let mut endpoint = Endpoint::new(fields.sender(), url, &CAPABILITIES)
            .told_apart_by(fields.sender(), [Secret::new(&*key)]);
        endpoint.authorize(&format!("GenieKey {key}"));
        Ok(Self { endpoint, product })
    }

    const fn hint(&self, reason: Reason) -> Option<&'static str> {
        Some(match reason {
            Reason::Unauthorized => self.product.wrong_key,
            Reason::Forbidden => "Let the API integration create and update alerts.",
            Reason::UnknownDestination => self.product.wrong_address,
            _ => return None,
        })
    }

    fn alert(&self, notification: &Notification, text: &str, alias: String) -> Messages {
        let mut cuts = Cuts::default();
        let message = incident::headline(notification, text, MESSAGE, &mut cuts);
        let details = cuts.fields(notification, usize::MAX, DETAILS, &NAMES, detail);
        let link = cuts.link(notification.link.as_deref(), |link| {
            MESSAGE.unit.of(link) <= LINK
        });
        let mut tail = String::new();
        if notification.is_rich() {
            let summary = rich::summary_without_heading(notification, &cuts);
            let lines = summary.iter().map(String::as_str).chain(link);
            tail = format!("\n\n{}", lines.collect::<Vec<_>>().join("\n"));
        }
        let room = DESCRIPTION.length - DESCRIPTION.unit.of(&tail);
        let (text, missing) = with_ending(text, Limit::new(room, DESCRIPTION.unit));
        let alert = Alert {
            message: without_markup(&message),
            alias,
            description: without_markup(&(text + &tail)),
            details: details.into_iter().collect(),
            priority: priority(notification.level_for_rules()),
            source: SOURCE,
        };
        let mut warnings = cuts.warnings();
        warnings.extend(texts::cut_warning(missing));
        Messages {
            parts: vec![self.endpoint.post(body::json(&alert), &[])],
            segments: None,
            warnings,
        }
    }

    /// `…/v2/alerts/{alias}/close?identifierType=alias`
    fn change(&self, alias: &str, verb: &str, text: &str) -> Messages {
        let mut url: Url = below(&self.endpoint.url, [alias, verb]);
        url.query_pairs_mut().append_pair("identifierType", "alias");
        let (note, missing) = with_ending(text, DESCRIPTION);
        let note = body::json(&Note {
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

/// `{"message": "…", "errors": {"message": "…"}}`
fn sentence(json: &Value) -> Option<String> {
    let message = json.get("message")?.as_str()?;
    let errors = json.get("errors").and_then(Value::as_object);
    let errors = errors.into_iter().flatten();
    let errors = errors.filter_map(|(field, what)| Some(format!("{field}: {}", what.as_str()?)));
    let all: Vec<_> = [message.to_owned()].into_iter().chain(errors).collect();
    Some(all.join("; "))
}

/// "HTML formatting for the message values is also supported" <https://docs.opsgenie.com/docs/alerts-and-alert-fields>, and
/// descriptions are shown so as well. Only what would begin a tag or a character reference is escaped, since phones and mails
/// show the same text as it is.
fn without_markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for (at, character) in text.char_indices() {
        let rest = text.get(at + character.len_utf8()..).unwrap_or_default();
        match character {
            '<' if rest.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) => {
                escaped.push_str("&lt;")
            }
            '&' if is_reference(rest) => escaped.push_str("&amp;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// What follows an ampersand, such as `amp;` or `#38;`.
fn is_reference(rest: &str) -> bool {
    let name = rest.strip_prefix('#').unwrap_or(rest);
    let end = name.find(|c: char| !c.is_ascii_alphanumeric());
    end.is_some_and(|end| end > 0 && name.get(end..).is_some_and(|rest| rest.starts_with(';')))
}

const KEY_FORM: &str = "the key of an API integration, letters, digits and hyphens";

fn is_key(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (16..=64).contains(&text.len()) && text.bytes().all(known)
}

/// An alias stands in a path as well.
fn is_alias(text: &str) -> bool {
    let known = |c: char| !c.is_control() && !"/\\%?#".contains(c);
    ALIAS.unit.of(text) <= ALIAS.length && text.chars().all(known) && !matches!(text, "." | "..")
}

/// Without one it is `P3`.
const fn priority(level: Option<Level>) -> Option<&'static str> {
    match level {
        Some(Level::Critical) => Some("P1"),
        Some(Level::Error) => Some("P2"),
        Some(Level::Warning) => Some("P3"),
        Some(Level::Info | Level::Ok) => Some("P5"),
        None => None,
    }
}

fn detail(name: String, value: &str) -> Drawn<(String, Value)> {
    let mut is_cut = false;
    let value = shorten(value, VALUE, "…", &mut is_cut);
    Drawn {
        length: VALUE.unit.of(&name) + VALUE.unit.of(&value),
        field: (name, value.into()),
        is_cut,
    }
}

impl HttpChannel for Opsgenie {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &ComposeContext<'_>,
    ) -> Result<Messages, Failure> {
        let text = texts::of(notification)?;
        let alias = incident::name(notification, cx, is_alias)?;
        Ok(match Action::of(notification) {
            Action::Trigger => self.alert(notification, &text, alias),
            Action::Acknowledge => self.change(&alias, "acknowledge", &text),
            Action::Resolve => self.change(&alias, "close", &text),
        })
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        let json = reply.json().unwrap_or(Value::Null);
        let detail = || {
            classify::said(
                self.product.name,
                None,
                sentence(&json).as_deref(),
                reply,
                self.endpoint.redactor(),
            )
        };
        let failure = |reason| Failure::new(reason).with_detail(detail());
        match reply.status {
            200..=299 => {
                let id = json.get("requestId").and_then(Value::as_str);
                if id.is_none() {
                    return AttemptResult::Reject(failure(Reason::Rejected)).into();
                }
                classify::delivered(id, self.endpoint.redactor()).into()
            }
            429 => {
                let period = reply.header("x-ratelimit-period-in-sec");
                let period = period.and_then(|text| classify::retry_after(text, reply.received));
                let after = classify::reply_retry_after(reply).or(period);
                classify::paused(failure(Reason::RateLimited), after, Scope::Destination)
            }
            _ => classify::with_hints(
                classify::by_status(reply, self.endpoint.redactor(), detail),
                |reason| self.hint(reason),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_html_would_take_for_markup_is_escaped() {
        for (text, sent) in [
            (
                "CPU > 95 & rising, a < b, x<5, R&D",
                "CPU > 95 & rising, a < b, x<5, R&D",
            ),
            (
                "<b>h</b> <!-- x --> <?x?>",
                "&lt;b>h&lt;/b> &lt;!-- x --> &lt;?x?>",
            ),
            (
                "&lt;b&gt; &amp; &#60; &#x3c;",
                "&amp;lt;b&amp;gt; &amp;amp; &amp;#60; &amp;#x3c;",
            ),
            (
                "https://a.example/?a=1&b=2&;&#;",
                "https://a.example/?a=1&b=2&;&#;",
            ),
            ("<", "<"),
            ("&", "&"),
        ] {
            assert_eq!(without_markup(text), sent);
        }
    }
}
