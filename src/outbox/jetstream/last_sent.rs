//! What destinations were told last, in a bucket that every process reads. Done in the order of asking.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Shared;
use crate::outbox::record::LastSentRecord;
use crate::outbox::{LastSent, OutboxError, Reply, Trouble};

type Answer<T> = oneshot::Sender<Result<T, OutboxError>>;

enum Asked {
    Get(String, Answer<Option<LastSent>>),
    Set(String, Option<LastSent>, Answer<()>),
}

/// The way to whoever asks the servers. What waits there are deliveries in flight, whose number is bounded.
pub struct LastSents {
    asked: UnboundedSender<Asked>,
    stopped: OutboxError,
}

impl LastSents {
    pub fn start(shared: Arc<Shared>, runtime: &Handle) -> Self {
        let (asked, questions) = unbounded_channel();
        let stopped = shared.servers.error(Trouble::Stopped);
        runtime.spawn(answer(shared, questions));
        Self { asked, stopped }
    }

    pub fn get(&self, key: &str) -> Reply<Option<LastSent>> {
        self.ask(|answer| Asked::Get(key.to_owned(), answer))
    }

    pub fn set(&self, key: &str, last: Option<&LastSent>) -> Reply<()> {
        self.ask(|answer| Asked::Set(key.to_owned(), last.cloned(), answer))
    }

    fn ask<T: Send + 'static>(&self, question: impl FnOnce(Answer<T>) -> Asked) -> Reply<T> {
        let (answer, answered) = oneshot::channel();
        let _ = self.asked.send(question(answer));
        let stopped = self.stopped.clone();
        Box::pin(async move { answered.await.unwrap_or(Err(stopped)) })
    }
}

/// Ends when nobody can ask any more.
async fn answer(shared: Arc<Shared>, mut questions: UnboundedReceiver<Asked>) {
    while let Some(asked) = questions.recv().await {
        // Whoever asked may have given up meanwhile.
        match asked {
            Asked::Get(key, answer) => {
                let _ = answer.send(get(&shared, &key).await);
            }
            Asked::Set(key, last, answer) => {
                let _ = answer.send(set(&shared, &key, last.as_ref()).await);
            }
        }
    }
}

async fn get(shared: &Shared, key: &str) -> Result<Option<LastSent>, OutboxError> {
    let session = shared.servers.session().await?;
    let begun = Instant::now();
    let found = session.lasts.get(key).await;
    let found = found.map_err(|_| shared.servers.missed(&session, begun))?;
    Ok(found
        .and_then(|json| LastSentRecord::read(&json))
        .map(LastSent::from))
}

async fn set(shared: &Shared, key: &str, last: Option<&LastSent>) -> Result<(), OutboxError> {
    let session = shared.servers.session().await?;
    let begun = Instant::now();
    let done = match last {
        Some(last) => {
            let json = Bytes::from(LastSentRecord::from(last).json());
            session.lasts.put(key, json).await.is_ok()
        }
        None => session.lasts.purge(key).await.is_ok(),
    };
    match done {
        true => Ok(()),
        false => Err(shared.servers.missed(&session, begun)),
    }
}
