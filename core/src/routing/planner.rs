//! A plan under construction. The planner composes each delivery before it reads the next.

use std::sync::Arc;

use jiff::Timestamp;

use super::limits;
use super::refusal::Refusal;
use super::texts::Texts;
use crate::api::request::Request;
use crate::config::Settings;
use crate::config::file::RenderedParameter;
use crate::config::template::Template;
use crate::json::{Json, Path};
use crate::model::channel::{Channel, ComposeContext, Messages};
use crate::model::notification::Notification;
use crate::model::outcome::{Detail, Failure, Reason};
use crate::model::plan::{
    ComposeInput, ConfiguredIn, Disposition, OwnPolicy, Plan, PlannedDelivery, PlannedSend,
};
use crate::model::policy::PrivateAddresses;
use crate::model::report::DeliveryOrigin;
use crate::panics::catch_panic;
use crate::text::nearest;
use crate::warnings::Warnings;

/// The maximum number of unknown names in one request for which the planner suggests a known name.
const MAX_SUGGESTIONS: usize = 20;

pub(super) struct Planner<'a> {
    pub(super) request: &'a Request,
    /// The request's notification with the fields that routes extracted.
    notification: &'a Arc<Notification>,
    pub(super) settings: &'a Settings,
    key: Arc<str>,
    texts: Texts<'a>,
    pub(super) warnings: &'a mut Warnings,
    pub(super) deliveries: Vec<PlannedDelivery>,
    /// The index of the first delivery in the request.
    pub(super) first: usize,
    /// The memory of all deliveries and of composing them.
    pub(super) bytes: limits::Bytes,
    /// Whether deliveries share the input for composing.
    shares: bool,
    /// The remaining number of suggestions.
    suggestions: usize,
    /// The origin of the deliveries that are added next.
    pub(super) origin: Option<Arc<DeliveryOrigin>>,
}

/// One destination of the request or of the file.
pub(super) struct PlannedTarget<'a> {
    pub(super) channel: Arc<dyn Channel>,
    pub(super) private_addresses: PrivateAddresses,
    pub(super) own: OwnPolicy,
    pub(super) allow_mentions: bool,
    pub(super) template: Option<&'a Template>,
    pub(super) rendered: &'a [RenderedParameter],
    pub(super) configured_in: Option<Box<ConfiguredIn>>,
    /// The bytes of the configuration if only this destination uses it.
    pub(super) configuration_bytes: usize,
    /// The path for warnings.
    pub(super) path: Path,
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        request: &'a Request,
        notification: &'a Arc<Notification>,
        settings: &'a Settings,
        key: &str,
        now: Timestamp,
        warnings: &'a mut Warnings,
    ) -> Self {
        Self {
            request,
            notification,
            settings,
            key: key.into(),
            texts: Texts::new(request, notification, &settings.config, now, warnings),
            warnings,
            deliveries: Vec::new(),
            first: 0,
            bytes: limits::Bytes::default(),
            shares: false,
            suggestions: MAX_SUGGESTIONS,
            origin: None,
        }
    }

    pub(super) fn plan(self) -> Plan {
        Plan {
            notification: Arc::clone(self.notification),
            shared_bytes: self.shared_bytes(),
            deliveries: self.deliveries,
        }
    }

    /// Returns whether an outbox stores the deliveries.
    pub(super) const fn keeps(&self) -> bool {
        self.settings.outbox.is_some()
    }

    /// Composes the messages for a destination.
    pub(super) fn disposition(
        &mut self,
        target: PlannedTarget<'a>,
    ) -> Result<Disposition, Refusal> {
        let variant = self.texts.variant(target.template, self.warnings);
        self.bytes.look_at(variant.size)?;
        let path = &target.path;
        let rendered = self
            .texts
            .parameters(target.rendered, &variant, path, self.warnings);
        let input = ComposeInput {
            notification: Arc::clone(&variant.notification),
            context: ComposeContext {
                allow_mentions: target.allow_mentions,
                key: Arc::clone(&self.key),
                index: self.first + self.deliveries.len(),
                rendered,
                earlier: None,
            },
            parameters: None,
        };
        let mut messages = match compose(target.channel.as_ref(), &input) {
            Ok(messages) => messages,
            Err(failure) => return Ok(not_composed(failure, &input.notification)),
        };
        for warning in std::mem::take(&mut messages.warnings) {
            let path = &target.path;
            self.warnings.push(|| format!("{path}: {warning}"));
        }
        let dedup_key = self.notification.dedup_key.clone();
        let input = self.stored_input(input, &target, dedup_key.is_some());
        let sending = Box::new(PlannedSend {
            channel: target.channel,
            messages,
            private_addresses: target.private_addresses,
            dedup_key,
            input,
            own: target.own,
            configured_in: target.configured_in,
            configuration_bytes: target.configuration_bytes,
            resume: None,
            silence: None,
        });
        Ok(match self.request.dry_run || self.settings.dry_run {
            true => Disposition::Preview(sending),
            false => Disposition::Send(sending),
        })
    }

    /// Returns the input that a delivery stores. The dispatcher composes again from it for the last message of a key or
    /// for a digest, and remembers it under its key.
    fn stored_input(
        &mut self,
        input: ComposeInput,
        target: &PlannedTarget<'a>,
        has_key: bool,
    ) -> Option<Box<ComposeInput>> {
        let policy = &self.settings.policy;
        let digests = policy.max_per_batch.is_some() || policy.max_per_minute.is_some();
        let parameters = digests && !target.rendered.is_empty();
        let is_kept = has_key || digests;
        self.shares |= is_kept;
        is_kept.then(|| {
            Box::new(ComposeInput {
                parameters: parameters.then(|| self.texts.again(target.rendered)),
                ..input
            })
        })
    }

    /// Suggests a known name for an unknown one. The number of suggestions is limited, because each compares all known
    /// names.
    pub(super) fn suggestion<'n>(
        &mut self,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        self.suggestions = self.suggestions.checked_sub(1)?;
        nearest(name, known)
    }

    pub(super) fn push(
        &mut self,
        sender: &str,
        receiver: Option<&str>,
        disposition: Disposition,
    ) -> Result<(), Refusal> {
        let delivery = PlannedDelivery {
            sender: sender.to_owned(),
            receiver: receiver.map(str::to_owned),
            disposition,
            origin: self.origin.clone(),
        };
        self.bytes
            .add_delivery(delivery.size(), self.shared_bytes())?;
        self.deliveries.push(delivery);
        Ok(())
    }

    /// Returns the memory that deliveries share: notification and parameters that may be composed again.
    pub(super) fn shared_bytes(&self) -> usize {
        match self.shares {
            true => self.texts.bytes(),
            false => 0,
        }
    }

    pub(super) fn warn_no_receiver(&mut self) {
        let ignored =
            |delivery: &PlannedDelivery| matches!(delivery.disposition, Disposition::Ignore);
        if self.deliveries.is_empty() {
            self.warnings
                .push(|| "senders_config names no sender: nothing was sent".to_owned());
        } else if self.deliveries.iter().all(ignored) {
            self.warnings.push(|| {
                "senders_config is not used (request_destinations=ignore), and no route or default receiver applies: \
                 nothing was sent"
                    .to_owned()
            });
        }
    }
}

/// Composes a delivery. A panic fails this delivery and does not affect others.
fn compose(channel: &dyn Channel, input: &ComposeInput) -> Result<Messages, Failure> {
    let composed = catch_panic(|| input.compose(channel));
    composed.unwrap_or_else(|_| Err(Failure::new(Reason::Internal)))
}

fn not_composed(failure: Failure, notification: &Notification) -> Disposition {
    let failure = explain_text(failure, notification);
    let path = match failure.reason {
        Reason::MissingDedupKey => "dedup_key",
        _ => "notification_text",
    };
    Disposition::Reject {
        failure,
        path: Some(path.to_owned()),
    }
}

/// Explains a failure if the channel only reports an invalid text.
fn explain_text(failure: Failure, notification: &Notification) -> Failure {
    if failure.reason != Reason::InvalidText || failure.detail.is_some() {
        return failure;
    }
    let found = match &notification.text {
        Json::String(_) => "notification_text is blank",
        Json::Null => "notification_text must be a string, found null",
        Json::Array(_) => "notification_text must be a string, found an array",
        _ => "notification_text must be a string, found an object",
    };
    failure.with_detail(Some(Detail::from(found)))
}
