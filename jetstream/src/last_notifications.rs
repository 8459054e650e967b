//! Last notifications, in a bucket that all processes share. Operations run in the order of the calls.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::process::ProcessState;
use super::server::StreamName;
use notifier_core::store::record::LastNotificationRecord;
use notifier_core::store::{LastNotification, StoreError, StoreErrorKind, StoreFuture};

/// Runs operations on the bucket. Only deliveries in flight wait for it, and their number is limited.
pub struct LastNotifications {
    process: Arc<ProcessState>,
    jobs: UnboundedSender<BoxFuture<'static, ()>>,
}

impl LastNotifications {
    pub fn start(process: Arc<ProcessState>, runtime: &Handle) -> Self {
        let (jobs, mut waiting) = unbounded_channel::<BoxFuture<'static, ()>>();
        runtime.spawn(async move {
            while let Some(job) = waiting.recv().await {
                job.await;
            }
        });
        Self { process, jobs }
    }

    pub fn get(&self, key: &str) -> StoreFuture<Option<LastNotification>> {
        let (process, key) = (Arc::clone(&self.process), key.to_owned());
        self.ask(async move {
            let session = process.servers.session().await?;
            let begun = Instant::now();
            let found = session.entry(StreamName::LastNotifications, &key).await;
            let found = found.map_err(|_| process.servers.missed(&*session, begun))?;
            let record = found.and_then(|entry| LastNotificationRecord::read(&entry.value));
            Ok(record.map(LastNotification::from))
        })
    }

    pub fn set(&self, key: &str, last: Option<&LastNotification>) -> StoreFuture<()> {
        let (process, key) = (Arc::clone(&self.process), key.to_owned());
        let json = last.map(|last| LastNotificationRecord::from(last).json());
        self.ask(async move {
            let session = process.servers.session().await?;
            let begun = Instant::now();
            let bucket = StreamName::LastNotifications;
            let done = match json {
                Some(json) => session
                    .write(bucket, &key, json.into(), None)
                    .await
                    .map(drop),
                None => session.purge(bucket, &key).await,
            };
            done.map_err(|_| process.servers.missed(&*session, begun))
        })
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> StoreFuture<T> {
        let (reply, answer) = oneshot::channel();
        // The caller may have stopped waiting.
        let job = work.map(|answer| drop(reply.send(answer)));
        let _ = self.jobs.send(job.boxed());
        let stopped = self.process.servers.error(StoreErrorKind::Stopped);
        Box::pin(async move { answer.await.unwrap_or(Err(stopped)) })
    }
}
