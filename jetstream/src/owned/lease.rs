//! Renews the lease of a request. The server redelivers a message without renewal.

use tokio::time::Instant;

use super::OwnedRequest;
use crate::server::{Acknowledgement, CallError, StreamName};
use notifier_core::store::{LEASE, StoreError, StoreErrorKind};

impl OwnedRequest {
    /// Renews the lease. If it may have expired, first asks whether another process has the request: a renewal would
    /// take the message from that process's successor. The server redelivers requests that this process holds but does
    /// not run.
    pub(super) async fn renew(&mut self) {
        if self.is_orphan || !self.process.runs(&self.stored) {
            return;
        }
        if self.renewed.elapsed() >= LEASE {
            let open: Vec<_> = self.open_places().collect();
            for index in open {
                if self.check_lease(index).await.is_err() {
                    return;
                }
            }
            if self.open_places().next().is_none() {
                return;
            }
        }
        let asked = Instant::now();
        match self.acknowledge(Acknowledgement::InProgress).await {
            Ok(()) => self.renewed = asked,
            Err(_) => {
                // The next call reports the error.
                let _ = self.missed(asked);
                let _ = self.check_replaced().await;
            }
        }
    }

    /// Checks whether the stream was replaced.
    async fn check_replaced(&mut self) -> Result<(), StoreError> {
        if !self.find_request().await? {
            self.is_replaced().await?;
        }
        Ok(())
    }

    /// Returns whether the request is missing because the stream was replaced. This process continues without it if its
    /// lease has not expired, because no other process can hold the request. Otherwise that is an error.
    pub(super) async fn is_replaced(&mut self) -> Result<bool, StoreError> {
        let begun = Instant::now();
        let info = self.session.info(StreamName::Work).await;
        let info = info.map_err(|_| self.missed(begun))?;
        if info.created == self.session.created(StreamName::Work) {
            return Ok(false);
        }
        if self.renewed.elapsed() >= LEASE {
            return Err(self.process.servers.error(StoreErrorKind::NotAnOutbox));
        }
        self.is_orphan = true;
        Ok(true)
    }

    /// Asks the stream's leader whether it has the request.
    pub(super) async fn find_request(&self) -> Result<bool, StoreError> {
        let begun = Instant::now();
        let found = self.session.message(StreamName::Work, self.sequence).await;
        let found = found.map_err(|_| self.missed(begun))?;
        Ok(found.is_some_and(|message| message.subject == self.subject))
    }

    /// Acknowledges the message and waits for the server's confirmation.
    pub(super) async fn acknowledge(&self, how: Acknowledgement) -> Result<(), CallError> {
        self.session.acknowledge(&self.reply, how).await
    }
}
