//! Shares `max_connections` among deliveries, so that slow destinations do not delay the others.
//!
//! - A freed connection goes to the server or account that uses the fewest. Between equals, it goes to the request that
//!   waited the fewest turns. So a request with a thousand destinations does not precede one with a single destination
//!   (start-time fair queueing: Goyal, Vin, Cheng, 1996).
//! - A part is reserved for servers that use none. An equal part is reserved for those of them that belong to a request
//!   with few deliveries: they begin at once even if other servers hang.
//! - Destinations that were slow at their last attempt share a quarter. Mails, which may wait ten minutes for the last
//!   reply, share another quarter; one mail server has half of it.
//! - Idle connections count as well (`idle`).

mod idle;
mod shares;
#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

pub use self::shares::{ConnectionClass, ConnectionRequest};
use self::shares::{Grant, Shares, WaitQueueKey, WaiterPosition};
use crate::panics::lock;
use crate::transport::Transport;

type Waiters = Shares<oneshot::Sender<ConnectionPermit>>;

/// The connections of the process.
pub struct Connections {
    transport: Arc<dyn Transport>,
    shares: Mutex<Waiters>,
}

impl Connections {
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self {
            transport,
            shares: Mutex::default(),
        }
    }

    /// A connection now, or a place in line.
    pub fn ask(
        self: &Arc<Self>,
        ask: ConnectionRequest,
    ) -> Result<ConnectionPermit, Box<PendingConnection>> {
        let mut shares = lock(&self.shares);
        let line = WaitQueueKey {
            class: ask.class,
            limit: ask.limit,
            is_one_of_many: shares.is_one_of_many(ask.request),
        };
        if let Some(held) = self.grant(&mut shares, line, &ask) {
            return Ok(ConnectionPermit::new(self, held));
        }
        let (sender, receiver) = oneshot::channel();
        let position = shares.line_up(line, &ask, sender);
        Err(Box::new(PendingConnection {
            connections: Arc::clone(self),
            line,
            position,
            receiver,
        }))
    }

    /// Counts a connection for who asks, if there is one.
    fn grant(
        &self,
        shares: &mut Waiters,
        line: WaitQueueKey,
        ask: &ConnectionRequest,
    ) -> Option<Grant> {
        if !shares.has_share(line, ask) {
            return None;
        }
        let close = |pool| self.transport.close_idle(pool);
        let in_use = shares.in_use;
        let pool = shares.idle.open(ask.pool, in_use, ask.limit, close);
        shares.take(ask);
        Some(Grant {
            party: ask.party,
            request: ask.request,
            class: ask.class,
            is_one_of_many: line.is_one_of_many,
            pool,
        })
    }

    fn release(self: &Arc<Self>, held: &Grant) {
        lock(&self.shares).give_back(held);
        loop {
            let next = self.next(&mut lock(&self.shares));
            let Some((sender, held)) = next else { return };
            // A dropped receiver returns the permit.
            let _ = sender.send(ConnectionPermit::new(self, held));
        }
    }

    /// The next in line who may have a connection, with it.
    fn next(&self, shares: &mut Waiters) -> Option<(oneshot::Sender<ConnectionPermit>, Grant)> {
        let (line, position, ask) = shares.first()?;
        let held = self.grant(shares, line, &ask)?;
        shares.turn = shares.turn.max(position.turn);
        // The grant goes to the party whose positions moved.
        let position = WaiterPosition {
            in_use: shares.in_use_by(position.party),
            ..position
        };
        let waiter = shares.leave(line, position)?;
        Some((waiter.sender, held))
    }
}

/// A position in the queue. Returns no permit only if the process is ending.
pub struct PendingConnection {
    connections: Arc<Connections>,
    line: WaitQueueKey,
    position: WaiterPosition,
    receiver: oneshot::Receiver<ConnectionPermit>,
}

impl Future for PendingConnection {
    type Output = Option<ConnectionPermit>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver).poll(cx).map(Result::ok)
    }
}

impl Drop for PendingConnection {
    /// Returns a permit that was granted meanwhile.
    fn drop(&mut self) {
        lock(&self.connections.shares).leave(self.line, self.position);
    }
}

/// A connection that may be used.
pub struct ConnectionPermit(Box<(Arc<Connections>, Grant)>);

impl ConnectionPermit {
    fn new(connections: &Arc<Connections>, held: Grant) -> Self {
        Self(Box::new((Arc::clone(connections), held)))
    }

    /// Whether its request already had many connections in use.
    pub fn is_one_of_many(&self) -> bool {
        self.0.1.is_one_of_many
    }

    /// Whether an idle connection may be reused and kept for the next message.
    pub fn is_reusable(&self) -> bool {
        self.0.1.pool.is_some()
    }

    /// Returns the permit after the client closed the connection or made it idle. A task of the client does that, and
    /// it runs before this one continues. Otherwise the next waiter would open one more connection.
    pub async fn give_back(self) {
        if !lock(&self.0.0.shares).lines.is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let (connections, held) = &*self.0;
        connections.release(held);
    }
}
