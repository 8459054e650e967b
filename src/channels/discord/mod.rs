//! Discord's webhooks <https://docs.discord.com/developers/resources/webhook#execute-webhook>.

mod rich;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Serialize;
use serde_json::Value;
use url::Url;

pub use self::rich::escape;
use super::shared::endpoint::Endpoint;
use super::shared::{body, texts, verdict};
use super::spec::headers::HostHeader;
use super::{
    Channel, ChannelSpec, Composing, Composition, ConfigError, Fields, Length, Operator, Parameter,
    Resolved,
};
use crate::model::notification::{Notification, Status};
use crate::model::outcome::{Detail, Failure, Gate, Judgement, MessageRef, Reason, Scope, Verdict};
use crate::model::text::{Fences, Limit, Markup};
use crate::model::wire::{Destination, HttpReply, HttpRequest, Outbound, Repeat};

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
    length: Length::Split(LIMIT, MARKUP),
    repeat: Repeat::ShowsTwice,
    resolved: Resolved::Edits,
    parse: |fields, operator| Ok(Arc::new(Discord::new(fields, operator)?)),
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
        let mut endpoint = Endpoint::read(fields, DISCORD_USER_AGENT, HostHeader::Dropped)?;
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
    ) -> Judgement {
        let scope = if error.global && self.endpoint.destination.account.is_some() {
            Scope::Account
        } else {
            Scope::Destination
        };
        let after = error
            .retry_after
            .and_then(verdict::seconds)
            .or_else(|| verdict::reply_retry_after(reply));
        let failure = Failure::new(Reason::RateLimited).with_detail(detail);
        verdict::paused(failure, after, scope)
    }
}

impl Channel for Discord {
    fn destination(&self) -> &Destination {
        &self.endpoint.destination
    }

    fn repeat(&self) -> Repeat {
        SPEC.repeat
    }

    fn follows_up(&self) -> bool {
        true
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &Composing<'_>,
    ) -> Result<Composition, Failure> {
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
                    ..self.endpoint.request(body, &[])
                })
            };
            return Ok(rich.composition(edit, plain));
        }
        Ok(texts::in_parts(&text, LIMIT, MARKUP, plain))
    }

    fn judge_http(&self, reply: &HttpReply) -> Judgement {
        let error = ErrorBody::read(reply);
        let detail = || error.detail(reply, &self.endpoint);
        let mut judgement = match (error.code.and_then(meaning), reply.status) {
            (_, 200..=299) => delivered(reply, &self.endpoint).into(),
            (_, 429) | (Some(Meaning::Transient(Reason::RateLimited)), 400..=599) => {
                self.rate_limited(&error, reply, detail())
            }
            (Some(Meaning::Stale), 400..=499) => Verdict::Stale.into(),
            (Some(Meaning::Permanent(reason)), 400..=599) => {
                Verdict::Reject(Failure::new(reason).with_detail(detail())).into()
            }
            (Some(Meaning::Transient(reason)), 400..=599) => Verdict::Retry {
                failure: Failure::new(reason).with_detail(detail()),
                after: verdict::reply_retry_after(reply),
            }
            .into(),
            _ => verdict::by_status(reply, detail),
        };
        if judgement.gate.is_none() {
            judgement.gate = if error.condemns(reply.status) {
                Some(Gate::Refuse {
                    wait: verdict::REFUSAL,
                })
            } else {
                bucket_empty(reply)
            };
        }
        judgement
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

fn delivered(reply: &HttpReply, endpoint: &Endpoint) -> Verdict {
    let json = reply.json();
    let id = json.as_ref().and_then(|json| json.get("id")?.as_str());
    verdict::delivered(id, endpoint.redactor())
}

/// `X-RateLimit-Remaining: 0`: the next request would be limited, so it waits at once.
fn bucket_empty(reply: &HttpReply) -> Option<Gate> {
    if reply.header("x-ratelimit-remaining")?.trim() != "0" {
        return None;
    }
    let wait: f64 = reply
        .header("x-ratelimit-reset-after")?
        .trim()
        .parse()
        .ok()?;
    Some(Gate::Pause {
        wait: Some(verdict::seconds(wait)?.min(LONGEST_RESET)),
        scope: Scope::Destination,
    })
}

/// Nobody's bucket takes longer; a hostile header must not close a destination for years.
const LONGEST_RESET: Duration = Duration::from_secs(3600);

/// Discord's `{code, message, errors, retry_after, global}`.
#[derive(Default)]
struct ErrorBody {
    code: Option<u64>,
    message: Option<String>,
    /// The first field that the form's errors name, and what is wrong with it.
    field: Option<String>,
    retry_after: Option<f64>,
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
        verdict::said("Discord", code, sentence.as_deref(), reply, redactor)
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
    /// The message that was to be changed is gone.
    Stale,
}

/// Discord's error codes, whatever the status, which is documented for few (docs: opcodes and status codes).
fn meaning(code: u64) -> Option<Meaning> {
    use Meaning::{Permanent, Stale, Transient};
    Some(match code {
        10008 => Stale,
        10003 | 10015 => Permanent(Reason::UnknownDestination),
        50027 => Permanent(Reason::Unauthorized),
        50001 | 50013 | 160005 | 200000 | 240000 | 40333 => Permanent(Reason::Forbidden),
        50006 | 50035 | 50109 | 220001 => Permanent(Reason::Rejected),
        20016 | 20028 | 20029 => Transient(Reason::RateLimited),
        40004 | 130000 => Transient(Reason::ServerError),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::channels::configured;

    #[test]
    fn a_rate_limit_that_only_the_code_tells_closes_the_gate_for_as_long_as_the_body_says() {
        let discord = configured(&SPEC, |one| Some(one.example.to_owned())).unwrap();
        let body = r#"{"code": 20028, "message": "limited", "retry_after": 2.5}"#;
        for status in [400, 403, 429, 503] {
            let reply = HttpReply {
                status,
                headers: HeaderMap::new(),
                body: Bytes::from_static(body.as_bytes()),
                complete: true,
                received: SystemTime::UNIX_EPOCH,
            };
            let Judgement { verdict, gate } = discord.judge_http(&reply);
            let wait = Some(Duration::from_millis(2_500));
            let is_retry = matches!(verdict, Verdict::Retry { after, .. } if after == wait);
            assert!(is_retry, "{status}: {verdict:?}");
            let scope = Scope::Destination;
            assert_eq!(gate, Some(Gate::Pause { wait, scope }), "{status}");
        }
    }
}
