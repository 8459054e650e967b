//! The streams, and which of their settings may differ.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{self, Store};
use async_nats::jetstream::stream::{
    self, Config, DiscardPolicy, RetentionPolicy, StorageType, Stream,
};

use notifier_core::store::OutboxServers;
use notifier_core::store::{
    KEEP_DEAD, KEEP_LAST_NOTIFICATIONS, MAX_HISTORY, MAX_LAST_NOTIFICATIONS,
};

pub const WORK: &str = "notifier_work";
const DEAD_LETTERS: &str = "notifier_dead_letters";
const HISTORY: &str = "notifier_history";
pub const ATTEMPTS: &str = "notifier_attempts";
pub const IDEMPOTENCY_KEYS: &str = "notifier_idempotency_keys";
pub const LAST_NOTIFICATIONS: &str = "notifier_last_notifications";

/// How long the server detects a repeated publication of the same message.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// How long a note outlives its last change: longer than the longest `delivery_timeout`. The end of a request removes
/// its notes, except late notes of an earlier holder.
const KEEP_NOTES: Duration = Duration::from_secs(14 * 24 * 3600);
/// How long the outbox keeps an idempotency key or a provider's message.
const KEEP_KNOWN: Duration = Duration::from_secs(48 * 3600);
const MAX_DEAD: i64 = 100_000;
/// How long a history row waits for a process that can write it.
const KEEP_HISTORY: Duration = Duration::from_secs(7 * 24 * 3600);
/// With so many servers each stream has three replicas.
const CLUSTER_REPLICAS: usize = 3;

/// The streams and buckets that were found.
pub struct StreamHandles {
    pub context: Context,
    pub work: stream::Stream,
    pub dead: stream::Stream,
    pub history: stream::Stream,
    pub attempts: kv::Store,
    pub known: kv::Store,
    pub lasts: kv::Store,
}

/// The settings of new streams. The last three are key-value buckets.
pub fn configs(num_replicas: usize) -> [Config; 6] {
    let stream = |name: &str, subject: &str| Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        max_messages: -1,
        max_bytes: -1,
        num_replicas,
        ..Config::default()
    };
    let bucket = |name: &str, max_age| Config {
        max_messages_per_subject: 1,
        max_age,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..stream(&format!("KV_{name}"), &format!("$KV.{name}.>"))
    };
    [
        Config {
            retention: RetentionPolicy::WorkQueue,
            duplicate_window: DUPLICATE_WINDOW,
            ..stream(WORK, "notifier.work.>")
        },
        Config {
            discard: DiscardPolicy::Old,
            max_age: KEEP_DEAD,
            max_messages: MAX_DEAD,
            duplicate_window: DUPLICATE_WINDOW,
            ..stream(DEAD_LETTERS, "notifier.dead.>")
        },
        Config {
            discard: DiscardPolicy::Old,
            max_age: KEEP_HISTORY,
            max_messages: MAX_HISTORY as i64,
            max_messages_per_subject: 1,
            ..stream(HISTORY, "notifier.history.>")
        },
        bucket(ATTEMPTS, KEEP_NOTES),
        bucket(IDEMPOTENCY_KEYS, KEEP_KNOWN),
        Config {
            discard: DiscardPolicy::Old,
            max_messages: MAX_LAST_NOTIFICATIONS as i64,
            ..bucket(LAST_NOTIFICATIONS, KEEP_LAST_NOTIFICATIONS)
        },
    ]
}

/// The number of replicas.
pub fn replicas(nats: &OutboxServers) -> usize {
    if nats.urls.len() >= CLUSTER_REPLICAS {
        CLUSTER_REPLICAS
    } else {
        1
    }
}

/// Returns whether an existing stream loses no messages.
pub fn fits(found: &Config, needed: &Config) -> bool {
    let lasts =
        |age: Duration| age.is_zero() || (!needed.max_age.is_zero() && age >= needed.max_age);
    let drops = found.discard == DiscardPolicy::Old
        && (found.max_messages > 0 || found.max_bytes > 0 || found.max_messages_per_subject > 0);
    found.retention == needed.retention
        && found.storage == StorageType::File
        && needed
            .subjects
            .iter()
            .all(|subject| found.subjects.contains(subject))
        && !found.no_ack
        && !found.sealed
        && !found.deny_purge
        && found.mirror.is_none()
        && lasts(found.max_age)
        && (needed.discard == DiscardPolicy::Old || !drops)
        && (needed.duplicate_window.is_zero() || found.duplicate_window >= needed.duplicate_window)
        && (needed.max_messages_per_subject <= 0 || found.max_messages_per_subject > 0)
}

/// The bucket of a stream.
pub fn store(bucket: &str, stream: Stream) -> Store {
    Store {
        name: bucket.to_owned(),
        stream_name: format!("KV_{bucket}"),
        prefix: format!("$KV.{bucket}."),
        put_prefix: None,
        use_jetstream_prefix: false,
        stream,
    }
}
