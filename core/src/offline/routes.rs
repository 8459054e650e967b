//! Explains which receivers would get a notification.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::tree;
use crate::api::request::Request;
use crate::config::Settings;
use crate::config::arguments::RequestDestinations;
use crate::config::file::Receiver;
use crate::config::matcher::MatchInput;
use crate::json::Json;
use crate::model::notification::{Level, Notification};
use crate::routing::{self, MatchedBy, Routed};

/// The receivers of a notification, and the rules that select or mute them.
#[derive(Debug, Serialize)]
pub struct RoutingTrace {
    /// The level for matchers. Without a level no rule that names one matches.
    pub level: Option<&'static str>,
    /// The fields for matchers and messages, including those of `extract`. Values are texts.
    pub fields: BTreeMap<String, String>,
    pub receivers: Vec<RoutedReceiver>,
    /// The destinations of the request itself.
    pub senders: Vec<SenderUse>,
    /// Whether routes are evaluated: false for a request that names its destinations.
    pub routes_evaluated: bool,
    pub routes: Vec<RouteTrace>,
    pub silences: Vec<SilenceTrace>,
    /// The silence that mutes the notification.
    pub suppressed_by: Option<String>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct RoutedReceiver {
    pub name: String,
    pub reason: &'static str,
    /// The route's number, from 1.
    pub route: Option<usize>,
    /// The line of the route.
    pub line: Option<usize>,
    pub route_name: Option<String>,
    pub destinations: Vec<RoutedDestination>,
}

#[derive(Debug, Serialize)]
pub struct RoutedDestination {
    pub channel: &'static str,
    /// The label in responses and log lines. `None`: its secrets were not looked up.
    pub label: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct SenderUse {
    pub sender: String,
    /// The use of the sender: `used`, `ignored` or `denied`, according to `request_destinations`.
    pub status: &'static str,
}

#[derive(Debug, Serialize)]
pub struct RouteTrace {
    /// The route's number, from 1.
    pub number: usize,
    pub line: usize,
    pub name: Option<String>,
    /// The number of the parent route.
    pub parent: Option<usize>,
    /// The number of ancestors.
    pub depth: usize,
    pub evaluated: bool,
    pub matches: bool,
    /// Whether its receivers get the notification: it is evaluated and matches, and no nested route applies.
    pub applies: bool,
    /// The name of the first condition that does not hold: `level`, `status`, `fields.host`.
    pub mismatch: Option<String>,
    #[serde(rename = "continue")]
    pub continue_matching: bool,
    pub receivers: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct SilenceTrace {
    pub name: String,
    pub line: usize,
    /// Whether the silence is active at this time.
    pub active: bool,
    pub matches: bool,
    pub mismatch: Option<String>,
}

impl RoutingTrace {
    pub(super) fn of(settings: &Settings, request: &Request, now: Timestamp, labels: bool) -> Self {
        let routes_evaluated = routing::names_no_receiver(request, settings);
        let routed = match routes_evaluated {
            true => routing::route(settings, &request.notification),
            false => Routed::unasked(&request.notification),
        };
        let notification = &routed.notification;
        let input = MatchInput::of(notification).for_regexes(settings.config.regexes);
        let silence = routing::silence(settings, notification, now);
        Self {
            level: notification.level_for_rules().map(Level::word),
            fields: fields(notification),
            receivers: reached(settings, request, &routed, labels),
            senders: senders(settings, request),
            routes_evaluated,
            routes: routes(settings, &request.notification, &input, routes_evaluated),
            silences: silences(settings, &input, now),
            suppressed_by: silence.map(|silence| silence.name.clone()),
            warnings: request.warnings.clone().into_lines(),
        }
    }
}

fn fields(notification: &Notification) -> BTreeMap<String, String> {
    let fields = notification.fields.iter();
    let text = |(name, value): &(String, Json)| Some((name.clone(), value.as_word()?.to_owned()));
    fields.filter_map(text).collect()
}

fn reached(
    settings: &Settings,
    request: &Request,
    routed: &Routed,
    labels: bool,
) -> Vec<RoutedReceiver> {
    let config = &settings.config;
    let mut all = Vec::new();
    for name in &request.receivers {
        let known = config.by_name.get(name);
        let known = known.and_then(|index| config.receivers.get(*index));
        all.push(RoutedReceiver {
            name: name.clone(),
            reason: if known.is_some() { "named" } else { "unknown" },
            route: None,
            line: None,
            route_name: None,
            destinations: known.map_or_else(Vec::new, |known| destinations(known, labels)),
        });
    }
    for reached in &routed.receivers {
        let Some(receiver) = config.receivers.get(reached.receiver) else {
            continue;
        };
        let (reason, route) = match reached.matched_by {
            MatchedBy::Route(index) => ("route", Some(index)),
            MatchedBy::Default => ("default", None),
        };
        let named = route.and_then(|index| config.routes.get(index));
        all.push(RoutedReceiver {
            name: receiver.name.clone(),
            reason,
            route: route.map(|index| index + 1),
            line: named.map(|route| route.position.line),
            route_name: named.and_then(|route| route.name.clone()),
            destinations: destinations(receiver, labels),
        });
    }
    all
}

fn destinations(receiver: &Receiver, labels: bool) -> Vec<RoutedDestination> {
    let each = receiver
        .destinations
        .iter()
        .map(|destination| RoutedDestination {
            channel: destination.sender,
            label: labels.then(|| destination.channel.destination().label.clone()),
        });
    each.collect()
}

fn senders(settings: &Settings, request: &Request) -> Vec<SenderUse> {
    let status = match settings.request_destinations {
        RequestDestinations::Allow => "used",
        RequestDestinations::Ignore => "ignored",
        RequestDestinations::Deny => "denied",
    };
    let senders = request.senders.iter().flatten();
    let senders = senders.map(|(sender, _)| SenderUse {
        sender: sender.clone(),
        status,
    });
    senders.collect()
}

/// Whether each route matches: an evaluated one, the notification at that time; another one, the final notification.
fn routes(
    settings: &Settings,
    notification: &Arc<Notification>,
    input: &MatchInput<'_>,
    routes_evaluated: bool,
) -> Vec<RouteTrace> {
    let config = &settings.config;
    let mut evaluated = vec![None; config.routes.len()];
    let mut applied = Vec::new();
    if routes_evaluated {
        let observe = |index: usize, _: &_, mismatch| {
            if let Some(evaluated) = evaluated.get_mut(index) {
                *evaluated = Some(mismatch);
            }
        };
        applied = routing::ask_routes(settings, notification, observe).routes;
    }
    let mut traces: Vec<RouteTrace> = Vec::with_capacity(config.routes.len());
    for ((index, route), evaluated) in config.routes.iter().enumerate().zip(evaluated) {
        let mismatch = evaluated.unwrap_or_else(|| route.matcher.mismatch(input));
        let parent = route.parent.and_then(|parent| traces.get(parent));
        traces.push(RouteTrace {
            number: index + 1,
            line: route.position.line,
            name: route.name.clone(),
            parent: route.parent.map(|parent| parent + 1),
            depth: parent.map_or(0, |parent| parent.depth + 1),
            evaluated: evaluated.is_some(),
            matches: mismatch.is_none(),
            applies: applied.contains(&index),
            continue_matching: route.continue_matching,
            receivers: tree::receivers(config, route),
            mismatch: mismatch.map(ToString::to_string),
        });
    }
    traces
}

fn silences(settings: &Settings, input: &MatchInput<'_>, now: Timestamp) -> Vec<SilenceTrace> {
    let silences = settings.config.silences.iter().map(|silence| {
        let mismatch = silence.mismatch(input);
        SilenceTrace {
            name: silence.name.clone(),
            line: silence.position.line,
            active: silence.is_on(now),
            matches: mismatch.is_none(),
            mismatch: mismatch.map(ToString::to_string),
        }
    });
    silences.collect()
}
