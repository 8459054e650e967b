//! A channel's capabilities, as data. Delivery, documentation, command line and tests read them.

use std::time::Duration;

use super::wire::ResendEffect;
use crate::text::{Limit, Markup};

/// The capabilities of a channel in one configuration. A literal or [`Self::messages`] sets every field, so no channel
/// can omit one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub protocol: Protocol,
    /// The effect of sending a message twice. A message may override it.
    pub resend: ResendEffect,
    pub follow_ups: FollowUps,
    pub attachments: Attachments,
    pub limits: Limits,
}

/// The protocol of a channel's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A proxy can forward it.
    Http,
    Smtp,
}

/// The provider's treatment of a notification with the dedup key of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowUps {
    /// It replaces the earlier message.
    pub edits: bool,
    pub threads: Threading,
    pub incidents: Option<Incidents>,
}

/// How a notification joins the thread of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threading {
    No,
    /// The message names the thread, which the dedup key determines.
    ByKey,
    /// The message names the earlier message.
    ByReference,
}

/// The provider stores an incident or alert for each dedup key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incidents {
    /// A `resolved` closes it.
    pub resolves: bool,
    /// An `acknowledged` stops its escalation.
    pub acknowledges: bool,
}

/// Attachments besides text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachments {
    None,
    /// Images that the provider fetches from their addresses.
    ImageAddresses,
}

/// The provider's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub text: Length,
    /// The maximum number of concurrent attempts to one destination, if the provider allows fewer than the default.
    pub in_flight: Option<usize>,
    /// The minimum wait before a retry, if the provider requires more than the operator's setting.
    pub least_backoff: Duration,
}

/// The maximum length of one message's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Any,
    /// A longer text continues in further messages, and no cut breaks its markup.
    Split(Limit, Markup),
    /// A longer text is shortened, with a warning in the response.
    Cut(Limit),
}

impl Capabilities {
    /// Independent messages over HTTP. No later message edits or joins them, and a repeated message is shown twice.
    pub const fn messages(limits: Limits) -> Self {
        Self {
            protocol: Protocol::Http,
            resend: ResendEffect::ShownTwice,
            follow_ups: FollowUps::MESSAGES,
            attachments: Attachments::None,
            limits,
        }
    }

    /// Whether the channel uses the reference to an earlier message.
    pub const fn refers_to_earlier(&self) -> bool {
        self.follow_ups.edits || matches!(self.follow_ups.threads, Threading::ByReference)
    }

    /// Whether the provider stores incidents. Message limits do not delay a notification that changes an incident.
    pub const fn keeps_incidents(&self) -> bool {
        self.follow_ups.incidents.is_some()
    }

    /// Returns the markup that a text may contain.
    pub const fn markup(&self) -> Markup {
        match self.limits.text {
            Length::Split(_, markup) => markup,
            Length::Any | Length::Cut(_) => Markup::NONE,
        }
    }
}

impl FollowUps {
    /// A separate message, unrelated to the earlier one.
    pub const MESSAGES: Self = Self {
        edits: false,
        threads: Threading::No,
        incidents: None,
    };

    pub const EDITS: Self = Self {
        edits: true,
        ..Self::MESSAGES
    };

    pub const fn threads(threads: Threading) -> Self {
        Self {
            threads,
            ..Self::MESSAGES
        }
    }

    /// Returns incidents that a `resolved` closes.
    pub const fn incidents(acknowledges: bool) -> Self {
        Self {
            incidents: Some(Incidents {
                resolves: true,
                acknowledges,
            }),
            ..Self::MESSAGES
        }
    }
}

impl Limits {
    /// Returns a limit on the text only.
    pub const fn text(text: Length) -> Self {
        Self {
            text,
            in_flight: None,
            least_backoff: Duration::ZERO,
        }
    }
}

impl Length {
    pub const fn limit(self) -> Option<Limit> {
        match self {
            Length::Any => None,
            Length::Split(limit, _) | Length::Cut(limit) => Some(limit),
        }
    }
}
