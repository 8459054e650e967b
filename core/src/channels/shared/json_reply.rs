//! Replies of providers that describe their errors in JSON.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value;

use super::classify;
use crate::model::outcome::{AttemptResult, Classification, Detail, Failure, PauseScope, Reason};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

/// A reply and its parsed JSON. A body that is not JSON counts as `null`.
pub struct JsonReply<'a> {
    reply: &'a HttpReply,
    redactor: &'a Redactor,
    provider: &'a str,
    json: Value,
    /// Called only after a failure.
    error: fn(&Value) -> ProviderError<'_>,
}

/// A provider's description of an error.
pub struct ProviderError<'a> {
    pub code: Option<u64>,
    pub sentence: Option<Cow<'a, str>>,
}

impl<'a> ProviderError<'a> {
    /// Returns an error without a code.
    pub fn of(sentence: Option<&'a str>) -> Self {
        Self {
            code: None,
            sentence: sentence.map(Cow::Borrowed),
        }
    }
}

impl<'a> JsonReply<'a> {
    pub fn read(
        provider: &'a str,
        reply: &'a HttpReply,
        redactor: &'a Redactor,
        error: fn(&Value) -> ProviderError<'_>,
    ) -> Self {
        Self {
            json: reply.json().unwrap_or(Value::Null),
            reply,
            redactor,
            provider,
            error,
        }
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.json.get(name)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.as_u64()
    }

    /// Returns the provider's own words, else the whole body.
    pub fn detail(&self) -> Option<Detail> {
        let ProviderError { code, sentence } = (self.error)(&self.json);
        let sentence = sentence.as_deref();
        classify::provider_detail(self.provider, code, sentence, self.reply, self.redactor)
    }

    pub fn failure(&self, reason: Reason) -> Failure {
        Failure::new(reason).with_detail(self.detail())
    }

    pub fn reject(&self, reason: Reason) -> Classification {
        AttemptResult::Reject(self.failure(reason)).into()
    }

    pub fn reject_with_hint(&self, reason: Reason, hint: &'static str) -> Classification {
        AttemptResult::Reject(self.failure(reason).with_hint(hint)).into()
    }

    /// Returns a delivery of the message with this name.
    pub fn delivered(&self, name: Option<&str>) -> Classification {
        classify::delivered(name, self.redactor).into()
    }

    /// Returns a rate limit that pauses the queue.
    pub fn paused(&self, after: Option<Duration>, scope: PauseScope) -> Classification {
        classify::paused(self.failure(Reason::RateLimited), after, scope)
    }

    pub fn retry_after(&self) -> Option<Duration> {
        classify::reply_retry_after(self.reply)
    }

    /// Classifies the reply by its status and adds the channel's own hint.
    pub fn by_status(&self, hint: impl Fn(Reason) -> Option<&'static str>) -> Classification {
        let by_status = classify::by_status(self.reply, || self.redactor, || self.detail());
        classify::with_hints(by_status, hint)
    }
}
