//! One notification to one destination, from acceptance to its end.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;

use super::digest::AheadGuard;
use super::limits::capacity::InFlightPermit;
use super::progress::Progress;
use super::retry::RetryState;
use super::services::Services;
use crate::model::outcome::{Failure, MessageRef, Outcome};
use crate::model::plan::{DeliveryPolicy, PlannedSend};
use crate::model::wire::Outbound;
use crate::observe::Event;

/// A delivery. A request's plan makes it; [`run`](super::run::run) takes it from state to state.
pub struct Delivery {
    pub services: Arc<Services>,
    /// Its task, and its entry in the store.
    pub progress: Progress,
    /// The sender's name in the request.
    pub sender: String,
    pub receiver: Option<String>,
    /// The channel, and the input of its messages.
    pub planned: Box<PlannedSend>,
    pub policy: Arc<DeliveryPolicy>,
    /// Its capacity, until the store has its outcome.
    pub permit: Option<InFlightPermit>,
    /// The deadline of the last attempt. A late turn extends it.
    pub deadline: Instant,
    /// Digests that refer to it leave after its end.
    pub digests: Vec<AheadGuard>,
    pub state: DeliveryState,
}

/// The state of a delivery, with its data.
pub enum DeliveryState {
    /// Composed. It waits for its turn among the deliveries with its dedup key, or for a digest.
    Queued(Vec<Outbound>),
    /// A message leaves as soon as the destination's queue admits it and a connection is free.
    Attempting(Box<Transmission>),
    /// The next attempt is not due, or the provider is asked about the last one.
    Waiting(Box<Transmission>, WaitFor),
    Ended(Outcome),
}

/// The condition that a delivery waits for between two attempts.
pub enum WaitFor {
    Until(Instant),
    /// The provider's word on the last attempt, which failed so.
    LookUp(Box<Failure>),
}

/// The messages of a delivery on their way.
pub struct Transmission {
    /// The messages in sending order.
    pub messages: Vec<Outbound>,
    /// The message that is next, by its place.
    pub part: usize,
    /// The attempts of this message.
    pub retry: RetryState,
    /// The begin of its last attempt, by the wall clock.
    pub began: SystemTime,
    /// The end of its last attempt.
    pub ended: Instant,
    /// Whether no provider can have seen any message of it.
    pub is_unseen: bool,
    /// Whether it goes to a new address of its destination.
    pub has_moved: bool,
    /// The provider's name of the first message that got one.
    pub reference: Option<MessageRef>,
    /// The message to send if the earlier message that it refers to no longer exists.
    pub original: Option<Vec<Outbound>>,
}

impl Default for DeliveryState {
    fn default() -> Self {
        DeliveryState::Queued(Vec::new())
    }
}

impl Delivery {
    /// A delivery of a request that was accepted now.
    pub fn new(
        services: Arc<Services>,
        progress: Progress,
        sender: String,
        receiver: Option<String>,
        mut planned: Box<PlannedSend>,
        policy: Arc<DeliveryPolicy>,
    ) -> Self {
        let messages = std::mem::take(&mut planned.messages.parts);
        Self {
            deadline: progress.task.accepted + policy.delivery_timeout,
            services,
            progress,
            sender,
            receiver,
            planned,
            policy,
            permit: None,
            digests: Vec::new(),
            state: DeliveryState::Queued(messages),
        }
    }

    pub fn emit(&self, event: &Event<'_>) {
        self.services.sink.emit(&self.progress.task.log, event);
    }

    /// The label of its destination.
    pub fn label(&self) -> &str {
        &self.planned.channel.destination().label
    }
}

impl Transmission {
    pub fn new(messages: Vec<Outbound>, part: usize, retry: RetryState) -> Self {
        Self {
            messages,
            part,
            retry,
            began: SystemTime::now(),
            ended: Instant::now(),
            is_unseen: false,
            has_moved: false,
            reference: None,
            original: None,
        }
    }

    pub fn message(&self) -> Option<&Outbound> {
        self.messages.get(self.part)
    }

    /// Sends this in place of the current message, to a new address of the destination.
    pub fn readdress(&mut self, message: Outbound) {
        if let Some(current) = self.messages.get_mut(self.part) {
            *current = message;
        }
        self.has_moved = true;
    }

    /// Sends these messages instead. The attempts so far count for the first of them too.
    pub fn replace(&mut self, messages: Vec<Outbound>) {
        self.messages = messages;
        self.has_moved = false;
    }

    /// Continues with the next message.
    pub fn advance(&mut self) {
        self.part += 1;
        self.retry.reset();
        self.has_moved = false;
    }
}
