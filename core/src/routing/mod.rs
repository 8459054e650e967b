//! Plans a request: renders the notification, selects the destinations, and composes the messages.
//!
//! Planning detects every error of a request before the plugin sends the first byte.

mod destinations;
mod limits;
mod planner;
mod recover;
mod refusal;
mod rules;
mod texts;

use std::sync::Arc;

use jiff::Timestamp;

pub use self::destinations::{DecidedDestination, DecidedDestinations, Sending};
use self::planner::Planner;
pub use self::recover::{RecoveredPlan, recover_plan};
pub use self::refusal::{MAX_DELIVERIES, Refusal};
pub use self::rules::{AskedRoutes, MatchedBy, RouteMatch, Routed, ask_routes, route, silence};
use crate::api::request::Request;
use crate::config::Settings;
use crate::config::arguments::RequestDestinations;
use crate::config::matcher::Name;
use crate::model::notification::Notification;
use crate::model::plan::Plan;
use crate::model::report::DeliveryOrigin;
use crate::text::with_recent_splits;
use crate::warnings::Warnings;

/// The default receivers, where a route has its name.
pub const DEFAULT_RECEIVERS: &str = "default_receivers";

/// Plans a request. `task_id` replaces a missing key. Appends to the warnings.
pub fn plan(
    request: &Request,
    settings: &Settings,
    task_id: &str,
    warnings: &mut Warnings,
) -> Result<Plan, Refusal> {
    // Many destinations of a request get the same text.
    with_recent_splits(|| plan_at(request, settings, task_id, Timestamp::now(), warnings))
}

/// Plans a request as of another time. Silences and templates depend on the time.
pub fn plan_at(
    request: &Request,
    settings: &Settings,
    task_id: &str,
    now: Timestamp,
    warnings: &mut Warnings,
) -> Result<Plan, Refusal> {
    let routed = routed(request, settings)?;
    let key = request.idempotency_key.as_deref().unwrap_or(task_id);
    let notification = routed.notification;
    let mut planner = Planner::new(request, &notification, settings, key, now, warnings);
    planner.senders()?;
    planner.named_receivers()?;
    if planner.deliveries.is_empty() && routed.receivers.is_empty() && request.senders.is_none() {
        let has_receivers = !settings.config.receivers.is_empty();
        return Err(Refusal::NoDestination { has_receivers });
    }
    for reached in &routed.receivers {
        planner.origin = rule_origin(reached.matched_by, settings);
        planner.receiver_at(reached.receiver)?;
    }
    planner.warn_no_receiver();
    let plan = planner.plan();
    Ok(silenced(plan, request, settings, now, warnings))
}

/// The rule that selected a receiver, for the history.
fn rule_origin(rule: MatchedBy, settings: &Settings) -> Option<Arc<DeliveryOrigin>> {
    settings.history_table.as_ref()?;
    let route = match rule {
        MatchedBy::Route(index) => settings.config.routes.get(index)?.group_key.to_string(),
        MatchedBy::Default => DEFAULT_RECEIVERS.to_owned(),
    };
    Some(Arc::new(DeliveryOrigin {
        route: Some(route),
        ..DeliveryOrigin::default()
    }))
}

/// Returns the receivers that the file's rules select for a valid request.
pub fn routed(request: &Request, settings: &Settings) -> Result<Routed, Refusal> {
    let has_senders = request.senders.as_ref().is_some_and(|all| !all.is_empty());
    if settings.request_destinations == RequestDestinations::Deny && has_senders {
        return Err(Refusal::DestinationsDenied);
    }
    let routed = match names_no_receiver(request, settings) {
        true => route(settings, &request.notification),
        false => Routed::unasked(&request.notification),
    };
    limits::check(request, settings, &routed)?;
    Ok(routed)
}

/// Plans a notification for destinations that the alert state has selected. The request's own destinations come first,
/// then receivers that the file does not define.
pub fn plan_decided(
    request: &Request,
    notification: &Arc<Notification>,
    settings: &Settings,
    task_id: &str,
    destinations: DecidedDestinations,
    warnings: &mut Warnings,
) -> Result<Plan, Refusal> {
    let key = request.idempotency_key.as_deref().unwrap_or(task_id);
    let now = Timestamp::now();
    with_recent_splits(|| {
        let mut planner = Planner::new(request, notification, settings, key, now, warnings);
        planner.first = destinations.first;
        planner.senders()?;
        planner.decide_own(destinations.own);
        planner.unknown_receivers()?;
        let has_none = planner.deliveries.is_empty() && destinations.of_file.is_empty();
        if has_none && request.senders.is_none() {
            let has_receivers = !settings.config.receivers.is_empty();
            return Err(Refusal::NoDestination { has_receivers });
        }
        for destination in destinations.of_file {
            planner.decided(destination)?;
        }
        planner.warn_no_receiver();
        Ok(planner.plan())
    })
}

/// Returns whether routes and default receivers apply. They do not apply to a request with explicit destinations.
pub fn names_no_receiver(request: &Request, settings: &Settings) -> bool {
    let senders = request.senders.as_deref().unwrap_or_default();
    let counts = settings.request_destinations != RequestDestinations::Ignore;
    request.receivers.is_empty() && (senders.is_empty() || !counts)
}

/// Applies a silence, which mutes every delivery of the notification, however its receiver was selected. Only
/// `acknowledged` may pass. If the silence does not name that status, the notification reaches destinations that keep
/// the alert.
fn silenced(
    plan: Plan,
    request: &Request,
    settings: &Settings,
    now: Timestamp,
    warnings: &mut Warnings,
) -> Plan {
    let Some(silence) = silence(settings, &plan.notification, now) else {
        return plan;
    };
    if request.dry_run || settings.dry_run {
        warnings.push(|| format!("the silence {} would suppress this", silence.name));
    }
    match silence.matcher.has(&Name::Status) {
        true => plan.suppressed(&silence.name),
        false => plan.silenced(&silence.name),
    }
}
