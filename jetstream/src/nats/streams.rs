//! The streams that there must be, and what of them may be otherwise.

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
const DEAD: &str = "notifier_dead";
const HISTORY: &str = "notifier_history";
pub const ATTEMPTS: &str = "notifier_attempts";
pub const KNOWN: &str = "notifier_known";
pub const LASTS: &str = "notifier_lasts";

/// How long a second publication of the same message is recognised.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// How long a note outlives its last change: longer than the longest `delivery_timeout`. The end of a request removes its
/// notes; those of a holder that was too late stay.
const KEEP_NOTES: Duration = Duration::from_secs(14 * 24 * 3600);
/// How long a key and a provider's message are known.
const KEEP_KNOWN: Duration = Duration::from_secs(48 * 3600);
const MAX_DEAD: i64 = 100_000;
/// How long a history row waits for a process that can write it.
const KEEP_HISTORY: Duration = Duration::from_secs(7 * 24 * 3600);
/// Servers from which on what is kept is kept three times.
const CLUSTER: usize = 3;

/// The streams and buckets as they were found.
pub struct StreamHandles {
    pub context: Context,
    pub work: stream::Stream,
    pub dead: stream::Stream,
    pub history: stream::Stream,
    pub attempts: kv::Store,
    pub known: kv::Store,
    pub lasts: kv::Store,
}

/// The streams, as they are made where they are missing. The last three are key-value buckets.
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
            ..stream(DEAD, "notifier.dead.>")
        },
        Config {
            discard: DiscardPolicy::Old,
            max_age: KEEP_HISTORY,
            max_messages: MAX_HISTORY as i64,
            max_messages_per_subject: 1,
            ..stream(HISTORY, "notifier.history.>")
        },
        bucket(ATTEMPTS, KEEP_NOTES),
        bucket(KNOWN, KEEP_KNOWN),
        Config {
            discard: DiscardPolicy::Old,
            max_messages: MAX_LAST_NOTIFICATIONS as i64,
            ..bucket(LASTS, KEEP_LAST_NOTIFICATIONS)
        },
    ]
}

/// How many servers are to keep what is kept.
pub fn replicas(nats: &OutboxServers) -> usize {
    if nats.urls.len() >= CLUSTER {
        CLUSTER
    } else {
        1
    }
}

/// Whether nothing would be lost in a stream that somebody has made.
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

/// The bucket that a stream is.
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
