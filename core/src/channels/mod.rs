//! The channels: each composes messages and classifies replies, purely. [`CHANNELS`] has a line for each.
//!
//! Each has a file or folder of its own here. Beside them stand only
//!
//! - `spec`: what the registry knows of a channel, and how a sender's configuration is read by that;
//! - `shared`: what several channels are made of;
//! - `tests`: what every channel must do.

mod alertmanager;
mod discord;
mod email;
mod google_chat;
mod http;
mod ntfy;
mod opsgenie;
mod pagerduty;
mod pushover;
mod slack;
mod teams;
mod telegram;
mod twilio;

mod shared;
mod spec;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

pub(crate) use self::discord::escape as escape_discord;
pub use self::shared::classify::retry_after;
pub use self::shared::rich::LevelStyle;
pub(crate) use self::slack::escape as escape_slack;
pub use self::spec::{
    ChannelSpec, Fields, OPTIONS, OperatorSettings, Origin, Parameter, ParameterKind, Warning,
    describe, invalid, parse_url,
};
use crate::json::{Json, Path};
pub use crate::model::capabilities::{
    Attachments, Capabilities, FollowUps, Length, Limits, Protocol, Threading,
};
pub use crate::model::channel::{Channel, ComposeContext, Messages};
use crate::model::problem::Problem;
use crate::warnings::Warnings;

/// Every channel, by its sender's name.
pub const CHANNELS: &[&ChannelSpec] = &[
    &slack::SPEC,
    &discord::SPEC,
    &http::SPEC,
    &twilio::SMS,
    &twilio::WHATSAPP,
    &email::SPEC,
    &alertmanager::SPEC,
    &telegram::SPEC,
    &teams::SPEC,
    &pagerduty::SPEC,
    &opsgenie::SPEC,
    &opsgenie::JSM,
    &ntfy::SPEC,
    &google_chat::SPEC,
    &pushover::SPEC,
];

/// A channel as a request configures it: each field is what `value` gives for its parameter. For tests and measurements, to
/// which the parameters' own examples are at hand.
pub fn configured(
    spec: &'static ChannelSpec,
    value: impl Fn(&Parameter) -> Option<String>,
) -> Result<Arc<dyn Channel>, Problem> {
    let of_requests = spec.parameters.iter().filter(|one| !one.operator_only);
    let members: Vec<_> = of_requests
        .filter_map(|one| Some((one.name.to_owned(), Json::String(value(one)?))))
        .collect();
    let (path, mut warnings) = (Path::root(), Warnings::default());
    let (key, parameters) = (spec.key, spec.parameters);
    let mut fields = Fields::new(
        key,
        Origin::Request,
        parameters,
        &members,
        path,
        &mut warnings,
    );
    (spec.parse)(&mut fields, &OperatorSettings::default())
}

/// A value for each parameter, with which the channel sends a notification's text. For tests and measurements.
pub fn example(parameter: &Parameter) -> Option<String> {
    // A content template is sent in the text's place, and an example is a string.
    let is_left_out = parameter.name == "content_sid"
        || matches!(
            parameter.kind,
            ParameterKind::Table | ParameterKind::Templates
        );
    (!is_left_out).then(|| parameter.example.to_owned())
}

/// What to do about a sender that there is not: the hint of `unknown_sender`.
pub fn unknown_sender_hint() -> &'static str {
    static HINT: LazyLock<String> = LazyLock::new(|| {
        let names: Vec<_> = CHANNELS.iter().map(|spec| spec.key).collect();
        format!("Use one of: {}.", names.join(", "))
    });
    &HINT
}

/// The channel that a sender's name stands for.
pub fn find(sender: &str) -> Option<&'static ChannelSpec> {
    CHANNELS.iter().copied().find(|spec| spec.key == sender)
}
