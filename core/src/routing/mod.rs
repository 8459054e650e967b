//! A request and the settings to a plan: which notification, rendered how, goes to which destination, composed.
//!
//! Everything that can be wrong with a request is found here, before the first byte is sent.

mod again;
mod limits;
mod refusal;
mod rules;
mod texts;

use std::sync::Arc;

use jiff::Timestamp;

pub use self::again::{PlannedAgain, plan_again};
pub use self::refusal::Refusal;
pub use self::rules::{Reached, Routed, Why, ask_routes, route, silence};
use self::texts::Texts;
use crate::api::request::Request;
use crate::channels::{self, ChannelSpec, ConfigError, Fields, Origin};
use crate::json::{Json, Path};
use crate::model::channel::{Channel, Messages};
use crate::model::notification::Notification;
use crate::model::outcome::{Detail, Failure, Reason};
use crate::model::plan::{
    ConfiguredIn, Disposition, OwnPolicy, Plan, PlannedDelivery, PlannedSend, Source,
};
use crate::model::policy::PrivateAddresses;
use crate::panics::guarded;
use crate::secret::Secret;
use crate::settings::Settings;
use crate::settings::arguments::RequestDestinations;
use crate::settings::file::{FileDestination, Receiver, Rendered};
use crate::settings::template::Template;
use crate::text::{nearest, with_recent_splits};
use crate::warnings::Warnings;

/// Deliveries of one request, of every kind.
pub const MAX_DELIVERIES: usize = 10_000;
/// Unknown names of one request for which a known one is looked for.
const MAX_SUGGESTIONS: usize = 20;

/// Makes the plan of a request. `task_id` stands in for a key where the caller gave none. Warnings are added to.
pub fn plan(
    request: &Request,
    settings: &Settings,
    task_id: &str,
    warnings: &mut Warnings,
) -> Result<Plan, Refusal> {
    // Many of its destinations get the same text.
    with_recent_splits(|| plan_at(request, settings, task_id, Timestamp::now(), warnings))
}

/// Makes the plan that a request would have at another time: silences and templates look at the clock.
pub fn plan_at(
    request: &Request,
    settings: &Settings,
    task_id: &str,
    now: Timestamp,
    warnings: &mut Warnings,
) -> Result<Plan, Refusal> {
    let senders = request.senders.as_deref().unwrap_or_default();
    let mode = settings.request_destinations;
    if mode == RequestDestinations::Deny && !senders.is_empty() {
        return Err(Refusal::DestinationsDenied);
    }
    let routed = match names_nobody(request, settings) {
        true => route(settings, &request.notification),
        false => Routed::unasked(&request.notification),
    };
    limits::check(request, settings, &routed)?;
    let key = request.idempotency_key.as_deref().unwrap_or(task_id);
    let notification = routed.notification;
    let mut planner = Planner::new(request, &notification, settings, key, now, warnings);
    for (sender, configuration) in senders {
        match mode {
            RequestDestinations::Ignore => planner.ignore(sender, configuration)?,
            _ => planner.sender(sender, configuration)?,
        }
    }
    planner.named_receivers()?;
    if planner.deliveries.is_empty() && routed.receivers.is_empty() && request.senders.is_none() {
        let has_receivers = !settings.config.receivers.is_empty();
        return Err(Refusal::NoDestination { has_receivers });
    }
    for reached in &routed.receivers {
        planner.receiver_at(reached.receiver)?;
    }
    planner.say_nobody();
    let plan = planner.plan();
    Ok(silenced(plan, request, settings, now, warnings))
}

/// Whether routes and default receivers are asked: a request that names somebody is for them alone.
pub fn names_nobody(request: &Request, settings: &Settings) -> bool {
    let senders = request.senders.as_deref().unwrap_or_default();
    let counts = settings.request_destinations != RequestDestinations::Ignore;
    request.receivers.is_empty() && (senders.is_empty() || !counts)
}

/// A silence holds for every delivery, whoever named it. One that names a status is meant for that status, and stops it; others
/// let an alert end that was told of before.
fn silenced(
    plan: Plan,
    request: &Request,
    settings: &Settings,
    now: Timestamp,
    warnings: &mut Warnings,
) -> Plan {
    let Some(silence) = silence(settings, &plan.notification, now) else {
        return plan;
    };
    if request.dry_run || settings.dry_run {
        warnings.push(|| format!("the silence {} would suppress this", silence.name));
    }
    match silence.matcher.status {
        Some(_) => plan.suppressed(&silence.name),
        None => plan.silenced(&silence.name),
    }
}

struct Planner<'a> {
    request: &'a Request,
    /// The request's, with the fields that routes made.
    notification: &'a Arc<Notification>,
    settings: &'a Settings,
    key: Arc<str>,
    texts: Texts<'a>,
    warnings: &'a mut Warnings,
    deliveries: Vec<PlannedDelivery>,
    /// The place of the first of them in the request.
    first: usize,
    /// What all deliveries hold, and what composing them has looked at.
    bytes: limits::Bytes,
    /// Whether what was composed of is kept.
    shares: bool,
    /// Suggestions that may still be made.
    suggestions: usize,
}

/// One destination, whoever chose it.
struct Target<'a> {
    channel: Arc<dyn Channel>,
    private_addresses: PrivateAddresses,
    own: OwnPolicy,
    allow_mentions: bool,
    template: Option<&'a Template>,
    rendered: &'a [Rendered],
    configured_in: Option<Box<ConfiguredIn>>,
    /// Bytes of the configuration, where it is this destination's own.
    configuration_bytes: usize,
    /// For warnings.
    path: Path,
}

impl<'a> Planner<'a> {
    fn new(
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
        }
    }

    fn plan(self) -> Plan {
        Plan {
            notification: Arc::clone(self.notification),
            shared_bytes: self.shared_bytes(),
            deliveries: self.deliveries,
        }
    }

    /// One delivery for each configuration of a sender.
    fn sender(&mut self, sender: &str, configuration: &Json) -> Result<(), Refusal> {
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

    /// The operator lets requests bring no destinations: what they bring is not looked at.
    fn ignore(&mut self, sender: &str, configuration: &Json) -> Result<(), Refusal> {
        let mut each = 0..limits::configurations(configuration);
        each.try_for_each(|_| self.push(sender, None, Disposition::Ignore))
    }

    /// The destinations that a configuration makes: one, unless it lists several. Each is composed before the next is read,
    /// so that no more than the limit is ever held.
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

    /// A destination that the request brings, as its fields say.
    fn requested(
        &mut self,
        spec: &'static ChannelSpec,
        fields: &mut Fields<'_>,
        path: &Path,
    ) -> Result<Target<'a>, Box<Disposition>> {
        let parsed = (spec.parse)(fields, &self.settings.operator);
        self.warnings
            .append(fields.take_warnings(), |warning| warning.to_string());
        let channel = parsed.map_err(|error| misconfigured(&error))?;
        let configured_in = self.keeps().then(|| Box::new(in_request(fields.own())));
        let target = self.target(channel, configured_in, path.clone())?;
        Ok(Target {
            configuration_bytes: fields.size(),
            ..target
        })
    }

    /// A destination that the request brings.
    fn target(
        &self,
        channel: Arc<dyn Channel>,
        configured_in: Option<Box<ConfiguredIn>>,
        path: Path,
    ) -> Result<Target<'a>, Box<Disposition>> {
        // None where the operator chose it: a policy for requests does not judge that.
        let destination = channel.destination();
        let host = destination.host.as_deref();
        let named = [
            (host, "the host is not one of allowed_hosts"),
            // One server serves many hosts, and this header chooses one.
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
        Ok(Target {
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

    fn named_receivers(&mut self) -> Result<(), Refusal> {
        for name in &self.request.receivers {
            match self.settings.config.by_name.get(name) {
                Some(place) => self.receiver_at(*place)?,
                None => self.unknown_receiver(name)?,
            }
        }
        Ok(())
    }

    fn receiver_at(&mut self, place: usize) -> Result<(), Refusal> {
        // Places are the file's own.
        let Some(receiver) = self.settings.config.receivers.get(place) else {
            return Ok(());
        };
        for (index, destination) in receiver.destinations.iter().enumerate() {
            let target = self.file_target(receiver, destination, index);
            let disposition = self.disposition(target)?;
            self.push(destination.sender, Some(&receiver.name), disposition)?;
        }
        Ok(())
    }

    /// A destination that the operator chose: no policy for requests judges it.
    fn file_target(
        &self,
        receiver: &Receiver,
        destination: &'a FileDestination,
        index: usize,
    ) -> Target<'a> {
        let path = Path::root().key("receivers").key(&receiver.name);
        let several = receiver.destinations.len() > 1;
        Target {
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

    /// Whether deliveries are kept in an outbox.
    const fn keeps(&self) -> bool {
        self.settings.outbox.is_some()
    }

    /// Composes what a destination gets.
    fn disposition(&mut self, target: Target<'a>) -> Result<Disposition, Refusal> {
        let variant = self.texts.variant(target.template, self.warnings);
        self.bytes.look_at(variant.size)?;
        let path = &target.path;
        let rendered = self
            .texts
            .parameters(target.rendered, &variant, path, self.warnings);
        let source = Source {
            notification: Arc::clone(&variant.notification),
            allow_mentions: target.allow_mentions,
            key: Arc::clone(&self.key),
            index: self.first + self.deliveries.len(),
            rendered,
            parameters: None,
        };
        let mut messages = match compose(target.channel.as_ref(), &source) {
            Ok(messages) => messages,
            Err(failure) => return Ok(not_composed(failure, &source.notification)),
        };
        for warning in std::mem::take(&mut messages.warnings) {
            let path = &target.path;
            self.warnings.push(|| format!("{path}: {warning}"));
        }
        let dedup_key = self.notification.dedup_key.clone();
        let source = self.source(source, &target, dedup_key.is_some());
        let sending = Box::new(PlannedSend {
            channel: target.channel,
            messages,
            private_addresses: target.private_addresses,
            dedup_key,
            source,
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

    /// What a delivery keeps to be composed of again, with the last message of its key or for a digest, and to be remembered
    /// under its key.
    fn source(
        &mut self,
        source: Source,
        target: &Target<'a>,
        has_key: bool,
    ) -> Option<Box<Source>> {
        let policy = &self.settings.policy;
        let digests = policy.max_per_batch.is_some() || policy.max_per_minute.is_some();
        let parameters = digests && !target.rendered.is_empty();
        let is_kept = has_key || digests;
        self.shares |= is_kept;
        is_kept.then(|| {
            Box::new(Source {
                parameters: parameters.then(|| self.texts.again(target.rendered)),
                ..source
            })
        })
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

    /// What a name was probably meant to be. Not for every name: each is compared with all there are.
    fn suggestion<'n>(
        &mut self,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        self.suggestions = self.suggestions.checked_sub(1)?;
        nearest(name, known)
    }

    fn push(
        &mut self,
        sender: &str,
        receiver: Option<&str>,
        disposition: Disposition,
    ) -> Result<(), Refusal> {
        let delivery = PlannedDelivery {
            sender: sender.to_owned(),
            receiver: receiver.map(str::to_owned),
            disposition,
        };
        self.bytes.hold(delivery.size(), self.shared_bytes())?;
        self.deliveries.push(delivery);
        Ok(())
    }

    /// What deliveries hold together: notification and parameters, where they may be composed again.
    fn shared_bytes(&self) -> usize {
        match self.shares {
            true => self.texts.bytes(),
            false => 0,
        }
    }

    fn say_nobody(&mut self) {
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

fn in_request(configuration: Json) -> ConfiguredIn {
    ConfiguredIn::Request(Secret::new(
        serde_json::to_string(&configuration).unwrap_or_default(),
    ))
}

/// A panic is this delivery's failure, and leaves the others alone.
fn compose(channel: &dyn Channel, source: &Source) -> Result<Messages, Failure> {
    let composed = guarded(|| source.compose(channel, None));
    composed.unwrap_or_else(|_| Err(Failure::new(Reason::Internal)))
}

fn misconfigured(error: &ConfigError) -> Box<Disposition> {
    Box::new(Disposition::Reject {
        failure: error.failure(),
        path: Some(error.path.to_string()),
    })
}

fn no_object(configuration: &Json, path: Path) -> Box<Disposition> {
    let found = match configuration {
        Json::Array(_) => "an empty list or a list of lists",
        other => other.kind(),
    };
    let what = format!("must be an object or a list of objects, found {found}");
    misconfigured(&ConfigError::new(path, what))
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

/// What is wrong with the text, where the channel could only say that it is.
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
