//! Sends one mail to one mail server. The guard checks its address, and our own TLS configuration encrypts the
//! connection. The server's name comes from the configuration. Only a greeting and STARTTLS are sent in plaintext,
//! unless the operator's file allows plaintext for a server at a private address.

mod failure;
mod message;
mod stream;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use url::Host;

use self::failure::{broken, malformed, permanent};
use self::message::{address, formatted};
use self::stream::{SmtpStream, encrypted, start_tls};
use super::client::HttpTransport;
use super::failure::{denied, too_late, unconnected, unresolved, unusable};
use super::guard::Denied;
use super::{SendError, Sent, guard};
use crate::model::outcome::Reason;
use crate::model::policy::ClientKey;
use crate::model::wire::{Mail, MailServer, MailTls, Reply, SmtpReply, SmtpStage};

/// How long a server may take after the final dot: "too early a timeout makes copies" (RFC 5321, 4.5.3.2.6).
const AFTER_DOT: Duration = Duration::from_secs(600);
/// The time limit of `QUIT`, which does not affect the message.
const FAREWELL: Duration = Duration::from_secs(2);

impl HttpTransport {
    /// Makes one attempt. `time` applies up to the final dot; after it the server has ten minutes.
    pub(super) async fn mail(
        &self,
        mail: &Mail,
        key: &ClientKey,
        time: Duration,
    ) -> Result<Reply, SendError> {
        let deadline = Instant::now() + time;
        let message = formatted(mail)?;
        let opened = match timeout_at(deadline, self.open(mail, key)).await {
            Ok(opened) => opened?,
            Err(_) => return Err(too_late(Sent::No)),
        };
        let (mut connection, dot) = match opened {
            Ok(opened) => opened,
            Err(refusal) => return Ok(Reply::Smtp(refusal)),
        };
        let transaction = async {
            match announce(&mut connection, mail).await? {
                Some(refusal) => Ok(refusal),
                None => deliver(&mut connection, &message, &dot).await,
            }
        };
        let answer = match under_way(transaction, &dot, deadline).await {
            Some(answer) => answer?,
            None => return Err(too_late(Sent::No)),
        };
        // Beyond this number, the connection is closed without `QUIT`.
        if let Ok(farewell) = Arc::clone(&self.farewells).try_acquire_owned() {
            tokio::spawn(async move {
                let _ = timeout(FAREWELL, connection.quit()).await;
                drop(farewell);
            });
        }
        Ok(Reply::Smtp(answer))
    }

    /// A connection that is ready for a mail, or the server's refusal.
    async fn open(
        &self,
        mail: &Mail,
        key: &ClientKey,
    ) -> Result<Result<OpenConnection, SmtpReply>, SendError> {
        let (stream, own) = self.connect(&mail.server, key).await?;
        let hello = match (&mail.server.hello, own.ip()) {
            (Some(name), _) => ClientId::Domain(name.clone()),
            (None, IpAddr::V4(address)) => ClientId::Ipv4(address),
            (None, IpAddr::V6(address)) => ClientId::Ipv6(address),
        };
        let config = self.tls_config(key)?;
        let stream = match mail.server.tls {
            MailTls::Implicit => encrypted(stream, &mail.server, config).await?,
            MailTls::StartTls => {
                let stream = match start_tls(stream, &hello).await? {
                    Ok(stream) => stream,
                    Err(refusal) => return Ok(Err(refusal)),
                };
                let stream = encrypted(stream, &mail.server, config).await?;
                stream.after_greeting()
            }
            MailTls::Clear => SmtpStream::unencrypted(stream),
        };
        let dot = Arc::clone(&stream.dot);
        let connected = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await;
        match connected {
            Ok(connection) => Ok(Ok((connection, dot))),
            // The server has already greeted without encryption: now it refuses the name.
            Err(error) => refusal(
                match mail.server.tls {
                    MailTls::Implicit | MailTls::Clear => SmtpStage::Greeting,
                    MailTls::StartTls => SmtpStage::Hello,
                },
                error,
            )
            .map(Err),
        }
    }

    /// Connects to the first reachable address among the allowed ones. Returns the stream and its local address.
    async fn connect(
        &self,
        server: &MailServer,
        key: &ClientKey,
    ) -> Result<(TcpStream, SocketAddr), SendError> {
        let private = key.private_addresses;
        let addresses = match host(&server.host) {
            Host::Ipv4(address) => vec![address.into()],
            Host::Ipv6(address) => vec![address.into()],
            Host::Domain(name) => {
                guard::check_name(&name).map_err(denied)?;
                let found = self.dns().resolve(&name, key.connect_timeout).await;
                found.map_err(unresolved)?.to_vec()
            }
        };
        let (mut allowed, mut refused) = (Vec::new(), None);
        for address in addresses {
            let check = guard::check(address, private);
            match check.and_then(|()| check_encryption(server, address)) {
                Ok(()) => allowed.push(self.detoured(address)),
                Err(rule) => refused = Some(rule),
            }
        }
        if let (true, Some(rule)) = (allowed.is_empty(), refused) {
            return Err(not_allowed(rule));
        }
        let connecting = async {
            let mut last = io::ErrorKind::AddrNotAvailable.into();
            for address in allowed {
                match TcpStream::connect((address, server.port)).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        match timeout(key.connect_timeout, connecting).await {
            Ok(Ok(stream)) => {
                // The dot is its own packet, and would wait for the message's acknowledgement.
                let address = stream.set_nodelay(true).and_then(|()| stream.local_addr());
                let address = address.map_err(|error| broken(&error))?;
                Ok((stream, address))
            }
            Ok(Err(error)) => Err(unconnected(&error)),
            Err(_) => Err(too_late(Sent::No)),
        }
    }
}

/// An unencrypted mail may go only to a private address.
fn check_encryption(server: &MailServer, address: IpAddr) -> Result<(), Denied> {
    match server.tls {
        MailTls::Clear => guard::check_unencrypted(address),
        MailTls::StartTls | MailTls::Implicit => Ok(()),
    }
}

/// A name, or an address without brackets.
fn host(text: &str) -> Host {
    match text.parse() {
        Ok(IpAddr::V4(address)) => Host::Ipv4(address),
        Ok(IpAddr::V6(address)) => Host::Ipv6(address),
        Err(_) => Host::Domain(text.to_owned()),
    }
}

/// Waits for the answer; until the dot has left, no longer than `deadline`.
async fn under_way<T>(
    sending: impl Future<Output = T>,
    dot: &AtomicBool,
    deadline: Instant,
) -> Option<T> {
    tokio::pin!(sending);
    match timeout_at(deadline, &mut sending).await {
        Ok(answer) => Some(answer),
        Err(_) if dot.load(Ordering::Acquire) => Some(sending.await),
        Err(_) => None,
    }
}

// The transaction

/// And whether the final dot has left on it.
type OpenConnection = (AsyncSmtpConnection, Arc<AtomicBool>);

/// All commands before the message; returns the server's refusal, if there is one.
async fn announce(
    connection: &mut AsyncSmtpConnection,
    mail: &Mail,
) -> Result<Option<SmtpReply>, SendError> {
    let parameters = parameters(connection, mail)?;
    if let Some(credentials) = &mail.server.credentials {
        if mail.server.tls == MailTls::Clear {
            return Err(unusable("a password is not sent without encryption"));
        }
        let known = [Mechanism::Plain, Mechanism::Login];
        if connection
            .server_info()
            .get_auth_mechanism(&known)
            .is_none()
        {
            return Err(permanent(Reason::Unauthorized, NO_AUTH));
        }
        let username = credentials.username.expose().to_owned();
        let password = credentials.password.expose().to_owned();
        let credentials = Credentials::new(username, password);
        let answer = connection.auth(&known, &credentials).await;
        if let Some(refusal) = unless(200..300, SmtpStage::Auth, answer)? {
            return Ok(Some(refusal));
        }
    }
    let (from, to) = (address(&mail.from.address)?, address(&mail.recipient)?);
    let answer = connection
        .command(MailFrom::new(Some(from), parameters))
        .await;
    if let Some(refusal) = unless(200..300, SmtpStage::Sender, answer)? {
        return Ok(Some(refusal));
    }
    let answer = connection.command(Rcpt::new(to, vec![])).await;
    if let Some(refusal) = unless(200..300, SmtpStage::Recipient, answer)? {
        return Ok(Some(refusal));
    }
    let answer = connection.command(Data).await;
    // Without it the lines of the message would be commands.
    unless(354..355, SmtpStage::Data, answer)
}

/// The parameters that the mail requires: an address beyond ASCII needs a server with SMTPUTF8 (RFC 6531).
fn parameters(
    connection: &AsyncSmtpConnection,
    mail: &Mail,
) -> Result<Vec<MailParameter>, SendError> {
    let offers = |extension| connection.server_info().supports_feature(extension);
    if !mail.needs_smtputf8() {
        return Ok(Vec::new());
    }
    if !offers(Extension::SmtpUtfEight) {
        return Err(permanent(Reason::NoSmtputf8, NO_SMTPUTF8));
    }
    let mut parameters = vec![MailParameter::SmtpUtfEight];
    // The headers contain characters beyond ASCII.
    if offers(Extension::EightBitMime) {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

const NO_SMTPUTF8: &str =
    "an address has characters beyond ASCII before its @, and the mail server offers no SMTPUTF8";

/// The message; the server has ten minutes for its answer.
async fn deliver(
    connection: &mut AsyncSmtpConnection,
    message: &[u8],
    dot: &AtomicBool,
) -> Result<SmtpReply, SendError> {
    let sent = || match dot.load(Ordering::Acquire) {
        true => Sent::Maybe,
        false => Sent::No,
    };
    match timeout(AFTER_DOT, connection.message(message)).await {
        Ok(answer) => reply(SmtpStage::Message, answer).map_err(|error| error.with_sent(sent())),
        Err(_) => Err(too_late(sent())),
    }
}

const NO_AUTH: &str =
    "the mail server offers no way to log in that is known here (AUTH PLAIN, AUTH LOGIN)";

type SmtpResult = Result<Response, lettre::transport::smtp::Error>;

/// The server's reply, unless it has an expected code.
fn unless(
    expected: Range<u16>,
    stage: SmtpStage,
    answer: SmtpResult,
) -> Result<Option<SmtpReply>, SendError> {
    let reply = reply(stage, answer)?;
    Ok((!expected.contains(&reply.code)).then_some(reply))
}

/// The server's reply.
fn reply(stage: SmtpStage, answer: SmtpResult) -> Result<SmtpReply, SendError> {
    match answer {
        Ok(answer) => Ok(SmtpReply {
            stage,
            code: answer.code().into(),
            text: answer.message().collect::<Vec<_>>().join(" "),
        }),
        Err(error) => refusal(stage, error),
    }
}

/// Returns a refusal with its text. Any other error is a broken connection, or not a mail server.
fn refusal(
    stage: SmtpStage,
    error: lettre::transport::smtp::Error,
) -> Result<SmtpReply, SendError> {
    let source = std::error::Error::source(&error);
    if let Some(code) = error.status() {
        return Ok(SmtpReply {
            stage,
            code: code.into(),
            text: source.map_or(String::new(), ToString::to_string),
        });
    }
    match source.and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(error) if error.kind() == io::ErrorKind::InvalidData => Err(malformed()),
        Some(error) => Err(broken(error)),
        // The end of the stream appears as an incomplete reply.
        None if source.is_some_and(|source| source.to_string() == "incomplete response") => {
            Err(broken(&io::ErrorKind::UnexpectedEof.into()))
        }
        None => Err(malformed()),
    }
}

// Failures

fn not_allowed(rule: Denied) -> SendError {
    let mut error = denied(rule);
    if rule == Denied::Unencrypted {
        error.failure = error.failure.with_hint(UNENCRYPTED);
    }
    error
}

const UNENCRYPTED: &str =
    "Use email_tls starttls or tls, or a mail server at a private or loopback address.";
