//! The servers: how they are reached, what must be there, and what can be wrong with them.

use std::error::Error as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    ContextBuilder, CreateStreamErrorKind, GetStreamErrorKind, PublishError, PublishErrorKind,
    RequestError, RequestErrorKind,
};
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{
    Config, LastRawMessageErrorKind, PurgeError, RawMessageError, Stream,
};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerError};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{join, join_all};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::streams::{ATTEMPTS, KNOWN, LASTS, WORK, configs, fits, replicas, store};
use super::{Nats, lock, subjects};
use crate::outbox::{OutboxError, Trouble};

/// How long a call waits for servers that cannot be reached: somewhat less than for its being kept.
const REACH_WITHIN: Duration = Duration::from_millis(1700);
const ASK_WITHIN: Duration = Duration::from_millis(1500);
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How soon a server that has fallen silent is missed: after the third.
const PING_EVERY: Duration = Duration::from_secs(2);
/// A sequence that no stream has.
const NO_SEQUENCE: u64 = 1 << 62;
/// Where nobody listens, among the subjects of acknowledgements.
const NO_ACKNOWLEDGEMENT: &str = "$JS.ACK.notifier_work.check.1.1.1.1.0";
/// How far this machine's clock may be from the servers' without a word.
const CLOCKS_AGREE_WITHIN: Duration = Duration::from_secs(10);
const WARN_EVERY: Duration = Duration::from_secs(3600);
/// For so long what was just found wrong is not looked at again.
const WRONG_FOR: Duration = Duration::from_millis(500);

/// The way to the servers, opened when it is first needed, and kept.
pub struct Servers {
    nats: Nats,
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

/// An open connection, and what is there.
pub struct Session {
    pub client: Client,
    pub context: Context,
    pub work: Stream,
    pub dead: Stream,
    pub history: Stream,
    pub attempts: Store,
    pub known: Store,
    pub lasts: Store,
}

struct Opened {
    session: Arc<Session>,
    /// Says that this process lives, and ends with it: else it would keep the connection.
    _alive: JoinSet<()>,
}

impl Session {
    /// Publishes a message once, however often its first publication is repeated. Gives back its sequence.
    pub async fn publish(
        &self,
        subject: String,
        payload: Bytes,
        id: &str,
    ) -> Result<u64, PublishError> {
        let message = PublishMessage::build().payload(payload).message_id(id);
        let sent = self.context.send_publish(subject, message).await?;
        Ok(sent.await?.sequence)
    }
}

impl Session {
    /// The message of a sequence in the stream of requests, as its leader has it.
    pub async fn find(&self, sequence: u64) -> Result<Option<StreamMessage>, ()> {
        match self.work.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(_) => Err(()),
        }
    }
}

/// The first message of these subjects at a sequence or after it, as the stream's leader has it.
pub async fn next_message(
    stream: &Stream,
    subjects: &str,
    from: u64,
) -> Result<Option<StreamMessage>, RawMessageError> {
    let next = stream.raw_message_builder().next_by_subject(subjects);
    match next.sequence(from.max(1)).send().await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes what a bucket has under a key, or under those that a pattern names, without a trace.
pub async fn purge(bucket: &Store, key: &str) -> Result<(), PurgeError> {
    let subject = format!("{}{key}", bucket.prefix);
    bucket.stream.purge().filter(subject).await.map(drop)
}

/// The servers' clock, as they last told it.
#[derive(Default)]
struct Clock {
    told: Lock<Option<(Instant, u64)>>,
    warned: Lock<Option<Instant>>,
}

impl Clock {
    fn set(&self, time: &str) {
        if let Ok(time) = time.parse::<jiff::Timestamp>() {
            let millis = u64::try_from(time.as_millisecond()).unwrap_or(0);
            *lock(&self.told) = Some((Instant::now(), millis));
        }
    }

    fn now(&self) -> u64 {
        match *lock(&self.told) {
            Some((at, millis)) => {
                let since = u64::try_from(at.elapsed().as_millis()).unwrap_or(0);
                millis.saturating_add(since)
            }
            None => this_machines_clock(),
        }
    }

    /// By how much this machine's clock is wrong, once in a while.
    fn error_to_warn_of(&self) -> Option<Duration> {
        let error = Duration::from_millis(this_machines_clock().abs_diff(self.now()));
        let mut warned = lock(&self.warned);
        let is_due = warned.is_none_or(|at| at.elapsed() >= WARN_EVERY);
        (error > CLOCKS_AGREE_WITHIN && is_due).then(|| {
            *warned = Some(Instant::now());
            error
        })
    }
}

fn this_machines_clock() -> u64 {
    super::stored::millis(std::time::SystemTime::now())
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

/// What the servers have said beside their replies: a refusal is never a reply.
#[derive(Default)]
struct Heard {
    refused: Lock<Option<(Instant, Trouble)>>,
}

impl Servers {
    pub fn new(nats: Nats) -> Self {
        Self {
            alive: None,
            place: nats.servers.join(" "),
            nats,
            session: Mutex::default(),
            wrong: Lock::default(),
            is_doubtful: AtomicBool::new(false),
            heard: Arc::default(),
            clock: Clock::default(),
        }
    }

    /// Of a process that has requests.
    pub fn of_owner(nats: Nats, owner: &str) -> Self {
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
        match refusal(error) {
            Some(trouble) => self.error(trouble),
            None => self.missed(session, since),
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
        let client = timeout(ASK_WITHIN, self.connect()).await;
        let client = client
            .unwrap_or(Err(Trouble::Unreachable))
            .map_err(|trouble| self.error(trouble))?;
        self.find_streams(client).await
    }

    /// Finds what must be there, and makes what is missing.
    async fn find_streams(&self, client: Client) -> Result<Session, OutboxError> {
        let begun = Instant::now();
        let context = ContextBuilder::new()
            .timeout(ASK_WITHIN)
            .ack_timeout(ASK_WITHIN)
            .build(client.clone());
        let mut found = Vec::new();
        for config in configs(replicas(&self.nats)) {
            let name = config.name.clone();
            let stream = self.stream(&context, config, begun).await;
            found.push(stream.map_err(|trouble| {
                OutboxError::new(format!("{}, stream {name},", self.place), trouble)
            })?);
        }
        let [work, dead, history, attempts, known, lasts] =
            <[_; 6]>::try_from(found).map_err(|_| self.error(Trouble::Broken))?;
        let session = Session {
            attempts: store(ATTEMPTS, attempts),
            known: store(KNOWN, known),
            lasts: store(LASTS, lasts),
            work,
            dead,
            history,
            context,
            client,
        };
        // An operator's way may be for looking only.
        if self.alive.is_some() {
            self.check_permissions(&session).await?;
        }
        Ok(session)
    }

    /// Whether this user may publish what an outbox must. Publishes what each stream refuses; a server that does not permit
    /// it says so beside, and sends no reply.
    async fn check_permissions(&self, session: &Session) -> Result<(), OutboxError> {
        let begun = Instant::now();
        let buckets = [&session.attempts, &session.known, &session.lasts];
        let subjects = buckets.map(|bucket| format!("{}check", bucket.prefix));
        let subjects = subjects.into_iter().chain([
            subjects::dead("check", "check"),
            subjects::history("check", "check"),
            subjects::work("check", "check", None, "check"),
        ]);
        let publications = subjects.map(|subject| async move {
            let message = PublishMessage::build().expected_last_subject_sequence(NO_SEQUENCE);
            let sent = session.context.send_publish(subject, message).await;
            if let Ok(sent) = sent {
                let _ = sent.await;
            }
        });
        let acknowledgement = session.client.request(NO_ACKNOWLEDGEMENT, Bytes::new());
        let (_, _) = join(join_all(publications), acknowledgement).await;
        match self.heard.since(begun) {
            Some(trouble) => Err(self.error(trouble)),
            None => Ok(()),
        }
    }

    async fn connect(&self) -> Result<Client, Trouble> {
        let heard = Arc::clone(&self.heard);
        let mut options = ConnectOptions::new()
            .name("influxdb3-notifier")
            .connection_timeout(CONNECT_WITHIN)
            .request_timeout(Some(ASK_WITHIN))
            .ping_interval(PING_EVERY)
            .reconnect_delay_callback(|attempts| {
                let attempts = u32::try_from(attempts).unwrap_or(u32::MAX).min(5);
                Duration::from_millis(25 << attempts)
            })
            .event_callback(move |event| {
                heard.event(&event);
                std::future::ready(())
            });
        if let Some(tls) = &self.nats.tls {
            options = options.tls_client_config(tls.clone());
        }
        if let Some(credentials) = &self.nats.credentials {
            options = credentials
                .apply(options)
                .ok_or(Trouble::UnreadableCredentials)?;
        }
        let addresses = self.nats.servers.iter();
        let addresses = addresses.map(|server| server.parse::<async_nats::ServerAddr>());
        let addresses: Vec<_> = addresses
            .collect::<Result<_, _>>()
            .map_err(|_| Trouble::Unreachable)?;
        let connected = options.connect(addresses).await;
        connected.map_err(|error| match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Trouble::Credentials
            }
            ConnectErrorKind::Tls => Trouble::Tls,
            // What the TLS library says is passed on as any other failure of the connection.
            ConnectErrorKind::Io if is_tls(&error) => Trouble::Tls,
            _ => Trouble::Unreachable,
        })
    }

    /// A stream as it is to be. One that is there is not changed.
    async fn stream(
        &self,
        context: &Context,
        config: Config,
        begun: Instant,
    ) -> Result<Stream, Trouble> {
        for _ in 0..3 {
            match context.get_stream(&config.name).await {
                Ok(found) => {
                    return match fits(&found.cached_info().config, &config) {
                        true => Ok(found),
                        false => Err(Trouble::OtherSettings),
                    };
                }
                Err(error) => match error.kind() {
                    GetStreamErrorKind::JetStream(error)
                        if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
                    GetStreamErrorKind::JetStream(error) => return Err(of_code(&error)),
                    _ => {
                        let source = error
                            .source()
                            .and_then(|e| e.downcast_ref::<RequestError>());
                        return Err(self.unasked(source, begun).await);
                    }
                },
            }
            match context.create_stream(config.clone()).await {
                Ok(made) => return Ok(made),
                Err(error) => match error.kind() {
                    // Another process was faster.
                    CreateStreamErrorKind::JetStream(error)
                        if error.error_code() == ErrorCode::STREAM_NAME_EXIST => {}
                    CreateStreamErrorKind::JetStream(error) => return Err(of_code(&error)),
                    CreateStreamErrorKind::JetStreamUnavailable => {
                        return Err(Trouble::NoJetStream);
                    }
                    _ => return Err(self.unasked(None, begun).await),
                },
            }
        }
        Err(Trouble::OtherSettings)
    }

    /// Why a question was not answered.
    async fn unasked(&self, error: Option<&RequestError>, begun: Instant) -> Trouble {
        if error.is_some_and(|error| error.kind() == RequestErrorKind::NoResponders) {
            return Trouble::NoJetStream;
        }
        self.heard.since(begun).unwrap_or(Trouble::TooSlow)
    }
}

impl Heard {
    fn event(&self, event: &Event) {
        let trouble = match event {
            Event::ServerError(ServerError::AuthorizationViolation) => Trouble::Credentials,
            Event::ServerError(ServerError::Other(text))
                if text.to_ascii_lowercase().contains("permissions violation") =>
            {
                Trouble::NoPermission
            }
            Event::ClientError(error)
                if error
                    .to_string()
                    .to_ascii_lowercase()
                    .contains("authorization") =>
            {
                Trouble::Credentials
            }
            _ => return,
        };
        *lock(&self.refused) = Some((Instant::now(), trouble));
    }

    fn since(&self, since: Instant) -> Option<Trouble> {
        let refused = *lock(&self.refused);
        refused
            .filter(|(at, _)| *at >= since)
            .map(|(_, trouble)| trouble)
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

fn is_tls(error: &async_nats::ConnectError) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(error) = source {
        if error.is::<rustls::Error>() {
            return true;
        }
        source = match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    false
}

/// What a server's refusal means.
fn of_code(error: &jetstream::Error) -> Trouble {
    match error.error_code() {
        ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            Trouble::NoJetStream
        }
        ErrorCode::STREAM_SUBJECT_OVERLAP => Trouble::OtherSettings,
        ErrorCode::CLUSTER_NO_PEERS => Trouble::TooFewServers,
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::STREAM_STORE_FAILED
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => Trouble::Full,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM => Trouble::TooLarge,
        ErrorCode::CLUSTER_NOT_AVAILABLE
        | ErrorCode::CLUSTER_NOT_LEADER
        | ErrorCode::STREAM_OFFLINE
        | ErrorCode::CLUSTER_INCOMPLETE => Trouble::NoLeader,
        _ => Trouble::Refused,
    }
}

/// What a server's refusal means, wherever in an error it stands; `None`: it is none.
pub fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<Trouble> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref::<jetstream::Error>() {
            return Some(of_code(refused));
        }
        let published = error.downcast_ref::<PublishError>();
        if published.is_some_and(|error| error.kind() == PublishErrorKind::MaxPayloadExceeded) {
            return Some(Trouble::TooLarge);
        }
        next = error.source();
    }
    None
}
