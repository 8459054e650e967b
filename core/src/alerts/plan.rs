//! The plan of an event, and that of a group's notification.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::alert::{AlertKey, Now};
use super::decision::{AlertEvent, Decision, RoutedGroup, Verdict};
use super::destination_flush::Flush;
use super::destinations::Destinations;
use super::group::{GroupTiming, RouteRef};
use super::ingest::{EventIdentity, identity};
use super::log::DestinationId;
use super::muting::MuteRules;
use super::state::ScopeState;
use crate::api::request::Request;
use crate::config::Settings;
use crate::config::alerts::GroupSettings;
use crate::config::matcher::MatchInput;
use crate::model::notification::Notification;
use crate::model::plan::{Fingerprint, Plan};
use crate::model::report::DeliveryOrigin;
use crate::routing::{self, DecidedDestination, DecidedDestinations, Refusal, Routed, Sending};
use crate::warnings::Warnings;

/// The deliveries of an event that are sent now.
#[derive(Debug)]
pub struct PlannedEvent {
    pub plan: Plan,
    /// The place of its first delivery to a receiver.
    pub first: usize,
    /// Whether the event belongs to an alert: then it is never the same as another event.
    pub has_identity: bool,
}

/// Applies an event, and plans the deliveries that are sent now. An event that cannot be planned changes no state.
pub fn plan(
    state: &mut ScopeState,
    request: &Request,
    settings: &Settings,
    task: &str,
    now: Now,
    warnings: &mut Warnings,
) -> Result<PlannedEvent, Refusal> {
    let routed = routing::routed(request, settings)?;
    let notification = &routed.notification;
    let mut groups = groups(request, settings, &routed);
    let alert_key = &settings.config.alerts.alert_key;
    let identity = identity(notification, request.alert, alert_key);
    let key = key_of(&identity, task);
    set_mutes(&mut groups, state, &key, notification, settings, now);
    let event = AlertEvent {
        task,
        key,
        notification,
        reported: request.alert,
        routed_by: Arc::clone(&settings.scope),
        groups,
        max_alerts: settings.config.alerts.max_alerts,
    };
    let has_identity = matches!(identity, EventIdentity::Alert(_));
    let decision = match identity {
        EventIdentity::Alert(_) => state.event(event, settings, now),
        EventIdentity::OneOff { absent } => {
            if let Some(name) = absent {
                warnings.push(|| {
                    format!(
                        "{name} of alert_key is absent: this is sent once, and no alert of it fires"
                    )
                });
            }
            state.one_off(event, now)
        }
    };
    if let Some(warning) = decision.warning {
        warnings.push(|| warning.to_owned());
    }
    let notification = with_sent_levels(state, request, task, &decision);
    let decided = decision.verdicts.into_iter().enumerate();
    let decided = decided.filter_map(|(index, (target, verdict))| {
        let origin = state.origin(task, index);
        destination(settings, &target.id, sending(verdict), origin)
    });
    let decided = DecidedDestinations {
        first: 0,
        own: sending(decision.own),
        of_file: decided.collect(),
    };
    let count = decided.of_file.len();
    let plan = routing::plan_decided(request, &notification, settings, task, decided, warnings)?;
    Ok(PlannedEvent {
        first: plan.deliveries.len() - count,
        plan,
        has_identity,
    })
}

fn key_of(identity: &EventIdentity, task: &str) -> AlertKey {
    match identity {
        EventIdentity::Alert(key) => key.clone(),
        EventIdentity::OneOff { .. } => AlertKey::of_task(task),
    }
}

/// Judges whether the event is muted in each of its groups.
fn set_mutes(
    groups: &mut [RoutedGroup],
    state: &mut ScopeState,
    key: &AlertKey,
    notification: &Notification,
    settings: &Settings,
    now: Now,
) {
    state.use_inhibitions(&settings.config);
    let rules = mute_rules(settings);
    for group in groups {
        group.mute = state.mute_of(key, notification, &group.route, &rules, now);
    }
}

/// The rules of the file that mute.
pub fn mute_rules(settings: &Settings) -> MuteRules<'_> {
    MuteRules {
        silences: &settings.config.silences,
        regexes: settings.config.regexes,
        intervals: settings,
    }
}

/// Returns the notification with the levels that its destinations know. The notification log does not have what a
/// destination in the request knows.
fn with_sent_levels(
    state: &ScopeState,
    request: &Request,
    task: &str,
    decision: &Decision,
) -> Arc<Notification> {
    let mut notification = Arc::clone(&decision.notification);
    if request.senders.is_none() {
        let levels = state.sent_levels(task, decision.verdicts.len());
        if !levels.is_empty() {
            Arc::make_mut(&mut notification).sent_levels = levels;
        }
    }
    notification
}

/// Stands for one task alone, in place of what its request says.
pub fn own_fingerprint(task: &str) -> Fingerprint {
    Sha256::digest(task).into()
}

/// The plan of a group's notification to one destination.
pub fn flush_plan(
    flush: &Flush,
    origin: Option<DeliveryOrigin>,
    settings: &Settings,
    warnings: &mut Warnings,
) -> Result<Plan, Refusal> {
    let request = Request::of_notification(Arc::clone(&flush.notification));
    let decided = destination(settings, &flush.target.id, Sending::Now, origin);
    routing::plan_decided(
        &request,
        &flush.notification,
        settings,
        &flush.task,
        DecidedDestinations {
            first: flush.index,
            own: Sending::Now,
            of_file: decided.into_iter().collect(),
        },
        warnings,
    )
}

/// The groups that the file's routes choose for an event, or those of the receivers that it names.
fn groups(request: &Request, settings: &Settings, routed: &Routed) -> Vec<RoutedGroup> {
    let config = &settings.config;
    let notification = &routed.notification;
    let group = |route: RouteRef, group: &GroupSettings| RoutedGroup {
        targets: settings.of_route(&route),
        route,
        labels: labels(notification, group),
        timing: GroupTiming {
            wait: group.group_wait,
            interval: group.group_interval,
            remind_every: group.remind_every,
        },
        resolve_timeout: group.resolve_timeout,
        mute: None,
    };
    if !routing::names_no_receiver(request, settings) {
        let alone = GroupSettings {
            resolve_timeout: config.alerts.without_route.resolve_timeout,
            ..GroupSettings::default()
        };
        return vec![group(
            RouteRef::Receivers(request.receivers.clone()),
            &alone,
        )];
    }
    let routes = routed.routes.iter();
    let routes = routes.filter_map(|place| config.routes.get(*place));
    let routes =
        routes.map(|route| group(RouteRef::Route(route.group_key.to_string()), &route.group));
    let routes: Vec<_> = routes.collect();
    match routes.is_empty() {
        true => vec![group(
            RouteRef::DefaultReceivers,
            &config.alerts.without_route,
        )],
        false => routes,
    }
}

/// The values of `group_by`; one that the event does not have is empty.
fn labels(notification: &Notification, group: &GroupSettings) -> Option<Vec<(String, String)>> {
    let input = MatchInput::of(notification);
    let value = |name| input.value(name).unwrap_or_default().to_owned();
    let names = group.group_by.as_ref()?.iter();
    Some(names.map(|name| (name.to_string(), value(name))).collect())
}

fn sending(verdict: Verdict) -> Sending {
    match verdict {
        Verdict::Notify => Sending::Now,
        Verdict::Grouped => Sending::Later,
        Verdict::Suppressed(rule) => Sending::Suppressed(rule),
    }
}

fn destination(
    settings: &Settings,
    id: &DestinationId,
    sending: Sending,
    origin: Option<DeliveryOrigin>,
) -> Option<DecidedDestination> {
    Some(DecidedDestination {
        receiver: *settings.config.by_name.get(&id.receiver)?,
        index: id.place,
        sending,
        origin: origin.map(Arc::new),
    })
}
