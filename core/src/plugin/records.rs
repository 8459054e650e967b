//! The records of a request besides its deliveries: the history, and its entry in the outbox.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::request::Request;
use crate::config::Settings;
use crate::delivery::{PERSIST_TIMEOUT, Persistence, config_of, store_rows};
use crate::model::notification::Notification;
use crate::observe::{History, Recorder};
use crate::store::Store;

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

/// How a request is stored, where there is an outbox.
pub fn persistence(
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
