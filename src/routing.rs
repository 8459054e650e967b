//! A request and the settings to a plan: which notification, rendered how, goes to which destination, composed.
//!
//! Everything that can be wrong with a request is found here, before the first byte is sent.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::request::Request;
use crate::channels::{self, ChannelSpec, ConfigError, Fields, Origin};
use crate::model::channel::{Channel, Composition};
use crate::model::json::{Json, Path};
use crate::model::notification::Notification;
use crate::model::outcome::{Detail, Failure, Reason};
use crate::model::plan::{Delivery, OwnPolicy, Plan, Sending, Source, Work};
use crate::model::policy::PrivateAddresses;
use crate::model::text::nearest;
use crate::settings::Settings;
use crate::settings::arguments::RequestDestinations;
use crate::settings::file::{FileDestination, Receiver, Rendered};

/// Why a request has no plan. Nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It names no destination, and no route or default receiver applies.
    NoDestination,
    /// It brings destinations, and the operator denies that.
    DestinationsDenied,
}

/// Why a receiver is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// By the route at this place.
    Route(usize),
    Default,
}

/// Makes the plan of a request. `task_id` stands in for a key where the caller gave none. Warnings are added to.
pub fn plan(
    request: &Request,
    settings: &Settings,
    task_id: &str,
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
        warnings,
        texts: HashMap::new(),
        deliveries: Vec::new(),
    };
    for (sender, configuration) in senders {
        match mode {
            RequestDestinations::Ignore => planner.ignore(sender, configuration),
            _ => planner.sender(sender, configuration),
        }
    }
    planner.named_receivers();
    let names_senders = !senders.is_empty() && mode != RequestDestinations::Ignore;
    let mut reached = Vec::new();
    if !names_senders && request.receivers.is_empty() {
        reached = reach(settings, &request.notification);
        if reached.is_empty() && request.senders.is_none() {
            return Err(Refusal::NoDestination);
        }
    }
    for (place, _) in &reached {
        planner.receiver_at(*place);
    }
    planner.say_nobody();
    let deliveries = planner.deliveries;
    Ok(silenced(Plan { deliveries }, request, settings, warnings))
}

/// Whom the file's rules choose for a notification that names nobody: routes, else the default receivers. Each once.
pub fn reach(settings: &Settings, notification: &Notification) -> Vec<(usize, Why)> {
    let mut reached: Vec<(usize, Why)> = Vec::new();
    for (place, route) in settings.config.routes.iter().enumerate() {
        if !route.matcher.matches(notification) {
            continue;
        }
        for receiver in &route.receivers {
            if !reached.iter().any(|(known, _)| known == receiver) {
                reached.push((*receiver, Why::Route(place)));
            }
        }
        if !route.goes_on {
            break;
        }
    }
    if reached.is_empty() {
        let default = settings.default_receivers.iter();
        reached.extend(default.map(|receiver| (*receiver, Why::Default)));
    }
    reached
}

/// A silence holds for every delivery, whoever named it.
fn silenced(
    plan: Plan,
    request: &Request,
    settings: &Settings,
    warnings: &mut Vec<String>,
) -> Plan {
    let now = Timestamp::now();
    let mut silences = settings.config.silences.iter();
    let Some(silence) = silences.find(|silence| silence.holds(&request.notification, now)) else {
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
    warnings: &'a mut Vec<String>,
    /// What templates made of the notification, by their names; `None` of one that failed.
    texts: HashMap<String, Option<Arc<Notification>>>,
    deliveries: Vec<Delivery>,
}

/// One destination, whoever chose it.
struct Target<'a> {
    channel: Arc<dyn Channel>,
    private_addresses: PrivateAddresses,
    own: OwnPolicy,
    allow_mentions: bool,
    template: Option<&'a str>,
    rendered: &'a [Rendered],
    /// For warnings.
    path: Path,
}

impl<'a> Planner<'a> {
    /// One delivery for each configuration of a sender.
    fn sender(&mut self, sender: &str, configuration: &Json) {
        let path = Path::root().key("senders_config").key(sender);
        let Some(spec) = channels::find(sender) else {
            self.unknown_sender(sender, &path);
            return;
        };
        match configuration {
            Json::Array(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    self.configuration(spec, item, path.index(index));
                }
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

    fn configuration(&mut self, spec: &'static ChannelSpec, configuration: &Json, path: Path) {
        let work = match self.target(spec, configuration, path) {
            Ok(target) => self.work(target),
            Err(work) => *work,
        };
        self.push(spec.key, None, work);
    }

    /// A destination that the request brings.
    fn target(
        &mut self,
        spec: &'static ChannelSpec,
        configuration: &Json,
        path: Path,
    ) -> Result<Target<'a>, Box<Work>> {
        let Json::Object(members) = configuration else {
            let found = match configuration {
                Json::Array(_) => "an empty list or a list of lists",
                other => other.kind(),
            };
            let what = format!("must be an object or a list of objects, found {found}");
            return Err(misconfigured(&ConfigError::new(path, what)));
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
        let parsed = (spec.parse)(&mut fields, &self.settings.operator);
        self.warnings
            .extend(warnings.iter().map(ToString::to_string));
        let channel = parsed.map_err(|error| misconfigured(&error))?;
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
            path,
        })
    }

    fn named_receivers(&mut self) {
        for name in &self.request.receivers {
            match self.settings.config.by_name.get(name) {
                Some(place) => self.receiver_at(*place),
                None => self.unknown_receiver(name),
            }
        }
    }

    fn receiver_at(&mut self, place: usize) {
        // Places are the file's own.
        let Some(receiver) = self.settings.config.receivers.get(place) else {
            return;
        };
        for (index, destination) in receiver.destinations.iter().enumerate() {
            let target = self.file_target(receiver, destination, index);
            let work = self.work(target);
            self.push(destination.sender, Some(&receiver.name), work);
        }
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
            template: destination.template.as_deref(),
            rendered: &destination.rendered,
            path: if several { path.index(index) } else { path },
        }
    }

    /// Composes what a destination gets.
    fn work(&mut self, target: Target<'a>) -> Work {
        let notification = self.notification(target.template);
        let rendered = self.rendered(&target, &notification);
        let source = Source {
            notification,
            allow_mentions: target.allow_mentions,
            key: self.key.to_owned(),
            index: self.deliveries.len(),
            rendered,
        };
        let composition = match compose(target.channel.as_ref(), &source) {
            Ok(composition) => composition,
            Err(failure) => {
                let failure = explain_text(failure, &source.notification);
                let path = match failure.reason {
                    Reason::MissingDedupKey => "dedup_key",
                    _ => "notification_text",
                };
                return Work::Reject {
                    failure,
                    path: Some(path.to_owned()),
                };
            }
        };
        for warning in &composition.warnings {
            self.warnings.push(format!("{}: {warning}", target.path));
        }
        let dedup_key = self.request.notification.dedup_key.clone();
        let follows_up = dedup_key.is_some() && target.channel.follows_up();
        let sending = Sending {
            channel: target.channel,
            composition,
            private_addresses: target.private_addresses,
            dedup_key,
            source: follows_up.then(|| Box::new(source)),
            own: target.own,
        };
        if self.request.dry_run || self.settings.dry_run {
            Work::Preview(sending)
        } else {
            Work::Send(sending)
        }
    }

    /// The notification with the text that a template makes: the request's, or else the receiver's own. One that fails
    /// fails nothing: the text goes as it is.
    fn notification(&mut self, template: Option<&str>) -> Arc<Notification> {
        let request = self.request;
        let given = || Arc::new(request.notification.clone());
        let Some(name) = request.template.as_deref().or(template) else {
            return given();
        };
        if let Some(known) = self.texts.get(name) {
            return known.clone().unwrap_or_else(given);
        }
        let made = self.render(name).map(|text| {
            Arc::new(Notification {
                text: Json::String(text),
                ..request.notification.clone()
            })
        });
        self.texts.insert(name.to_owned(), made.clone());
        made.unwrap_or_else(given)
    }

    fn render(&mut self, name: &str) -> Option<String> {
        let templates = &self.settings.config.templates;
        let notification = &self.request.notification;
        let what = match templates.render(name, notification, self.request.data.as_ref()) {
            Ok(text) if !text.trim().is_empty() => return Some(text),
            Ok(_) => "it makes a blank text".to_owned(),
            Err(error) => error.to_string(),
        };
        let name = Path::root().key(name);
        self.warnings
            .push(format!("template {name}: {what}; the text goes as it is"));
        None
    }

    /// What the templates of a destination's parameters make; one that fails is as if it were not there.
    fn rendered(
        &mut self,
        target: &Target<'_>,
        notification: &Notification,
    ) -> Vec<(&'static str, String)> {
        let templates = &self.settings.config.templates;
        let data = self.request.data.as_ref();
        let mut made = Vec::new();
        for parameter in target.rendered {
            let (name, text) = match parameter {
                Rendered::One(name, template) => {
                    (*name, templates.render(template, notification, data))
                }
                Rendered::Table(name, members) => {
                    let each = members.iter().map(|(key, template)| {
                        let text = templates.render(template, notification, data)?;
                        Ok((key.as_str(), text))
                    });
                    let object: Result<serde_json::Map<_, _>, _> = each
                        .map(|member| member.map(|(key, text)| (key.to_owned(), text.into())))
                        .collect();
                    (
                        *name,
                        object.map(|object| serde_json::Value::Object(object).to_string()),
                    )
                }
            };
            match text {
                Ok(text) => made.push((name, text)),
                Err(error) => self
                    .warnings
                    .push(format!("{}: {name}: {error}; sent without it", target.path)),
            }
        }
        made
    }

    fn unknown_sender(&mut self, sender: &str, path: &Path) {
        let names = channels::CHANNELS.iter().map(|spec| spec.key);
        let meant = nearest(sender, names);
        let detail = meant.map(|meant| format!("There is no such sender; did you mean {meant}?"));
        let failure = Failure::new(Reason::UnknownSender)
            .with_hint(channels::name_one())
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

/// A panic is this delivery's failure, and leaves the others alone.
fn compose(channel: &dyn Channel, source: &Source) -> Result<Composition, Failure> {
    let composed = catch_unwind(AssertUnwindSafe(|| source.compose(channel, None)));
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
