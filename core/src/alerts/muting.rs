//! The stages that mute, in their order: inhibition, time intervals, silences, acknowledgement.
//!
//! A muted alert causes no notification. It stays in its groups; when the mute ends, the group is compared with the log.

use super::acknowledge::{self, acknowledged_until};
use super::alert::{Alert, AlertKey, Now};
use super::group::{Group, RouteRef};
use super::mute::Mute;
use super::silence;
use super::state::ScopeState;
use super::time_intervals::{self, FindIntervals};
use crate::config::matcher::MatchInput;
use crate::config::silence::Silence;
use crate::model::notification::Notification;

/// The rules of the configuration file that mute.
#[derive(Clone, Copy)]
pub struct MuteRules<'a> {
    pub silences: &'a [Silence],
    /// The number of regular expressions of the file.
    pub regexes: usize,
    pub intervals: &'a dyn FindIntervals,
}

impl ScopeState {
    /// Returns why an alert that fires is muted in a group. The stages are those of Alertmanager's pipeline
    /// (<https://prometheus.io/docs/alerting/latest/alertmanager/>), then the acknowledgement.
    pub fn mute(
        &self,
        alert: &Alert,
        group: &Group,
        rules: &MuteRules<'_>,
        now: Now,
    ) -> Option<Mute> {
        let of_route = || self.mute_of(&alert.key, &alert.notification, &group.route, rules, now);
        of_route().or_else(|| acknowledged(alert, group, now))
    }

    /// Returns why a notification is muted on a route, whether or not its alert is acknowledged.
    pub fn mute_of(
        &self,
        key: &AlertKey,
        notification: &Notification,
        route: &RouteRef,
        rules: &MuteRules<'_>,
        now: Now,
    ) -> Option<Mute> {
        let silences = &self.silences;
        let input = MatchInput::of(notification).for_regexes(rules.regexes.max(silences.regexes()));
        let inhibited = || self.inhibitor.mute(key, &input, now);
        let out_of_time = || time_intervals::mute(&rules.intervals.intervals_of(route), now);
        let silenced = || silence::mute(rules.silences, silences, &input, now);
        inhibited().or_else(out_of_time).or_else(silenced)
    }
}

/// Returns the acknowledgement of an alert, of its own or of its group.
pub fn acknowledged(alert: &Alert, group: &Group, now: Now) -> Option<Mute> {
    let both = alert.acknowledged.iter().chain(&group.acknowledged);
    let until = acknowledged_until(both, alert.level(), now.steady)?;
    let rule = acknowledge::RULE.to_owned();
    Some(Mute { rule, until })
}
