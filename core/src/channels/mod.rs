//! The channels. Each channel composes messages and classifies replies as pure functions. [`CHANNELS`] lists all of
//! them.
//!
//! Each channel has its own file or folder here. The other modules are:
//!
//! - `spec`: the registry's description of a channel, and the reader of a sender's configuration;
//! - `shared`: the code that several channels use;
//! - `tests`: the requirements on every channel.

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
pub use self::shared::alert_list::{notification as group_notification, plain_text as alert_list};
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

/// All channels.
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

/// Configures a channel as a request does. `value` returns the value of each parameter. For tests and measurements,
/// which can use the parameters' own examples.
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

/// Returns an example value of a parameter, so that the channel sends the notification's text. For tests and
/// measurements.
pub fn example(parameter: &Parameter) -> Option<String> {
    // A content template replaces the text. A delay and a new thread exclude other parameters.
    let is_left_out = matches!(
        parameter.name,
        "content_sid" | "ntfy_delay" | "discord_thread_name"
    ) || matches!(
        parameter.kind,
        ParameterKind::Table | ParameterKind::Templates
    );
    (!is_left_out).then(|| parameter.example.to_owned())
}

/// Returns the hint of the error `unknown_sender`.
pub fn unknown_sender_hint() -> &'static str {
    static HINT: LazyLock<String> = LazyLock::new(|| {
        let names: Vec<_> = CHANNELS.iter().map(|spec| spec.key).collect();
        format!("Use one of: {}.", names.join(", "))
    });
    &HINT
}

/// Returns the channel with this sender's name.
pub fn find(sender: &str) -> Option<&'static ChannelSpec> {
    CHANNELS.iter().copied().find(|spec| spec.key == sender)
}
