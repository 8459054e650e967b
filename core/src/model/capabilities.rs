//! A channel's capabilities, as data. Delivery, documentation, command line and tests read them.

use std::time::Duration;

use super::wire::ResendEffect;
use crate::text::{Limit, Markup};

/// The capabilities of a channel in one configuration. A literal or [`Self::messages`] sets every field, so that none
/// is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub protocol: Protocol,
    /// The effect of sending a message twice. A message of another kind has its own.
    pub resend: ResendEffect,
    pub follow_ups: FollowUps,
    pub attachments: Attachments,
    pub limits: Limits,
}

/// How a channel's messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A proxy can carry it.
    Http,
    Smtp,
}

/// The provider's treatment of a notification with the dedup key of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowUps {
    /// It takes the earlier message's place.
    pub edits: bool,
    pub threads: Threading,
    pub incidents: Option<Incidents>,
}

/// How a notification joins the thread of an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threading {
    No,
    /// The message names the thread, which follows from the dedup key.
    ByKey,
    /// The message names the earlier message.
    ByReference,
}

/// The provider keeps an incident or alert for each dedup key.
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
    /// Attempts at once to one destination, where the provider allows fewer than is usual.
    pub in_flight: Option<usize>,
    /// The shortest wait before a retry, where the provider asks for more than the operator does.
    pub least_backoff: Duration,
}

/// How long the text of one message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    Any,
    /// A longer text continues in further messages, and no cut breaks its markup.
    Split(Limit, Markup),
    /// A longer text is cut short, and the response says so.
    Cut(Limit),
}

impl Capabilities {
    /// Independent messages by HTTP: no later one changes or joins them, and a second sending is shown twice.
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

    /// Whether the provider keeps incidents: no limit on messages holds up a notification that changes one.
    pub const fn keeps_incidents(&self) -> bool {
        self.follow_ups.incidents.is_some()
    }

    /// The markup that a text may have.
    pub const fn markup(&self) -> Markup {
        match self.limits.text {
            Length::Split(_, markup) => markup,
            Length::Any | Length::Cut(_) => Markup::NONE,
        }
    }
}

impl FollowUps {
    /// A further message, without any tie to the earlier one.
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

    /// An incident that a `resolved` closes.
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
    /// A limit on the text alone.
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
