//! What the channels share that open an incident or alert and close it again.

use crate::model::channel::Composing;
use crate::model::notification::{Notification, Status};
use crate::model::outcome::{Failure, Reason};
use crate::model::secret::digest;

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Trigger,
    Acknowledge,
    Resolve,
}

impl Action {
    pub const fn of(notification: &Notification) -> Self {
        match notification.status {
            None | Some(Status::Firing) => Action::Trigger,
            Some(Status::Acknowledged) => Action::Acknowledge,
            Some(Status::Resolved) => Action::Resolve,
        }
    }
}

/// By what the provider knows it again: the dedup key, as it is where it fits, or, without one, a name that belongs to this
/// notification alone, so that a second sending of it is recognised.
pub fn name(
    notification: &Notification,
    cx: &Composing<'_>,
    fits: impl Fn(&str) -> bool,
) -> Result<String, Failure> {
    let key = notification.dedup_key.as_deref();
    match key.filter(|key| !key.trim().is_empty()) {
        Some(key) if fits(key) => Ok(key.to_owned()),
        Some(key) => Ok(digest(key)),
        None if Action::of(notification) == Action::Trigger => Ok(cx.message_key(0)),
        None => Err(Failure::new(Reason::MissingDedupKey)),
    }
}
