//! Pushover <https://pushover.net/api>, <https://pushover.net/api/receipts>. Alertmanager's client has the same limits
//! of title, text and address (`notify/pushover/pushover.go`).

mod options;
mod parameters;
mod replies;

use std::sync::Arc;

use jiff::Timestamp;
use std::time::Duration;

use url::Url;

use self::options::{EMERGENCY, PushoverOptions};
use self::parameters::{BASE_URL, PARAMETERS, TOKEN, USER};
use super::shared::alert_list::ListStyle;
use super::shared::endpoint::{Endpoint, join_path};
use super::shared::http_channel::HttpChannel;
use super::shared::rich::{self, Truncations};
use super::shared::{lines, texts};
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, Fields, FollowUps, Length, Limits,
    Messages, OperatorSettings, Protocol,
};
use crate::model::notification::{AlertStatus, Notification};
use crate::model::outcome::{Classification, Failure};
use crate::model::problem::Problem;
use crate::model::wire::{HttpReply, HttpRequest, Outbound, ResendEffect};
use crate::secret::{Secret, digest};
use crate::text::{Limit, Markup};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "pushover",
    about: "the devices of a Pushover user or group",
    parameters: PARAMETERS,
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Pushover::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    resend: ResendEffect::ShownTwice,
    follow_ups: FollowUps::incidents(true),
    attachments: Attachments::None,
    limits: Limits {
        text: Length::Split(TEXT_LIMIT, Markup::NONE),
        // "No more than two concurrent HTTP requests", "wait at least 5 seconds" before a retry (section "being
        // friendly").
        in_flight: Some(2),
        least_backoff: Duration::from_secs(5),
    },
};

/// "Messages are currently limited to 1024 4-byte UTF-8 characters" (section on limitations).
const TEXT_LIMIT: Limit = Limit::code_points(1_024);
const TITLE_LIMIT: Limit = Limit::code_points(250);
/// The unit is code points.
const MAX_URL_CODE_POINTS: usize = 512;
const URL_TITLE_LIMIT: Limit = Limit::code_points(100);
/// The limit of all fields in the message, in code points.
const MAX_FIELDS_CODE_POINTS: usize = 500;
#[derive(Debug)]
struct Pushover {
    endpoint: Endpoint,
    base: Url,
    token: Secret,
    user: Secret,
    options: PushoverOptions,
}

impl Pushover {
    fn new(fields: &mut Fields<'_>, _: &OperatorSettings) -> Result<Self, Problem> {
        let key = |field| fields.formed(field).map(Secret::new);
        let (token, user) = (key(&TOKEN)?, key(&USER)?);
        let base = fields.base_url(&BASE_URL)?;
        let url = join_path(&base, ["1", "messages.json"]);
        let endpoint = Endpoint::new(fields.sender(), url, &CAPABILITIES);
        // All users of an application share one queue, because the limit of concurrent requests is per application.
        let key = digest(&format!("pushover {base} {}", token.expose()));
        let mut endpoint = endpoint
            .distinguished_by(fields.sender(), [token.clone(), user.clone()])
            .with_secret_members(&["token", "user"]);
        endpoint.destination.key = key;
        Ok(Self {
            endpoint,
            base,
            token,
            user,
            options: PushoverOptions::read(fields)?,
        })
    }

    /// Returns a message with these fields of Pushover's form.
    fn form<'a>(&'a self, says: impl IntoIterator<Item = (&'a str, &'a str)>) -> Outbound {
        let to = [("token", self.token.expose()), ("user", self.user.expose())];
        let says = self.options.of_each_part().chain(says);
        Outbound::Http(self.endpoint.form(to.into_iter().chain(says)))
    }

    /// Returns a message with only a text. Only the first message of a long text has a priority.
    fn part(&self, text: &str, priority: &str) -> Outbound {
        let message = [("message", text)].into_iter();
        let message = message.chain(PushoverOptions::priority_field(priority));
        self.form(message.chain(self.options.of_priority(priority)))
    }

    /// Ends the emergencies with this tag. If there are none, Pushover reports no error (section on receipts, "cancel
    /// by tag").
    fn cancel(&self, tag: &str) -> Outbound {
        let file = format!("{tag}.json");
        Outbound::Http(HttpRequest {
            url: join_path(&self.base, ["1", "receipts", "cancel_by_tag", &file]),
            resend: ResendEffect::Deduplicated,
            ..self.endpoint.form([("token", self.token.expose())])
        })
    }

    fn rich(&self, notification: &Notification, text: &str) -> Messages {
        let mut cuts = Truncations::default();
        let title = cuts.heading(notification, TITLE_LIMIT, |heading| heading);
        let link = cuts.link(notification.link.as_deref(), |link| {
            TEXT_LIMIT.unit.of(link) <= MAX_URL_CODE_POINTS
        });
        let below = lines::below(
            notification,
            MAX_FIELDS_CODE_POINTS,
            TEXT_LIMIT.unit,
            &mut cuts,
        );
        let room = TEXT_LIMIT.length - TEXT_LIMIT.unit.of(&below);
        let style = ListStyle {
            link: None,
            ..ListStyle::plain(TEXT_LIMIT.unit)
        };
        let split = texts::fit(notification, text, room, (TEXT_LIMIT, Markup::NONE), &style);
        let mut parts = split.parts.iter().map(String::as_str);
        let message = parts.next().unwrap_or_default().to_owned() + &below;

        let tag = notification.dedup_key.as_deref().map(digest);
        let priority = self.options.priority(notification);
        let emergency = tag.as_deref().filter(|_| priority == EMERGENCY);
        let time = notification.timestamp.and_then(rich::unix_seconds);
        let time = time.map(|seconds| seconds.to_string());
        let opens = link
            .and_then(rich::link_host)
            .map(|host| format!("Open {host}"));
        let opens = opens.filter(|words| TEXT_LIMIT.unit.of(words) <= URL_TITLE_LIMIT.length);
        let says = [("title", title.as_str()), ("message", &message)].into_iter();
        let says = says
            .chain(PushoverOptions::priority_field(priority))
            .chain(emergency.map(|tag| ("tags", tag)))
            .chain(self.options.of_priority(priority))
            .chain(time.as_deref().map(|time| ("timestamp", time)))
            .chain(link.map(|link| ("url", link)))
            .chain(opens.as_deref().map(|words| ("url_title", words)));
        let first = self.form(says);
        let follows_up = notification.status.is_some_and(AlertStatus::is_follow_up);
        let cancel = tag.filter(|_| follows_up).map(|tag| self.cancel(&tag));
        let more = parts.map(|part| self.part(part, "0"));
        let mut warnings = cuts.warnings();
        warnings.extend(texts::missing_warning(split.missing));
        Messages {
            parts: std::iter::once(first).chain(more).chain(cancel).collect(),
            segments: None,
            warnings,
        }
    }
}

impl HttpChannel for Pushover {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(&self, n: &Notification, _: &ComposeContext) -> Result<Messages, Failure> {
        let text = texts::of(n)?;
        if n.is_rich() {
            return Ok(self.rich(n, &text));
        }
        let mut first = Some(self.options.priority(n));
        let plain = |part: String| self.part(&part, first.take().unwrap_or("0"));
        Ok(texts::in_parts(&text, TEXT_LIMIT, Markup::NONE, plain))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        replies::classify(reply, self.endpoint.redactor())
    }
}
