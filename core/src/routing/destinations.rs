//! Converts the destinations of a request or the configuration file to planned deliveries.

use std::sync::Arc;

use super::limits;
use super::planner::{PlannedTarget, Planner};
use super::refusal::Refusal;
use crate::channels::{self, ChannelSpec, Fields, Origin, invalid};
use crate::config::arguments::RequestDestinations;
use crate::config::file::{FileDestination, Receiver};
use crate::json::{Json, Path};
use crate::model::channel::Channel;
use crate::model::outcome::{Detail, Failure, Outcome, Reason};
use crate::model::plan::{ConfiguredIn, Disposition, OwnPolicy};
use crate::model::policy::PrivateAddresses;
use crate::model::problem::Problem;
use crate::model::report::DeliveryOrigin;
use crate::secret::{Redactor, Secret};
use crate::warnings::Warnings;

/// The destinations of a notification, with the decisions of the alert state.
#[derive(Debug)]
pub struct DecidedDestinations {
    /// The index of the first delivery in its request.
    pub first: usize,
    /// For the destinations that the request brings.
    pub own: Sending,
    pub of_file: Vec<DecidedDestination>,
}

/// A destination of the file with the decision of the alert state.
#[derive(Debug)]
pub struct DecidedDestination {
    /// The receiver's index in the file.
    pub receiver: usize,
    /// The destination's index in the receiver.
    pub index: usize,
    pub sending: Sending,
    pub origin: Option<Arc<DeliveryOrigin>>,
}

#[derive(Debug)]
pub enum Sending {
    Now,
    /// A later notification reaches the destination.
    Later,
    /// The rule with this description suppresses the delivery.
    Suppressed(String),
}

impl Sending {
    /// The outcome of a delivery that is not sent now.
    fn outcome(self) -> Option<Outcome> {
        match self {
            Sending::Now => None,
            Sending::Later => Some(Outcome::Pending(Some(Failure::new(Reason::Grouped)))),
            Sending::Suppressed(rule) => Some(Outcome::Suppressed { rule }),
        }
    }
}

impl<'a> Planner<'a> {
    /// Adds one delivery for each configuration of a sender.
    pub(super) fn sender(&mut self, sender: &str, configuration: &Json) -> Result<(), Refusal> {
        let path = Path::root().key("senders_config").key(sender);
        let Some(spec) = channels::find(sender) else {
            return self.unknown_sender(sender, &path);
        };
        match configuration {
            Json::Array(items) if !items.is_empty() => {
                let mut items = items.iter().enumerate();
                items
                    .try_for_each(|(index, item)| self.configuration(spec, item, path.index(index)))
            }
            item => self.configuration(spec, item, path),
        }
    }

    /// Adds ignored deliveries for a sender. The operator does not allow destinations in requests, so the planner does
    /// not validate the configuration.
    pub(super) fn ignore(&mut self, sender: &str, configuration: &Json) -> Result<(), Refusal> {
        let mut each = 0..limits::configurations(configuration);
        each.try_for_each(|_| self.push(sender, None, Disposition::Ignore))
    }

    /// Adds the destinations of a configuration: one, or each of a list. Composes each before it reads the next, so
    /// that memory never exceeds the limit.
    fn configuration(
        &mut self,
        spec: &'static ChannelSpec,
        configuration: &Json,
        path: Path,
    ) -> Result<(), Refusal> {
        let Json::Object(members) = configuration else {
            return self.push(spec.key, None, *no_object(configuration, path));
        };
        let mut warnings = Warnings::default();
        let mut fields = Fields::new(
            spec.key,
            Origin::Request,
            spec.parameters,
            members,
            path.clone(),
            &mut warnings,
        );
        for index in 0..fields.destinations() {
            let disposition = match self.requested(spec, fields.at(index), &path) {
                Ok(target) => self.disposition(target)?,
                Err(disposition) => *disposition,
            };
            self.push(spec.key, None, disposition)?;
        }
        Ok(())
    }

    /// Adds a destination of the request from its fields.
    pub(super) fn requested(
        &mut self,
        spec: &'static ChannelSpec,
        fields: &mut Fields<'_>,
        path: &Path,
    ) -> Result<PlannedTarget<'a>, Box<Disposition>> {
        let parsed = (spec.parse)(fields, &self.settings.operator);
        self.warnings
            .append(fields.take_warnings(), |warning| warning.to_string());
        let channel = parsed.map_err(misconfigured)?;
        let configured_in = self
            .keeps()
            .then(|| Box::new(in_request(fields.to_stored())));
        let target = self.target(channel, configured_in, path.clone())?;
        Ok(PlannedTarget {
            configuration_bytes: fields.size(),
            ..target
        })
    }

    /// Adds a destination of the request.
    fn target(
        &self,
        channel: Arc<dyn Channel>,
        configured_in: Option<Box<ConfiguredIn>>,
        path: Path,
    ) -> Result<PlannedTarget<'a>, Box<Disposition>> {
        // `None` for an address that the operator chose: the policy for requests does not apply to it.
        let destination = channel.destination();
        let host = destination.host.as_deref();
        let named = [
            (host, "the host is not one of allowed_hosts"),
            // One server serves many hosts, and this header selects one.
            (
                destination.host_header.as_deref(),
                "the Host header names none of allowed_hosts",
            ),
        ];
        let addresses = &self.settings.addresses;
        let denied = named
            .into_iter()
            .find(|(host, _)| host.is_some_and(|host| !addresses.allows_host(host)));
        if let Some((_, detail)) = denied {
            let detail = Detail::from(detail);
            return Err(Box::new(Disposition::Reject {
                failure: Failure::new(Reason::AddressDenied).with_detail(Some(detail)),
                path: Some(path.to_string()),
            }));
        }
        Ok(PlannedTarget {
            private_addresses: match host {
                Some(_) => self.settings.addresses.private_addresses,
                None => PrivateAddresses::Allow,
            },
            channel,
            own: OwnPolicy::default(),
            allow_mentions: self.settings.allow_mentions,
            template: None,
            rendered: &[],
            configured_in,
            configuration_bytes: 0,
            path,
        })
    }

    /// Adds every destination of the request.
    pub(super) fn senders(&mut self) -> Result<(), Refusal> {
        let request = self.request;
        for (sender, configuration) in request.senders.iter().flatten() {
            match self.settings.request_destinations {
                RequestDestinations::Ignore => self.ignore(sender, configuration)?,
                _ => self.sender(sender, configuration)?,
            }
        }
        Ok(())
    }

    /// Applies the decision of the alert state to the request's own destinations, which the planner has added before.
    /// A provider with incidents may know an alert that the state does not know any more.
    pub(super) fn decide_own(&mut self, sending: Sending) {
        let Some(outcome) = sending.outcome() else {
            return;
        };
        let is_unknown_alert = outcome.is_not_firing();
        for delivery in &mut self.deliveries {
            if let Disposition::Send(sending) = &delivery.disposition
                && !(is_unknown_alert && sending.channel.capabilities().keeps_incidents())
            {
                let label = sending.channel.destination().label.clone();
                let outcome = outcome.clone();
                delivery.disposition = Disposition::Decided { label, outcome };
            }
        }
    }

    /// Adds one destination of the file according to the decision of the alert state.
    pub(super) fn decided(&mut self, decided: DecidedDestination) -> Result<(), Refusal> {
        let receiver = self.settings.config.receivers.get(decided.receiver);
        let destination = receiver.and_then(|all| all.destinations.get(decided.index));
        // The indexes come from the same file.
        let Some((receiver, destination)) = receiver.zip(destination) else {
            return Ok(());
        };
        self.origin = decided.origin;
        let Some(outcome) = decided.sending.outcome() else {
            let target = self.file_target(receiver, destination, decided.index);
            let disposition = self.disposition(target)?;
            return self.push(destination.sender, Some(&receiver.name), disposition);
        };
        let label = destination.channel.destination().label.clone();
        let disposition = Disposition::Decided { label, outcome };
        self.push(destination.sender, Some(&receiver.name), disposition)
    }

    /// Adds a failure for each receiver of the request that the file does not define.
    pub(super) fn unknown_receivers(&mut self) -> Result<(), Refusal> {
        let request = self.request;
        let mut names = request.receivers.iter();
        names.try_for_each(
            |name| match self.settings.config.by_name.contains_key(name) {
                true => Ok(()),
                false => self.unknown_receiver(name),
            },
        )
    }

    pub(super) fn named_receivers(&mut self) -> Result<(), Refusal> {
        for name in &self.request.receivers {
            match self.settings.config.by_name.get(name) {
                Some(index) => self.receiver_at(*index)?,
                None => self.unknown_receiver(name)?,
            }
        }
        Ok(())
    }

    pub(super) fn receiver_at(&mut self, index: usize) -> Result<(), Refusal> {
        // The indexes come from the same file.
        let Some(receiver) = self.settings.config.receivers.get(index) else {
            return Ok(());
        };
        for (index, destination) in receiver.destinations.iter().enumerate() {
            let target = self.file_target(receiver, destination, index);
            let disposition = self.disposition(target)?;
            self.push(destination.sender, Some(&receiver.name), disposition)?;
        }
        Ok(())
    }

    /// Adds a destination of the file. The policy for requests does not apply to it.
    pub(super) fn file_target(
        &self,
        receiver: &Receiver,
        destination: &'a FileDestination,
        index: usize,
    ) -> PlannedTarget<'a> {
        let path = Path::root().key("receivers").key(&receiver.name);
        let several = receiver.destinations.len() > 1;
        PlannedTarget {
            channel: Arc::clone(&destination.channel),
            private_addresses: PrivateAddresses::Allow,
            own: destination.own.clone(),
            allow_mentions: destination
                .allow_mentions
                .unwrap_or(self.settings.allow_mentions),
            template: destination.template.as_ref(),
            rendered: &destination.rendered,
            configured_in: self.keeps().then(|| {
                let name = receiver.name.clone();
                Box::new(ConfiguredIn::Receiver { name, index })
            }),
            configuration_bytes: 0,
            path: if several { path.index(index) } else { path },
        }
    }

    fn unknown_sender(&mut self, sender: &str, path: &Path) -> Result<(), Refusal> {
        let names = channels::CHANNELS.iter().map(|spec| spec.key);
        let meant = self.suggestion(sender, names);
        let detail = meant.map(|meant| format!("There is no such sender; did you mean {meant}?"));
        let failure = Failure::new(Reason::UnknownSender)
            .with_hint(channels::unknown_sender_hint())
            .with_detail(detail.and_then(|detail| Detail::new(&detail, &Default::default())));
        let path = Some(path.to_string());
        self.push(sender, None, Disposition::Reject { failure, path })
    }

    fn unknown_receiver(&mut self, name: &str) -> Result<(), Refusal> {
        let known = self.settings.config.by_name.keys().map(String::as_str);
        let meant = self.suggestion(name, known);
        let detail = meant.map(|meant| format!("There is no such receiver; did you mean {meant}?"));
        let failure = Failure::new(Reason::UnknownReceiver)
            .with_detail(detail.and_then(|detail| Detail::new(&detail, &Default::default())));
        let path = Some("receivers".to_owned());
        self.push(name, Some(name), Disposition::Reject { failure, path })
    }
}

fn in_request(configuration: Json) -> ConfiguredIn {
    ConfiguredIn::Request(Secret::new(
        serde_json::to_string(&configuration).unwrap_or_default(),
    ))
}

fn misconfigured(problem: Problem) -> Box<Disposition> {
    Box::new(Disposition::Reject {
        failure: Failure::new(Reason::InvalidConfig)
            .with_detail(Detail::new(&problem.message, &Redactor::default())),
        path: problem.location.path.map(String::from),
    })
}

fn no_object(configuration: &Json, path: Path) -> Box<Disposition> {
    let found = match configuration {
        Json::Array(_) => "an empty list or a list of lists",
        other => other.kind(),
    };
    let message = format!("must be an object or a list of objects, found {found}");
    misconfigured(invalid(&path, message))
}
