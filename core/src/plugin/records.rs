//! The records of a request besides its deliveries: the history, and its entry in the outbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::request::Request;
use crate::config::Settings;
use crate::delivery::{
    Caller, CapacityPolicy, PERSIST_TIMEOUT, Persistence, SubmitRequest, config_of, store_rows,
};
use crate::model::notification::Notification;
use crate::model::plan::{Fingerprint, Identity, Plan};
use crate::observe::{History, Recorder, TaskLog};
use crate::store::Store;
use crate::warnings::Warnings;

/// The objects that the requests of one call share.
#[derive(Clone)]
pub struct SubmitContext<'a> {
    pub caller: Caller,
    pub arguments: &'a BTreeMap<String, String>,
    pub settings: &'a Settings,
    pub outbox: Option<&'a Arc<dyn Store>>,
    pub history: &'a Arc<History>,
}

impl SubmitContext<'_> {
    /// A planned request for submission.
    pub fn submit_request(
        self,
        task_id: String,
        request: &Request,
        plan: Plan,
        (key, fingerprint): (Option<String>, Fingerprint),
        warnings: Warnings,
    ) -> SubmitRequest {
        let Self {
            caller,
            arguments,
            settings,
            outbox,
            history,
        } = self;
        let notification = &plan.notification;
        let recorder = recorder(history, arguments, settings, notification, outbox);
        SubmitRequest {
            log: TaskLog::new(Some(task_id.clone())).recording(recorder),
            caller,
            identity: Identity {
                scope: Arc::clone(&settings.scope),
                key,
                fingerprint,
            },
            policy: Arc::clone(&settings.policy),
            warnings: warnings.into_lines(),
            persistence: persistence(outbox, arguments, settings, request, notification),
            observer: None,
            after: None,
            task_id,
            batch: None,
            capacity: CapacityPolicy::default(),
            plan,
        }
    }
}

/// The recorder of a request's deliveries for the history, if the settings have one.
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

/// Returns how to store a request, if there is an outbox.
fn persistence(
    outbox: Option<&Arc<dyn Store>>,
    arguments: &BTreeMap<String, String>,
    settings: &Settings,
    request: &Request,
    notification: &Notification,
) -> Option<Persistence> {
    let (outbox, set) = outbox.zip(settings.outbox.as_ref())?;
    Some(Persistence {
        outbox: Arc::clone(outbox),
        seal: set.seal.clone(),
        arguments: arguments.clone(),
        request_json: request.without_destinations(notification),
        for_others: set.for_workers,
        wait: Some(PERSIST_TIMEOUT),
    })
}
