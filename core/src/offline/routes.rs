//! Who would get a notification, and why.

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

/// What routing would do, and what it looked at.
#[derive(Debug, Serialize)]
pub struct RoutingTrace {
    /// The level that rules go by; none matches no rule that names one.
    pub level: Option<&'static str>,
    /// Those that rules go by and messages show, also those that `extract` has made. Values as texts.
    pub fields: BTreeMap<String, String>,
    pub receivers: Vec<RoutedReceiver>,
    /// What the request brings itself.
    pub senders: Vec<SenderUse>,
    /// Whether routes are asked: a request that names somebody is for them alone.
    pub rules_asked: bool,
    pub routes: Vec<RouteTrace>,
    pub silences: Vec<SilenceTrace>,
    /// The silence that keeps all of it back.
    pub suppressed_by: Option<String>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct RoutedReceiver {
    pub name: String,
    pub why: &'static str,
    /// The route's number, from 1.
    pub route: Option<usize>,
    /// Where the route stands.
    pub line: Option<usize>,
    pub route_name: Option<String>,
    pub destinations: Vec<RoutedDestination>,
}

#[derive(Debug, Serialize)]
pub struct RoutedDestination {
    pub channel: &'static str,
    /// As answers and log lines name it; none where its secrets were not looked up.
    pub label: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct SenderUse {
    pub sender: String,
    /// `used`, `ignored` or `denied`: what `request_destinations` says.
    pub becomes: &'static str,
}

#[derive(Debug, Serialize)]
pub struct RouteTrace {
    /// From 1.
    pub number: usize,
    pub line: usize,
    pub name: Option<String>,
    /// The number of the route that it stands in.
    pub parent: Option<usize>,
    /// How many routes it stands in.
    pub depth: usize,
    pub asked: bool,
    pub matches: bool,
    /// Whether its receivers get the notification: it matches when it is asked, and no route in it does.
    pub applies: bool,
    /// What does not match: `level`, `status`, `fields.host`.
    pub misfit: Option<String>,
    #[serde(rename = "continue")]
    pub continue_matching: bool,
    pub receivers: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct SilenceTrace {
    pub name: String,
    pub line: usize,
    /// Whether it is its time.
    pub on: bool,
    pub matches: bool,
    pub misfit: Option<String>,
}

impl RoutingTrace {
    pub(super) fn of(settings: &Settings, request: &Request, now: Timestamp, labels: bool) -> Self {
        let rules_asked = routing::names_nobody(request, settings);
        let routed = match rules_asked {
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
            rules_asked,
            routes: routes(settings, &request.notification, &input, rules_asked),
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
        let known = known.and_then(|place| config.receivers.get(*place));
        all.push(RoutedReceiver {
            name: name.clone(),
            why: if known.is_some() { "named" } else { "unknown" },
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
        let (why, route) = match reached.why {
            MatchedBy::Route(place) => ("route", Some(place)),
            MatchedBy::Default => ("default", None),
        };
        let named = route.and_then(|place| config.routes.get(place));
        all.push(RoutedReceiver {
            name: receiver.name.clone(),
            why,
            route: route.map(|place| place + 1),
            line: named.map(|route| route.place.line),
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
    let becomes = match settings.request_destinations {
        RequestDestinations::Allow => "used",
        RequestDestinations::Ignore => "ignored",
        RequestDestinations::Deny => "denied",
    };
    let senders = request.senders.iter().flatten();
    let senders = senders.map(|(sender, _)| SenderUse {
        sender: sender.clone(),
        becomes,
    });
    senders.collect()
}

/// What each route says: one that is asked, of the notification as it was then; the others, of the notification as it is.
fn routes(
    settings: &Settings,
    notification: &Arc<Notification>,
    input: &MatchInput<'_>,
    rules_asked: bool,
) -> Vec<RouteTrace> {
    let config = &settings.config;
    let mut asked = vec![None; config.routes.len()];
    let mut applied = Vec::new();
    if rules_asked {
        let told = |place: usize, _: &_, mismatch| {
            if let Some(asked) = asked.get_mut(place) {
                *asked = Some(mismatch);
            }
        };
        applied = routing::ask_routes(settings, notification, told).routes;
    }
    let mut traces: Vec<RouteTrace> = Vec::with_capacity(config.routes.len());
    for ((place, route), asked) in config.routes.iter().enumerate().zip(asked) {
        let mismatch = asked.unwrap_or_else(|| route.matcher.mismatch(input));
        let parent = route.parent.and_then(|parent| traces.get(parent));
        traces.push(RouteTrace {
            number: place + 1,
            line: route.place.line,
            name: route.name.clone(),
            parent: route.parent.map(|parent| parent + 1),
            depth: parent.map_or(0, |parent| parent.depth + 1),
            asked: asked.is_some(),
            matches: mismatch.is_none(),
            applies: applied.contains(&place),
            continue_matching: route.continue_matching,
            receivers: tree::receivers(config, route),
            misfit: mismatch.map(ToString::to_string),
        });
    }
    traces
}

fn silences(settings: &Settings, input: &MatchInput<'_>, now: Timestamp) -> Vec<SilenceTrace> {
    let silences = settings.config.silences.iter().map(|silence| {
        let misfit = silence.mismatch(input);
        SilenceTrace {
            name: silence.name.clone(),
            line: silence.place.line,
            on: silence.is_on(now),
            matches: misfit.is_none(),
            misfit: misfit.map(ToString::to_string),
        }
    });
    silences.collect()
}
