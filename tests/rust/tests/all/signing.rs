//! Signed webhooks: the http channel's signatures equal those of the reference implementation in Python, and each attempt
//! has a new signature. `tests/vectors/standard_webhooks.json` has the reference's signatures;
//! `tests/contract/test_signing.py` compares them with the reference.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use notifier_core::channels::{
    Capabilities, Channel, ComposeContext, Fields, Messages, OperatorSettings, Origin, find,
};
use notifier_core::config::SettingsCache;
use notifier_core::delivery::{Caller, CapacityPolicy, Dispatcher, Submission, SubmitRequest};
use notifier_core::json::{self, Json, Path};
use notifier_core::model::channel::Lookup;
use notifier_core::model::notification::Notification;
use notifier_core::model::outcome::{Classification, Failure, Reason};
use notifier_core::model::plan::{Disposition, Identity, Plan, PlannedDelivery, PlannedSend};
use notifier_core::model::policy::{ClientKey, PrivateAddresses};
use notifier_core::model::problem::Problem;
use notifier_core::model::wire::{Destination, Outbound, Reply};
use notifier_core::observe::{Sink, TaskLog};
use notifier_core::transport::{SendError, Sent, Transport};
use notifier_core::warnings::Warnings;
use serde_json::{Value, json};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The http channel with this configuration, as its origin may set it, and the warnings.
fn http(origin: Origin, configuration: &Value) -> (Result<Arc<dyn Channel>, Problem>, Vec<String>) {
    let spec = find("http").unwrap();
    let Json::Object(members) = json::parse(&configuration.to_string()).unwrap().json else {
        panic!("no object")
    };
    let mut warnings = Warnings::default();
    let path = Path::root().key("http");
    let mut fields = Fields::new(
        spec.key,
        origin,
        spec.parameters,
        &members,
        path,
        &mut warnings,
    );
    let channel = (spec.parse)(&mut fields, &OperatorSettings::default());
    (channel, warnings.iter().map(ToString::to_string).collect())
}

fn compose(channel: &dyn Channel, text: &str) -> Outbound {
    let notification = Notification::plain(Json::String(text.to_owned()));
    let cx = ComposeContext::new("task");
    let messages = channel.compose(&notification, &cx).unwrap();
    messages.parts.into_iter().next().unwrap()
}

fn header(out: &Outbound, name: &str) -> Option<String> {
    let request = out.http()?;
    Some(request.headers.get(name)?.to_str().unwrap().to_owned())
}

#[test]
fn signatures_are_those_of_the_reference_implementation() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../vectors/standard_webhooks.json")).unwrap();
    let vectors = vectors.as_array().unwrap();
    assert!(vectors.len() >= 5);
    for vector in vectors {
        let text = |name: &str| vector[name].as_str().unwrap();
        let headers = json!({ "idempotency-key": text("idempotency_key") }).to_string();
        let (channel, warnings) = http(
            Origin::Operator,
            &json!({
                "http_webhook_url": "https://hooks.example/",
                "http_headers": BASE64_STANDARD.encode(headers),
                "signing_secret": vector["secrets"],
            }),
        );
        assert_eq!(warnings, [""; 0]);
        let channel = channel.unwrap();
        let mut out = compose(&*channel, text("notification_text"));
        // An earlier attempt's are replaced.
        for seconds in [7, vector["timestamp"].as_i64().unwrap()] {
            channel.sign(&mut out, Timestamp::from_second(seconds).unwrap());
        }
        let request = out.http().unwrap();
        assert_eq!(request.body, text("body"), "{}", text("name"));
        for name in ["webhook-id", "webhook-signature"] {
            assert_eq!(
                header(&out, name).as_deref(),
                Some(text(name)),
                "{}",
                text("name")
            );
            assert_eq!(request.headers.get_all(name).iter().count(), 1);
        }
        assert_eq!(
            header(&out, "webhook-timestamp"),
            Some(vector["timestamp"].to_string())
        );
    }
}

#[test]
fn the_message_is_named_as_by_the_idempotency_key() {
    let (channel, _) = http(
        Origin::Operator,
        &json!({ "http_webhook_url": "https://hooks.example/", "signing_secret": KEY }),
    );
    let channel = channel.unwrap();
    let mut out = compose(&*channel, "x");
    channel.sign(&mut out, Timestamp::now());
    let id = header(&out, "webhook-id").unwrap();
    assert_eq!(id.len(), 32);
    assert_eq!(header(&out, "idempotency-key"), Some(id));
}

#[test]
fn a_request_with_signing_keys_is_refused() {
    for name in ["signing_secret", "http_signing_secret"] {
        let (channel, warnings) = http(
            Origin::Request,
            &json!({ "http_webhook_url": "https://hooks.example/", name: KEY }),
        );
        let expected = format!("http.{name}: only the configuration file may set it; ignored");
        assert_eq!(warnings, [expected]);
        let channel = channel.unwrap();
        let mut out = compose(&*channel, "x");
        channel.sign(&mut out, Timestamp::now());
        assert_eq!(header(&out, "webhook-signature"), None);
    }
}

#[test]
fn an_unusable_key_is_reported_by_path_without_its_value() {
    for (secrets, path, what) in [
        (
            json!("whsec_c2hvcnQ="),
            "http.signing_secret",
            "found 5 bytes",
        ),
        (
            json!([KEY, "swordfish"]),
            "http.signing_secret[1]",
            "must be whsec_ and base64 of 24 to 64 bytes",
        ),
        (
            json!([KEY, 0.5]),
            "http.signing_secret[1]",
            "must be a string, found a number",
        ),
        (
            json!({"a": KEY}),
            "http.signing_secret",
            "must be a string, found an object",
        ),
    ] {
        let configuration =
            json!({ "http_webhook_url": "https://hooks.example/", "signing_secret": secrets });
        let error = http(Origin::Operator, &configuration).0.err().unwrap();
        assert_eq!(error.location.path.as_deref().unwrap_or_default(), path);
        assert!(
            error.message.starts_with("signing_secret ") && error.message.contains(what),
            "{error:?}"
        );
        assert!(!format!("{error:?}").contains("swordfish") && !error.message.contains("c2hv"));
    }
}

/// The http channel with a counter in its signature, so that attempts of one second differ.
#[derive(Debug)]
struct Counting(Arc<dyn Channel>, AtomicU32);

impl Channel for Counting {
    fn capabilities(&self) -> &'static Capabilities {
        self.0.capabilities()
    }

    fn destination(&self) -> &Destination {
        self.0.destination()
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &ComposeContext,
    ) -> Result<Messages, Failure> {
        self.0.compose(notification, cx)
    }

    fn sign(&self, out: &mut Outbound, now: Timestamp) {
        self.0.sign(out, now);
        let Outbound::Http(request) = out else {
            panic!()
        };
        let count = self.1.fetch_add(1, Ordering::Relaxed);
        request.headers.insert("x-signed", HeaderValue::from(count));
    }

    fn classify(&self, sent: &Outbound, reply: &Reply) -> Classification {
        self.0.classify(sent, reply)
    }

    fn preview(&self, out: &Outbound) -> String {
        self.0.preview(out)
    }

    fn lookup(&self) -> Option<&dyn Lookup> {
        self.0.lookup()
    }
}

/// Never connects; notes the headers of each attempt.
#[derive(Default)]
struct Refusing(Arc<Mutex<Vec<HeaderMap>>>);

impl Transport for Refusing {
    fn send<'a>(
        &'a self,
        outbound: &'a Outbound,
        _: &'a ClientKey,
        _: Duration,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        let request = outbound.http().unwrap();
        self.0.lock().unwrap().push(request.headers.clone());
        Box::pin(async {
            Err(SendError {
                failure: Failure::new(Reason::Connect),
                sent: Sent::No,
                permanent: false,
            })
        })
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_a_new_signature_and_the_same_id() {
    let (channel, _) = http(
        Origin::Operator,
        &json!({ "http_webhook_url": "https://hooks.example/", "signing_secret": KEY }),
    );
    let channel: Arc<dyn Channel> = Arc::new(Counting(channel.unwrap(), AtomicU32::new(0)));
    let messages = Messages::new(vec![compose(&*channel, "x")], Vec::new());
    let delivery = PlannedDelivery {
        origin: None,
        sender: "http".to_owned(),
        receiver: None,
        disposition: Disposition::Send(Box::new(PlannedSend {
            channel,
            messages,
            private_addresses: PrivateAddresses::Allow,
            dedup_key: None,
            input: None,
            own: Default::default(),
            configured_in: None,
            configuration_bytes: 0,
            resume: None,
            silence: None,
        })),
    };
    let arguments = [("max_attempts".to_owned(), "3".to_owned())].into();
    let settings = SettingsCache::default()
        .resolve(&arguments, &Default::default(), &Default::default())
        .settings()
        .unwrap();
    let transport = Refusing::default();
    let attempts = Arc::clone(&transport.0);
    let dispatcher = Dispatcher::new(Arc::new(transport), Sink::default());
    let admission = dispatcher.submit(SubmitRequest {
        observer: None,
        after: None,
        task_id: "task".to_owned(),
        identity: Identity {
            scope: Arc::clone(&settings.scope),
            key: None,
            fingerprint: [0; 32],
        },
        plan: Plan {
            notification: Arc::new(Notification::plain(Json::Null)),
            deliveries: vec![delivery],
            shared_bytes: 0,
        },
        policy: Arc::clone(&settings.policy),
        log: TaskLog::new(None),
        warnings: Vec::new(),
        caller: Caller::Settings(Arc::clone(&settings.scope)),
        persistence: None,
        batch: None,
        capacity: CapacityPolicy::default(),
    });
    let Ok(Submission::New(task)) = admission.await else {
        panic!("not taken");
    };
    task.ended().await;
    let attempts = attempts.lock().unwrap();
    assert_eq!(attempts.len(), 3);
    for (n, headers) in attempts.iter().enumerate() {
        assert_eq!(headers["x-signed"], n.to_string());
        assert_eq!(headers["webhook-id"], headers["idempotency-key"]);
        assert_eq!(headers["webhook-id"], attempts[0]["webhook-id"]);
        assert_eq!(headers.get_all("webhook-signature").iter().count(), 1);
    }
}
