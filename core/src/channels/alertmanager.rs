//! Prometheus Alertmanager, API v2 <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>.
//!
//! An alert is its label set: what changes from one notification to the next (text, values, times) never stands there, but
//! in annotations.

use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
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
    Attachments, Capabilities, ChannelSpec, ComposeContext, ConfigError, Fields, FollowUps, Kind,
    Length, Limits, Messages, Operator, Parameter, Protocol,
};
use crate::model::notification::{Level, Notification};
use crate::model::outcome::{AttemptResult, Classification, Failure, Reason};
use crate::model::wire::{HttpReply, HttpRequest, ResendEffect};
use crate::text::{Limit, shorten};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "alertmanager",
    about: "a Prometheus Alertmanager, as an alert",
    parameters: &[
        Parameter::new(
            "alertmanager_url",
            "https://alertmanager.example.com:9093",
            "The Alertmanager's address; of a cluster each instance is a destination of its own.",
        )
        .required(),
        Parameter::new(
            "labels",
            r#"{ team = "db", cluster = "eu" }"#,
            "Further labels of every alert, for routing.",
        )
        .of(Kind::Table)
        .operator_only(),
        Parameter::ca_file(),
        Parameter::client_certificate(),
    ],
    // No limit is documented.
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Alertmanager::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    // The same label set is the same alert.
    resend: ResendEffect::Deduplicated,
    follow_ups: FollowUps::incidents(false),
    attachments: Attachments::None,
    // No length is documented.
    limits: Limits::text(Length::Any),
};

/// Ours: names are read in lists.
const NAME: Limit = Limit::utf16(200);
const VALUE: Limit = Limit::utf16(10_000);
/// Of all fields together, in UTF-16 code units. Ours as well, so that an alert stays readable for machines.
const ANNOTATIONS: usize = 200_000;
/// For how long an alert stands that is sent once: until it is resolved, but not for ever; or, where nobody will resolve it,
/// less than the usual `repeat_interval`, so that it is told of once.
const UNTIL_RESOLVED: &str = "PT24H";
const ONCE: &str = "PT1H";
const AT_ONCE: &str = "PT0S";

const SUMMARY: &str = "summary";
const DESCRIPTION: &str = "description";
const STARTS: &str = "startsAt";
const ENDS: &str = "endsAt";
/// Labels of ours.
const OWN: [&str; 3] = ["alertname", "severity", "notification"];

#[derive(Debug)]
struct Alertmanager {
    /// `…/api/v2/alerts`
    endpoint: Endpoint,
    labels: Vec<(String, String)>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<String>,
    /// Until it is sent, from then on: a duration.
    ends_at: &'static str,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

impl Alertmanager {
    fn new(fields: &mut Fields<'_>, _: &Operator) -> Result<Self, ConfigError> {
        let base = fields.url("alertmanager_url")?;
        let url = below(&base, ["api", "v2", "alerts"]);
        let labels = fields.table("labels")?.unwrap_or_default();
        for (name, _) in &labels {
            if !is_name(name) || OWN.contains(&name.as_str()) {
                let what = format!(
                    "labels must have names of letters, digits and underscores, other than {}",
                    OWN.join(", ")
                );
                return Err(fields.error("labels", what));
            }
        }
        Ok(Self {
            endpoint: Endpoint::new(fields.sender(), url, &CAPABILITIES),
            labels,
        })
    }

    /// The label set but for the severity: the dedup key is the alert's name, or, without one, the title, and then a label
    /// tells the alert from every other.
    fn labels(
        &self,
        notification: &Notification,
        cx: &ComposeContext<'_>,
    ) -> Result<Map<String, Value>, Failure> {
        let fits =
            |key: &str| NAME.unit.of(key) <= NAME.length && !key.chars().any(char::is_control);
        let name = incident::name(notification, cx, fits)?;
        let mut labels = Map::new();
        if notification
            .dedup_key
            .as_ref()
            .is_some_and(|key| !key.trim().is_empty())
        {
            labels.insert("alertname".to_owned(), name.into());
        } else {
            let title = rich::title(notification).unwrap_or("InfluxDB 3".into());
            let title = shorten(&title, NAME, "…", &mut false);
            labels.insert("alertname".to_owned(), title.into());
            labels.insert("notification".to_owned(), name.into());
        }
        let own = self.labels.iter();
        labels.extend(own.map(|(name, value)| (name.clone(), value.as_str().into())));
        Ok(labels)
    }

    fn alerts(
        &self,
        notification: &Notification,
        text: &str,
        cx: &ComposeContext<'_>,
    ) -> Result<Messages, Failure> {
        let labels = self.labels(notification, cx)?;
        let mut cuts = Cuts::default();
        let summary = incident::headline(notification, text, VALUE, &mut cuts);
        let mut annotations = Map::new();
        annotations.insert(SUMMARY.to_owned(), summary.into());
        annotations.insert(DESCRIPTION.to_owned(), text.into());
        annotations.extend(cuts.fields(
            notification,
            usize::MAX,
            ANNOTATIONS,
            &ANNOTATION_NAMES,
            annotation,
        ));
        let action = Action::of(notification);
        let goes_on = notification.status.is_some() && notification.dedup_key.is_some();
        let alert = Alert {
            labels,
            annotations,
            starts_at: began(notification),
            ends_at: match action {
                Action::Resolve => AT_ONCE,
                _ if goes_on => UNTIL_RESOLVED,
                _ => ONCE,
            },
            generator_url: notification.link.as_deref().and_then(uri),
        };
        let level = notification.level_for_rules();
        let alerts: Vec<_> = match action {
            // Whichever severity it had: one that is resolved without ever having been is told to nobody.
            Action::Resolve => {
                let every = Level::ALL.into_iter().map(Some).chain([None]);
                every.map(|level| alert.clone().of(level)).collect()
            }
            _ => vec![alert.of(level)],
        };
        Ok(Messages {
            parts: vec![self.endpoint.post(body::json(&alerts), &[])],
            segments: None,
            warnings: cuts.warnings(),
        })
    }
}

impl Alert {
    fn of(mut self, level: Option<Level>) -> Self {
        if let Some(level) = level {
            self.labels
                .insert("severity".to_owned(), level.word().into());
        }
        self
    }
}

const ADDRESS: &str = "alertmanager_url must be the address at which the Alertmanager's own pages are, without /api/v2.";

fn hint(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::Unauthorized | Reason::Forbidden => {
            "Give user name and password in alertmanager_url (https://user:password@host), or a client_certificate."
        }
        Reason::UnknownDestination => ADDRESS,
        _ => return None,
    })
}

/// Names of labels and annotations, also for versions before 0.27 (prometheus/common: `LabelName.IsValid`).
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    bytes.next().is_some_and(is_first) && bytes.all(|byte| is_first(byte) || byte.is_ascii_digit())
}

const ANNOTATION_NAMES: NameRules = NameRules {
    limit: NAME,
    ending: "",
    clean: annotation_name,
    reserved: &[SUMMARY, DESCRIPTION],
};

/// What no name may have becomes an underscore.
fn annotation_name(text: &str) -> String {
    let known = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut name: String = text.chars().map(known).collect();
    if !is_name(&name) {
        name.insert(0, '_');
    }
    name
}

/// A field as an annotation.
fn annotation(name: String, value: &str) -> Drawn<(String, Value)> {
    let mut is_cut = false;
    let value = shorten(value, VALUE, "…", &mut is_cut);
    Drawn {
        length: VALUE.unit.of(&name) + VALUE.unit.of(&value),
        field: (name, value.into()),
        is_cut,
    }
}

/// The link as Go's parser takes it, which refuses a percent sign that escapes nothing, and the whole request with it.
fn uri(link: &str) -> Option<String> {
    let url = Url::parse(link).ok()?;
    let mut parts = url.as_str().split('%');
    let mut uri = parts.next()?.to_owned();
    for part in parts {
        let digits = part.bytes().take(2).filter(u8::is_ascii_hexdigit).count();
        uri.push_str(if digits == 2 { "%" } else { "%25" });
        uri.push_str(part);
    }
    Some(uri)
}

/// When it happened; nothing before 1970, of which the first second is none to Go.
fn began(notification: &Notification) -> Option<String> {
    let time = notification.timestamp?;
    rich::unix_seconds(time).map(|_| time.to_string())
}

/// Sets the times of one alert, unless an attempt before has done so.
fn set_times(alert: &mut Map<String, Value>, now: Timestamp) {
    let ends = alert.get(ENDS).and_then(Value::as_str);
    let Some(after) = ends.and_then(|text| text.parse::<SignedDuration>().ok()) else {
        return;
    };
    let given = alert.get(STARTS).and_then(Value::as_str);
    let given: Option<Timestamp> = given.and_then(|text| text.parse().ok());
    let is_over = after.is_zero();
    // What is over did not begin later; what begins later ends later still.
    let starts = given.map_or(now, |time| if is_over { time.min(now) } else { time });
    let ends = starts.max(now).checked_add(after).unwrap_or(Timestamp::MAX);
    alert.insert(STARTS.to_owned(), starts.to_string().into());
    alert.insert(ENDS.to_owned(), ends.to_string().into());
}

impl HttpChannel for Alertmanager {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &ComposeContext<'_>,
    ) -> Result<Messages, Failure> {
        let text = texts::of(notification)?;
        self.alerts(notification, &text, cx)
    }

    fn sign(&self, request: &mut HttpRequest, now: Timestamp) {
        let alerts = serde_json::from_slice::<Vec<Map<String, Value>>>(&request.body);
        if let Ok(mut alerts) = alerts {
            alerts.iter_mut().for_each(|alert| set_times(alert, now));
            request.body = Bytes::from(body::json(&alerts));
        }
    }

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        let text = reply.text();
        let json = reply.json();
        let detail = || {
            let said = match &json {
                Some(Value::String(words)) => Some(words.as_str()),
                Some(json) => json.get("message").and_then(Value::as_str),
                None => None,
            };
            classify::said("Alertmanager", None, said, reply, self.endpoint.redactor())
        };
        if (200..=299).contains(&reply.status) && text.trim_start().starts_with('<') {
            // It answers with nothing; this is somebody's web page.
            let failure = Failure::new(Reason::Rejected).with_detail(detail());
            return AttemptResult::Reject(failure.with_hint(ADDRESS)).into();
        }
        classify::with_hints(
            classify::by_status(reply, self.endpoint.redactor(), detail),
            hint,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_annotations_are_such_as_every_version_takes() {
        for (name, made) in [
            ("host", "host"),
            ("cpu usage (%)", "cpu_usage____"),
            ("1st", "_1st"),
            ("größe", "gr__e"),
        ] {
            assert_eq!(annotation_name(name), made);
            assert!(is_name(made));
        }
    }

    #[test]
    fn a_link_has_no_percent_sign_that_escapes_nothing() {
        for (link, made) in [
            ("https://a/b?c=%20d", "https://a/b?c=%20d"),
            ("https://a/100%", "https://a/100%25"),
            ("https://a/%zz%4", "https://a/%25zz%254"),
            ("https://a/b c<", "https://a/b%20c%3C"),
        ] {
            assert_eq!(uri(link).as_deref(), Some(made));
        }
    }

    #[test]
    fn times_are_set_once_and_never_end_before_they_begin() {
        let now: Timestamp = "2026-11-25T03:00:00Z".parse().unwrap();
        for (starts, ends, expected) in [
            (
                None,
                "PT1H",
                ["2026-11-25T03:00:00Z", "2026-11-25T04:00:00Z"],
            ),
            (
                Some("2026-11-25T02:00:00Z"),
                "PT24H",
                ["2026-11-25T02:00:00Z", "2026-11-26T03:00:00Z"],
            ),
            (
                Some("2026-11-25T05:00:00Z"),
                "PT1H",
                ["2026-11-25T05:00:00Z", "2026-11-25T06:00:00Z"],
            ),
            (
                Some("2026-11-25T02:00:00Z"),
                "PT0S",
                ["2026-11-25T02:00:00Z", "2026-11-25T03:00:00Z"],
            ),
            (
                Some("2026-11-25T05:00:00Z"),
                "PT0S",
                ["2026-11-25T03:00:00Z", "2026-11-25T03:00:00Z"],
            ),
            (
                Some("9999-12-30T21:00:00Z"),
                "PT24H",
                ["9999-12-30T21:00:00Z", "9999-12-30T22:00:00.999999999Z"],
            ),
        ] {
            let mut alert = Map::from_iter([(ENDS.to_owned(), ends.into())]);
            alert.extend(starts.map(|starts| (STARTS.to_owned(), starts.into())));
            for later in [0, 60] {
                set_times(&mut alert, now + SignedDuration::from_secs(later));
                let times = [STARTS, ENDS].map(|name| alert.get(name).unwrap().as_str().unwrap());
                assert_eq!(times, expected, "{starts:?} {ends}");
            }
        }
    }
}
