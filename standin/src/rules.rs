//! Overrides for a path: a delay, a hang, another reply, a rate limit. They apply to providers, not to the sink.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lock::lock;
use crate::reply::CannedReply;

/// One override. The first rule that matches and has `times` left applies, and its `times` decreases.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// `/exact/path`, or a prefix and a star: `/services/*`, `*`.
    pub path: String,
    /// None: any method.
    pub method: Option<String>,
    /// How many requests it applies to. None: all.
    pub times: Option<u64>,
    /// The delay before everything except `accept_first`.
    pub delay_ms: u64,
    /// Replaces the provider's reply.
    pub reply: Option<CannedReply>,
    /// Never reply, and leave the connection open.
    pub hang: bool,
    /// The provider accepts the message before the delay, `reply` or `hang` applies: a server that processes a request
    /// but loses the reply.
    pub accept_first: bool,
    pub rate_limit: Option<RateLimit>,
    /// Headers of the reply. They replace headers with the same name.
    pub headers: Vec<(String, String)>,
    /// The generic webhook accepts any content type and any body.
    pub any_content_type: bool,
}

impl Rule {
    /// A rule without an effect, for struct updates: `Rule { hang: true, ..Rule::at("/hook/*") }`.
    pub fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }

    /// A rule that sends `reply` to the next `times` requests.
    pub fn reply(path: &str, times: u64, reply: CannedReply) -> Self {
        Self {
            times: Some(times),
            reply: Some(reply),
            ..Self::at(path)
        }
    }

    /// Parses one rule, or a list of rules.
    pub fn from_json(value: Value) -> Result<Vec<Self>, String> {
        let values = match value {
            Value::Array(values) => values,
            one => vec![one],
        };
        values.into_iter().map(Self::one_from_json).collect()
    }

    fn one_from_json(value: Value) -> Result<Self, String> {
        let rule: Self = serde_json::from_value(value).map_err(|e| format!("rule: {e}"))?;
        if rule.path.is_empty() {
            return Err("rule: path is required; `*` matches every path".to_owned());
        }
        if let Some(reply) = &rule.reply {
            reply.to_reply().map_err(|e| format!("rule, reply: {e}"))?;
        }
        Ok(rule)
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        let path_fits = match self.path.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == self.path,
        };
        path_fits
            && self.times != Some(0)
            && self
                .method
                .as_deref()
                .is_none_or(|m| m.eq_ignore_ascii_case(method))
    }
}

/// A token bucket for each path: `burst` requests at once, then one per `per_ms`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    #[serde(default = "one")]
    pub burst: u32,
    pub per_ms: u64,
    /// The value of `Retry-After` in seconds. None: the time until the next request passes.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// Discord: the limit belongs to the IP address, not to the webhook.
    #[serde(default)]
    pub global: bool,
    /// Discord's `X-RateLimit-Scope`. None: `user`.
    #[serde(default)]
    pub scope: Option<String>,
}

fn one() -> u32 {
    1
}

/// The state of a path's rate limit after a request.
#[derive(Clone, Debug)]
pub struct RateLimitState {
    pub limit: RateLimit,
    pub remaining: u32,
    /// The time until one more request passes.
    pub reset_after: Duration,
    /// Whether this request is over the limit.
    pub exceeded: bool,
}

/// The rule for one request. By default it has no effect.
#[derive(Clone, Debug, Default)]
pub struct AppliedRule {
    pub rule: Rule,
    pub rate_limit_state: Option<RateLimitState>,
}

/// The rules, in order.
#[derive(Debug, Default)]
pub struct Rules(Mutex<Vec<RuleState>>);

#[derive(Debug)]
struct RuleState {
    rule: Rule,
    buckets: HashMap<String, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rules {
    pub fn add(&self, rule: Rule) {
        lock(&self.0).push(RuleState {
            rule,
            buckets: HashMap::new(),
        });
    }

    /// The rules, with the remaining value of `times`.
    pub fn list(&self) -> Vec<Rule> {
        lock(&self.0)
            .iter()
            .map(|active| active.rule.clone())
            .collect()
    }

    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    /// The rule for a request. Its `times` decreases.
    pub fn apply(&self, method: &str, path: &str) -> AppliedRule {
        let mut rules = lock(&self.0);
        let Some(active) = rules
            .iter_mut()
            .find(|active| active.rule.matches(method, path))
        else {
            return AppliedRule::default();
        };
        if let Some(times) = &mut active.rule.times {
            *times -= 1;
        }
        let rate_limit_state = active
            .rule
            .rate_limit
            .clone()
            .map(|limit| active.count_request(limit, path));
        AppliedRule {
            rule: active.rule.clone(),
            rate_limit_state,
        }
    }
}

impl RuleState {
    fn count_request(&mut self, limit: RateLimit, path: &str) -> RateLimitState {
        let now = Instant::now();
        let full = f64::from(limit.burst);
        let per_second = Duration::from_millis(limit.per_ms.max(1)).as_secs_f64();
        let bucket = self.buckets.entry(path.to_owned()).or_insert(Bucket {
            tokens: full,
            at: now,
        });
        bucket.tokens = (bucket.tokens + (now - bucket.at).as_secs_f64() / per_second).min(full);
        bucket.at = now;
        let exceeded = bucket.tokens < 1.0;
        if !exceeded {
            bucket.tokens -= 1.0;
        }
        let reset_after = Duration::from_secs_f64((1.0 - bucket.tokens.fract()) * per_second);
        // The value is between 0 and `burst`, so the cast cannot overflow.
        RateLimitState {
            remaining: bucket.tokens as u32,
            reset_after,
            exceeded,
            limit,
        }
    }
}
