//! Shared code of the channels that open and close an incident or alert.

use super::rich::{self, Truncations};
use crate::model::channel::ComposeContext;
use crate::model::notification::{AlertStatus, Notification};
use crate::model::outcome::{Failure, Reason};
use crate::secret::digest;
use crate::text::{Limit, one_line, shorten};

/// The action on the incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentAction {
    Trigger,
    Acknowledge,
    Resolve,
}

impl IncidentAction {
    pub const fn of(notification: &Notification) -> Self {
        match notification.status {
            None | Some(AlertStatus::Firing) => IncidentAction::Trigger,
            Some(AlertStatus::Acknowledged) => IncidentAction::Acknowledge,
            Some(AlertStatus::Resolved) => IncidentAction::Resolve,
        }
    }
}

/// Returns the provider's identifier of the incident: the dedup key, or its digest where the key does not fit. A
/// trigger without a key gets the notification's own name, so that the provider recognises a second sending.
pub fn name(
    notification: &Notification,
    cx: &ComposeContext,
    fits: impl Fn(&str) -> bool,
) -> Result<String, Failure> {
    let key = notification.dedup_key.as_deref();
    match key.filter(|key| !key.trim().is_empty()) {
        Some(key) if fits(key) => Ok(key.to_owned()),
        Some(key) => Ok(digest(key)),
        None if IncidentAction::of(notification) == IncidentAction::Trigger => {
            Ok(cx.message_key(0))
        }
        None => Err(Failure::new(Reason::MissingDedupKey)),
    }
}

/// Returns the title within its limit. Without a title, returns the beginning of the text; another field contains the
/// whole text.
pub fn headline(
    notification: &Notification,
    text: &str,
    limit: Limit,
    cuts: &mut Truncations,
) -> String {
    match rich::title(notification) {
        Some(title) => cuts.title(&title, limit, "…"),
        None => shorten(&one_line(text), limit, "…", &mut false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    #[test]
    fn only_a_title_that_is_cut_is_said_to_be() {
        let long = "x".repeat(20);
        for (title, text, shown, is_cut) in [
            (Some("CPU"), long.as_str(), "CPU", false),
            (Some(long.as_str()), "text", "xxxxxxxxx…", true),
            (None, long.as_str(), "xxxxxxxxx…", false),
            // The title has no visible character.
            (Some("\u{7}"), long.as_str(), "xxxxxxxxx…", false),
        ] {
            let mut notification = Notification::plain(Json::String(text.to_owned()));
            notification.title = title.map(str::to_owned);
            let mut cuts = Truncations::default();
            let found = headline(&notification, text, Limit::utf16(10), &mut cuts);
            assert_eq!(found, shown);
            assert_eq!(!cuts.warnings().is_empty(), is_cut, "{title:?}");
        }
    }
}
