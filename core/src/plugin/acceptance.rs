//! What a request becomes before the dispatcher takes charge of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::request::Request;
use crate::config::Settings;
use crate::delivery::{
    Caller, CapacityPolicy, PERSIST_TIMEOUT, Persistence, SubmitRequest, config_of, store_rows,
};
use crate::model::notification::Notification;
use crate::model::plan::Identity;
use crate::observe::{History, Recorder, TaskLog};
use crate::routing::{self, Refusal};
use crate::store::Store;
use crate::warnings::Warnings;

/// Requests that come at once, of which each has lines of its own in the log. Of more only what went wrong has.
pub const MAX_SAID: usize = 20;

/// A request's plan, ready to be taken charge of.
pub fn acceptance(
    request: &Request,
    caller: Caller,
    arguments: &BTreeMap<String, String>,
    settings: &Settings,
    outbox: Option<&Arc<dyn Store>>,
    history: &Arc<History>,
) -> Result<SubmitRequest, Refusal> {
    let task_id = uuid::Uuid::new_v4().to_string();
    let mut warnings = Warnings::default();
    warnings.extend_from(&settings.warnings);
    warnings.append(request.warnings.clone(), |warning| warning);
    let plan = routing::plan(request, settings, &task_id, &mut warnings)?;
    let log = TaskLog::new(Some(task_id.clone()));
    Ok(SubmitRequest {
        log: log.recording(recorder(
            history,
            arguments,
            settings,
            &plan.notification,
            outbox,
        )),
        task_id,
        caller,
        identity: Identity {
            scope: Arc::clone(&settings.scope),
            key: request.idempotency_key.clone(),
            fingerprint: request.fingerprint,
        },
        policy: Arc::clone(&settings.policy),
        warnings: warnings.into_lines(),
        persistence: outbox
            .zip(settings.outbox.as_ref())
            .map(|(outbox, set)| Persistence {
                outbox: Arc::clone(outbox),
                seal: set.seal.clone(),
                arguments: arguments.clone(),
                request_json: request.without_destinations(&plan.notification),
                for_others: set.for_workers,
                wait: Some(PERSIST_TIMEOUT),
            }),
        batch: None,
        capacity: CapacityPolicy::default(),
        plan,
    })
}

/// What writes the history of a request's deliveries, where the settings ask for one.
pub fn recorder(
    history: &Arc<History>,
    arguments: &BTreeMap<String, String>,
    settings: &Settings,
    notification: &Notification,
    outbox: Option<&Arc<dyn Store>>,
) -> Option<Recorder> {
    let table = settings.history_table.as_ref()?;
    let config = config_of(arguments);
    let store = outbox.map(|outbox| store_rows(Arc::<dyn Store>::clone(outbox)));
    Some(Recorder::new(history, &config, table, notification, store))
}
