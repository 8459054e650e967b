//! Measures the memory of deliveries whose destinations do not reply, or ask for a retry.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use notifier_core::api::request;
use notifier_core::config::{Environment, Settings, SettingsCache};
use notifier_core::delivery::{
    Caller, CapacityPolicy, Dispatcher, Submission, SubmitRequest, Task,
};
use notifier_core::model::plan::{Identity, Plan};
use notifier_core::model::policy::ClientKey;
use notifier_core::model::read_options::ReadOptions;
use notifier_core::model::wire::{HttpReply, Outbound, Reply};
use notifier_core::observe::{Sink, TaskLog};
use notifier_core::routing;
use notifier_core::transport::{SendError, Transport};
use notifier_core::warnings::Warnings;

use crate::costs::COST;

const DELIVERIES: usize = 10_000;

/// The reply of every destination.
enum Destinations {
    Silent,
    Unavailable,
}

impl Transport for Destinations {
    fn send<'a>(
        &'a self,
        _: &'a Outbound,
        _: &'a ClientKey,
        _: Duration,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        Box::pin(async move {
            if let Destinations::Silent = self {
                std::future::pending::<()>().await;
            }
            Ok(Reply::Http(HttpReply {
                status: 503,
                headers: http::HeaderMap::new(),
                body: "upstream connect error".into(),
                complete: true,
                received: SystemTime::now(),
            }))
        })
    }
}

/// One webhook for each host.
fn plan(settings: &Settings, dedup_key: &str) -> Plan {
    let webhooks: Vec<_> = (0..DELIVERIES)
        .map(|n| format!(r#"{{"http_webhook_url": "http://h{n}.example.com/hook"}}"#))
        .collect();
    let body = format!(
        r#"{{"notification_text": "disk is full", {dedup_key} "senders_config": {{"http": [{}]}}}}"#,
        webhooks.join(",")
    );
    let request = request::read(body.as_bytes(), &BTreeMap::new(), &ReadOptions::default());
    let mut warnings = Warnings::default();
    routing::plan(&request.unwrap(), settings, "task", &mut warnings).unwrap()
}

async fn submit(dispatcher: &Dispatcher, settings: &Settings, dedup_key: &str) -> Arc<Task> {
    let submission = dispatcher.submit(SubmitRequest {
        observer: None,
        after: None,
        task_id: "task".to_owned(),
        identity: Identity {
            scope: Arc::clone(&settings.scope),
            key: None,
            fingerprint: [0; 32],
        },
        plan: plan(settings, dedup_key),
        policy: Arc::clone(&settings.policy),
        log: TaskLog::new(None),
        warnings: Vec::new(),
        caller: Caller::Settings(Arc::clone(&settings.scope)),
        persistence: None,
        batch: None,
        capacity: CapacityPolicy::default(),
    });
    match submission.await {
        Ok(Submission::New(task)) => task,
        _ => panic!("not taken"),
    }
}

/// Bytes that each pending delivery holds, its messages among them.
async fn held(destinations: Destinations, dedup_key: &str) -> isize {
    let settings = SettingsCache::default()
        .resolve(&BTreeMap::new(), &Environment::default(), &BTreeMap::new())
        .settings()
        .unwrap();
    let dispatcher = Dispatcher::new(Arc::new(destinations), Sink::default());
    let before = COST.get().live;
    let task = submit(&dispatcher, &settings, dedup_key).await;
    // Shorter than the first wait, and long enough in virtual time for all to begin.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(task.unfinished(), DELIVERIES);
    (COST.get().live - before) / DELIVERIES as isize
}

#[tokio::test(start_paused = true)]
async fn each_of_ten_thousand_pending_deliveries_holds_a_few_kilobytes() {
    for (destinations, dedup_key, most) in [
        (Destinations::Silent, "", 4_000),
        (Destinations::Unavailable, r#""dedup_key": "k","#, 4_900),
    ] {
        let held = held(destinations, dedup_key).await;
        assert!(held <= most, "{held} bytes, and {most} are the most");
    }
}
