//! NATS servers, as async-nats reaches them.

mod connect;
mod consumer;
mod credentials;
mod find;
mod refusal;
mod session;
mod streams;
mod way;

use std::sync::Arc;

use async_nats::Client;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use notifier_core::store::{StoreError, StoreErrorKind};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::connect::{ASK_WITHIN, connect};
use self::session::{NatsConnection, NatsSession};
pub use self::way::Nats;
use crate::server::{Connect, Session};

impl Nats {
    /// Connects. Answers liveness checks only after it has found the streams.
    async fn connect(&self) -> Result<Arc<dyn Session>, StoreError> {
        let client = timeout(ASK_WITHIN, connect(&self.servers, &self.events)).await;
        let client = client
            .unwrap_or(Err(StoreErrorKind::Unreachable))
            .map_err(|kind| self.error(kind))?;
        let found = self.find_streams(client.clone()).await?;
        let mut alive = JoinSet::new();
        if let Some(subject) = &self.alive {
            alive.spawn(answer_liveness_checks(client.clone(), subject.clone()));
        }
        let connection = Arc::new(NatsConnection {
            nats: self.clone(),
            client,
            _alive: alive,
        });
        Ok(Arc::new(NatsSession { connection, found }))
    }
}

impl Connect for Nats {
    fn location(&self) -> &str {
        &self.location
    }

    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Session>, StoreError>> {
        self.connect().boxed()
    }
}

async fn answer_liveness_checks(client: Client, subject: String) {
    let Ok(mut asked) = client.subscribe(subject).await else {
        return;
    };
    while let Some(message) = asked.next().await {
        if let Some(reply) = message.reply {
            let _ = client.publish(reply, Bytes::new()).await;
        }
    }
}
