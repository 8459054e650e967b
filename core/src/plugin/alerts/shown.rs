//! What the views show of the alert state.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::scope::AlertScope;
use crate::alerts::alert::earlier;
use crate::alerts::view::{self, AlertsView, ViewFilter};
use crate::config::Settings;
use crate::observe::AlertGauges;
use crate::panics::lock;

/// How long a timer may be due until it counts as overdue.
const OVERDUE: Duration = Duration::from_secs(10);

/// Adds the values of a scope to the sums.
pub fn add_gauges(scope: &AlertScope, sums: &mut AlertGauges) {
    let now = scope.clock.now();
    let is_led = scope.is_loaded();
    let state = lock(&scope.state);
    let counts = state.counts();
    sums.firing += counts.firing;
    sums.acknowledged += counts.acknowledged;
    sums.resolved += counts.resolved;
    sums.groups_firing += counts.groups_firing;
    sums.groups_resolved += counts.groups_resolved;
    sums.overdue_timers += state.due_before(earlier(now.steady, OVERDUE));
    sums.failed_flushes += scope.failed_flushes.load(Ordering::Relaxed);
    sums.led += usize::from(is_led);
}

impl AlertScope {
    /// Adds the alerts that the filter selects to a view. Matching may take long and happens without the lock.
    pub fn show(&self, view: &mut AlertsView, filter: &ViewFilter, settings: &Settings) {
        let alerts = filter.alerts_of_receiver(&lock(&self.state), settings);
        let selected = view::select(alerts, filter);
        view.fill(&selected, &lock(&self.state), settings, self.clock.now());
    }
}
