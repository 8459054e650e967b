//! HTTP clients, and one attempt with one of them.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http_body::{Frame, SizeHint};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Body, Client, NoProxy, Proxy, Request, Response};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout, timeout_at};
use url::{Host, Url};

use super::dns::{Dns, DnsError};
use super::guard::{self, Denied};
use super::{SendError, Sent, Transport, tls};
use crate::model::outcome::{Detail, Failure, Reason};
use crate::model::policy::{ClientKey, PrivateAddresses, ProxySettings};
use crate::model::secret::Redactor;
use crate::model::wire::{HttpReply, HttpRequest, Outbound, Reply};

/// How much of a reply's body is read.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// How long is waited for a body once the status is known: the status decides, the body only says more.
const BODY_GRACE: Duration = Duration::from_secs(1);
/// How long an idle connection is kept for the next message.
const KEEP_IDLE: Duration = Duration::from_secs(20);
/// Different clients that are kept.
const MAX_CLIENTS: usize = 32;

/// Sends by reqwest: HTTP/1.1 only (one HTTP/2 connection would couple all destinations of a host), no redirects, no
/// retries of its own, no decompression.
pub struct HttpTransport {
    tls: Option<ClientConfig>,
    dns: Arc<Dns>,
    /// The most recently used last.
    clients: Mutex<Vec<(ClientKey, Client)>>,
}

impl HttpTransport {
    pub fn new(dns: Dns) -> Self {
        Self {
            tls: tls::client_config().ok(),
            dns: Arc::new(dns),
            clients: Mutex::default(),
        }
    }

    /// The client for a key, from the cache where there is one.
    fn client(&self, key: &ClientKey) -> Result<Client, SendError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = clients.iter().rposition(|(known, _)| known == key) {
            // Nearly always the last already.
            if place + 1 < clients.len() {
                let entry = clients.remove(place);
                clients.push(entry);
            }
            if let Some((_, client)) = clients.last() {
                return Ok(client.clone());
            }
        }
        let client = self.build(key)?;
        if clients.len() >= MAX_CLIENTS {
            clients.remove(0);
        }
        clients.push((key.clone(), client.clone()));
        Ok(client)
    }

    fn build(&self, key: &ClientKey) -> Result<Client, SendError> {
        let unusable = |what| SendError {
            failure: Failure::new(Reason::Internal).with_detail(Some(Detail::from(what))),
            sent: Sent::No,
            permanent: true,
        };
        let config = self
            .tls
            .clone()
            .ok_or_else(|| unusable("TLS could not be set up"))?;
        let resolver = Resolver {
            dns: Arc::clone(&self.dns),
            private: key.private_addresses,
            // Before the connector's own time is up, so that it is known what took it.
            timeout: key.connect_timeout.mul_f64(0.9),
        };
        let mut builder = Client::builder()
            .tls_backend_preconfigured(config)
            .dns_resolver(Arc::new(resolver))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(key.connect_timeout)
            .pool_idle_timeout(KEEP_IDLE)
            .pool_max_idle_per_host(if key.reuse { usize::MAX } else { 0 });
        for proxy in proxies(&key.proxy) {
            builder = builder.proxy(proxy.map_err(|_| {
                unusable("the environment's HTTP_PROXY or HTTPS_PROXY is no usable URL")
            })?);
        }
        builder
            .build()
            .map_err(|_| unusable("the HTTP client could not be set up"))
    }

    /// Behind a proxy the name is resolved where we cannot see it: where private addresses are denied it must resolve
    /// here too, to public addresses only.
    async fn check_before_proxy(&self, url: &Url, key: &ClientKey) -> Result<(), Box<SendError>> {
        let deny = key.private_addresses == PrivateAddresses::Deny;
        let (true, true, Some(Host::Domain(name))) = (deny, key.proxy.is_set(), url.host()) else {
            return Ok(());
        };
        let addresses = self.dns.resolve(name, key.connect_timeout).await;
        let addresses = addresses.map_err(|error| Box::new(unresolved(error)))?;
        for address in addresses.iter() {
            guard::check(*address, key.private_addresses).map_err(|rule| Box::new(denied(rule)))?;
        }
        Ok(())
    }

    async fn attempt(
        &self,
        outbound: &Outbound,
        key: &ClientKey,
        time: Duration,
    ) -> Result<Reply, SendError> {
        let Outbound::Http(message) = outbound;
        guard::check_host(&message.url, key.private_addresses).map_err(denied)?;
        let deadline = Instant::now() + time;
        self.check_before_proxy(&message.url, key)
            .await
            .map_err(|error| *error)?;
        let client = self.client(key)?;
        let asked_for = Arc::new(AtomicBool::new(false));
        let request = request(message, Arc::clone(&asked_for));
        let sent = || match asked_for.load(Ordering::Acquire) {
            true => Sent::Maybe,
            false => Sent::No,
        };
        match timeout_at(deadline, client.execute(request)).await {
            Ok(Ok(response)) => Ok(Reply::Http(read(response).await)),
            Ok(Err(error)) => Err(classify(&error, sent())),
            Err(_) => Err(SendError {
                failure: Failure::new(Reason::Timeout),
                sent: sent(),
                permanent: false,
            }),
        }
    }
}

impl Transport for HttpTransport {
    fn send<'a>(
        &'a self,
        outbound: &'a Outbound,
        client: &'a ClientKey,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        Box::pin(self.attempt(outbound, client, timeout))
    }
}

fn request(message: &HttpRequest, asked_for: Arc<AtomicBool>) -> Request {
    let mut request = Request::new(message.method.clone(), message.url.clone());
    *request.headers_mut() = message.headers.clone();
    *request.body_mut() = Some(Body::wrap(WatchedBody {
        bytes: Some(message.body.clone()),
        asked_for,
    }));
    request
}

/// The head and as much of the body as is wanted. What is left drops the connection.
async fn read(mut response: Response) -> HttpReply {
    let received = SystemTime::now();
    let mut body = BytesMut::new();
    let whole = async {
        while let Some(chunk) = response.chunk().await.ok()? {
            let room = MAX_BODY_BYTES - body.len();
            body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
            if chunk.len() > room {
                return None;
            }
        }
        Some(())
    };
    let complete = timeout(BODY_GRACE, whole).await.ok().flatten().is_some();
    HttpReply {
        status: response.status().as_u16(),
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
        complete,
        received,
    }
}

/// A body that tells whether it was ever asked for: before that nothing of the message can have left.
struct WatchedBody {
    bytes: Option<Bytes>,
    asked_for: Arc<AtomicBool>,
}

impl http_body::Body for WatchedBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.asked_for.store(true, Ordering::Release);
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// The resolver of one client: it gives out only addresses that the client's policy allows.
struct Resolver {
    dns: Arc<Dns>,
    private: PrivateAddresses,
    timeout: Duration,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (dns, private, timeout) = (Arc::clone(&self.dns), self.private, self.timeout);
        Box::pin(async move {
            let addresses = dns.resolve(name.as_str(), timeout).await?;
            let mut allowed = Vec::with_capacity(addresses.len());
            let mut refused = None;
            for address in addresses.iter() {
                match guard::check(*address, private) {
                    Ok(()) => allowed.push(SocketAddr::new(*address, 0)),
                    Err(denied) => refused = Some(denied),
                }
            }
            match refused {
                Some(denied) if allowed.is_empty() => Err(denied.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

fn proxies(settings: &ProxySettings) -> Vec<reqwest::Result<Proxy>> {
    let exempt = || NoProxy::from_string(&settings.no_proxy);
    let http = settings.http.as_ref().map(|url| Proxy::http(url.expose()));
    let https = settings
        .https
        .as_ref()
        .map(|url| Proxy::https(url.expose()));
    [http, https]
        .into_iter()
        .flatten()
        .map(|proxy| proxy.map(|proxy| proxy.no_proxy(exempt())))
        .collect()
}

fn denied(denied: Denied) -> SendError {
    SendError {
        failure: Failure::new(Reason::AddressDenied)
            .with_detail(Detail::new(&denied.to_string(), &Redactor::default())),
        sent: Sent::No,
        permanent: true,
    }
}

fn unresolved(error: DnsError) -> SendError {
    SendError {
        failure: Failure::new(Reason::Dns).with_detail(Some(Detail::from(error.sentence()))),
        sent: Sent::No,
        permanent: false,
    }
}

/// What a library's error means. Its own text is never shown: it may hold the URL.
fn classify(error: &reqwest::Error, sent: Sent) -> SendError {
    if let Some(rule) = cause::<Denied>(error) {
        return denied(*rule);
    }
    if let Some(dns) = cause::<DnsError>(error) {
        return unresolved(*dns);
    }
    let sent = if error.is_connect() { Sent::No } else { sent };
    let (reason, detail, permanent) = if let Some(tls) = cause::<rustls::Error>(error) {
        (Reason::Tls, Some(tls::sentence(tls)), true)
    } else if io_causes(error).any(is_out_of_descriptors) {
        (Reason::OutOfDescriptors, None, false)
    } else if error.is_timeout() || io_causes(error).any(|io| io.kind() == io::ErrorKind::TimedOut)
    {
        (Reason::Timeout, None, false)
    } else if error.is_connect() {
        (Reason::Connect, connect_sentence(error), false)
    } else if cause::<hyper::Error>(error).is_some_and(|hyper| hyper.is_parse()) {
        (Reason::MalformedReply, None, false)
    } else {
        (Reason::ConnectionLost, None, false)
    };
    SendError {
        failure: Failure::new(reason).with_detail(detail.map(Detail::from)),
        sent,
        permanent,
    }
}

fn connect_sentence(error: &reqwest::Error) -> Option<&'static str> {
    io_causes(error).find_map(|io| match io.kind() {
        io::ErrorKind::ConnectionRefused => {
            Some("the connection was refused: nothing listens there")
        }
        io::ErrorKind::ConnectionReset => Some("the connection was reset while it was made"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some("there is no way to the host from this server")
        }
        io::ErrorKind::UnexpectedEof => Some("the connection was closed while it was made"),
        _ => None,
    })
}

/// `EMFILE` and `ENFILE`, which have no `ErrorKind`.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23))
}

/// All errors behind an error; an `io::Error` shows what it wraps only on asking.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn StdError + 'static) = *error;
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn StdError + 'static));
        wrapped.or_else(|| error.source())
    })
}

fn cause<T: StdError + 'static>(error: &reqwest::Error) -> Option<&T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

fn io_causes(error: &reqwest::Error) -> impl Iterator<Item = &io::Error> {
    chain(error).filter_map(|cause| cause.downcast_ref())
}
