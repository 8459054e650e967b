//! The services that all deliveries of the process share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::last_notifications::LastNotificationCache;
use super::limits::capacity::Capacity;
use super::limits::connections::Connections;
use super::lookup::claims::Claims;
use super::queue::Queues;
use crate::observe::Sink;
use crate::transport::Transport;

pub struct Services {
    pub transport: Arc<dyn Transport>,
    /// The receiver of events.
    pub sink: Sink,
    pub capacity: Arc<Capacity>,
    pub connections: Arc<Connections>,
    pub queues: Queues,
    pub claims: Claims,
    pub last_notifications: LastNotificationCache,
    /// Deliveries that wait for older ones which no queue of this process has.
    pub waiting_for_older: AtomicUsize,
}

impl Services {
    pub fn new(transport: Arc<dyn Transport>, sink: Sink) -> Self {
        Self {
            connections: Arc::new(Connections::new(Arc::clone(&transport))),
            transport,
            sink,
            capacity: Arc::default(),
            queues: Queues::default(),
            claims: Claims::default(),
            last_notifications: LastNotificationCache::default(),
            waiting_for_older: AtomicUsize::default(),
        }
    }
}
