//! Acknowledges alerts and groups, and ends acknowledgements.

use std::sync::Arc;

use super::acknowledge::AlertAcknowledgement;
use super::alert::{Alert, AlertKey, Now};
use super::state::ScopeState;
use crate::model::notification::AlertStatus;

/// Who acknowledges, where an event with the status `acknowledged` names nobody.
const BY_EVENT: &str = "event";

impl ScopeState {
    /// Takes up an event with the status `acknowledged`.
    pub(super) fn acknowledged_by_event(&mut self, alert: Alert, now: Now) {
        let acknowledgement = AlertAcknowledgement {
            by: BY_EVENT.to_owned(),
            comment: None,
            at: now.wall,
            until: None,
            level: alert.level(),
        };
        self.acknowledge_alert(alert, acknowledgement, now);
    }

    /// Acknowledges one alert.
    pub(super) fn acknowledge_alert(
        &mut self,
        mut alert: Alert,
        acknowledgement: AlertAcknowledgement,
        now: Now,
    ) {
        alert.status = AlertStatus::Acknowledged;
        alert.acknowledged = Some(acknowledgement);
        let groups = alert.groups.clone();
        self.put_alert(alert);
        self.judge(&groups, now);
    }

    /// Ends the acknowledgement of an alert.
    pub(super) fn end_acknowledgement(&mut self, key: &AlertKey) {
        if let Some(mut alert) = self.alerts.get(key).cloned()
            && !alert.is_resolved()
        {
            alert.status = AlertStatus::Firing;
            alert.acknowledged = None;
            self.put_alert(alert);
        }
    }

    /// Lets groups be judged again at once.
    pub(super) fn judge(&mut self, groups: &[Arc<str>], now: Now) {
        for key in groups {
            if let Some(mut group) = self.take_group(key) {
                if group.first_flush.is_some() {
                    group.judge_by(now.steady);
                }
                self.put_group(group);
            }
        }
    }
}
