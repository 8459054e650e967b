//! Whom the file's rules choose, and what they keep back.

use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Settings;
use crate::config::file::Route;
use crate::config::matcher::{MatchInput, Mismatch, searched_bytes};
use crate::config::silence::Silence;
use crate::model::extract::{MAX_FIELDS, extract};
use crate::model::notification::Notification;

/// A receiver that the rules choose, by its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteMatch {
    pub receiver: usize,
    pub why: MatchedBy,
}

/// Why a receiver is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedBy {
    /// By the route at this place.
    Route(usize),
    Default,
}

/// Whom the file's rules choose for a notification that names nobody.
#[derive(Debug)]
pub struct Routed {
    /// Each once: those of routes, else the default receivers.
    pub receivers: Vec<RouteMatch>,
    /// With the fields that routes made of its text.
    pub notification: Arc<Notification>,
}

impl Routed {
    /// A notification that names somebody.
    pub fn unasked(notification: &Arc<Notification>) -> Self {
        Self {
            receivers: Vec::new(),
            notification: Arc::clone(notification),
        }
    }
}

pub fn route(settings: &Settings, notification: &Arc<Notification>) -> Routed {
    let mut known = vec![false; settings.config.receivers.len()];
    let mut is_new = |receiver: usize| {
        let known = known.get_mut(receiver);
        known.is_some_and(|known| !std::mem::replace(known, true))
    };
    let mut receivers = Vec::new();
    let notification = ask_routes(settings, notification, |place, route, misfit| {
        if misfit.is_some() {
            return;
        }
        let new = route.receivers.iter().filter(|receiver| is_new(**receiver));
        receivers.extend(new.map(|receiver| RouteMatch {
            receiver: *receiver,
            why: MatchedBy::Route(place),
        }));
    });
    if receivers.is_empty() {
        let default = settings.default_receivers.iter();
        let new = default.filter(|receiver| is_new(**receiver));
        receivers.extend(new.map(|receiver| RouteMatch {
            receiver: *receiver,
            why: MatchedBy::Default,
        }));
    }
    Routed {
        receivers,
        notification,
    }
}

/// Asks the routes one after the other, until one that matches is the last. Those behind a route that makes fields see them.
/// Gives back the notification with all of these fields.
pub fn ask_routes<'s>(
    settings: &'s Settings,
    notification: &Arc<Notification>,
    mut told: impl FnMut(usize, &'s Route, Option<Mismatch<'s>>),
) -> Arc<Notification> {
    let (config, mut left) = (&settings.config, MAX_FIELDS);
    let mut notification = Arc::clone(notification);
    let mut routes = config.routes.iter().enumerate();
    // Again for each route that has made fields: what is looked up for all routes has changed.
    loop {
        let seen = Arc::clone(&notification);
        let subject = MatchInput::of(&seen).for_regexes(config.regexes);
        loop {
            let Some((place, route)) = routes.next() else {
                return notification;
            };
            let misfit = route.matcher.misfit(&subject);
            told(place, route, misfit);
            if misfit.is_some() {
                continue;
            }
            let searched = searched_bytes(config.regexes);
            let has_new = extract(&route.extract, &mut notification, searched, &mut left);
            if !route.continue_matching {
                return notification;
            }
            if has_new {
                break;
            }
        }
    }
}

/// The first silence that suppresses a notification.
pub fn silence<'s>(
    settings: &'s Settings,
    notification: &Notification,
    now: Timestamp,
) -> Option<&'s Silence> {
    let silences = &settings.config.silences;
    if silences.is_empty() {
        return None;
    }
    let subject = MatchInput::of(notification).for_regexes(settings.config.regexes);
    silences.iter().find(|silence| silence.holds(&subject, now))
}
