//! Detects repeated requests: with the same key, or identical while the first is in flight or within the dedup window.

use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hashlink::LinkedHashMap;
use tokio::time::Instant;

use crate::delivery::progress::task::Task;
use crate::model::plan::{Fingerprint, Identity, KEEP_KEY};
use crate::panics::lock;

/// The maximum number of remembered requests of each kind.
const MAX_REQUESTS: usize = 10_000;
/// Memory for their answers, for each kind.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The requests of this process that may come again.
#[derive(Default)]
pub struct Idempotency {
    state: Mutex<RememberedRequests>,
}

#[derive(Default)]
struct RememberedRequests {
    by_key: RequestMap<(Arc<str>, String)>,
    by_body: RequestMap<(Arc<str>, Fingerprint)>,
}

/// The result of submitting a request.
pub enum Submission {
    New(Arc<Task>),
    /// The request is stored, and another process delivers it.
    InOutbox(Arc<Task>),
    /// The current state of the key's first request.
    Replayed(Arc<Task>),
    /// An identical request in flight.
    Joined(Arc<Task>),
    /// The key belongs to a request with another body.
    Conflict,
}

/// How to accept a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitMode {
    Send,
    /// An identical one was delivered within the dedup window.
    Suppress,
}

/// An earlier request with the same key or content.
enum Match {
    Nothing,
    /// An identical one was delivered within the dedup window.
    Delivered(Arc<Task>),
    Answered(Submission),
}

impl Idempotency {
    /// Calls `accept` for an unknown request. Of identical concurrent requests, one is accepted; the results of the
    /// other calls are dropped. Other requests do not wait for `accept`.
    pub fn submit<E>(
        &self,
        identity: Identity,
        window: Duration,
        accept: impl FnOnce(SubmitMode) -> Result<Arc<Task>, E>,
    ) -> Result<Submission, E> {
        let known = lock(&self.state).look_up(&identity);
        match known {
            Match::Answered(admission) => return Ok(admission),
            Match::Delivered(_) => return accept(SubmitMode::Suppress).map(Submission::New),
            Match::Nothing => {}
        }
        let task = accept(SubmitMode::Send)?;
        let is_kept = identity.key.is_some() || !task.has_ended() || !window.is_zero();
        if !is_kept {
            return Ok(Submission::New(task));
        }
        let entry = RememberedRequest::new(&identity, window, &task);
        let mut state = lock(&self.state);
        // Another may have come in the meantime.
        let forgotten = match state.look_up(&identity) {
            Match::Answered(admission) => return Ok(admission),
            Match::Delivered(first) => return Ok(Submission::Joined(first)),
            Match::Nothing => state.insert(identity, entry),
        };
        drop(state);
        drop(forgotten);
        Ok(Submission::New(task))
    }

    /// Returns the answer to a repeated request, which nothing accepts again.
    pub fn answer(&self, identity: &Identity) -> Option<Submission> {
        match lock(&self.state).look_up(identity) {
            Match::Answered(submission) => Some(submission),
            Match::Delivered(_) | Match::Nothing => None,
        }
    }

    /// Removes a request that was not accepted after all.
    pub fn forget(&self, identity: &Identity, task: &Arc<Task>) {
        let mut state = lock(&self.state);
        let scope = Arc::clone(&identity.scope);
        match &identity.key {
            Some(key) => state.by_key.forget(&(scope, key.clone()), task),
            None => state.by_body.forget(&(scope, identity.fingerprint), task),
        }
    }

    /// A request that another process took: from now on it is known here too.
    pub fn remember(&self, identity: Identity, window: Duration, task: &Arc<Task>) {
        let entry = RememberedRequest::new(&identity, window, task);
        let forgotten = lock(&self.state).insert(identity, entry);
        drop(forgotten);
    }
}

impl RememberedRequests {
    fn look_up(&self, identity: &Identity) -> Match {
        let scope = Arc::clone(&identity.scope);
        match &identity.key {
            Some(key) => {
                let entry = self.by_key.get(&(scope, key.clone()));
                // A request without any delivered message is forgotten, so that a retry sends again.
                match entry.filter(|entry| !entry.task.has_failed()) {
                    None => Match::Nothing,
                    Some(entry) if entry.fingerprint == identity.fingerprint => {
                        Match::Answered(Submission::Replayed(Arc::clone(&entry.task)))
                    }
                    Some(_) => Match::Answered(Submission::Conflict),
                }
            }
            None => match self.by_body.get(&(scope, identity.fingerprint)) {
                Some(entry) if !entry.task.has_ended() => {
                    Match::Answered(Submission::Joined(Arc::clone(&entry.task)))
                }
                Some(entry) if entry.task.has_delivered() => {
                    Match::Delivered(Arc::clone(&entry.task))
                }
                _ => Match::Nothing,
            },
        }
    }

    /// Returns the evicted tasks, so that the caller drops them outside of the lock.
    fn insert(&mut self, identity: Identity, entry: RememberedRequest) -> Vec<Arc<Task>> {
        let Identity {
            scope,
            key,
            fingerprint,
        } = identity;
        match key {
            Some(key) => self.by_key.insert((scope, key), entry),
            None => self.by_body.insert((scope, fingerprint), entry),
        }
    }
}

/// The tasks in the order of acceptance, the oldest first.
struct RequestMap<K> {
    entries: LinkedHashMap<K, RememberedRequest>,
    bytes: usize,
    /// The number of tasks that triggers the removal of expired ones.
    sweep_at: usize,
}

struct RememberedRequest {
    task: Arc<Task>,
    fingerprint: Fingerprint,
    bytes: usize,
    /// How long a task counts after its end.
    keep: Duration,
}

impl<K> Default for RequestMap<K> {
    fn default() -> Self {
        Self {
            entries: LinkedHashMap::new(),
            bytes: 0,
            sweep_at: 0,
        }
    }
}

impl<K: Eq + Hash> RequestMap<K> {
    /// The request under a key, if it has not expired.
    fn get(&self, key: &K) -> Option<&RememberedRequest> {
        self.entries.get(key).filter(|entry| entry.counts())
    }

    fn insert(&mut self, key: K, entry: RememberedRequest) -> Vec<Arc<Task>> {
        let mut forgotten = Vec::new();
        self.bytes += entry.bytes;
        if let Some(before) = self.entries.insert(key, entry) {
            self.bytes -= before.bytes;
            forgotten.push(before.task);
        }
        if self.entries.len() > self.sweep_at {
            self.sweep(&mut forgotten);
        }
        while self.entries.len() > MAX_REQUESTS
            || (self.bytes > MAX_BYTES && self.entries.len() > 1)
        {
            match self.entries.pop_front() {
                Some((_, oldest)) => {
                    self.bytes -= oldest.bytes;
                    forgotten.push(oldest.task);
                }
                None => break,
            }
        }
        forgotten
    }

    fn forget(&mut self, key: &K, task: &Arc<Task>) {
        let same = |entry: &RememberedRequest| Arc::ptr_eq(&entry.task, task);
        if self.entries.get(key).is_some_and(same)
            && let Some(entry) = self.entries.remove(key)
        {
            self.bytes -= entry.bytes;
        }
    }

    /// Removes expired requests. It runs whenever their number has doubled, so that the cost for each request is
    /// constant.
    fn sweep(&mut self, forgotten: &mut Vec<Arc<Task>>) {
        self.entries.retain(|_, entry| {
            let counts = entry.counts();
            if !counts {
                forgotten.push(Arc::clone(&entry.task));
            }
            counts
        });
        self.bytes = self.entries.values().map(|entry| entry.bytes).sum();
        self.sweep_at = (2 * self.entries.len()).max(64);
    }
}

impl RememberedRequest {
    fn new(identity: &Identity, window: Duration, task: &Arc<Task>) -> Self {
        let key = identity.key.as_ref();
        Self {
            task: Arc::clone(task),
            fingerprint: identity.fingerprint,
            bytes: size_of::<Self>() + key.map_or(0, String::len) + task.size(),
            keep: if key.is_some() { KEEP_KEY } else { window },
        }
    }

    /// Returns whether the task is in flight or ended within its window.
    fn counts(&self) -> bool {
        let ended = self.task.ended_at();
        ended.is_none_or(|ended| Instant::now() < ended + self.keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::{Failure, Outcome, Reason};
    use crate::model::report::DeliveryReport;
    use crate::observe::TaskLog;

    const DELIVERED: Outcome = Outcome::Delivered { message: None };
    const HOUR: Duration = Duration::from_secs(3600);

    fn failed() -> Outcome {
        Outcome::Failed(Failure::new(Reason::Timeout))
    }

    /// A task with one delivery in flight.
    fn task(id: &str) -> Arc<Task> {
        let report = DeliveryReport {
            parts: 1,
            ..DeliveryReport::new(0, "http".to_owned(), Outcome::Pending(None))
        };
        Task::new(
            id.to_owned(),
            TaskLog::new(None),
            Vec::new(),
            [report],
            None,
        )
    }

    fn identity(scope: &str, key: Option<&str>, body: u8) -> Identity {
        Identity {
            scope: scope.into(),
            key: key.map(str::to_owned),
            fingerprint: [body; 32],
        }
    }

    /// Returns a request's result, as a word and the id of the task that answers it.
    fn ask(door: &Idempotency, identity: Identity, window: Duration, id: &str) -> String {
        let mut suppressed = "";
        let admission = door.submit(identity, window, |accept| {
            if accept == SubmitMode::Suppress {
                suppressed = "suppressed ";
            }
            Ok::<_, ()>(task(id))
        });
        match admission.unwrap() {
            Submission::New(task) => format!("{suppressed}{}", task.id),
            Submission::Replayed(task) => format!("replayed {}", task.id),
            Submission::Joined(task) => format!("joined {}", task.id),
            Submission::InOutbox(task) => format!("left {}", task.id),
            Submission::Conflict => "conflict".to_owned(),
        }
    }

    /// Takes a request; gives back its task.
    fn end(task: &Task, outcome: Outcome) {
        task.conclude(0, outcome);
        task.leave(0);
    }

    fn first(door: &Idempotency, identity: Identity, window: Duration) -> Arc<Task> {
        let admission = door.submit(identity, window, |_| Ok::<_, ()>(task("first")));
        let Ok(Submission::New(task)) = admission else {
            panic!("not taken");
        };
        task
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_replays_its_first_request_for_24_hours_after_its_end() {
        let door = Idempotency::default();
        let key = |body| identity("s", Some("k"), body);
        let task = first(&door, key(1), Duration::ZERO);
        tokio::time::advance(25 * HOUR).await;
        assert_eq!(ask(&door, key(1), Duration::ZERO, "b"), "replayed first");
        assert_eq!(ask(&door, key(2), Duration::ZERO, "b"), "conflict");
        let answer = |body| door.answer(&key(body));
        assert!(matches!(answer(1), Some(Submission::Replayed(first)) if first.id == "first"));
        assert!(matches!(answer(2), Some(Submission::Conflict)));
        assert!(door.answer(&identity("s", Some("new"), 1)).is_none());
        let elsewhere = identity("other settings", Some("k"), 2);
        assert_eq!(ask(&door, elsewhere, Duration::ZERO, "b"), "b");
        end(&task, DELIVERED);
        tokio::time::advance(23 * HOUR).await;
        assert_eq!(ask(&door, key(1), Duration::ZERO, "b"), "replayed first");
        tokio::time::advance(2 * HOUR).await;
        assert_eq!(ask(&door, key(2), Duration::ZERO, "b"), "b");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_released_when_every_delivery_failed() {
        let door = Idempotency::default();
        let key = || identity("s", Some("k"), 1);
        end(&first(&door, key(), Duration::ZERO), failed());
        assert_eq!(ask(&door, key(), Duration::ZERO, "b"), "b");
        assert_eq!(ask(&door, key(), Duration::ZERO, "c"), "replayed b");
    }

    #[tokio::test(start_paused = true)]
    async fn an_identical_request_joins_the_one_in_flight_unless_it_has_a_key() {
        let door = Idempotency::default();
        let same = || identity("s", None, 1);
        let task = first(&door, same(), Duration::ZERO);
        assert_eq!(ask(&door, same(), Duration::ZERO, "b"), "joined first");
        let keyed = identity("s", Some("k"), 1);
        assert_eq!(ask(&door, keyed, Duration::ZERO, "b"), "b");
        assert_eq!(ask(&door, identity("s", None, 2), Duration::ZERO, "b"), "b");
        assert_eq!(ask(&door, identity("t", None, 1), Duration::ZERO, "b"), "b");
        end(&task, DELIVERED);
        assert_eq!(ask(&door, same(), Duration::ZERO, "c"), "c");
    }

    #[tokio::test(start_paused = true)]
    async fn the_dedup_window_suppresses_delivered_but_not_failed_notifications() {
        let door = Idempotency::default();
        let same = || identity("s", None, 1);
        let task = first(&door, same(), HOUR);
        tokio::time::advance(2 * HOUR).await;
        assert_eq!(ask(&door, same(), HOUR, "b"), "joined first");
        end(&task, DELIVERED);
        tokio::time::advance(HOUR / 2).await;
        assert_eq!(ask(&door, same(), HOUR, "b"), "suppressed b");
        tokio::time::advance(HOUR).await;
        let task = first(&door, same(), HOUR);
        end(&task, failed());
        assert_eq!(ask(&door, same(), HOUR, "c"), "c");
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_keys_are_forgotten_first() {
        let door = Idempotency::default();
        let key = |n: usize| identity("s", Some(&n.to_string()), 1);
        for n in 0..=MAX_REQUESTS {
            end(&first(&door, key(n), Duration::ZERO), DELIVERED);
        }
        assert_eq!(ask(&door, key(1), Duration::ZERO, "b"), "replayed first");
        assert_eq!(ask(&door, key(0), Duration::ZERO, "b"), "b");
        let state = door.state.lock().unwrap();
        assert!(state.by_key.bytes <= MAX_BYTES);
        let bytes: usize = state.by_key.entries.values().map(|e| e.bytes).sum();
        assert_eq!(state.by_key.bytes, bytes);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_have_ended_are_not_kept() {
        let door = Idempotency::default();
        for body in 0..=255 {
            end(
                &first(&door, identity("s", None, body), Duration::ZERO),
                DELIVERED,
            );
        }
        assert!(door.state.lock().unwrap().by_body.entries.len() <= 64 + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn identical_requests_are_accepted_once_without_waiting() {
        let door = Idempotency::default();
        for key in [None, Some("k")] {
            let same = || identity("s", key, 1);
            let admission = door.submit(same(), Duration::ZERO, |_| {
                // Others come in the meantime: another one, and the same.
                assert_eq!(ask(&door, identity("s", Some("other"), 2), HOUR, "b"), "b");
                assert_eq!(ask(&door, same(), Duration::ZERO, "first"), "first");
                Ok::<_, ()>(task("second"))
            });
            let (Submission::Joined(first) | Submission::Replayed(first)) = admission.unwrap()
            else {
                panic!("taken twice");
            };
            assert_eq!(first.id, "first");
            let other = identity("s", Some("other"), 2);
            assert_eq!(ask(&door, other, HOUR, "c"), "replayed b");
            door.state.lock().unwrap().by_key = RequestMap::default();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_delivered_while_its_like_is_made_is_joined() {
        let door = Idempotency::default();
        let same = || identity("s", None, 1);
        let admission = door.submit(same(), HOUR, |_| {
            end(&first(&door, same(), HOUR), DELIVERED);
            Ok::<_, ()>(task("second"))
        });
        assert!(matches!(admission, Ok(Submission::Joined(task)) if task.id == "first"));
    }

    #[test]
    fn a_refused_request_leaves_no_key() {
        let door = Idempotency::default();
        let key = || identity("s", Some("k"), 1);
        assert!(door.submit(key(), HOUR, |_| Err(())).is_err());
        assert_eq!(ask(&door, key(), Duration::ZERO, "b"), "b");
    }
}
