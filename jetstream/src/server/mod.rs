//! The servers: the way to them, and what it means that they do not answer.

mod clock;
mod connect;
mod find;
mod refusal;
mod session;
mod streams;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock};
use std::time::Duration;

use async_nats::Client;
use async_nats::connection::State;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use self::clock::Clock;
use self::connect::{ASK_WITHIN, Heard, connect};
use self::refusal::has_no_taker;
pub use self::refusal::refusal;
pub use self::session::{Session, next_message, purge};
use self::streams::WORK;
use super::subjects;
use notifier_core::outbox::OutboxServers;
use notifier_core::outbox::{OutboxError, Trouble};
use notifier_core::panics::lock;

/// How long a call waits for servers that cannot be reached: somewhat less than for its being kept.
const REACH_WITHIN: Duration = Duration::from_millis(1700);
/// For so long what was just found wrong is not looked at again.
const WRONG_FOR: Duration = Duration::from_millis(500);

/// The way to the servers, opened when it is first needed, and kept.
pub struct Servers {
    nats: OutboxServers,
    place: String,
    session: Mutex<Option<Opened>>,
    wrong: Lock<Option<(Instant, OutboxError)>>,
    /// Something was missed: streams may have been deleted.
    is_doubtful: AtomicBool,
    heard: Arc<Heard>,
    clock: Clock,
    /// Under which name this process says that it lives, to whoever asks.
    alive: Option<String>,
}

struct Opened {
    session: Arc<Session>,
    /// Says that this process lives, and ends with it: else it would keep the connection.
    _alive: JoinSet<()>,
}

/// What the servers say of the stream of requests.
#[derive(serde::Deserialize)]
pub struct Overview {
    pub state: Messages,
    /// The time at the server that answered.
    #[serde(default)]
    ts: String,
}

#[derive(serde::Deserialize)]
pub struct Messages {
    pub messages: u64,
}

impl Servers {
    pub fn new(nats: OutboxServers) -> Self {
        Self {
            alive: None,
            place: nats.urls.join(" "),
            nats,
            session: Mutex::default(),
            wrong: Lock::default(),
            is_doubtful: AtomicBool::new(false),
            heard: Arc::default(),
            clock: Clock::default(),
        }
    }

    /// Of a process that has requests.
    pub fn of_owner(nats: OutboxServers, owner: &str) -> Self {
        Self {
            alive: Some(subjects::alive(owner)),
            ..Self::new(nats)
        }
    }

    pub fn place(&self) -> &str {
        &self.place
    }

    pub fn error(&self, trouble: Trouble) -> OutboxError {
        OutboxError::new(self.place.clone(), trouble)
    }

    /// Connects at the first time, and looks for what must be there; makes what is missing. What then was missed is looked
    /// for again. Waits a while for servers that are away: an error says that nothing was asked of them.
    pub async fn session(&self) -> Result<Arc<Session>, OutboxError> {
        let deadline = Instant::now() + REACH_WITHIN;
        let Some(session) = self.known_session().await else {
            return self.first_session(deadline).await;
        };
        while session.client.connection_state() != State::Connected {
            if Instant::now() >= deadline {
                return Err(self.missed(&session, Instant::now()));
            }
            sleep(Duration::from_millis(20)).await;
        }
        if !self.is_doubtful.swap(false, Ordering::Relaxed) {
            return Ok(session);
        }
        let found = self.find_streams(session.client.clone()).await;
        match found {
            Ok(found) => {
                let found = Arc::new(found);
                if let Some(opened) = &mut *self.session.lock().await {
                    opened.session = Arc::clone(&found);
                }
                Ok(found)
            }
            Err(error) => {
                self.is_doubtful.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    async fn known_session(&self) -> Option<Arc<Session>> {
        let opened = self.session.lock().await;
        opened.as_ref().map(|opened| Arc::clone(&opened.session))
    }

    async fn first_session(&self, deadline: Instant) -> Result<Arc<Session>, OutboxError> {
        let mut opened = self.session.lock().await;
        if let Some(opened) = &*opened {
            return Ok(Arc::clone(&opened.session));
        }
        if let Some((at, error)) = &*lock(&self.wrong)
            && at.elapsed() < WRONG_FOR
        {
            return Err(error.clone());
        }
        loop {
            match self.open().await {
                Ok(session) => {
                    let session = Arc::new(session);
                    let _ = self.overview(&session).await;
                    let mut alive = JoinSet::new();
                    if let Some(subject) = &self.alive {
                        alive.spawn(say_alive(session.client.clone(), subject.clone()));
                    }
                    *opened = Some(Opened {
                        session: Arc::clone(&session),
                        _alive: alive,
                    });
                    return Ok(session);
                }
                // They may be on their way.
                Err(error)
                    if error.trouble == Trouble::Unreachable && Instant::now() < deadline =>
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

    /// Milliseconds since 1970 by the servers' clock: this machine's may be anything.
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// What an operator should know, once in a while.
    pub fn warning(&self) -> Option<String> {
        let seconds = self.clock.error_to_warn_of()?.as_secs();
        Some(format!(
            "This machine's clock and that of the NATS servers at {} differ by {seconds} s. Deliveries go by the servers'; \
             let NTP set both.",
            self.place
        ))
    }

    /// Looks at the stream of requests, and at the servers' clock.
    pub async fn overview(&self, session: &Session) -> Result<Overview, OutboxError> {
        let begun = Instant::now();
        let subject = format!("$JS.API.STREAM.INFO.{WORK}");
        let reply = session.client.request(subject, Bytes::new()).await;
        let reply = reply.map_err(|_| self.missed(session, begun))?;
        let overview: Option<Overview> = serde_json::from_slice(&reply.payload).ok();
        let overview = overview.ok_or_else(|| self.missed(session, begun))?;
        self.clock.set(&overview.ts);
        Ok(overview)
    }

    /// What it means that something was refused, or was not answered.
    pub fn failed(
        &self,
        session: &Session,
        since: Instant,
        error: &(dyn std::error::Error + 'static),
    ) -> OutboxError {
        let missed = self.missed(session, since);
        match refusal(error) {
            Some(trouble) => self.error(trouble),
            // Nobody takes it: the stream has no leader, or is not there.
            None if missed.trouble == Trouble::TooSlow && has_no_taker(error) => {
                self.error(Trouble::NoLeader)
            }
            None => missed,
        }
    }

    /// What it means that something asked for did not come.
    pub fn missed(&self, session: &Session, since: Instant) -> OutboxError {
        let trouble = match self.heard.since(since) {
            Some(trouble) => trouble,
            None if session.client.connection_state() == State::Connected => {
                self.is_doubtful.store(true, Ordering::Relaxed);
                Trouble::TooSlow
            }
            None => Trouble::Unreachable,
        };
        self.error(trouble)
    }

    async fn open(&self) -> Result<Session, OutboxError> {
        let client = timeout(ASK_WITHIN, connect(&self.nats, &self.heard)).await;
        let client = client
            .unwrap_or(Err(Trouble::Unreachable))
            .map_err(|trouble| self.error(trouble))?;
        self.find_streams(client).await
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

/// Whether a process of that name lives.
pub async fn lives(client: &Client, owner: &str) -> bool {
    client
        .request(subjects::alive(owner), Bytes::new())
        .await
        .is_ok()
}
