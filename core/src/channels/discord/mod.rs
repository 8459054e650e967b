//! Discord's webhooks <https://docs.discord.com/developers/resources/webhook#execute-webhook>.

mod rich;

use std::sync::Arc;

use jiff::Timestamp;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::Value;
use url::Url;

pub use self::rich::escape;
use super::shared::endpoint::Endpoint;
use super::shared::http_channel::HttpChannel;
use super::shared::{body, classify, texts};
use super::spec::headers::HostHeader;
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, ConfigError, Fields, FollowUps, Length,
    Limits, Messages, Operator, Parameter, Protocol,
};
use crate::model::notification::{Notification, Status};
use crate::model::outcome::{
    AttemptResult, Classification, Detail, Failure, MessageRef, QueueDirective, Reason, Scope,
};
use crate::model::wire::{HttpReply, HttpRequest, Outbound, ResendEffect};
use crate::secret::Redactor;
use crate::text::{Fences, Limit, Markup};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "discord",
    about: "a Discord channel, by a webhook",
    parameters: &[
        Parameter::new(
            "discord_webhook_url",
            "https://discord.com/api/webhooks/123456789012345678/abcdefgh",
            "The webhook's URL.",
        )
        .required()
        .secret(),
        Parameter::headers("discord_headers", "eyJYLVRlYW0iOiAib3BzIn0="),
    ],
    // Code points, by Discord's staff (discord-api-docs, issue 1315).
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Discord::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    resend: ResendEffect::ShownTwice,
    follow_ups: FollowUps::EDITS,
    attachments: Attachments::None,
    limits: Limits::text(Length::Split(LIMIT, MARKUP)),
};

const LIMIT: Limit = Limit::code_points(2_000);
/// Support article "Markdown text 101"; `<…>` are mentions, emoji, times and links without a preview
/// (docs: reference, message formatting).
const MARKUP: Markup = Markup {
    fences: Fences::WithLanguage,
    links: true,
    angles: true,
    entities: false,
};

/// The form that Discord asks for; Cloudflare, before it, blocks others at times (docs: reference, user agent).
const DISCORD_USER_AGENT: &str = concat!(
    "DiscordBot (https://docs.influxdata.com/influxdb3/core/plugins/, ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

/// The version whose `retry_after` is in seconds (from 8 on) and whose errors name the field.
const API_VERSION: u32 = 10;

#[derive(Debug)]
struct Discord {
    endpoint: Endpoint,
}

#[derive(Serialize)]
struct Payload<'a> {
    content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_mentions: Option<NoMentions>,
}

/// `{"parse":[]}`: nobody is mentioned.
#[derive(Serialize)]
struct NoMentions {
    parse: [&'static str; 0],
}

impl Discord {
    fn new(fields: &mut Fields<'_>, _: &Operator) -> Result<Self, ConfigError> {
        let mut endpoint = Endpoint::read(fields, &CAPABILITIES, HostHeader::Dropped)?
            .with_user_agent(DISCORD_USER_AGENT);
        if endpoint.destination.host.as_deref().is_some_and(is_discord) {
            with_version(&mut endpoint.url);
            // A limit that says `global` holds for this host's address.
            endpoint.destination.account = Some("discord".to_owned());
        }
        with_wait(&mut endpoint.url);
        Ok(Self { endpoint })
    }

    /// Where a message is changed (docs: webhook, edit webhook message).
    fn url_of(&self, MessageRef(id): &MessageRef) -> Option<Url> {
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
        let mut url = self.endpoint.url.clone();
        let mut path = url.path_segments_mut().ok().filter(|_| is_id)?;
        path.pop_if_empty().extend(["messages", id]);
        drop(path);
        Some(url)
    }

    fn rate_limited(
        &self,
        error: &ErrorBody,
        reply: &HttpReply,
        detail: Option<Detail>,
    ) -> Classification {
        let failure = Failure::new(Reason::RateLimited).with_detail(detail);
        let header = classify::reply_retry_after(reply);
        let is_discord = self.endpoint.destination.account.is_some();
        if is_discord && !error.names_a_wait {
            let after = header.unwrap_or(BLOCK);
            return classify::paused(failure.with_hint(BLOCKED), Some(after), Scope::Account);
        }
        let scope = match is_discord && error.global {
            true => Scope::Account,
            false => Scope::Destination,
        };
        let after = error.retry_after.and_then(classify::seconds).or(header);
        classify::paused(failure, after, scope)
    }
}

impl HttpChannel for Discord {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &ComposeContext<'_>,
    ) -> Result<Messages, Failure> {
        let text = texts::of(notification)?;
        let allow_mentions = cx.allow_mentions && !notification.is_rich();
        let plain = |content: String| {
            let payload = Payload {
                content: &content,
                allowed_mentions: (!allow_mentions).then_some(NoMentions { parse: [] }),
            };
            self.endpoint.post(body::json(&payload), &[])
        };
        if notification.is_rich() {
            let mut rich = rich::compose(notification, &text, LIMIT);
            let follows_up = notification.status.is_some_and(Status::follows_up);
            let earlier = cx.earlier.filter(|_| follows_up);
            let Some(url) = earlier.and_then(|id| self.url_of(id)) else {
                return Ok(rich.composition(|body| self.endpoint.post(body, &[]), plain));
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
            return Ok(rich.composition(edit, plain));
        }
        Ok(texts::in_parts(&text, LIMIT, MARKUP, plain))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        let error = ErrorBody::read(reply);
        let detail = || error.detail(reply, &self.endpoint);
        let mut classification = match (error.code.and_then(meaning), reply.status) {
            (_, 200..=299) => {
                let by_status = classify::by_status(reply, self.endpoint.redactor(), detail);
                with_id(by_status, reply, self.endpoint.redactor())
            }
            // Whatever else the reply says is about edits, and the next message is a new one.
            (Some(Meaning::Stale), 400..=499) => {
                let failure = Failure::new(Reason::Rejected).with_detail(detail());
                return AttemptResult::Stale(failure).into();
            }
            (_, 429) | (Some(Meaning::Transient(Reason::RateLimited)), 400..=599) => {
                self.rate_limited(&error, reply, detail())
            }
            (Some(Meaning::Permanent(reason)), 400..=599) => {
                AttemptResult::Reject(Failure::new(reason).with_detail(detail())).into()
            }
            (Some(Meaning::Transient(reason)), 400..=599) => AttemptResult::Retry {
                failure: Failure::new(reason).with_detail(detail()),
                after: classify::reply_retry_after(reply),
            }
            .into(),
            _ => classify::by_status(reply, self.endpoint.redactor(), detail),
        };
        if classification.queue.is_none() {
            classification.queue = if error.condemns(reply.status) {
                Some(QueueDirective::Disable {
                    wait: classify::REFUSAL,
                })
            } else {
                bucket_empty(reply)
            };
        }
        classification
    }
}

fn is_discord(host: &str) -> bool {
    ["discord.com", "discordapp.com"].iter().any(|domain| {
        host.strip_suffix(domain)
            .is_some_and(|head| head.is_empty() || head.ends_with('.'))
    })
}

/// `/api/webhooks/…` and `/api/v6/webhooks/…` as `/api/v10/webhooks/…`: the URL that people copy has no version, which
/// means version 6, whose waits are in milliseconds (docs: reference, API versioning).
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

/// Without `wait` a message that was not saved reports no error. The rest of the query (`thread_id`) stays.
fn with_wait(url: &mut Url) {
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != "wait")
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(others)
        .append_pair("wait", "true");
}

/// A delivery with the id that the reply names.
fn with_id(
    mut by_status: Classification,
    reply: &HttpReply,
    redactor: &Redactor,
) -> Classification {
    if let AttemptResult::Delivered { message, .. } = &mut by_status.result {
        let json = reply.json();
        let id = json.as_ref().and_then(|json| json.get("id")?.as_str());
        *message = classify::message_ref(id, redactor);
    }
    by_status
}

/// `X-RateLimit-Remaining: 0`: the next request would be limited, so it waits at once.
fn bucket_empty(reply: &HttpReply) -> Option<QueueDirective> {
    if reply.header("x-ratelimit-remaining")?.trim() != "0" {
        return None;
    }
    let wait: f64 = reply
        .header("x-ratelimit-reset-after")?
        .trim()
        .parse()
        .ok()?;
    Some(QueueDirective::Pause {
        wait: Some(classify::seconds(wait)?.min(LONGEST_RESET)),
        scope: Scope::Destination,
    })
}

/// Nobody's bucket takes longer; a hostile header must not close a destination for years.
const LONGEST_RESET: Duration = Duration::from_secs(3600);

/// How long nothing is sent to Discord after a 429 that names no wait. Discord names one always; without it is Cloudflare, in
/// front of Discord, which blocks this server's address (discord-api-docs, issue 5810). Discord counts refusals over ten minutes
/// <https://docs.discord.com/developers/topics/rate-limits#invalid-request-limit-aka-cloudflare-bans>.
const BLOCK: Duration = Duration::from_secs(600);
const BLOCKED: &str = "Discord blocks this server's address for a while, for too many requests that it refused: see which webhooks fail, and remove them.";

/// Discord's `{code, message, errors, retry_after, global}`.
#[derive(Default)]
struct ErrorBody {
    code: Option<u64>,
    message: Option<String>,
    /// The first field that the form's errors name, and what is wrong with it.
    field: Option<String>,
    retry_after: Option<f64>,
    /// Whether it has a `retry_after`, be it a number or not.
    names_a_wait: bool,
    global: bool,
}

impl ErrorBody {
    fn read(reply: &HttpReply) -> Self {
        if reply.status < 400 {
            return Self::default();
        }
        let Some(json) = reply.json() else {
            return Self::default();
        };
        Self {
            code: json.get("code").and_then(Value::as_u64),
            message: json
                .get("message")
                .and_then(Value::as_str)
                .map(str::to_owned),
            field: json
                .get("errors")
                .and_then(|errors| first_error(errors, "", 0)),
            retry_after: json.get("retry_after").and_then(Value::as_f64),
            names_a_wait: json.get("retry_after").is_some(),
            global: json.get("global") == Some(&Value::Bool(true)),
        }
    }

    fn detail(&self, reply: &HttpReply, endpoint: &Endpoint) -> Option<Detail> {
        let sentence = self.message.as_ref().map(|message| match &self.field {
            Some(field) => format!("{message} ({field})"),
            None => message.clone(),
        });
        // 0 is what it gives where it has no code.
        let code = self.code.filter(|code| *code > 0);
        let redactor = endpoint.redactor();
        classify::said("Discord", code, sentence.as_deref(), reply, redactor)
    }

    /// Whether the webhook itself is done for, so that using it again would only count against this host's address
    /// (docs: rate limits, invalid requests). The refusal of one message condemns nothing.
    fn condemns(&self, status: u16) -> bool {
        match (status, self.code) {
            (401 | 403 | 404, None | Some(0)) => true,
            (401 | 403 | 404, Some(code)) => {
                matches!(code, 10003 | 10015 | 50001 | 50013 | 50027)
            }
            _ => false,
        }
    }
}

/// `content: Must be 2000 or fewer in length.` out of `{"content":{"_errors":[{"message":…}]}}`.
fn first_error(errors: &Value, path: &str, depth: usize) -> Option<String> {
    if let Some(list) = errors.get("_errors").and_then(Value::as_array) {
        let message = list.first()?.get("message")?.as_str()?;
        return Some(format!("{path}: {message}"));
    }
    if depth > 8 {
        return None;
    }
    errors.as_object()?.iter().find_map(|(key, inner)| {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        first_error(inner, &path, depth + 1)
    })
}

enum Meaning {
    Permanent(Reason),
    Transient(Reason),
    /// The message that was to be changed is gone or cannot be changed.
    Stale,
}

/// Discord's error codes, whatever the status, which is documented for few
/// <https://docs.discord.com/developers/topics/opcodes-and-status-codes#json>.
fn meaning(code: u64) -> Option<Meaning> {
    use Meaning::{Permanent, Stale, Transient};
    Some(match code {
        // Unknown message; too many edits of a message older than an hour; a message of another webhook; an archived thread.
        10008 | 30046 | 50005 | 50083 => Stale,
        10003 | 10015 => Permanent(Reason::UnknownDestination),
        50027 => Permanent(Reason::Unauthorized),
        50001 | 50013 | 160005 | 200000 | 240000 | 40333 => Permanent(Reason::Forbidden),
        50006 | 50035 | 50109 | 220001..=220003 => Permanent(Reason::Rejected),
        20016 | 20028 | 20029 => Transient(Reason::RateLimited),
        40004 | 130000 => Transient(Reason::ServerError),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::channels::{Channel, configured};
    use crate::json::Json;
    use crate::model::wire::Reply;

    fn reply(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &'static str,
    ) -> HttpReply {
        let headers = headers.iter().map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        });
        HttpReply {
            status,
            headers: HeaderMap::from_iter(headers),
            body: Bytes::from_static(body.as_bytes()),
            complete: true,
            received: SystemTime::UNIX_EPOCH,
        }
    }

    fn at(url: &str) -> Arc<dyn Channel> {
        let value = |one: &Parameter| (one.name == "discord_webhook_url").then(|| url.to_owned());
        configured(&SPEC, value).unwrap()
    }

    fn classified(
        url: &str,
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &'static str,
    ) -> Classification {
        let channel = at(url);
        let notification = Notification::plain(Json::String("text".to_owned()));
        let messages = channel.compose(&notification, &ComposeContext::new("key"));
        let sent = messages.unwrap().parts.remove(0);
        channel.classify(&sent, &Reply::Http(reply(status, headers, body)))
    }

    const DISCORD: &str = "https://discord.com/api/webhooks/1/token";

    #[test]
    fn a_rate_limit_that_only_the_code_tells_closes_the_gate_for_as_long_as_the_body_says() {
        let body = r#"{"code": 20028, "message": "limited", "retry_after": 2.5}"#;
        for status in [400, 403, 429, 503] {
            let Classification { result, queue } = classified(DISCORD, status, &[], body);
            let wait = Some(Duration::from_millis(2_500));
            let is_retry = matches!(result, AttemptResult::Retry { after, .. } if after == wait);
            assert!(is_retry, "{status}: {result:?}");
            let scope = Scope::Destination;
            assert_eq!(
                queue,
                Some(QueueDirective::Pause { wait, scope }),
                "{status}"
            );
        }
    }

    #[test]
    fn a_block_of_this_servers_address_pauses_all_of_discord_for_long() {
        let limit = r#"{"message": "limited", "retry_after": 0, "global": false}"#;
        let blocked = r#"{"code": 0, "message": "You are being blocked from accessing our API"}"#;
        let page = "<html><title>Access denied | discord.com</title>";
        let header: &[_] = &[("retry-after", "3000")];
        let (host, own) = (Scope::Account, Scope::Destination);
        for (url, headers, body, wait, scope) in [
            (DISCORD, &[][..], blocked, Some(600), host),
            (DISCORD, &[], page, Some(600), host),
            (DISCORD, &[], "", Some(600), host),
            (DISCORD, header, page, Some(3_000), host),
            (DISCORD, &[], limit, Some(0), own),
            (DISCORD, header, limit, Some(0), own),
            ("http://elsewhere/api/webhooks/1/t", &[], page, None, own),
            (
                "http://elsewhere/api/webhooks/1/t",
                header,
                page,
                Some(3_000),
                own,
            ),
        ] {
            let classification = classified(url, 429, headers, body);
            let wait = wait.map(Duration::from_secs);
            assert_eq!(
                classification.queue,
                Some(QueueDirective::Pause { wait, scope }),
                "{url} {body}"
            );
        }
    }

    #[test]
    fn an_edit_that_cannot_be_made_is_stale_and_pauses_nothing() {
        let headers: &[_] = &[
            ("retry-after", "3000"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset-after", "3000"),
        ];
        for (status, body) in [
            (404, r#"{"code": 10008, "message": "Unknown Message"}"#),
            (
                429,
                r#"{"code": 30046, "message": "m", "retry_after": 3000.0, "global": false}"#,
            ),
            (403, r#"{"code": 50005, "message": "m"}"#),
            (400, r#"{"code": 50083, "message": "m"}"#),
        ] {
            let classification = classified(DISCORD, status, headers, body);
            let is_stale = matches!(classification.result, AttemptResult::Stale(_));
            assert!(
                is_stale && classification.queue.is_none(),
                "{body}: {classification:?}"
            );
        }
    }
}
