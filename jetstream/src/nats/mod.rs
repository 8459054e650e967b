//! NATS servers, as async-nats reaches them.

mod connect;
mod consumer;
mod credentials;
mod find;
mod refusal;
mod session;
mod streams;

use std::sync::Arc;

use async_nats::Client;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use notifier_core::outbox::{OutboxError, OutboxServers, Trouble};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::connect::{ASK_WITHIN, Heard, connect};
use self::session::NatsSession;
use crate::server::{Connect, Session};
use crate::subjects;

/// The way to NATS servers.
#[derive(Clone)]
pub struct Nats {
    servers: OutboxServers,
    place: String,
    heard: Arc<Heard>,
    /// Under which name this process says that it lives, to whoever asks.
    alive: Option<String>,
}

/// A connection, shared by the sessions that find the streams by it.
struct Connection {
    nats: Nats,
    client: Client,
    /// Says that this process lives, and ends with the connection: else it would keep it.
    _alive: JoinSet<()>,
}

impl Nats {
    /// For somebody who has no requests.
    pub fn new(servers: OutboxServers) -> Self {
        Self {
            place: servers.urls.join(" "),
            servers,
            heard: Arc::default(),
            alive: None,
        }
    }

    /// For a process that has requests.
    pub fn of_owner(servers: OutboxServers, owner: &str) -> Self {
        Self {
            alive: Some(subjects::alive(owner)),
            ..Self::new(servers)
        }
    }

    fn error(&self, trouble: Trouble) -> OutboxError {
        OutboxError::new(self.place.clone(), trouble)
    }

    /// Connects. Says that the process lives only once the streams are found.
    async fn connect(&self) -> Result<Arc<dyn Session>, OutboxError> {
        let client = timeout(ASK_WITHIN, connect(&self.servers, &self.heard)).await;
        let client = client
            .unwrap_or(Err(Trouble::Unreachable))
            .map_err(|trouble| self.error(trouble))?;
        let found = self.find_streams(client.clone()).await?;
        let mut alive = JoinSet::new();
        if let Some(subject) = &self.alive {
            alive.spawn(say_alive(client.clone(), subject.clone()));
        }
        let connection = Arc::new(Connection {
            nats: self.clone(),
            client,
            _alive: alive,
        });
        Ok(Arc::new(NatsSession { connection, found }))
    }
}

impl Connect for Nats {
    fn place(&self) -> &str {
        &self.place
    }

    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, OutboxError>> {
        self.connect().boxed()
    }
}

async fn say_alive(client: Client, subject: String) {
    let Ok(mut asked) = client.subscribe(subject).await else {
        return;
    };
    while let Some(message) = asked.next().await {
        if let Some(reply) = message.reply {
            let _ = client.publish(reply, Bytes::new()).await;
        }
    }
}
