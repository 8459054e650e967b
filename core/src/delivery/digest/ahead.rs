//! Which messages a digest refers to: it leaves when they have ended.

use tokio::sync::watch;

/// The deliveries that are ahead of a digest.
pub struct Ahead(watch::Sender<()>);

/// Held by a delivery that is ahead of a digest, until its end.
pub struct AheadGuard {
    _ended: watch::Receiver<()>,
}

impl Ahead {
    pub fn add(&self) -> AheadGuard {
        AheadGuard {
            _ended: self.0.subscribe(),
        }
    }

    /// Waits until each of them has ended, however it ended.
    pub async fn ended(&self) {
        self.0.closed().await;
    }
}

impl Default for Ahead {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}
