//! Whom the file's rules choose, and what they keep back.

use jiff::Timestamp;

use crate::model::notification::Notification;
use crate::settings::Settings;
use crate::settings::matcher::Subject;
use crate::settings::silence::Silence;

/// A receiver that the rules choose, by its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    pub receiver: usize,
    pub why: Why,
}

/// Why a receiver is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// By the route at this place.
    Route(usize),
    Default,
}

/// Whom the file's rules choose for a notification that names nobody: routes, else the default receivers. Each once.
pub fn reach(settings: &Settings, notification: &Notification) -> Vec<Reached> {
    let subject = Subject::of(notification).for_regexes(settings.config.regexes);
    let mut known = vec![false; settings.config.receivers.len()];
    let mut is_new = |receiver: usize| {
        let known = known.get_mut(receiver);
        known.is_some_and(|known| !std::mem::replace(known, true))
    };
    let mut reached = Vec::new();
    for (place, route) in settings.config.routes.iter().enumerate() {
        if !route.matcher.matches(&subject) {
            continue;
        }
        let new = route.receivers.iter().filter(|receiver| is_new(**receiver));
        reached.extend(new.map(|receiver| Reached {
            receiver: *receiver,
            why: Why::Route(place),
        }));
        if !route.goes_on {
            break;
        }
    }
    if reached.is_empty() {
        let default = settings.default_receivers.iter();
        let new = default.filter(|receiver| is_new(**receiver));
        reached.extend(new.map(|receiver| Reached {
            receiver: *receiver,
            why: Why::Default,
        }));
    }
    reached
}

/// The first silence that holds for a notification.
pub fn silence<'s>(
    settings: &'s Settings,
    notification: &Notification,
    now: Timestamp,
) -> Option<&'s Silence> {
    let silences = &settings.config.silences;
    if silences.is_empty() {
        return None;
    }
    let subject = Subject::of(notification).for_regexes(settings.config.regexes);
    silences.iter().find(|silence| silence.holds(&subject, now))
}
