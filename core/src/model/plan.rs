//! Plans: routing creates them and delivery executes them.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::channel::{Channel, ComposeContext, Messages};
use super::notification::{AlertState, AlertStatus, DedupKey, Notification};
use super::outcome::{Failure, MessageRef, Outcome};
use super::policy::{PrivateAddresses, ProxySettings, TlsFiles};
use super::report::{DeliveryOrigin, DeliveryReport, Preview};
use super::wire::Outbound;
use crate::secret::Secret;
use crate::warnings::Warnings;

/// All deliveries of one request, in the response's order.
#[derive(Debug)]
pub struct Plan {
    /// The notification with the fields that routes extracted from its text.
    pub notification: Arc<Notification>,
    pub deliveries: Vec<PlannedDelivery>,
    /// The size of the deliveries' shared data in bytes.
    pub shared_bytes: usize,
}

impl Plan {
    /// Returns the delivery as suppressed by `rule`.
    pub fn suppressed(mut self, rule: &str) -> Self {
        for delivery in &mut self.deliveries {
            delivery.suppress(rule);
        }
        self
    }

    /// Suppresses a planned message by a silence. An `acknowledged` for a provider with incidents waits for its turn
    /// instead: only then is it known whether the provider has the alert.
    pub fn silenced(mut self, silence: &str) -> Self {
        for delivery in &mut self.deliveries {
            match &mut delivery.disposition {
                Disposition::Send(sending) if sending.acknowledges_open_alert() => {
                    sending.silence = Some(silence.into());
                }
                _ => delivery.suppress(silence),
            }
        }
        self
    }
}

/// A request's identity, which identifies repeated requests.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Identifies the settings of the request.
    pub scope: Arc<str>,
    /// The caller's idempotency key.
    pub key: Option<String>,
    pub fingerprint: Fingerprint,
}

/// How long a key remains known after its request has ended.
pub const KEEP_KEY: Duration = Duration::from_secs(24 * 3600);

/// The SHA-256 of a request's meaning.
pub type Fingerprint = [u8; 32];

/// One notification to one destination.
#[derive(Debug)]
pub struct PlannedDelivery {
    /// The sender's name in the request.
    pub sender: String,
    pub receiver: Option<String>,
    pub disposition: Disposition,
    pub origin: Option<Arc<DeliveryOrigin>>,
}

impl PlannedDelivery {
    fn suppress(&mut self, rule: &str) {
        let disposition = std::mem::replace(&mut self.disposition, Disposition::Ignore);
        self.disposition = match disposition {
            Disposition::Send(sending) => Disposition::Suppress {
                sending,
                rule: rule.to_owned(),
            },
            other => other,
        };
    }

    /// Whether it reports nothing new. Only metrics count such a delivery.
    pub fn is_quiet(&self) -> bool {
        match &self.disposition {
            Disposition::Decided { outcome, .. } => outcome.is_unchanged(),
            _ => false,
        }
    }

    /// Returns the number of messages that an earlier process delivered.
    pub fn parts_done(&self) -> usize {
        match &self.disposition {
            Disposition::Send(sending) => sending.parts_done(),
            _ => 0,
        }
    }

    /// Returns the delivery's own size in bytes until it ends, with its report. Excludes data that several deliveries
    /// share.
    pub fn size(&self) -> usize {
        let receiver = self.receiver.as_ref().map_or(0, String::len);
        let disposition = match &self.disposition {
            Disposition::Send(sending) => sending.size(),
            // The report contains the bodies too.
            Disposition::Preview(sending) => sending.size() + sending.messages.size(),
            Disposition::Suppress { rule, .. } => rule.len(),
            Disposition::Decided { label, .. } => label.len(),
            Disposition::Ignore => 0,
            Disposition::Reject { path, .. } => path.as_ref().map_or(0, String::len),
        };
        DeliveryReport::LEAST_BYTES + self.sender.len() + receiver + disposition
    }

    /// Returns the report of a newly accepted delivery.
    pub fn report(&self, index: usize) -> DeliveryReport {
        let (outcome, sending, path) = match &self.disposition {
            Disposition::Send(sending) => (Outcome::Pending(None), Some(sending), None),
            Disposition::Preview(sending) => (Outcome::DryRun, Some(sending), None),
            Disposition::Suppress { sending, rule } => {
                let rule = rule.clone();
                (Outcome::Suppressed { rule }, Some(sending), None)
            }
            Disposition::Decided { outcome, .. } => (outcome.clone(), None, None),
            Disposition::Ignore => (Outcome::Ignored, None, None),
            Disposition::Reject { failure, path } => {
                (Outcome::Failed(failure.clone()), None, path.clone())
            }
        };
        let messages = sending.map(|sending| &sending.messages);
        DeliveryReport {
            receiver: self.receiver.clone(),
            destination: match &self.disposition {
                Disposition::Decided { label, .. } => Some(label.clone()),
                _ => sending.map(|sending| sending.channel.destination().label.clone()),
            },
            preview: match &self.disposition {
                Disposition::Preview(sending) => Some(sending.preview()),
                _ => None,
            },
            path,
            origin: self.origin.clone(),
            parts: messages.map_or(0, |messages| messages.parts.len()),
            segments: messages.and_then(|messages| messages.segments),
            ..DeliveryReport::new(index, self.sender.clone(), outcome)
        }
    }
}

/// The planned action of a delivery. Boxed, because planning copies lists of ten thousand.
#[derive(Debug)]
pub enum Disposition {
    Send(Box<PlannedSend>),
    /// Composed but not sent, for a dry run.
    Preview(Box<PlannedSend>),
    /// Composed but not sent, because a rule forbids it.
    Suppress {
        sending: Box<PlannedSend>,
        rule: String,
    },
    /// Not composed: the alert state decided to send it later or never.
    Decided {
        /// The destination's label.
        label: String,
        outcome: Outcome,
    },
    /// Not used: the operator ignores destinations in requests.
    Ignore,
    /// The delivery cannot be attempted.
    Reject {
        failure: Failure,
        /// The path of the error in the request.
        path: Option<String>,
    },
}

impl Disposition {
    /// Whether a message remains to be sent.
    pub const fn should_send(&self) -> bool {
        matches!(self, Disposition::Send(_))
    }
}

#[derive(Debug)]
pub struct PlannedSend {
    pub channel: Arc<dyn Channel>,
    pub messages: Messages,
    /// The trigger's rule for destinations in requests. The operator's own destinations are not checked.
    pub private_addresses: PrivateAddresses,
    /// Deliveries with the same key to one destination run one after another.
    pub dedup_key: Option<DedupKey>,
    /// The input of a delivery that may be composed again: at its turn, or as part of a digest.
    pub input: Option<Box<ComposeInput>>,
    pub own: OwnPolicy,
    /// Identifies the destination after a restart. `None` without an outbox.
    pub configured_in: Option<Box<ConfiguredIn>>,
    /// The size of its own configuration in bytes, which approximates the channel's size. Zero for a shared
    /// configuration.
    pub configuration_bytes: usize,
    /// The earlier process's progress. `None` if no earlier process began the delivery.
    pub resume: Option<Box<Resume>>,
    /// The silence that suppresses it, unless its provider has the alert that it acknowledges.
    pub silence: Option<Arc<str>>,
}

impl PlannedSend {
    /// Returns the alert's state, or `None` if it is no longer known.
    pub fn state(&self) -> Option<AlertState> {
        Some(self.input.as_ref()?.notification.state())
    }

    /// Returns the size of the data that only this delivery owns, in bytes.
    fn size(&self) -> usize {
        let configured_in = match self.configured_in.as_deref() {
            Some(ConfiguredIn::Receiver { name, .. }) => name.len(),
            Some(ConfiguredIn::Request(configuration)) => configuration.expose().len(),
            None => 0,
        };
        size_of::<Self>() + self.messages.size() + self.configuration_bytes + configured_in
    }

    /// Whether it acknowledges an alert that its provider may have.
    fn acknowledges_open_alert(&self) -> bool {
        let status = self.state().and_then(|state| state.status);
        status == Some(AlertStatus::Acknowledged)
            && self.channel.capabilities().keeps_incidents()
            && self.dedup_key.is_some()
    }

    /// Returns the number of messages that an earlier process delivered.
    pub fn parts_done(&self) -> usize {
        self.resume.as_ref().map_or(0, |resume| resume.parts_done)
    }

    /// Returns the start of an earlier process's attempt that must not be repeated and has no recorded result.
    pub fn attempting(&self) -> Option<SystemTime> {
        self.resume.as_ref()?.attempting
    }

    /// Whether an earlier process recorded the sending of a message.
    pub fn has_begun(&self) -> bool {
        self.parts_done() > 0 || self.attempting().is_some()
    }

    /// Returns the messages' bodies for a dry run, without URL and headers.
    fn preview(&self) -> Preview {
        let messages = &self.messages.parts;
        let bodies = messages.iter().map(|message| self.channel.preview(message));
        Preview {
            content_type: messages
                .first()
                .map_or("", Outbound::content_type)
                .to_owned(),
            body: bodies.collect::<Vec<_>>().join("\n"),
        }
    }
}

/// The source of a destination's configuration.
#[derive(Clone, Debug)]
pub enum ConfiguredIn {
    /// A receiver of the file, and the destination's index in it.
    Receiver { name: String, index: usize },
    /// The request: the sender's configuration as JSON.
    Request(Secret),
}

/// The progress of a delivery in an earlier process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The number of messages that the destination has accepted.
    pub parts_done: usize,
    /// The start of the next message's attempt, which must not be repeated and has no recorded result.
    pub attempting: Option<SystemTime>,
    /// The time from the claim to the end of the last attempt. It replaces `delivery_timeout`.
    pub time_left: Duration,
}

/// The input for composing a delivery.
#[derive(Clone, Debug)]
pub struct ComposeInput {
    pub notification: Arc<Notification>,
    pub context: ComposeContext,
    /// Renders the parameters again for a digest. `None` without templates.
    pub parameters: Option<Arc<dyn Parameters>>,
}

/// The templates of a destination's parameters.
pub trait Parameters: Send + Sync + Debug {
    /// Renders the parameters by name for another notification. Omits a failed parameter, with a warning.
    fn render(
        &self,
        notification: &Notification,
        warnings: &mut Warnings,
    ) -> Vec<(&'static str, Arc<str>)>;
}

impl ComposeInput {
    pub fn compose(&self, channel: &dyn Channel) -> Result<Messages, Failure> {
        channel.compose(&self.notification, &self.context)
    }

    /// Composes the message that follows `earlier`, the last message with the same dedup key.
    pub fn follow_up(
        &self,
        channel: &dyn Channel,
        earlier: &MessageRef,
    ) -> Result<Messages, Failure> {
        let context = ComposeContext {
            earlier: Some(earlier.clone()),
            ..self.context.clone()
        };
        channel.compose(&self.notification, &context)
    }
}

/// A receiver's policy in the file. It replaces the trigger's policy.
#[derive(Clone, Debug, Default)]
pub struct OwnPolicy {
    pub rate_limit: Option<Rate>,
    pub proxy: Option<Arc<ProxySettings>>,
    pub tls: Option<Arc<TlsFiles>>,
}

/// One trigger's rules for deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// The time from acceptance to the last attempt.
    pub delivery_timeout: Duration,
    /// The limit for each message. A reply with 429 does not count.
    pub max_attempts: u32,
    pub initial_backoff: Duration,
    pub max_backoff: Duration,
    pub attempt_timeout: Duration,
    /// The maximum number of deliveries in flight in the process.
    pub max_in_flight: usize,
    /// The maximum number of concurrent attempts in the process.
    pub max_connections: usize,
    /// The limit for each destination.
    pub rate_limit: Option<Rate>,
    /// How long identical requests are suppressed after a delivery.
    pub dedup_window: Duration,
    /// How long identical notifications to a destination with one dedup key are suppressed.
    pub repeat_interval: Option<Duration>,
    /// The maximum number of a batch's rows for each receiver's destination. One digest contains the rest.
    pub max_per_batch: Option<u32>,
    /// The maximum number of notifications a minute for each receiver's destination. One digest contains the rest.
    pub max_per_minute: Option<u32>,
    pub on_ambiguous: OnAmbiguous,
    pub connect_timeout: Duration,
    pub proxy: Arc<ProxySettings>,
}

/// The action after an attempt that may have sent a message that must not be repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnAmbiguous {
    /// Looks up the message at the provider and reports the result.
    #[default]
    Lookup,
    /// Reports immediately that the result is unknown.
    Report,
    /// Looks up the message, and sends it again if the provider does not have it.
    Resend,
}

/// A number of messages in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    pub messages: u32,
    pub per: Duration,
}

impl Rate {
    /// Returns the time between two messages.
    pub fn interval(self) -> Duration {
        self.per / self.messages.max(1)
    }
}
