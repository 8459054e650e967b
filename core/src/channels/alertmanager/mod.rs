//! Prometheus Alertmanager, API v2 <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>.
//!
//! The label set identifies an alert. Data that changes between notifications (text, values, times) is in annotations,
//! never in labels.

mod alert;
mod replies;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};

use self::alert::{
    ANNOTATION_NAMES, ANNOTATIONS_LIMIT, DESCRIPTION, ENDS_AFTER_ONE_OFF, ENDS_IF_NEVER_RESOLVED,
    NAME_LIMIT, PostedAlert, SUMMARY, VALUE_LIMIT, annotation, go_url, is_name, notification_of,
    set_times, starts_at_text,
};
use super::shared::endpoint::{Endpoint, join_path};
use super::shared::http_channel::HttpChannel;
use super::shared::incident::{self, IncidentAction};
use super::shared::rich::{self, Truncations};
use super::shared::{body, texts};
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, Fields, FollowUps, Length, Limits,
    Messages, OperatorSettings, Parameter, ParameterKind, Protocol,
};
use crate::model::group::AlertGroup;
use crate::model::notification::{Level, Notification};
use crate::model::outcome::{Classification, Failure};
use crate::model::problem::Problem;
use crate::model::wire::{HttpReply, HttpRequest, ResendEffect};
use crate::text::shorten;
use crate::warnings::Warnings;

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "alertmanager",
    about: "a Prometheus Alertmanager, as an alert",
    parameters: &[
        SERVER_URL,
        LABELS,
        Parameter::ca_file(),
        Parameter::client_certificate(),
    ],
    // Alertmanager documents no limit.
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Alertmanager::new(fields, operator)?)),
};

const SERVER_URL: Parameter = Parameter::new(
    "alertmanager_url",
    "https://alertmanager.example.com:9093",
    "The Alertmanager's address; of a cluster each instance is a destination of its own.",
)
.required();
const LABELS: Parameter = Parameter::new(
    "labels",
    r#"{ team = "db", cluster = "eu" }"#,
    "More labels of every alert, for routing.",
)
.of(ParameterKind::Table)
.operator_only();

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    // Equal label sets are the same alert.
    resend: ResendEffect::Deduplicated,
    follow_ups: FollowUps::incidents(false),
    attachments: Attachments::None,
    // Alertmanager documents no length.
    limits: Limits::text(Length::Any),
};

/// The labels that this channel sets.
const RESERVED_LABELS: [&str; 3] = ["alertname", "severity", "notification"];

#[derive(Debug)]
struct Alertmanager {
    /// The endpoint `…/api/v2/alerts`.
    endpoint: Endpoint,
    labels: Vec<(String, String)>,
}

impl Alertmanager {
    fn new(fields: &mut Fields<'_>, _: &OperatorSettings) -> Result<Self, Problem> {
        let base = fields.url(&SERVER_URL)?;
        let url = join_path(&base, ["api", "v2", "alerts"]);
        let labels = fields.table(&LABELS)?.unwrap_or_default();
        for (name, _) in &labels {
            if !is_name(name) || RESERVED_LABELS.contains(&name.as_str()) {
                let message = format!(
                    "labels must have names of letters, digits and underscores, other than {}",
                    RESERVED_LABELS.join(", ")
                );
                return Err(fields.error(&LABELS, message));
            }
        }
        Ok(Self {
            endpoint: Endpoint::new(fields.sender(), url, &CAPABILITIES),
            labels,
        })
    }

    /// Returns the label set without the severity. The alert's name is the dedup key. Without a key it is the title,
    /// and another label distinguishes the alert from every other.
    fn labels(
        &self,
        notification: &Notification,
        cx: &ComposeContext,
    ) -> Result<Map<String, Value>, Failure> {
        let fits = |key: &str| {
            NAME_LIMIT.unit.of(key) <= NAME_LIMIT.length && !key.chars().any(char::is_control)
        };
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
            let title = shorten(&title, NAME_LIMIT, "…", &mut false);
            labels.insert("alertname".to_owned(), title.into());
            labels.insert("notification".to_owned(), name.into());
        }
        let own = self.labels.iter();
        labels.extend(own.map(|(name, value)| (name.clone(), value.as_str().into())));
        Ok(labels)
    }

    /// Returns the notification's alert, and the ends of the alerts with its earlier severities.
    fn alerts(
        &self,
        notification: &Notification,
        text: &str,
        cx: &ComposeContext,
        cuts: &mut Truncations,
    ) -> Result<Vec<PostedAlert>, Failure> {
        let labels = self.labels(notification, cx)?;
        let summary = incident::headline(notification, text, VALUE_LIMIT, cuts);
        let mut annotations = Map::new();
        annotations.insert(SUMMARY.to_owned(), summary.into());
        annotations.insert(DESCRIPTION.to_owned(), text.into());
        annotations.extend(cuts.fields(
            notification,
            usize::MAX,
            ANNOTATIONS_LIMIT,
            &ANNOTATION_NAMES,
            annotation,
        ));
        let action = IncidentAction::of(notification);
        let will_be_resolved = notification.status.is_some() && notification.dedup_key.is_some();
        let alert = PostedAlert {
            labels,
            annotations,
            starts_at: starts_at_text(notification),
            ends_at: match will_be_resolved {
                true => ENDS_IF_NEVER_RESOLVED,
                false => ENDS_AFTER_ONE_OFF,
            },
            generator_url: notification.link.as_deref().and_then(go_url),
        };
        let level = notification.level_for_rules();
        let ended = alert.clone().ended();
        let mut sent = notification.sent_levels.clone();
        let mut alerts = Vec::new();
        if action == IncidentAction::Resolve {
            // Alertmanager does not notify about a resolved alert that never fired.
            if sent.is_empty() {
                sent = Level::ALL.into_iter().map(Some).chain([None]).collect();
            }
        } else {
            // The severity is a label, so with another one the alert is another alert.
            sent.retain(|sent| *sent != level);
            alerts.push(alert.of(level));
        }
        alerts.extend(sent.into_iter().map(|level| ended.clone().of(level)));
        Ok(alerts)
    }

    /// Returns the alerts of a group, each by its own key.
    fn members(
        &self,
        group: &AlertGroup,
        cx: &ComposeContext,
    ) -> Result<(Vec<PostedAlert>, Vec<String>), Failure> {
        let mut alerts = Vec::new();
        let mut warnings = Warnings::default();
        for alert in &group.alerts {
            let mut cuts = Truncations::default();
            alerts.extend(self.alerts(&notification_of(alert), &alert.text, cx, &mut cuts)?);
            warnings.extend_from(&cuts.warnings());
        }
        let left_out = group.left_out();
        if left_out > 0 {
            warnings
                .push(|| format!("alerts: too many for one message; the last {left_out} left out"));
        }
        Ok((alerts, warnings.into_lines()))
    }
}

impl HttpChannel for Alertmanager {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        let text = texts::of(n)?;
        let (alerts, warnings) = match n.alert_group() {
            Some(group) => self.members(group, cx)?,
            None => {
                let mut cuts = Truncations::default();
                let alerts = self.alerts(n, &text, cx, &mut cuts)?;
                (alerts, cuts.warnings())
            }
        };
        let message = self.endpoint.post(body::json(&alerts), &[]);
        Ok(Messages::new(vec![message], warnings))
    }

    fn sign(&self, request: &mut HttpRequest, now: Timestamp) {
        let alerts = serde_json::from_slice::<Vec<Map<String, Value>>>(&request.body);
        if let Ok(mut alerts) = alerts {
            alerts.iter_mut().for_each(|alert| set_times(alert, now));
            request.body = Bytes::from(body::json(&alerts));
        }
    }

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        replies::classify(reply, self.endpoint.redactor())
    }
}
