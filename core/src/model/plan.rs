//! Plans: routing makes them and delivery runs them.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::channel::{Channel, ComposeContext, Messages};
use super::notification::{AlertState, AlertStatus, DedupKey, Notification};
use super::outcome::{Failure, MessageRef, Outcome};
use super::policy::{PrivateAddresses, ProxySettings, TlsFiles};
use super::report::{DeliveryReport, Preview};
use super::wire::Outbound;
use crate::secret::Secret;
use crate::warnings::Warnings;

/// All deliveries of one request, in the order of the answer.
#[derive(Debug)]
pub struct Plan {
    /// With the fields that routes made of its text.
    pub notification: Arc<Notification>,
    pub deliveries: Vec<PlannedDelivery>,
    /// Bytes that they hold together.
    pub shared_bytes: usize,
}

impl Plan {
    /// The delivery is suppressed by `rule`.
    pub fn suppressed(mut self, rule: &str) -> Self {
        for delivery in &mut self.deliveries {
            delivery.suppress(rule);
        }
        self
    }

    /// A silence suppresses what would have been sent. An `acknowledged` for a provider that keeps alerts waits for its turn
    /// instead: by then it is known whether the provider has the alert.
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

/// The identity of a request, by which a repeat is recognised.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Stands for the settings that it came under.
    pub scope: Arc<str>,
    /// The caller's idempotency key.
    pub key: Option<String>,
    pub fingerprint: Fingerprint,
}

/// How long a key is known after its request has ended.
pub const KEEP_KEY: Duration = Duration::from_secs(24 * 3600);

/// SHA-256 of a request's meaning.
pub type Fingerprint = [u8; 32];

/// One notification to one destination.
#[derive(Debug)]
pub struct PlannedDelivery {
    /// The sender's name in the request.
    pub sender: String,
    pub receiver: Option<String>,
    pub disposition: Disposition,
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

    /// Whether it reports nothing new: metrics alone count it.
    pub fn is_quiet(&self) -> bool {
        match &self.disposition {
            Disposition::Decided { outcome, .. } => outcome.is_unchanged(),
            _ => false,
        }
    }

    /// Messages that an earlier process has delivered.
    pub fn parts_done(&self) -> usize {
        match &self.disposition {
            Disposition::Send(sending) => sending.parts_done(),
            _ => 0,
        }
    }

    /// Bytes that it holds until it has ended, its report among them; of what several deliveries share, none.
    pub fn size(&self) -> usize {
        let receiver = self.receiver.as_ref().map_or(0, String::len);
        let disposition = match &self.disposition {
            Disposition::Send(sending) => sending.size(),
            // Its report has the bodies as well.
            Disposition::Preview(sending) => sending.size() + sending.messages.size(),
            Disposition::Suppress { rule, .. } => rule.len(),
            Disposition::Decided { label, .. } => label.len(),
            Disposition::Ignore => 0,
            Disposition::Reject { path, .. } => path.as_ref().map_or(0, String::len),
        };
        DeliveryReport::LEAST_BYTES + self.sender.len() + receiver + disposition
    }

    /// How a delivery stands when it is accepted.
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
            parts: messages.map_or(0, |messages| messages.parts.len()),
            segments: messages.and_then(|messages| messages.segments),
            ..DeliveryReport::new(index, self.sender.clone(), outcome)
        }
    }
}

/// The planned action of a delivery. Boxed, as planning copies lists of ten thousand.
#[derive(Debug)]
pub enum Disposition {
    Send(Box<PlannedSend>),
    /// Composed, and then left: a dry run.
    Preview(Box<PlannedSend>),
    /// Composed, and then left: a rule forbids it.
    Suppress {
        sending: Box<PlannedSend>,
        rule: String,
    },
    /// Nothing is composed: the alert state has decided that it is sent later, or not.
    Decided {
        /// The destination's.
        label: String,
        outcome: Outcome,
    },
    /// Not used: the operator lets requests bring no destinations.
    Ignore,
    /// It cannot even be tried.
    Reject {
        failure: Failure,
        /// Where in the request the fault is.
        path: Option<String>,
    },
}

impl Disposition {
    /// Whether something is still to leave.
    pub const fn should_send(&self) -> bool {
        matches!(self, Disposition::Send(_))
    }
}

#[derive(Debug)]
pub struct PlannedSend {
    pub channel: Arc<dyn Channel>,
    pub messages: Messages,
    /// The trigger's rule for destinations that a request chose; the operator's destinations are not checked.
    pub private_addresses: PrivateAddresses,
    /// Deliveries with one key go to a destination one after another.
    pub dedup_key: Option<DedupKey>,
    /// Its input, if it may be composed again: in its turn, or as one of many in a digest.
    pub input: Option<Box<ComposeInput>>,
    pub own: OwnPolicy,
    /// Finds the destination again after a restart; `None` without an outbox.
    pub configured_in: Option<Box<ConfiguredIn>>,
    /// Bytes of its configuration, where that is its own: the channel keeps about as much.
    pub configuration_bytes: usize,
    /// None: nothing of it has been done.
    pub resume: Option<Box<Resume>>,
    /// A silence that suppresses it unless its provider keeps the alert that it acknowledges.
    pub silence: Option<Arc<str>>,
}

impl PlannedSend {
    /// How the alert stands; `None`: it is not known any more.
    pub fn state(&self) -> Option<AlertState> {
        Some(self.input.as_ref()?.notification.state())
    }

    /// Bytes that are held for it alone.
    fn size(&self) -> usize {
        let configured_in = match self.configured_in.as_deref() {
            Some(ConfiguredIn::Receiver { name, .. }) => name.len(),
            Some(ConfiguredIn::Request(configuration)) => configuration.expose().len(),
            None => 0,
        };
        size_of::<Self>() + self.messages.size() + self.configuration_bytes + configured_in
    }

    /// Whether it acknowledges an alert that its provider may keep.
    fn acknowledges_open_alert(&self) -> bool {
        let status = self.state().and_then(|state| state.status);
        status == Some(AlertStatus::Acknowledged)
            && self.channel.capabilities().keeps_incidents()
            && self.dedup_key.is_some()
    }

    /// Messages that an earlier process has delivered.
    pub fn parts_done(&self) -> usize {
        self.resume.as_ref().map_or(0, |resume| resume.parts_done)
    }

    /// The start of an attempt of an earlier process that must not be repeated and has no recorded result.
    pub fn attempting(&self) -> Option<SystemTime> {
        self.resume.as_ref()?.attempting
    }

    /// Whether an earlier process has sent something of it, as far as that is known.
    pub fn has_begun(&self) -> bool {
        self.parts_done() > 0 || self.attempting().is_some()
    }

    /// The message in a dry run: no URL, no headers.
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

/// Where a destination is configured.
#[derive(Clone, Debug)]
pub enum ConfiguredIn {
    /// A receiver of the file, and the destination's place in it.
    Receiver { name: String, index: usize },
    /// The request itself: the sender's configuration as JSON.
    Request(Secret),
}

/// The progress of a delivery in an earlier process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Messages that the destination has.
    pub parts_done: usize,
    /// The start of an attempt of the next message that must not be repeated and has no recorded result.
    pub attempting: Option<SystemTime>,
    /// From the claim until the last attempt must have ended; in place of `delivery_timeout`.
    pub time_left: Duration,
}

/// The input that a delivery is composed from.
#[derive(Clone, Debug)]
pub struct ComposeInput {
    pub notification: Arc<Notification>,
    pub context: ComposeContext,
    /// Makes `rendered` in the context of a digest; `None` without templates.
    pub parameters: Option<Arc<dyn Parameters>>,
}

/// The templates of a destination's parameters.
pub trait Parameters: Send + Sync + Debug {
    /// Renders the parameters for another notification, by name. A failed one is left out, with a warning.
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

    /// The message that follows up on `earlier`, the last one of the same dedup key.
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

/// The policy of a receiver in the file, which replaces the trigger's.
#[derive(Clone, Debug, Default)]
pub struct OwnPolicy {
    pub rate_limit: Option<Rate>,
    pub proxy: Option<Arc<ProxySettings>>,
    pub tls: Option<Arc<TlsFiles>>,
}

/// The rules of one trigger for how deliveries are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// From acceptance to the last try.
    pub delivery_timeout: Duration,
    /// For each message; a 429 is not counted.
    pub max_attempts: u32,
    pub initial_backoff: Duration,
    pub max_backoff: Duration,
    pub attempt_timeout: Duration,
    /// Deliveries in flight in the whole process.
    pub max_in_flight: usize,
    /// Attempts under way in the whole process.
    pub max_connections: usize,
    /// For each destination.
    pub rate_limit: Option<Rate>,
    /// How long an identical request is not sent again once it was delivered.
    pub dedup_window: Duration,
    /// How long a destination is not told the same again under one dedup key.
    pub repeat_interval: Option<Duration>,
    /// Rows of one batch for each receiver's destination; the rest goes as one digest.
    pub max_per_batch: Option<u32>,
    /// Notifications for each receiver's destination; the rest goes as one digest.
    pub max_per_minute: Option<u32>,
    pub on_ambiguous: OnAmbiguous,
    pub connect_timeout: Duration,
    pub proxy: Arc<ProxySettings>,
}

/// The action if a message that must not be repeated may have been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnAmbiguous {
    /// Look it up at the provider, then report the result.
    #[default]
    Lookup,
    /// Say at once that it is not known.
    Report,
    /// Look for it, and send it again where it is not found.
    Resend,
}

/// So many messages in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    pub messages: u32,
    pub per: Duration,
}

impl Rate {
    /// The time between two messages.
    pub fn interval(self) -> Duration {
        self.per / self.messages.max(1)
    }
}
