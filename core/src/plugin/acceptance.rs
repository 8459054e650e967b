//! Prepares a request for the dispatcher.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alerts::AlertScope;
use super::records::{persistence, recorder};
use crate::alerts::plan::own_fingerprint;
use crate::api::request::Request;
use crate::config::Settings;
use crate::delivery::{Caller, CapacityPolicy, SubmitRequest};
use crate::model::plan::Identity;
use crate::observe::{History, TaskLog};
use crate::routing::{self, Refusal};
use crate::store::Store;
use crate::warnings::Warnings;

/// The number of simultaneous requests up to which each has its own log lines. Beyond it, the log contains only errors.
pub const MAX_LOGGED: usize = 20;

/// Plans a request for submission.
pub fn acceptance(
    request: &Request,
    caller: Caller,
    arguments: &BTreeMap<String, String>,
    settings: &Settings,
    outbox: Option<&Arc<dyn Store>>,
    history: &Arc<History>,
    alerts: Option<&Arc<AlertScope>>,
) -> Result<SubmitRequest, Refusal> {
    let task_id = uuid::Uuid::new_v4().to_string();
    let mut warnings = Warnings::default();
    warnings.extend_from(&settings.warnings);
    warnings.append(request.warnings.clone(), |warning| warning);
    let mut fingerprint = request.fingerprint;
    // A dry run changes no state.
    let alerts = alerts.filter(|_| !(request.dry_run || settings.dry_run));
    let (plan, observer, after) = match alerts {
        None => {
            let plan = routing::plan(request, settings, &task_id, &mut warnings)?;
            (plan, None, None)
        }
        Some(scope) => {
            let (event, written) = scope.plan(request, settings, &task_id, &mut warnings)?;
            if event.has_identity && request.idempotency_key.is_none() {
                // Firing, resolved and firing again are three events, although the first and the last have equal
                // content.
                fingerprint = own_fingerprint(&task_id);
            }
            (event.plan, Some(scope.observer()), written)
        }
    };
    // The store keeps the results of a key's deliveries, because another process may need them.
    let key = after.as_ref().map(|_| task_id.clone());
    let recorder = recorder(history, arguments, settings, &plan.notification, outbox);
    Ok(SubmitRequest {
        log: TaskLog::new(Some(task_id.clone())).recording(recorder),
        caller,
        identity: Identity {
            scope: Arc::clone(&settings.scope),
            key: request.idempotency_key.clone().or(key),
            fingerprint,
        },
        policy: Arc::clone(&settings.policy),
        warnings: warnings.into_lines(),
        persistence: persistence(outbox, arguments, settings, request, &plan.notification),
        observer,
        after,
        task_id,
        batch: None,
        capacity: CapacityPolicy::default(),
        plan,
    })
}
