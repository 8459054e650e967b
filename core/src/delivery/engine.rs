//! What all deliveries of the process share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::bounds::Bounds;
use super::claims::Claims;
use super::connections::Connections;
use super::idempotency::Idempotency;
use super::last_sent::LastSents;
use super::queue::Queues;
use super::throttle::Minutes;
use crate::observe::{Metrics, RecentErrors};
use crate::transport::Transport;

pub struct Engine {
    pub transport: Arc<dyn Transport>,
    pub metrics: Arc<Metrics>,
    pub errors: Arc<RecentErrors>,
    pub bounds: Arc<Bounds>,
    pub connections: Arc<Connections>,
    pub idempotency: Idempotency,
    pub queues: Queues,
    pub claims: Claims,
    pub last_sents: LastSents,
    pub minutes: Minutes,
    /// Deliveries whose call has been answered.
    pub pending: AtomicUsize,
    /// Deliveries that wait for older ones which no queue of this process has.
    pub waiting_for_older: AtomicUsize,
}

impl Engine {
    pub fn new(
        transport: Arc<dyn Transport>,
        metrics: Arc<Metrics>,
        errors: Arc<RecentErrors>,
    ) -> Self {
        Self {
            connections: Arc::new(Connections::new(Arc::clone(&transport))),
            transport,
            metrics,
            errors,
            bounds: Arc::default(),
            idempotency: Idempotency::default(),
            queues: Queues::default(),
            claims: Claims::default(),
            last_sents: LastSents::default(),
            minutes: Minutes::default(),
            pending: AtomicUsize::default(),
            waiting_for_older: AtomicUsize::default(),
        }
    }
}
