//! Prepares a request for the dispatcher.

use std::sync::Arc;

use super::alerts::AlertScope;
use super::records::SubmitContext;
use crate::alerts::plan::own_fingerprint;
use crate::api::request::Request;
use crate::delivery::SubmitRequest;
use crate::routing::{self, Refusal};
use crate::warnings::Warnings;

/// The number of simultaneous requests up to which each has its own log lines. Beyond it, the log contains only errors.
pub const MAX_LOGGED: usize = 20;

/// Plans a request for submission.
pub fn acceptance(
    request: &Request,
    context: SubmitContext<'_>,
    alerts: Option<&Arc<AlertScope>>,
) -> Result<SubmitRequest, Refusal> {
    let settings = context.settings;
    let task_id = uuid::Uuid::new_v4().to_string();
    let mut warnings = Warnings::default();
    warnings.extend_from(&settings.warnings);
    warnings.append(request.warnings.clone(), |warning| warning);
    let key = request.idempotency_key.clone();
    // A dry run changes no state.
    let Some(scope) = alerts.filter(|_| !(request.dry_run || settings.dry_run)) else {
        let plan = routing::plan(request, settings, &task_id, &mut warnings)?;
        let identity = (key, request.fingerprint);
        return Ok(context.submit_request(task_id, request, plan, identity, warnings));
    };
    let (event, written) = scope.plan(request, settings, &task_id, &mut warnings)?;
    let fingerprint = match event.has_identity && key.is_none() {
        // Firing, resolved and firing again are three events, although the first and the last have equal content.
        true => own_fingerprint(&task_id),
        false => request.fingerprint,
    };
    // The store keeps the results of a key's deliveries, because another process may need them.
    let key = key.or_else(|| written.as_ref().map(|_| task_id.clone()));
    let identity = (key, fingerprint);
    Ok(SubmitRequest {
        observer: Some(scope.observer()),
        after: written,
        ..context.submit_request(task_id, request, event.plan, identity, warnings)
    })
}
