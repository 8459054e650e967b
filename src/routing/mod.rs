//! A request and the settings to a plan: which notification, rendered how, goes to which destination, composed.
//!
//! Everything that can be wrong with a request is found here, before the first byte is sent.

mod again;
mod refusal;
mod rules;
mod texts;

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

pub use self::again::plan_again;
pub use self::refusal::Refusal;
pub use self::rules::{Reached, Why, reach, silence};
use self::texts::Texts;
use crate::api::request::Request;
use crate::channels::{self, ChannelSpec, ConfigError, Fields, Origin};
use crate::delivery::MAX_BYTES;
use crate::model::channel::{Channel, Composition};
use crate::model::json::{Json, Path};
use crate::model::notification::Notification;
use crate::model::outcome::{Detail, Failure, Reason};
use crate::model::plan::{ConfiguredIn, Delivery, OwnPolicy, Plan, Sending, Source, Work};
use crate::model::policy::PrivateAddresses;
use crate::model::secret::Secret;
use crate::model::text::nearest;
use crate::panics::guarded;
use crate::settings::Settings;
use crate::settings::arguments::RequestDestinations;
use crate::settings::file::{FileDestination, Receiver, Rendered};
use crate::settings::template::Template;

/// Makes the plan of a request. `task_id` stands in for a key where the caller gave none. Warnings are added to.
pub fn plan(
    request: &Request,
    settings: &Settings,
    task_id: &str,
    warnings: &mut Vec<String>,
) -> Result<Plan, Refusal> {
    plan_at(request, settings, task_id, Timestamp::now(), warnings)
}

/// Makes the plan that a request would have at another time: silences and templates look at the clock.
pub fn plan_at(
    request: &Request,
    settings: &Settings,
    task_id: &str,
    now: Timestamp,
    warnings: &mut Vec<String>,
) -> Result<Plan, Refusal> {
    let senders = request.senders.as_deref().unwrap_or_default();
    let mode = settings.request_destinations;
    if mode == RequestDestinations::Deny && !senders.is_empty() {
        return Err(Refusal::DestinationsDenied);
    }
    let mut planner = Planner {
        request,
        settings,
        key: request.idempotency_key.as_deref().unwrap_or(task_id),
        texts: Texts::new(request, &settings.config, now, warnings),
        warnings,
        deliveries: Vec::new(),
        first: 0,
        bytes: 0,
    };
    for (sender, configuration) in senders {
        match mode {
            RequestDestinations::Ignore => planner.ignore(sender, configuration),
            _ => planner.sender(sender, configuration)?,
        }
    }
    planner.named_receivers()?;
    let reached = match names_nobody(request, settings) {
        true => reach(settings, &request.notification),
        false => Vec::new(),
    };
    if planner.deliveries.is_empty() && reached.is_empty() && request.senders.is_none() {
        let has_receivers = !settings.config.receivers.is_empty();
        return Err(Refusal::NoDestination { has_receivers });
    }
    for reached in &reached {
        planner.receiver_at(reached.receiver)?;
    }
    planner.say_nobody();
    let plan = Plan {
        deliveries: planner.deliveries,
    };
    Ok(silenced(plan, request, settings, now, warnings))
}

/// Whether routes and default receivers are asked: a request that names somebody is for them alone.
pub fn names_nobody(request: &Request, settings: &Settings) -> bool {
    let senders = request.senders.as_deref().unwrap_or_default();
    let counts = settings.request_destinations != RequestDestinations::Ignore;
    request.receivers.is_empty() && (senders.is_empty() || !counts)
}

/// A silence holds for every delivery, whoever named it.
fn silenced(
    plan: Plan,
    request: &Request,
    settings: &Settings,
    now: Timestamp,
    warnings: &mut Vec<String>,
) -> Plan {
    let Some(silence) = silence(settings, &request.notification, now) else {
        return plan;
    };
    if request.dry_run || settings.dry_run {
        warnings.push(format!("the silence {} would suppress this", silence.name));
    }
    plan.suppressed(&silence.name)
}

struct Planner<'a> {
    request: &'a Request,
    settings: &'a Settings,
    key: &'a str,
    texts: Texts<'a>,
    warnings: &'a mut Vec<String>,
    deliveries: Vec<Delivery>,
    /// The place of the first of them in the request.
    first: usize,
    /// Of all messages.
    bytes: usize,
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
    /// For warnings.
    path: Path,
}

impl<'a> Planner<'a> {
    /// One delivery for each configuration of a sender.
    fn sender(&mut self, sender: &str, configuration: &Json) -> Result<(), Refusal> {
        let path = Path::root().key("senders_config").key(sender);
        let Some(spec) = channels::find(sender) else {
            self.unknown_sender(sender, &path);
            return Ok(());
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
    fn ignore(&mut self, sender: &str, configuration: &Json) {
        let count = match configuration {
            Json::Array(items) => items.len().max(1),
            _ => 1,
        };
        for _ in 0..count {
            self.push(sender, None, Work::Ignore);
        }
    }

    /// The destinations that a configuration makes: one, unless it lists several.
    fn configuration(
        &mut self,
        spec: &'static ChannelSpec,
        configuration: &Json,
        path: Path,
    ) -> Result<(), Refusal> {
        let targets = self.targets(spec, configuration, path);
        let warned = self.warnings.len();
        for target in targets {
            let work = match target {
                Ok(target) => self.work(target)?,
                Err(work) => *work,
            };
            self.push(spec.key, None, work);
        }
        // What holds for all of a list is said once.
        let mut said = HashSet::new();
        let own = self.warnings.split_off(warned);
        let once = own.into_iter().filter(|own| said.insert(own.clone()));
        self.warnings.extend(once);
        Ok(())
    }

    /// The destinations that the request brings in one configuration.
    fn targets(
        &mut self,
        spec: &'static ChannelSpec,
        configuration: &Json,
        path: Path,
    ) -> Vec<Result<Target<'a>, Box<Work>>> {
        let Json::Object(members) = configuration else {
            let found = match configuration {
                Json::Array(_) => "an empty list or a list of lists",
                other => other.kind(),
            };
            let what = format!("must be an object or a list of objects, found {found}");
            return vec![Err(misconfigured(&ConfigError::new(path, what)))];
        };
        let mut warnings = Vec::new();
        let mut fields = Fields::new(
            spec.key,
            Origin::Request,
            spec.parameters,
            members,
            path.clone(),
            &mut warnings,
        );
        let each = 0..fields.destinations();
        let targets = each.map(|index| {
            let parsed = (spec.parse)(fields.at(index), &self.settings.operator);
            let channel = parsed.map_err(|error| misconfigured(&error))?;
            let configured_in = self.keeps().then(|| Box::new(in_request(fields.own())));
            self.target(channel, configured_in, path.clone())
        });
        let targets = targets.collect();
        self.warnings
            .extend(warnings.iter().map(ToString::to_string));
        targets
    }

    /// A destination that the request brings.
    fn target(
        &self,
        channel: Arc<dyn Channel>,
        configured_in: Option<Box<ConfiguredIn>>,
        path: Path,
    ) -> Result<Target<'a>, Box<Work>> {
        // None where the operator chose it: a policy for requests does not judge that.
        let host = channel.destination().host.as_deref();
        if host.is_some_and(|host| !self.settings.addresses.allows_host(host)) {
            let detail = Detail::from("the host is not one of allowed_hosts");
            return Err(Box::new(Work::Reject {
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
            path,
        })
    }

    fn named_receivers(&mut self) -> Result<(), Refusal> {
        for name in &self.request.receivers {
            match self.settings.config.by_name.get(name) {
                Some(place) => self.receiver_at(*place)?,
                None => self.unknown_receiver(name),
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
            let work = self.work(target)?;
            self.push(destination.sender, Some(&receiver.name), work);
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
            path: if several { path.index(index) } else { path },
        }
    }

    /// Whether deliveries are kept in an outbox.
    const fn keeps(&self) -> bool {
        self.settings.outbox.is_some()
    }

    /// Composes what a destination gets.
    fn work(&mut self, target: Target<'a>) -> Result<Work, Refusal> {
        let variant = self.texts.variant(target.template, self.warnings);
        let path = &target.path;
        let rendered = self
            .texts
            .parameters(target.rendered, &variant, path, self.warnings);
        let source = Source {
            notification: Arc::clone(&variant.notification),
            allow_mentions: target.allow_mentions,
            key: self.key.to_owned(),
            index: self.first + self.deliveries.len(),
            rendered,
            parameters: None,
        };
        let composition = match compose(target.channel.as_ref(), &source) {
            Ok(composition) => composition,
            Err(failure) => {
                let failure = explain_text(failure, &source.notification);
                let path = match failure.reason {
                    Reason::MissingDedupKey => "dedup_key",
                    _ => "notification_text",
                };
                return Ok(Work::Reject {
                    failure,
                    path: Some(path.to_owned()),
                });
            }
        };
        self.bytes += composition.size();
        if self.bytes > MAX_BYTES {
            return Err(Refusal::TooLarge);
        }
        for warning in &composition.warnings {
            self.warnings.push(format!("{}: {warning}", target.path));
        }
        let dedup_key = self.request.notification.dedup_key.clone();
        let source = self.source(source, &target, dedup_key.is_some());
        let sending = Box::new(Sending {
            channel: target.channel,
            composition,
            private_addresses: target.private_addresses,
            dedup_key,
            source,
            own: target.own,
            configured_in: target.configured_in,
            resume: None,
        });
        Ok(match self.request.dry_run || self.settings.dry_run {
            true => Work::Preview(sending),
            false => Work::Send(sending),
        })
    }

    /// What a delivery keeps to be composed of again: with the last message of its key, or for a digest.
    fn source(&self, source: Source, target: &Target<'a>, has_key: bool) -> Option<Box<Source>> {
        let policy = &self.settings.policy;
        let follows = has_key && target.channel.follows_up();
        let repeats = has_key && policy.repeat_interval.is_some();
        let digests = policy.max_per_batch.is_some() || policy.max_per_minute.is_some();
        let parameters = digests && !target.rendered.is_empty();
        (follows || repeats || digests).then(|| {
            Box::new(Source {
                parameters: parameters.then(|| self.texts.again(target.rendered)),
                ..source
            })
        })
    }

    fn unknown_sender(&mut self, sender: &str, path: &Path) {
        let names = channels::CHANNELS.iter().map(|spec| spec.key);
        let meant = nearest(sender, names);
        let detail = meant.map(|meant| format!("There is no such sender; did you mean {meant}?"));
        let failure = Failure::new(Reason::UnknownSender)
            .with_hint(channels::unknown_sender_hint())
            .with_detail(detail.and_then(|detail| Detail::new(&detail, &Default::default())));
        let path = Some(path.to_string());
        self.push(sender, None, Work::Reject { failure, path });
    }

    fn unknown_receiver(&mut self, name: &str) {
        let known = self.settings.config.by_name.keys().map(String::as_str);
        let meant = nearest(name, known);
        let detail = meant.map(|meant| format!("There is no such receiver; did you mean {meant}?"));
        let failure = Failure::new(Reason::UnknownReceiver)
            .with_detail(detail.and_then(|detail| Detail::new(&detail, &Default::default())));
        let path = Some("receivers".to_owned());
        self.push(name, Some(name), Work::Reject { failure, path });
    }

    fn push(&mut self, sender: &str, receiver: Option<&str>, work: Work) {
        self.deliveries.push(Delivery {
            sender: sender.to_owned(),
            receiver: receiver.map(str::to_owned),
            work,
        });
    }

    fn say_nobody(&mut self) {
        let ignored = |delivery: &Delivery| matches!(delivery.work, Work::Ignore);
        if self.deliveries.is_empty() {
            self.warnings
                .push("senders_config names no sender: nothing was sent".to_owned());
        } else if self.deliveries.iter().all(ignored) {
            self.warnings.push(
                "senders_config is not used (request_destinations=ignore), and no route or default receiver applies: \
                 nothing was sent"
                    .to_owned(),
            );
        }
    }
}

fn in_request(configuration: Json) -> ConfiguredIn {
    ConfiguredIn::Request(Secret::new(
        serde_json::to_string(&configuration).unwrap_or_default(),
    ))
}

/// A panic is this delivery's failure, and leaves the others alone.
fn compose(channel: &dyn Channel, source: &Source) -> Result<Composition, Failure> {
    let composed = guarded(|| source.compose(channel, None));
    composed.unwrap_or_else(|_| Err(Failure::new(Reason::Internal)))
}

fn misconfigured(error: &ConfigError) -> Box<Work> {
    Box::new(Work::Reject {
        failure: error.failure(),
        path: Some(error.path.to_string()),
    })
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
