//! The context for work without a call: data of the last call, and shared objects of the process.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::alerts::{AlertScope, AlertScopes, ScopeContext, ScopeDeps};
use crate::config::{Environment, Named, Settings, SettingsCache};
use crate::delivery::{Dispatcher, config_of};
use crate::observe::{History, LogPort};
use crate::store::{Store, StoredRequest};

const CONFIG_FILE_PATH: &str = "config_file_path";

/// The data of the last call under one configuration file.
#[derive(Clone)]
pub struct TriggerContext {
    pub arguments: BTreeMap<String, String>,
    pub environment: Environment,
    pub named: Named,
    /// The `config_file_path` of the triggers whose requests this process claims, if their path differs.
    pub claimed_config_path: Option<String>,
}

impl TriggerContext {
    pub fn config(&self) -> String {
        let own = || config_of(&self.arguments);
        self.claimed_config_path.clone().unwrap_or_else(own)
    }

    /// Returns a request's arguments, with the configuration file's path on this machine.
    pub fn arguments_of(&self, kept: &StoredRequest) -> BTreeMap<String, String> {
        let mut arguments = kept.arguments.clone();
        if let (Some(_), Some(file)) = (
            &self.claimed_config_path,
            self.arguments.get(CONFIG_FILE_PATH),
        ) {
            arguments.insert(CONFIG_FILE_PATH.to_owned(), file.clone());
        }
        arguments
    }
}

/// The shared objects for recovering a request.
#[derive(Clone)]
pub struct RecoveryDeps {
    pub settings: Arc<SettingsCache>,
    pub dispatcher: Dispatcher,
    pub history: Arc<History>,
    pub alerts: Arc<AlertScopes>,
}

impl RecoveryDeps {
    /// Returns the alert state of these settings, if it is on. The caller must be on a runtime.
    pub fn alerts(
        &self,
        settings: &Settings,
        source: &TriggerContext,
        open: Option<(&Arc<dyn Store>, &Arc<LogPort>)>,
        runtime: &Handle,
    ) -> Option<Arc<AlertScope>> {
        let alerts = &settings.config.alerts;
        if !alerts.is_state_on() {
            return None;
        }
        let location = settings.outbox.as_ref().map(|outbox| outbox.location.key());
        let (deps, call) = (self.clone(), source.clone());
        let context = ScopeContext {
            settings: Arc::new(move || deps.resolve(&call, &call.arguments)),
            arguments: source.arguments.clone(),
            is_stored: !alerts.is_in_memory,
            outbox: open.map(|(outbox, _)| Arc::clone(outbox)),
            port: Arc::clone(open.map_or(&self.alerts.port, |(_, port)| port)),
        };
        let scope_deps = ScopeDeps {
            dispatcher: self.dispatcher.clone(),
            history: Arc::clone(&self.history),
        };
        let location = location.unwrap_or_default();
        let scope = self
            .alerts
            .scope(location, source.config(), context, &scope_deps, runtime);
        let _runtime = runtime.enter();
        scope.note_config(&settings.config.digest);
        Some(scope)
    }

    pub fn resolve(
        &self,
        source: &TriggerContext,
        arguments: &BTreeMap<String, String>,
    ) -> Option<Arc<Settings>> {
        let resolution = self
            .settings
            .resolve(arguments, &source.environment, &source.named);
        resolution.settings()
    }
}
