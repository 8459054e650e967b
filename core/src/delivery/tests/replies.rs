//! Tests rules for every channel: how often one message is sent, and how long it waits, whatever the destination
//! replies.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::channels::{CHANNELS, Channel, ChannelSpec, configured, example};
use crate::model::outcome::AttemptResult;
use crate::model::wire::{SmtpReply, SmtpStage};

/// The result of one request.
#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    complete: bool,
    stage: SmtpStage,
    /// An error without a reply.
    error: Option<(Reason, Sent)>,
    takes: Duration,
}

impl Answer {
    fn to_reply(&self, outbound: &Outbound) -> Reply {
        if let Outbound::Mail(_) = outbound {
            return Reply::Smtp(SmtpReply {
                stage: self.stage,
                code: self.status,
                text: self.body.clone(),
            });
        }
        let headers = self.headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            ((*name).try_into().unwrap(), value)
        });
        Reply::Http(HttpReply {
            status: self.status,
            headers: HeaderMap::from_iter(headers),
            body: Bytes::from(self.body.clone()),
            complete: self.complete,
            received: SystemTime::now(),
        })
    }
}

/// One request, and the channel's classification of its reply.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    begun: Instant,
    ended: Instant,
    is_lookup: bool,
    is_limited: bool,
    is_stale: bool,
}

/// Answers each request with the next of these, round and round.
struct Answers {
    /// The results of the first requests.
    before: Vec<Answer>,
    answers: Vec<Answer>,
    channel: Arc<dyn Channel>,
    attempts: Mutex<Vec<Attempt>>,
}

impl Transport for Answers {
    fn send<'a>(
        &'a self,
        outbound: &'a Outbound,
        _: &'a ClientKey,
        time: Duration,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        Box::pin(async move {
            let begun = Instant::now();
            let number = self.attempts.lock().unwrap().len();
            let answer = match number.checked_sub(self.before.len()) {
                Some(number) => &self.answers[number % self.answers.len()],
                None => &self.before[number],
            };
            let mut attempt = Attempt {
                begun,
                ended: begun,
                is_lookup: outbound.http().is_some_and(|http| http.method == "GET"),
                is_limited: false,
                is_stale: false,
            };
            self.attempts.lock().unwrap().push(attempt);
            tokio::time::sleep(answer.takes.min(time)).await;
            attempt.ended = Instant::now();
            let result = match answer.error {
                Some((reason, sent)) => Err(broken(reason, sent)),
                None if answer.takes > time => Err(broken(Reason::Timeout, Sent::Maybe)),
                None => Ok(answer.to_reply(outbound)),
            };
            if let Ok(reply) = &result {
                let result = self.channel.classify(outbound, reply).result;
                attempt.is_limited = matches!(&result, AttemptResult::Retry { failure, .. } if failure.reason == Reason::RateLimited);
                attempt.is_stale = matches!(result, AttemptResult::Stale(_));
            }
            self.attempts.lock().unwrap()[number] = attempt;
            result
        })
    }
}

/// Statuses that mean something, and any other.
fn status() -> impl Strategy<Value = u16> {
    let known = select(&[
        200, 201, 202, 204, 250, 301, 354, 400, 401, 403, 404, 408, 410, 421, 425, 429, 429, 450,
        500, 503, 550,
    ]);
    prop_oneof![4 => known, 1 => 100..1000_u16]
}

fn wait() -> impl Strategy<Value = String> {
    let odd = select(&[
        "0",
        "0.001",
        "",
        "-1",
        "soon",
        "86400",
        "99999999999999999999",
        "Thu, 01 Jan 1970 00:00:10 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ]);
    prop_oneof![
        odd.prop_map(str::to_owned),
        (0..100_u32).prop_map(|seconds| seconds.to_string())
    ]
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let names = select(&[
        "retry-after",
        "x-ratelimit-reset-after",
        "x-ratelimit-period-in-sec",
    ]);
    (prop::collection::vec((names, wait()), 0..3), any::<bool>()).prop_map(
        |(mut headers, empty)| {
            if empty {
                headers.push(("x-ratelimit-remaining", "0".to_owned()));
            }
            headers
        },
    )
}

/// Bodies with a wait that some provider sends, and one that no provider sends.
fn body() -> impl Strategy<Value = String> {
    let waits = select(&["0", "0.003", "-1", "null", "\"x\"", "30", "1e308"]);
    let codes = select(&[
        0, 10008, 10015, 20028, 20429, 20503, 21611, 21730, 30046, 42901, 42908, 50005, 50083,
        130000,
    ]);
    let said = (waits, codes).prop_map(|(wait, code)| {
        format!(
            r#"{{"code": {code}, "message": "m", "retry_after": {wait}, "global": true, "id": "1", "ok": false, "error_code": 429, "description": "d", "parameters": {{"retry_after": {wait}}}}}"#
        )
    });
    let other = select(&[
        "",
        "ok",
        "rollup_error",
        "<html><title>Blocked</title></html>",
        "[]",
        "\u{1f}\u{8b}",
    ]);
    prop_oneof![2 => said, 1 => other.prop_map(str::to_owned)]
}

fn answer() -> impl Strategy<Value = Answer> {
    let stage = select(&[
        SmtpStage::Greeting,
        SmtpStage::Auth,
        SmtpStage::Recipient,
        SmtpStage::Message,
    ]);
    let error = select(&[
        (Reason::Connect, Sent::No),
        (Reason::ConnectionLost, Sent::Maybe),
        (Reason::MalformedReply, Sent::Maybe),
        (Reason::Timeout, Sent::Maybe),
    ]);
    let error = prop::option::weighted(0.2, error);
    (
        status(),
        headers(),
        body(),
        any::<bool>(),
        stage,
        error,
        0..20_000_u64,
    )
        .prop_map(
            |(status, headers, body, complete, stage, error, takes)| Answer {
                status,
                headers,
                body,
                complete,
                stage,
                error,
                takes: Duration::from_millis(takes),
            },
        )
}

fn any_policy() -> impl Strategy<Value = DeliveryPolicy> {
    let ambiguous = select(&[
        OnAmbiguous::Lookup,
        OnAmbiguous::Report,
        OnAmbiguous::Resend,
    ]);
    (
        1..=10_u32,
        500..10_000_u64,
        1..60_u64,
        10..600_u64,
        ambiguous,
    )
        .prop_map(
            |(max_attempts, initial, max, timeout, on_ambiguous)| DeliveryPolicy {
                max_attempts,
                initial_backoff: Duration::from_millis(initial),
                max_backoff: Duration::from_secs(max),
                delivery_timeout: Duration::from_secs(timeout),
                on_ambiguous,
                ..policy()
            },
        )
}

/// A delivery of "hi" by a channel as its examples configure it; `status` makes it a part of an alert.
fn delivery_by(
    spec: &ChannelSpec,
    channel: &Arc<dyn Channel>,
    status: Option<AlertStatus>,
) -> PlannedDelivery {
    let notification = Notification {
        status,
        dedup_key: status.map(|_| "k".into()),
        ..Notification::plain(Json::String("hi".to_owned()))
    };
    let input = input_of(notification);
    PlannedDelivery {
        origin: None,
        sender: spec.key.to_owned(),
        receiver: None,
        disposition: Disposition::Send(Box::new(PlannedSend {
            channel: Arc::clone(channel),
            messages: input.compose(channel.as_ref()).unwrap(),
            private_addresses: PrivateAddresses::Allow,
            dedup_key: status.map(|_| "k".into()),
            input: Some(Box::new(input)),
            own: OwnPolicy::default(),
            configured_in: None,
            configuration_bytes: 0,
            resume: None,
            silence: None,
        })),
    }
}

/// Sends one message. If the channel can edit, it edits an earlier message.
async fn attempts(
    spec: &'static ChannelSpec,
    answers: &[Answer],
    policy: &DeliveryPolicy,
) -> Vec<Attempt> {
    let channel = configured(spec, example).unwrap();
    let edits = channel.capabilities().refers_to_earlier();
    let accepted_reply = Answer {
        status: 200,
        headers: Vec::new(),
        body: r#"{"id": "1"}"#.to_owned(),
        complete: true,
        stage: SmtpStage::Message,
        error: None,
        takes: Duration::ZERO,
    };
    let transport = Arc::new(Answers {
        before: edits.then_some(accepted_reply).into_iter().collect(),
        answers: answers.to_vec(),
        channel: Arc::clone(&channel),
        attempts: Mutex::default(),
    });
    let world = World {
        script: Script::new([]),
        dispatcher: Dispatcher::new(Arc::clone(&transport) as _, Sink::default()),
        start: Instant::now(),
    };
    if edits {
        let firing = delivery_by(spec, &channel, FIRING);
        world
            .submit(vec![firing], policy.clone())
            .await
            .ended()
            .await;
    }
    let status = edits.then_some(AlertStatus::Resolved);
    let task = world.submit(vec![delivery_by(spec, &channel, status)], policy.clone());
    task.await.ended().await;
    let attempts = transport.attempts.lock().unwrap();
    attempts[usize::from(edits)..].to_vec()
}

fn check(spec: &ChannelSpec, attempts: &[Attempt], policy: &DeliveryPolicy) {
    let case = format!("{}: {attempts:?}", spec.key);
    let (lookups, sent): (Vec<Attempt>, Vec<_>) = attempts.iter().partition(|one| one.is_lookup);
    let limited = sent.iter().filter(|one| one.is_limited).count();
    let stale = sent.iter().filter(|one| one.is_stale).count();
    let most = policy.max_attempts as usize + limited + stale.min(1);
    assert!(sent.len() <= most, "{} > {most}, {case}", sent.len());
    let lost = match policy.on_ambiguous {
        OnAmbiguous::Resend => sent.len(),
        _ => 1,
    };
    assert!(lookups.len() <= 3 * lost, "{case}");
    let least = spec.capabilities.limits.least_backoff;
    let mut backoff = policy.initial_backoff;
    for pair in sent.windows(2) {
        let [before, after] = pair else {
            unreachable!()
        };
        // A new message takes the place of a stale one at once.
        if before.is_stale {
            continue;
        }
        let least = backoff.min(policy.max_backoff).mul_f64(0.8).max(least);
        assert!(after.begun - before.ended >= least, "{least:?}, {case}");
        backoff *= 2;
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_channel_that_claims_a_least_backoff_waits_longer_than_its_policy() {
    let refused = Answer {
        status: 200,
        headers: Vec::new(),
        body: String::new(),
        complete: true,
        stage: SmtpStage::Greeting,
        error: Some((Reason::Connect, Sent::No)),
        takes: Duration::ZERO,
    };
    let policy = DeliveryPolicy {
        max_attempts: 2,
        initial_backoff: Duration::from_millis(100),
        ..policy()
    };
    for spec in CHANNELS {
        let attempts = attempts(spec, std::slice::from_ref(&refused), &policy).await;
        let [first, second] = attempts[..] else {
            panic!("{}: {attempts:?}", spec.key)
        };
        let least = spec.capabilities.limits.least_backoff;
        let waited = second.begun - first.ended;
        let expected = Duration::from_millis(80).max(least)..=Duration::from_millis(125).max(least);
        assert!(expected.contains(&waited), "{}: {waited:?}", spec.key);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn one_message_is_sent_only_so_often_and_no_sooner_than_its_backoff(
        answers in prop::collection::vec(answer(), 1..6),
        policy in any_policy(),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        for spec in CHANNELS {
            let attempts = runtime.block_on(attempts(spec, &answers, &policy));
            check(spec, &attempts, &policy);
        }
    }
}
