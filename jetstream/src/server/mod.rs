//! The connection to the servers, and the meaning of missing replies.

mod clock;
mod session;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock};
use std::time::Duration;

use notifier_core::panics::lock;
use notifier_core::store::{StoreError, StoreErrorKind};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use self::clock::ServerClock;
pub use self::session::{
    Acknowledgement, BucketEntry, CallError, Connect, Consumer, Pull, PulledMessage, ReplyFuture,
    Session, StreamInfo, StreamMessage, StreamName,
};

/// How long a call waits for unreachable servers: less than the time limit for storing a request.
const REACH_WITHIN: Duration = Duration::from_millis(1700);
/// How long a recent failure is not checked again.
const WRONG_FOR: Duration = Duration::from_millis(500);

/// The connection to the servers. It opens at first use and stays open.
pub struct Servers {
    connector: Box<dyn Connect>,
    session: Mutex<Option<Arc<dyn Session>>>,
    wrong: Lock<Option<(Instant, StoreError)>>,
    /// Something was missed: streams may have been deleted.
    is_doubtful: AtomicBool,
    clock: ServerClock,
}

impl Servers {
    pub fn new(connector: Box<dyn Connect>) -> Self {
        Self {
            connector,
            session: Mutex::default(),
            wrong: Lock::default(),
            is_doubtful: AtomicBool::new(false),
            clock: ServerClock::default(),
        }
    }

    pub fn location(&self) -> &str {
        self.connector.location()
    }

    pub fn error(&self, kind: StoreErrorKind) -> StoreError {
        StoreError::new(self.location(), kind)
    }

    /// Connects at first use, checks the streams, and creates missing ones. Later checks cover only the missing ones.
    /// Waits a while for unreachable servers. After an error, the servers got no request.
    pub async fn session(&self) -> Result<Arc<dyn Session>, StoreError> {
        let deadline = Instant::now() + REACH_WITHIN;
        let known = self.session.lock().await.clone();
        let Some(session) = known else {
            return self.first_session(deadline).await;
        };
        while !session.is_connected() {
            if Instant::now() >= deadline {
                return Err(self.missed(&*session, Instant::now()));
            }
            sleep(Duration::from_millis(20)).await;
        }
        if !self.is_doubtful.swap(false, Ordering::Relaxed) {
            return Ok(session);
        }
        match session.reopen().await {
            Ok(found) => {
                *self.session.lock().await = Some(Arc::clone(&found));
                Ok(found)
            }
            Err(error) => {
                self.is_doubtful.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    async fn first_session(&self, deadline: Instant) -> Result<Arc<dyn Session>, StoreError> {
        let mut opened = self.session.lock().await;
        if let Some(session) = &*opened {
            return Ok(Arc::clone(session));
        }
        if let Some((at, error)) = &*lock(&self.wrong)
            && at.elapsed() < WRONG_FOR
        {
            return Err(error.clone());
        }
        loop {
            match self.open().await {
                Ok(session) => {
                    *opened = Some(Arc::clone(&session));
                    return Ok(session);
                }
                // They may be on their way.
                Err(error)
                    if error.kind == StoreErrorKind::Unreachable && Instant::now() < deadline =>
                {
                    sleep(Duration::from_millis(50)).await;
                }
                Err(error) => {
                    *lock(&self.wrong) = Some((Instant::now(), error.clone()));
                    return Err(error);
                }
            }
        }
    }

    /// Connects, and reads the servers' clock. Otherwise this machine's clock would measure ages.
    async fn open(&self) -> Result<Arc<dyn Session>, StoreError> {
        let session = self.connector.open().await?;
        self.overview(&*session).await?;
        Ok(session)
    }

    /// Milliseconds since 1970 by the servers' clock: this machine's may be anything.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Returns a warning for the operator, at most once in a while.
    pub fn warning(&self) -> Option<String> {
        let seconds = self.clock.error_to_warn_of()?.as_secs();
        Some(format!(
            "This machine's clock and that of the NATS servers at {} differ by {seconds} s. Deliveries go by the servers'; \
             let NTP set both.",
            self.location()
        ))
    }

    /// Looks at the stream of requests, and at the servers' clock.
    pub async fn overview(&self, session: &dyn Session) -> Result<StreamInfo, StoreError> {
        let begun = Instant::now();
        let overview = session.info(StreamName::Work).await;
        let overview = overview.map_err(|_| self.missed(session, begun))?;
        if let Some(now) = overview.now {
            self.clock.set(now);
        }
        Ok(overview)
    }

    /// Returns the error for a refused or unanswered request.
    pub fn failed(&self, session: &dyn Session, since: Instant, error: CallError) -> StoreError {
        let missed = self.missed(session, since);
        match error {
            CallError::Refused(kind) => self.error(kind),
            CallError::NoStream if missed.kind == StoreErrorKind::TimedOut => {
                self.error(StoreErrorKind::NoLeader)
            }
            _ => missed,
        }
    }

    /// Returns the error for a missing reply.
    pub fn missed(&self, session: &dyn Session, since: Instant) -> StoreError {
        let kind = match session.refused_since(since) {
            Some(kind) => kind,
            None if session.is_connected() => {
                self.is_doubtful.store(true, Ordering::Relaxed);
                StoreErrorKind::TimedOut
            }
            None => StoreErrorKind::Unreachable,
        };
        self.error(kind)
    }
}
