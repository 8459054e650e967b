//! Decides the next step after an attempt. It does no I/O.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use crate::model::outcome::{AttemptResult, Failure, MessageRef, Moved, Outcome, Reason};
use crate::model::plan::{DeliveryPolicy, OnAmbiguous};

/// The next step for a message.
#[derive(Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Stop: the destination has the message.
    Done(Option<MessageRef>),
    /// Send it to the destination's new address at once.
    Readdress(Box<Moved>),
    /// The provider is asked whether it has the message.
    LookUp(Failure),
    Retry(Retry),
    /// Compose it without the earlier message that it refers to.
    Recompose(Failure),
    /// The delivery ends.
    End(Outcome),
}

/// A further attempt.
#[derive(Debug, PartialEq, Eq)]
pub struct Retry {
    pub failure: Failure,
    pub due: Instant,
    pub wait: Duration,
    /// Attempts so far that count.
    pub attempts: u32,
    /// Whether the previous attempt failed for another reason. A long outage must not fill the log.
    pub is_new_reason: bool,
}

/// The provider's answer about a message whose reply was lost.
#[derive(Debug)]
pub enum LookupAnswer {
    Found(AttemptResult),
    NotFound,
    /// The channel or the policy does not allow the question.
    NotAsked,
}

/// The inputs of a decision besides the earlier attempts.
#[derive(Clone, Copy)]
pub struct RetryRules<'a> {
    pub policy: &'a DeliveryPolicy,
    pub deadline: Instant,
    /// The end of the attempt.
    pub ended: Instant,
    pub now: Instant,
    /// Rate limits that the destination has answered with in a row.
    pub rate_limits: u32,
}

/// The attempts of one message.
pub struct RetryState {
    /// Counted attempts: a 429 does not count.
    attempts: u32,
    /// Failures that are no rate limit: those make the destination's queue wait.
    failures: u32,
    last: Option<Box<Failure>>,
    /// The provider may have accepted an earlier attempt.
    lost: Option<Box<Failure>>,
    backoff: Backoff,
}

impl RetryState {
    pub const fn new(backoff: Backoff) -> Self {
        Self {
            attempts: 0,
            failures: 0,
            last: None,
            lost: None,
            backoff,
        }
    }

    /// Resets the state for the delivery's next message.
    pub fn reset(&mut self) {
        *self = Self::new(self.backoff);
    }

    /// Why the last attempt failed; `None`: there was none.
    pub fn last(&self) -> Option<&Failure> {
        self.last.as_deref()
    }

    pub const fn backoff(&self) -> Backoff {
        self.backoff
    }

    pub fn after_attempt(&mut self, result: AttemptResult, rules: &RetryRules<'_>) -> NextStep {
        match result {
            AttemptResult::Ambiguous(failure) => NextStep::LookUp(failure),
            AttemptResult::Moved(moved) => NextStep::Readdress(moved),
            result => self.after_final_word(result, rules),
        }
    }

    /// `failure` is that of the attempt whose reply was lost.
    pub fn after_look_up(
        &mut self,
        answer: LookupAnswer,
        failure: Failure,
        rules: &RetryRules<'_>,
    ) -> NextStep {
        match answer {
            LookupAnswer::Found(result) => self.after_final_word(result, rules),
            LookupAnswer::NotFound if rules.policy.on_ambiguous == OnAmbiguous::Resend => {
                self.lost = Some(Box::new(failure.clone()));
                self.retry(failure, None, rules)
            }
            LookupAnswer::NotFound | LookupAnswer::NotAsked => {
                NextStep::End(Outcome::Ambiguous(failure))
            }
        }
    }

    /// Returns the outcome if no further attempt is made.
    pub fn end(&self, failure: Failure) -> Outcome {
        match &self.lost {
            Some(lost) => Outcome::Ambiguous(lost.as_ref().clone()),
            None => Outcome::Failed(failure),
        }
    }

    /// The wait that the provider asks for before the next attempt.
    pub fn requested_wait(&self, result: &AttemptResult) -> Option<Duration> {
        match result {
            AttemptResult::Retry { after, .. } => self.bounded(*after, result),
            _ => None,
        }
    }

    /// Only a rate limit may ask for more than our own longest wait: a server in trouble that names a day must not end a
    /// delivery that has minutes.
    pub fn bounded(&self, wait: Option<Duration>, result: &AttemptResult) -> Option<Duration> {
        match result {
            AttemptResult::Retry { failure, .. } if failure.reason != Reason::RateLimited => {
                wait.map(|wait| wait.min(self.backoff.max))
            }
            _ => wait,
        }
    }

    /// Returns the next step when no further lookup of the message follows.
    fn after_final_word(&mut self, result: AttemptResult, rules: &RetryRules<'_>) -> NextStep {
        let requested = self.requested_wait(&result);
        match result {
            AttemptResult::Delivered { message, .. } => NextStep::Done(message),
            AttemptResult::Retry { failure, .. } => self.retry(failure, requested, rules),
            AttemptResult::Ambiguous(failure) => NextStep::End(Outcome::Ambiguous(failure)),
            AttemptResult::Reject(failure) => NextStep::End(self.end(failure)),
            AttemptResult::Moved(moved) => NextStep::End(self.end(moved.failure)),
            AttemptResult::Stale(failure) => NextStep::Recompose(failure),
        }
    }

    /// A further attempt, if the policy and the deadline allow one.
    fn retry(
        &mut self,
        failure: Failure,
        requested: Option<Duration>,
        rules: &RetryRules<'_>,
    ) -> NextStep {
        let wait = self.next_backoff(&failure, requested, rules.rate_limits);
        // A provider may ask for a wait that no clock can tell.
        let due = rules.ended.checked_add(wait);
        let due = due
            .map(|due| due.max(rules.now))
            .filter(|due| self.attempts < rules.policy.max_attempts && *due < rules.deadline);
        let Some(due) = due else {
            return NextStep::End(self.end(failure));
        };
        let is_new_reason = self.last().map(|last| last.reason) != Some(failure.reason);
        self.last = Some(Box::new(failure.clone()));
        NextStep::Retry(Retry {
            failure,
            due,
            wait: due - rules.now,
            attempts: self.attempts.max(1),
            is_new_reason,
        })
    }

    /// Counts a failed attempt. Returns the wait until the next one: the provider's value, but at least our own
    /// backoff.
    fn next_backoff(
        &mut self,
        failure: &Failure,
        requested: Option<Duration>,
        rate_limits: u32,
    ) -> Duration {
        // Neither is an attempt that says something of the destination.
        let counts = !matches!(failure.reason, Reason::RateLimited | Reason::Outbox);
        self.attempts += u32::from(counts);
        self.failures += u32::from(failure.reason != Reason::RateLimited);
        let floor = self
            .backoff
            .after(self.failures.saturating_add(rate_limits));
        requested.unwrap_or_default().max(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::tests::policy;
    use crate::model::wire::{HttpRequest, ResendEffect};

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn state() -> RetryState {
        RetryState::new(Backoff {
            initial: seconds(10),
            max: seconds(60),
            least: Duration::ZERO,
        })
    }

    fn failure(reason: Reason) -> Failure {
        Failure::new(reason)
    }

    fn try_again(reason: Reason, after: Option<Duration>) -> AttemptResult {
        let failure = failure(reason);
        AttemptResult::Retry { failure, after }
    }

    /// Decides about an attempt that ended now, with so much time left.
    fn decide(
        retry: &mut RetryState,
        policy: &DeliveryPolicy,
        left: Duration,
        decision: impl FnOnce(&mut RetryState, &RetryRules<'_>) -> NextStep,
    ) -> NextStep {
        let now = Instant::now();
        let rules = RetryRules {
            policy,
            deadline: now + left,
            ended: now,
            now,
            rate_limits: 0,
        };
        decision(retry, &rules)
    }

    fn after(retry: &mut RetryState, result: AttemptResult) -> NextStep {
        let policy = policy();
        decide(retry, &policy, seconds(3600), |retry, rules| {
            retry.after_attempt(result, rules)
        })
    }

    #[test]
    fn the_result_of_an_attempt_decides_the_next_step() {
        let moved = || Moved {
            next: HttpRequest {
                method: http::Method::POST,
                url: "https://example.com".parse().unwrap(),
                headers: http::HeaderMap::new(),
                body: bytes::Bytes::new(),
                resend: ResendEffect::ShownTwice,
            },
            warning: String::new(),
            failure: failure(Reason::Redirected),
        };
        let message = Some(MessageRef("1".to_owned()));
        let delivered = AttemptResult::Delivered {
            message: message.clone(),
            warning: None,
        };
        let table = [
            (delivered, NextStep::Done(message)),
            (
                AttemptResult::Reject(failure(Reason::Rejected)),
                NextStep::End(Outcome::Failed(failure(Reason::Rejected))),
            ),
            (
                AttemptResult::Ambiguous(failure(Reason::LostReply)),
                NextStep::LookUp(failure(Reason::LostReply)),
            ),
            (
                AttemptResult::Stale(failure(Reason::Rejected)),
                NextStep::Recompose(failure(Reason::Rejected)),
            ),
            (
                AttemptResult::Moved(Box::new(moved())),
                NextStep::Readdress(Box::new(moved())),
            ),
        ];
        for (result, next) in table {
            assert_eq!(after(&mut state(), result), next);
        }
    }

    #[test]
    fn a_retry_waits_for_the_longer_of_backoff_and_retry_after() {
        let limited = Reason::RateLimited;
        for (reason, asked, least, most) in [
            (Reason::ServerError, None, 8, 12),
            (Reason::ServerError, Some(Duration::ZERO), 8, 12),
            (Reason::ServerError, Some(seconds(30)), 30, 30),
            (Reason::ServerError, Some(seconds(86_400)), 60, 60),
            (limited, Some(Duration::from_millis(1)), 8, 12),
            (limited, Some(seconds(600)), 600, 600),
        ] {
            let next = after(&mut state(), try_again(reason, asked));
            let NextStep::Retry(retry) = next else {
                panic!("{next:?}")
            };
            let range = seconds(least)..=seconds(most);
            assert!(
                range.contains(&retry.wait),
                "{reason:?} {asked:?} {retry:?}"
            );
            assert!(retry.is_new_reason);
        }
    }

    #[test]
    fn a_wait_that_no_clock_can_tell_ends_the_delivery() {
        let next = after(
            &mut state(),
            try_again(Reason::RateLimited, Some(Duration::MAX)),
        );
        assert_eq!(
            next,
            NextStep::End(Outcome::Failed(failure(Reason::RateLimited)))
        );
    }

    #[test]
    fn attempts_end_with_the_limit_and_with_the_deadline_and_a_rate_limit_is_not_counted() {
        let policy = DeliveryPolicy {
            max_attempts: 2,
            ..policy()
        };
        let mut retry = state();
        let mut attempt = |reason, left| {
            decide(&mut retry, &policy, left, |retry, rules| {
                retry.after_attempt(try_again(reason, None), rules)
            })
        };
        let hour = seconds(3600);
        for reason in [Reason::RateLimited, Reason::Connect, Reason::RateLimited] {
            assert!(
                matches!(attempt(reason, hour), NextStep::Retry(_)),
                "{reason:?}"
            );
        }
        let end = NextStep::End(Outcome::Failed(failure(Reason::Connect)));
        assert_eq!(attempt(Reason::Connect, hour), end);
        retry.reset();
        let mut attempt = |left| {
            decide(&mut retry, &policy, left, |retry, rules| {
                retry.after_attempt(try_again(Reason::Connect, None), rules)
            })
        };
        assert_eq!(attempt(seconds(7)), end);
    }

    #[test]
    fn the_log_gets_a_reason_once_until_it_changes() {
        let mut retry = state();
        let reasons = [
            (Reason::Connect, true),
            (Reason::Connect, false),
            (Reason::Timeout, true),
            (Reason::Connect, true),
        ];
        for (reason, is_new) in reasons {
            let next = after(&mut retry, try_again(reason, None));
            assert!(matches!(next, NextStep::Retry(retry) if retry.is_new_reason == is_new));
        }
    }

    #[test]
    fn an_ambiguous_message_is_resent_only_if_the_policy_allows_it() {
        let lost = || failure(Reason::LostReply);
        for on_ambiguous in [
            OnAmbiguous::Lookup,
            OnAmbiguous::Report,
            OnAmbiguous::Resend,
        ] {
            let policy = DeliveryPolicy {
                on_ambiguous,
                ..policy()
            };
            let look_up = |retry: &mut RetryState, answer| {
                decide(retry, &policy, seconds(3600), |retry, rules| {
                    retry.after_look_up(answer, lost(), rules)
                })
            };
            let ambiguous = NextStep::End(Outcome::Ambiguous(lost()));
            let not_asked = look_up(&mut state(), LookupAnswer::NotAsked);
            assert_eq!(not_asked, ambiguous);
            let found = AttemptResult::Ambiguous(lost());
            let found = look_up(&mut state(), LookupAnswer::Found(found));
            assert_eq!(found, ambiguous, "it is asked once");
            let mut retry = state();
            let not_found = look_up(&mut retry, LookupAnswer::NotFound);
            if on_ambiguous != OnAmbiguous::Resend {
                assert_eq!(not_found, ambiguous);
                continue;
            }
            assert!(matches!(not_found, NextStep::Retry(_)));
            // Whatever fails from now on, the first may have arrived.
            let rejected = AttemptResult::Reject(failure(Reason::Rejected));
            assert_eq!(after(&mut retry, rejected), ambiguous);
        }
    }
}
