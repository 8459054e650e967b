//! The state that the tasks of a process share.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot::Receiver;

use super::owned::OwnedRequest;
use super::process::ProcessState;
use super::requests::{Owned, Requests};

pub struct Shared {
    pub process: Arc<ProcessState>,
    pub requests: Requests<OwnedRequest>,
}

impl Shared {
    /// Runs an operation on a request; `None`: this process does not own it.
    pub fn ask<T: Send + 'static>(
        &self,
        task: &str,
        work: impl for<'a> FnOnce(&'a mut OwnedRequest) -> BoxFuture<'a, T> + Send + 'static,
    ) -> Option<Receiver<T>> {
        Some(self.requests.lock().get(task)?.ask(work))
    }
}

impl Owned<OwnedRequest> {
    /// Records that the server has redelivered the request to this process.
    pub fn redelivered(&self, reply: String) {
        drop(self.ask(|request| {
            request.reply = reply;
            std::future::ready(()).boxed()
        }));
    }
}
