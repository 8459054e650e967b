//! The queues of a process: its requests that share a configuration file and a dedup key.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use tokio::sync::Notify;

use notifier_core::store::{DeliveryId, OrderKey, Running};

/// The queues, by the subject filter of their configuration file and dedup key.
#[derive(Default)]
pub struct KeyQueues {
    pub lines: Mutex<HashMap<String, KeyQueue>>,
    pub changed: Notify,
}

/// The requests of a key that this process publishes or owns.
#[derive(Default)]
pub struct KeyQueue {
    /// By the token of the task.
    requests: HashMap<String, QueuedRequest>,
    /// All requests before this sequence belong to this process or have ended.
    clear_before: u64,
}

struct QueuedRequest {
    task: String,
    /// The sequence in the stream; zero: not known yet.
    sequence: u64,
    was_claimed: bool,
    /// Its deliveries are in the queues of this process, or will be at once.
    is_lined_up: bool,
    /// The open deliveries.
    deliveries: BTreeMap<usize, QueuedDelivery>,
}

struct QueuedDelivery {
    order: OrderKey,
    /// An older delivery may be in no queue of this process.
    is_behind: bool,
    /// Its outcome is being written to the stream.
    is_ending: bool,
}

/// The state of this process's older deliveries with the same order key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OlderOfProcess {
    None,
    Ending,
    Open,
}

impl KeyQueue {
    /// Inserts a request. A sequence of zero means that it is not published yet.
    pub fn insert(
        &mut self,
        token: &str,
        task: &str,
        sequence: u64,
        orders: impl Iterator<Item = (usize, OrderKey)>,
    ) {
        let delivery = |order| QueuedDelivery {
            order,
            is_behind: false,
            is_ending: false,
        };
        let request = QueuedRequest {
            task: task.to_owned(),
            sequence,
            was_claimed: sequence != 0,
            is_lined_up: sequence != 0,
            deliveries: orders
                .map(|(index, order)| (index, delivery(order)))
                .collect(),
        };
        self.requests.insert(token.to_owned(), request);
    }

    /// Removes a request that this process no longer owns. Another process may own its open deliveries.
    pub fn remove(&mut self, token: &str) {
        let request = self.requests.remove(token);
        if request.is_some_and(|request| !request.deliveries.is_empty()) {
            self.clear_before = 0;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub fn set_sequence(&mut self, token: &str, sequence: u64) {
        if let Some(request) = self.requests.get_mut(token) {
            request.sequence = sequence;
        }
    }

    /// Marks whether the deliveries of a request are in the queues of this process.
    pub fn has_lined_up(&self, token: &str, sequence: u64) -> bool {
        let request = self.requests.get(token);
        request.is_some_and(|request| request.is_lined_up && request.sequence == sequence)
    }

    pub fn clear_before(&self) -> u64 {
        self.clear_before
    }

    /// Records that all older requests belong to this process or have ended.
    pub fn set_clear_before(&mut self, sequence: u64) {
        self.clear_before = self.clear_before.max(sequence);
    }

    /// Queues the deliveries of a request. Returns those that must ask for older ones before they are sent. Only this
    /// process's youngest delivery before each one counts, because it was itself queued behind the others.
    pub fn line_up(&mut self, token: &str, has_others: bool, running: &Running) -> Vec<usize> {
        let Some(mut request) = self.requests.remove(token) else {
            return Vec::new();
        };
        let mut behind = Vec::new();
        for (index, delivery) in &mut request.deliveries {
            let own = self.older(delivery.order, (request.sequence, *index));
            let youngest = own.max_by_key(|(at, ..)| *at);
            delivery.is_behind = has_others
                || youngest.is_some_and(|((_, index), before, older)| {
                    let task = before.task.clone();
                    // A claimed request is queued in order, but its deliveries may not be in their queues yet.
                    let is_queued = !before.was_claimed
                        || request.was_claimed
                        || running.contains(&DeliveryId { task, index });
                    older.is_behind || !is_queued
                });
            if delivery.is_behind {
                behind.push(*index);
            }
        }
        request.is_lined_up = true;
        self.requests.insert(token.to_owned(), request);
        behind
    }

    /// The sequence and the order key of an open delivery.
    pub fn position(&self, token: &str, index: usize) -> Option<(u64, OrderKey)> {
        let request = self.requests.get(token)?;
        Some((request.sequence, request.deliveries.get(&index)?.order))
    }

    pub fn older_in_process(&self, order: OrderKey, position: (u64, usize)) -> OlderOfProcess {
        let state = |delivery: &QueuedDelivery| match delivery.is_ending {
            true => OlderOfProcess::Ending,
            false => OlderOfProcess::Open,
        };
        let older = self.older(order, position);
        let older = older.map(|(.., delivery)| state(delivery)).max();
        older.unwrap_or(OlderOfProcess::None)
    }

    /// Records that no older delivery is left: later ones wait behind this one.
    pub fn mark_first(&mut self, token: &str, index: usize) {
        if let Some(delivery) = self.delivery(token, index) {
            delivery.is_behind = false;
        }
    }

    pub fn mark_ending(&mut self, token: &str, index: usize) {
        if let Some(delivery) = self.delivery(token, index) {
            delivery.is_ending = true;
        }
    }

    pub fn ended(&mut self, token: &str, index: usize) {
        if let Some(request) = self.requests.get_mut(token) {
            request.deliveries.remove(&index);
        }
    }

    /// Records that another process owns the delivery.
    pub fn lost(&mut self, token: &str, index: usize) {
        self.ended(token, index);
        self.clear_before = 0;
    }

    /// Records that the request is no longer in the stream.
    pub fn finished(&mut self, token: &str) {
        if let Some(request) = self.requests.get_mut(token) {
            request.deliveries.clear();
        }
    }

    fn delivery(&mut self, token: &str, index: usize) -> Option<&mut QueuedDelivery> {
        self.requests.get_mut(token)?.deliveries.get_mut(&index)
    }

    fn older(
        &self,
        order: OrderKey,
        position: (u64, usize),
    ) -> impl Iterator<Item = ((u64, usize), &QueuedRequest, &QueuedDelivery)> {
        let deliveries = self.requests.values().flat_map(|request| {
            let deliveries = request.deliveries.iter();
            deliveries.map(move |(index, delivery)| ((request.sequence, *index), request, delivery))
        });
        deliveries
            .filter(move |(at, _, delivery)| at.0 != 0 && *at < position && delivery.order == order)
    }
}
