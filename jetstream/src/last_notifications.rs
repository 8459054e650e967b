//! What destinations were told last, in a bucket that every process reads. Done in the order of asking.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::process::Process;
use notifier_core::outbox::record::LastNotificationRecord;
use notifier_core::outbox::{LastNotification, OutboxError, Reply, Trouble};

/// The way to the bucket. What waits there are deliveries in flight, whose number is bounded.
pub struct LastNotifications {
    process: Arc<Process>,
    jobs: UnboundedSender<BoxFuture<'static, ()>>,
}

impl LastNotifications {
    pub fn start(process: Arc<Process>, runtime: &Handle) -> Self {
        let (jobs, mut waiting) = unbounded_channel::<BoxFuture<'static, ()>>();
        runtime.spawn(async move {
            while let Some(job) = waiting.recv().await {
                job.await;
            }
        });
        Self { process, jobs }
    }

    pub fn get(&self, key: &str) -> Reply<Option<LastNotification>> {
        let (process, key) = (Arc::clone(&self.process), key.to_owned());
        self.ask(async move {
            let session = process.servers.session().await?;
            let begun = Instant::now();
            let found = session.lasts.get(key).await;
            let found = found.map_err(|_| process.servers.missed(&session, begun))?;
            let record = found.and_then(|json| LastNotificationRecord::read(&json));
            Ok(record.map(LastNotification::from))
        })
    }

    pub fn set(&self, key: &str, last: Option<&LastNotification>) -> Reply<()> {
        let (process, key) = (Arc::clone(&self.process), key.to_owned());
        let json = last.map(|last| LastNotificationRecord::from(last).json());
        self.ask(async move {
            let session = process.servers.session().await?;
            let begun = Instant::now();
            let is_done = match json {
                Some(json) => session.lasts.put(key, json.into()).await.is_ok(),
                None => session.lasts.purge(key).await.is_ok(),
            };
            match is_done {
                true => Ok(()),
                false => Err(process.servers.missed(&session, begun)),
            }
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, OutboxError>> + Send + 'static,
    ) -> Reply<T> {
        let (reply, answer) = oneshot::channel();
        // Whoever asked may have given up meanwhile.
        let job = work.map(|answer| drop(reply.send(answer)));
        let _ = self.jobs.send(job.boxed());
        let stopped = self.process.servers.error(Trouble::Stopped);
        Box::pin(async move { answer.await.unwrap_or(Err(stopped)) })
    }
}
