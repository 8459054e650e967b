//! Discord webhooks <https://docs.discord.com/developers/resources/webhook#execute-webhook>.

mod markdown;
mod options;
mod parameters;
mod replies;
mod rich;

use std::sync::Arc;

use jiff::Timestamp;

use http::Method;
use serde::Serialize;
use url::Url;

pub use self::markdown::escape;
use self::options::{AllowedMentions, DiscordOptions, NewMessageOptions};
use self::parameters::{HEADERS, PARAMETERS, WEBHOOK_URL};
use super::shared::endpoint::Endpoint;
use super::shared::http_channel::HttpChannel;
use super::shared::{body, texts};
use super::spec::headers::HostHeader;
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, Fields, FollowUps, Length, Limits,
    Messages, OperatorSettings, Protocol,
};
use crate::model::notification::{AlertStatus, Notification};
use crate::model::outcome::{Classification, Failure, MessageRef};
use crate::model::problem::Problem;
use crate::model::wire::{HttpReply, HttpRequest, Outbound, ResendEffect};
use crate::text::{Fences, Limit, Markup};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "discord",
    about: "a Discord channel, by a webhook",
    parameters: PARAMETERS,
    // The unit is code points, according to Discord's staff (discord-api-docs, issue 1315).
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Discord::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    resend: ResendEffect::ShownTwice,
    follow_ups: FollowUps::EDITS,
    attachments: Attachments::ImageAddresses,
    limits: Limits::text(Length::Split(TEXT_LIMIT, MARKUP)),
};

const TEXT_LIMIT: Limit = Limit::code_points(2_000);
/// Source: support article "Markdown text 101". `<…>` writes mentions, emoji, times and links without a preview (docs:
/// reference, message formatting).
const MARKUP: Markup = Markup {
    fences: Fences::WithLanguage,
    links: true,
    angles: true,
    entities: false,
};

/// The format that Discord requires. Cloudflare, in front of Discord, sometimes blocks others (docs: reference, user
/// agent).
const DISCORD_USER_AGENT: &str = concat!(
    "DiscordBot (https://docs.influxdata.com/influxdb3/core/plugins/, ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

/// From version 8 on, `retry_after` is in seconds and errors name the field.
const API_VERSION: u32 = 10;

#[derive(Debug)]
struct Discord {
    endpoint: Endpoint,
    options: DiscordOptions,
}

#[derive(Serialize)]
struct Payload<'a> {
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_mentions: Option<AllowedMentions>,
    #[serde(flatten)]
    options: &'a NewMessageOptions,
}

impl Discord {
    fn new(fields: &mut Fields<'_>, _: &OperatorSettings) -> Result<Self, Problem> {
        let mut endpoint = Endpoint::read(
            fields,
            (&WEBHOOK_URL, &HEADERS),
            &CAPABILITIES,
            HostHeader::Dropped,
        )?
        .with_user_agent(DISCORD_USER_AGENT);
        if endpoint.destination.host.as_deref().is_some_and(is_discord) {
            with_version(&mut endpoint.url);
            // A rate limit with `global` applies to this host's address.
            endpoint.destination.account = Some("discord".to_owned());
        }
        let options = DiscordOptions::read(fields)?;
        with_own_query(&mut endpoint.url, options.thread_id.as_deref());
        Ok(Self { endpoint, options })
    }

    /// Returns the URL that edits a message (docs: webhook, edit webhook message).
    fn url_of(&self, MessageRef(id): &MessageRef) -> Option<Url> {
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        let mut url = self.endpoint.url.clone();
        let mut path = url.path_segments_mut().ok().filter(|_| is_id)?;
        path.pop_if_empty().extend(["messages", id]);
        drop(path);
        Some(url)
    }
}

impl HttpChannel for Discord {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        let text = texts::of(n)?;
        let allow_mentions = cx.allow_mentions && !n.is_rich();
        let plain = |content: String| {
            let payload = Payload {
                content: &content,
                allowed_mentions: (!allow_mentions).then(AllowedMentions::default),
                options: &self.options.of_new_message,
            };
            self.endpoint.post(body::json(&payload), &[])
        };
        if n.is_rich() {
            let mut rich = rich::compose(n, &text, TEXT_LIMIT, self.options.image.as_deref());
            let follows_up = n.status.is_some_and(AlertStatus::is_follow_up);
            let earlier = cx.earlier.as_ref().filter(|_| follows_up);
            let Some(url) = earlier.and_then(|id| self.url_of(id)) else {
                let mentions = cx.allow_mentions.then_some(&self.options.mentions);
                rich.payload.is_new(&self.options.of_new_message, mentions);
                return Ok(rich.messages(|body| self.endpoint.post(body, &[]), plain));
            };
            rich.payload.replaces_text();
            let edit = |body| {
                Outbound::Http(HttpRequest {
                    method: Method::PATCH,
                    url,
                    resend: ResendEffect::Deduplicated,
                    ..self.endpoint.request(body, &[])
                })
            };
            return Ok(rich.messages(edit, plain));
        }
        Ok(texts::in_parts(&text, TEXT_LIMIT, MARKUP, plain))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        let is_discord = self.endpoint.destination.account.is_some();
        replies::classify(reply, is_discord, self.endpoint.redactor())
    }
}

fn is_discord(host: &str) -> bool {
    ["discord.com", "discordapp.com"].iter().any(|domain| {
        host.strip_suffix(domain)
            .is_some_and(|head| head.is_empty() || head.ends_with('.'))
    })
}

/// Changes `/api/webhooks/…` and `/api/v6/webhooks/…` to `/api/v10/webhooks/…`. The URL that people copy has no
/// version. Discord then uses version 6, whose waits are in milliseconds (docs: reference, API versioning).
fn with_version(url: &mut Url) {
    let Some(rest) = url.path().strip_prefix("/api/") else {
        return;
    };
    let (first, tail) = rest.split_once('/').unwrap_or((rest, ""));
    let version = first
        .strip_prefix('v')
        .and_then(|digits| digits.parse::<u32>().ok());
    let path = match version {
        Some(version) if version >= API_VERSION => return,
        Some(_) => format!("/api/v{API_VERSION}/{tail}"),
        None if first == "webhooks" => format!("/api/v{API_VERSION}/{rest}"),
        None => return,
    };
    url.set_path(&path);
}

/// Adds `wait`: without it, Discord reports no error for an unsaved message. Adds the configured thread. The rest of the
/// query remains.
fn with_own_query(url: &mut Url, thread_id: Option<&str>) {
    let is_replaced = |key: &str| key == "wait" || (key == "thread_id" && thread_id.is_some());
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| !is_replaced(key))
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .extend_pairs(thread_id.map(|id| ("thread_id", id)))
        .append_pair("wait", "true");
}
