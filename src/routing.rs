//! A request and the settings to a plan: which notification goes to which destination, composed.
//!
//! Everything that can be wrong with a request is found here, before the first byte is sent.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::api::request::Request;
use crate::channels::{self, ChannelSpec, ConfigError, Fields, Origin};
use crate::model::channel::{Channel, Composing, Composition};
use crate::model::json::{Json, Path};
use crate::model::notification::Notification;
use crate::model::outcome::{Detail, Failure, Reason};
use crate::model::plan::{Delivery, Plan, Sending, Work};
use crate::model::policy::PrivateAddresses;
use crate::settings::Settings;

/// Makes the plan of a request. `task_id` stands in for a key where the caller gave none. Warnings are added to.
pub fn plan(
    request: &Request,
    settings: &Settings,
    task_id: &str,
    warnings: &mut Vec<String>,
) -> Plan {
    let mut planner = Planner {
        request,
        settings,
        key: request.idempotency_key.as_deref().unwrap_or(task_id),
        warnings,
        deliveries: Vec::new(),
    };
    for (sender, configuration) in &request.senders {
        planner.sender(sender, configuration);
    }
    for receiver in &request.receivers {
        planner.unknown_receiver(receiver);
    }
    let plan = Plan {
        deliveries: planner.deliveries,
    };
    if plan.deliveries.is_empty() {
        warnings.push("senders_config names no sender: nothing was sent".to_owned());
    }
    plan
}

struct Planner<'a> {
    request: &'a Request,
    settings: &'a Settings,
    key: &'a str,
    warnings: &'a mut Vec<String>,
    deliveries: Vec<Delivery>,
}

impl Planner<'_> {
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

    fn configuration(&mut self, spec: &'static ChannelSpec, configuration: &Json, path: Path) {
        let work = self.work(spec, configuration, path);
        self.deliveries.push(Delivery {
            sender: spec.key.to_owned(),
            receiver: None,
            work,
        });
    }

    fn work(&mut self, spec: &'static ChannelSpec, configuration: &Json, path: Path) -> Work {
        let Json::Object(members) = configuration else {
            let found = match configuration {
                Json::Array(_) => "an empty list or a list of lists",
                other => other.kind(),
            };
            let what = format!("must be an object or a list of objects, found {found}");
            return misconfigured(&ConfigError::new(path, what));
        };
        let mut fields = Fields::new(
            spec.key,
            Origin::Request,
            spec.parameters,
            members,
            path.clone(),
            self.warnings,
        );
        let channel = match (spec.parse)(&mut fields, &self.settings.operator) {
            Ok(channel) => channel,
            Err(error) => return misconfigured(&error),
        };
        // None where the operator chose it: a policy for requests does not judge that.
        let host = channel.destination().host.as_deref();
        if host.is_some_and(|host| !self.settings.addresses.allows_host(host)) {
            let detail = Detail::from("the host is not one of allowed_hosts");
            return Work::Reject {
                failure: Failure::new(Reason::AddressDenied).with_detail(Some(detail)),
                path: Some(path.to_string()),
            };
        }
        let private_addresses = match host {
            Some(_) => self.settings.addresses.private_addresses,
            None => PrivateAddresses::Allow,
        };
        let cx = Composing {
            allow_mentions: self.settings.allow_mentions,
            key: self.key,
            index: self.deliveries.len(),
        };
        let composition = match compose(channel.as_ref(), &self.request.notification, &cx) {
            Ok(composition) => composition,
            Err(failure) => {
                let failure = explain_text(failure, &self.request.notification);
                return Work::Reject {
                    failure,
                    path: Some("notification_text".to_owned()),
                };
            }
        };
        for warning in &composition.warnings {
            self.warnings.push(format!("{path}: {warning}"));
        }
        let sending = Sending {
            channel,
            composition,
            private_addresses,
            dedup_key: self.request.notification.dedup_key.clone(),
        };
        if self.request.dry_run || self.settings.dry_run {
            Work::Preview(sending)
        } else {
            Work::Send(sending)
        }
    }

    fn unknown_sender(&mut self, sender: &str, path: &Path) {
        let names = channels::CHANNELS.iter().map(|spec| spec.key);
        let meant = crate::model::text::nearest(sender, names);
        let detail = meant.map(|meant| format!("There is no such sender; did you mean {meant}?"));
        let failure = Failure::new(Reason::UnknownSender)
            .with_detail(detail.and_then(|detail| Detail::new(&detail, &Default::default())));
        self.deliveries.push(Delivery {
            sender: sender.to_owned(),
            receiver: None,
            work: Work::Reject {
                failure,
                path: Some(path.to_string()),
            },
        });
    }

    fn unknown_receiver(&mut self, receiver: &str) {
        self.deliveries.push(Delivery {
            sender: receiver.to_owned(),
            receiver: Some(receiver.to_owned()),
            work: Work::Reject {
                failure: Failure::new(Reason::UnknownReceiver),
                path: Some("receivers".to_owned()),
            },
        });
    }
}

/// A panic is this delivery's failure, and leaves the others alone.
fn compose(
    channel: &dyn Channel,
    notification: &Notification,
    cx: &Composing<'_>,
) -> Result<Composition, Failure> {
    let composed = catch_unwind(AssertUnwindSafe(|| channel.compose(notification, cx)));
    composed.unwrap_or_else(|_| Err(Failure::new(Reason::Internal)))
}

fn misconfigured(error: &ConfigError) -> Work {
    Work::Reject {
        failure: error.failure(),
        path: Some(error.path.to_string()),
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
