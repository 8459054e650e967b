//! Orders for a path: be late, hang, answer something else, limit the rate. They hold for the providers, not for the sink.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lock::lock;
use crate::reply::CannedReply;

/// One order. The first that matches and has times left applies, and is counted down.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// `/exact/path`, or a beginning and a star: `/services/*`, `*`.
    pub path: String,
    /// Any method when absent.
    pub method: Option<String>,
    /// How often it applies; always when absent.
    pub times: Option<u64>,
    /// Before anything else but `take`.
    pub delay_ms: u64,
    /// Answered instead of the provider's own answer.
    pub reply: Option<CannedReply>,
    /// Never answer; the connection stays open.
    pub hang: bool,
    /// The provider first accepts the message as if nothing were wrong, then comes the delay and the `reply` or hang:
    /// a server that did the work and lost the answer.
    pub take: bool,
    pub rate_limit: Option<RateLimit>,
    /// Set on the answer, in place of those of the same name.
    pub headers: Vec<(String, String)>,
    /// The generic webhook takes any content type, and any body.
    pub any_content_type: bool,
}

impl Rule {
    /// A rule for a path that changes nothing yet: `Rule { hang: true, ..Rule::at("/hook/*") }`.
    pub fn at(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ..Self::default()
        }
    }

    /// Answers `reply` there, the next `times` times.
    pub fn reply(path: &str, times: u64, reply: CannedReply) -> Self {
        Self {
            times: Some(times),
            reply: Some(reply),
            ..Self::at(path)
        }
    }

    /// One rule, or a list of them.
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
            return Err("rule: a path is needed (`*` for all)".to_owned());
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

/// A token bucket for each path: `burst` at once, then one each `per_ms`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    #[serde(default = "one")]
    pub burst: u32,
    pub per_ms: u64,
    /// Value of `Retry-After` in seconds, as it stands; when absent, the time until the next one passes.
    #[serde(default)]
    pub retry_after: Option<String>,
    /// Discord: the limit is the address's, not the webhook's.
    #[serde(default)]
    pub global: bool,
    /// Discord's `X-RateLimit-Scope`: `user` when absent.
    #[serde(default)]
    pub scope: Option<String>,
}

fn one() -> u32 {
    1
}

/// Where a path stands against its rate limit, after this request.
#[derive(Clone, Debug)]
pub struct Pace {
    pub limit: RateLimit,
    pub remaining: u32,
    /// Until one more passes.
    pub reset_after: Duration,
    /// This request is over the limit.
    pub exceeded: bool,
}

/// What is ordered for one request.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pub rule: Rule,
    pub pace: Option<Pace>,
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct Rules(Mutex<Vec<Active>>);

#[derive(Debug)]
struct Active {
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
        lock(&self.0).push(Active {
            rule,
            buckets: HashMap::new(),
        });
    }

    /// With the times that remain.
    pub fn list(&self) -> Vec<Rule> {
        lock(&self.0)
            .iter()
            .map(|active| active.rule.clone())
            .collect()
    }

    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    /// The order for a request, which counts as one time.
    pub fn order(&self, method: &str, path: &str) -> Order {
        let mut rules = lock(&self.0);
        let Some(active) = rules
            .iter_mut()
            .find(|active| active.rule.matches(method, path))
        else {
            return Order::default();
        };
        if let Some(times) = &mut active.rule.times {
            *times -= 1;
        }
        let pace = active
            .rule
            .rate_limit
            .clone()
            .map(|limit| active.pace(limit, path));
        Order {
            rule: active.rule.clone(),
            pace,
        }
    }
}

impl Active {
    fn pace(&mut self, limit: RateLimit, path: &str) -> Pace {
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
        // Between 0 and `burst`, so the cast neither cuts nor wraps.
        Pace {
            remaining: bucket.tokens as u32,
            reset_after,
            exceeded,
            limit,
        }
    }
}
