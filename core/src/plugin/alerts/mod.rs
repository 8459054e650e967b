//! The alert state of the process: one scope for each configuration file, its timers, and its notifications.

mod scope;
mod shown;
mod timers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;

pub use self::scope::{AlertScope, ScopeContext, ScopeDeps};
use self::shown::add_gauges;
use self::timers::run_timers;
use crate::observe::{AlertGauges, LogPort};
use crate::panics::lock;

/// The scopes of the process, by outbox and configuration file.
#[derive(Default)]
pub struct AlertScopes {
    /// Where log lines of no call go, where there is no outbox.
    pub port: Arc<LogPort>,
    scopes: Mutex<HashMap<(String, String), Arc<AlertScope>>>,
}

impl AlertScopes {
    /// The scope of a configuration file, with what this call brought. Must be called on a runtime.
    pub fn scope(
        &self,
        location: String,
        config: String,
        context: ScopeContext,
        deps: &ScopeDeps,
        runtime: &Handle,
    ) -> Arc<AlertScope> {
        let mut scopes = lock(&self.scopes);
        if let Some(known) = scopes.get(&(location.clone(), config.clone())) {
            known.renew_context(context);
            return Arc::clone(known);
        }
        let scope = Arc::new(AlertScope::new(config.clone(), context, deps.clone()));
        scopes.insert((location, config), Arc::clone(&scope));
        runtime.spawn(run_timers(Arc::downgrade(&scope)));
        scope
    }

    /// The sums over all scopes.
    pub fn gauges(&self) -> AlertGauges {
        let scopes: Vec<_> = lock(&self.scopes).values().cloned().collect();
        let mut sums = AlertGauges::default();
        for scope in scopes {
            add_gauges(&scope, &mut sums);
        }
        sums
    }
}
