//! HTTP clients, and one attempt with one of them.

#[cfg(test)]
use std::net::IpAddr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::ACCEPT_ENCODING;
use http::{HeaderValue, Method};
use http_body::{Frame, SizeHint};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Body, Client, Proxy, Request};
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

use super::dns::Dns;
use super::failure::{bad_proxy, classify, denied, of_proxy, too_late, unresolved, unusable};
use super::pool::{NumberMap, PoolKey};
use super::reply::read;
use super::route::{BadProxy, ProxyRoute};
use super::{SendError, Sent, Transport, guard, tls};
use crate::model::policy::{ClientKey, PrivateAddresses};
use crate::model::wire::{HttpRequest, Outbound, Reply};
use crate::panics::lock;
use crate::secret::Secret;

/// How long the client keeps an idle connection.
pub const KEEP_IDLE: Duration = Duration::from_secs(20);
/// The wait for the address of a host that the proxy resolves anyway.
const LOOKUP_BEFORE_PROXY: Duration = Duration::from_millis(500);
/// The maximum number of clients without idle connections.
const MAX_CLIENTS: usize = 32;
/// Maximum headers of a reply. The client's default is 100; each takes 64 bytes of memory during the reply.
pub(super) const MAX_HEADERS: usize = 1_000;
/// Connections that wait for a mail server's farewell.
const MAX_FAREWELLS: usize = 16;

/// Sends requests with reqwest: HTTP/1.1 only, no redirects, no automatic retries, no decompression. One HTTP/2
/// connection would couple all destinations of a host. The client accepts every reply head that curl accepts: after a
/// 2xx the message is delivered, and a strict parser would cause a second one.
pub struct HttpTransport {
    tls: Option<ClientConfig>,
    dns: Arc<Dns>,
    /// The clients without idle connections, the most recently used last.
    clients: Mutex<Vec<PooledClient>>,
    /// The clients with idle connections: one for each server, so that its connections can be closed. Their users bound
    /// their number.
    pools: Mutex<NumberMap<PoolKey, PooledClient>>,
    pub(super) farewells: Arc<Semaphore>,
    #[cfg(test)]
    pub(super) detour: Detour,
}

/// The replacement address for a test's connections; it gets each address that the guard allows.
#[cfg(test)]
pub(super) type Detour = Option<Arc<dyn Fn(IpAddr) -> IpAddr + Send + Sync>>;

impl HttpTransport {
    pub fn new(dns: Dns) -> Self {
        Self {
            tls: tls::client_config(None).ok(),
            dns: Arc::new(dns),
            clients: Mutex::default(),
            pools: Mutex::default(),
            farewells: Arc::new(Semaphore::new(MAX_FAREWELLS)),
            #[cfg(test)]
            detour: None,
        }
    }

    /// The client for a request, from the cache where there is one.
    fn client(
        &self,
        request: &HttpRequest,
        key: &ClientKey,
        route: &ProxyRoute,
    ) -> Result<Client, SendError> {
        if !key.reuse {
            return self.client_without_reuse(key, route);
        }
        let pool = PoolKey::of(request, key);
        let mut pools = lock(&self.pools);
        if let Some(kept) = pools.get(&pool).filter(|kept| kept.is_for(key, route)) {
            return Ok(kept.client.clone());
        }
        let kept = self.build(key, route)?;
        let client = kept.client.clone();
        pools.insert(pool, kept);
        Ok(client)
    }

    fn client_without_reuse(
        &self,
        key: &ClientKey,
        route: &ProxyRoute,
    ) -> Result<Client, SendError> {
        let mut clients = lock(&self.clients);
        let known = clients.iter().rposition(|kept| kept.is_for(key, route));
        if let Some(index) = known {
            // Nearly always the last already.
            if index + 1 < clients.len() {
                let kept = clients.remove(index);
                clients.push(kept);
            }
            if let Some(kept) = clients.last() {
                return Ok(kept.client.clone());
            }
        }
        let kept = self.build(key, route)?;
        let client = kept.client.clone();
        if clients.len() >= MAX_CLIENTS {
            clients.remove(0);
        }
        clients.push(kept);
        Ok(client)
    }

    fn build(&self, key: &ClientKey, route: &ProxyRoute) -> Result<PooledClient, SendError> {
        let config = self.tls_config(key)?;
        let builder = Client::builder()
            .tls_backend_preconfigured(config)
            .dns_resolver(Arc::new(self.resolver(key, route)))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            // The environment is not read here; this must precede a proxy of ours.
            .no_proxy()
            .connect_timeout(key.connect_timeout)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_max_headers(MAX_HEADERS)
            .pool_idle_timeout(KEEP_IDLE)
            .pool_max_idle_per_host(if key.reuse { usize::MAX } else { 0 });
        let builder = match route {
            ProxyRoute::Direct => builder,
            ProxyRoute::Proxy(url) => {
                let proxy = Proxy::all(url.expose()).map_err(|_| bad_proxy(BadProxy::NoUrl))?;
                builder.proxy(proxy)
            }
        };
        let client = builder
            .build()
            .map_err(|_| unusable("the HTTP client could not be set up"))?;
        Ok(PooledClient {
            key: key.clone(),
            route: route.clone(),
            client,
        })
    }

    /// All clients without their own certificates share one configuration and its roots.
    pub(super) fn tls_config(&self, key: &ClientKey) -> Result<ClientConfig, SendError> {
        let config = match &key.tls {
            Some(files) => tls::client_config(Some(files)).ok(),
            None => self.tls.clone(),
        };
        config.ok_or_else(|| unusable("TLS could not be set up"))
    }

    pub(super) fn dns(&self) -> &Dns {
        &self.dns
    }

    /// The address to which a test redirects the connection.
    #[cfg_attr(not(test), allow(clippy::unused_self))]
    pub(super) fn detoured(&self, address: std::net::IpAddr) -> std::net::IpAddr {
        #[cfg(test)]
        if let Some(detour) = &self.detour {
            return detour(address);
        }
        address
    }

    pub(super) fn resolver(&self, key: &ClientKey, route: &ProxyRoute) -> Resolver {
        Resolver {
            dns: Arc::clone(&self.dns),
            private: match route {
                ProxyRoute::Direct => key.private_addresses,
                // Only the proxy's own name is resolved here, and that is the operator's.
                ProxyRoute::Proxy(_) => PrivateAddresses::Allow,
            },
            // Shorter than the connector's own timeout, so that the cause is known.
            timeout: key.connect_timeout.mul_f64(0.9),
            #[cfg(test)]
            detour: self.detour.clone(),
        }
    }

    /// A proxy resolves the name itself. The client resolves it here too: a name that resolves to a metadata service
    /// here does so at the proxy. If private addresses are denied, the name must resolve here, and only to public
    /// addresses. The operator chose the proxy, so its address follows the operator's rules.
    async fn check_before_proxy(
        &self,
        url: &Url,
        proxy: &Secret,
        key: &ClientKey,
        time: Duration,
    ) -> Result<(), SendError> {
        let proxy = Url::parse(proxy.expose()).map_err(|_| bad_proxy(BadProxy::NoUrl))?;
        guard::check_host(&proxy, PrivateAddresses::Allow)
            .map_err(|rule| of_proxy(denied(rule)))?;
        let Some(Host::Domain(name)) = url.host() else {
            return Ok(());
        };
        let must_resolve = key.private_addresses == PrivateAddresses::Deny;
        let wait = match must_resolve {
            true => key.connect_timeout.min(time),
            // Many hosts behind a proxy have no name server for other hosts, or one that does not respond.
            false => LOOKUP_BEFORE_PROXY.min(time),
        };
        match self.dns.resolve(name, wait).await {
            Err(error) if must_resolve => Err(unresolved(error)),
            Err(_) => Ok(()),
            Ok(addresses) => addresses
                .iter()
                .try_for_each(|address| guard::check(*address, key.private_addresses))
                .map_err(denied),
        }
    }

    async fn attempt(
        &self,
        outbound: &Outbound,
        key: &ClientKey,
        time: Duration,
    ) -> Result<Reply, SendError> {
        let message = match outbound {
            Outbound::Http(message) => message,
            Outbound::Mail(mail) => return Box::pin(self.mail(mail, key, time)).await,
        };
        let deadline = Instant::now() + time;
        guard::check_host(&message.url, key.private_addresses).map_err(denied)?;
        guard::check_host_header(&message.headers, key.private_addresses).map_err(denied)?;
        let route = ProxyRoute::of(&message.url, &key.proxy).map_err(bad_proxy)?;
        if let ProxyRoute::Proxy(proxy) = &route {
            // Boxed: few hosts have a proxy, and ten thousand attempts may wait at once.
            Box::pin(self.check_before_proxy(&message.url, proxy, key, time)).await?;
        }
        let client = self.client(message, key, &route)?;
        let asked_for = Arc::new(AtomicBool::new(false));
        let request = request(message, Arc::clone(&asked_for));
        let sent = || match asked_for.load(Ordering::Acquire) {
            true => Sent::Maybe,
            false => Sent::No,
        };
        match timeout_at(deadline, client.execute(request)).await {
            Ok(Ok(response)) => Ok(Reply::Http(read(response, &route).await)),
            Ok(Err(error)) => Err(classify(&error, sent(), &route)),
            Err(_) => Err(too_late(sent())),
        }
    }
}

/// A client with its settings.
struct PooledClient {
    key: ClientKey,
    route: ProxyRoute,
    client: Client,
}

impl PooledClient {
    fn is_for(&self, key: &ClientKey, route: &ProxyRoute) -> bool {
        self.key == *key && self.route == *route
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

    fn expect(&self, outbound: &Outbound, is_one_of_many: bool) {
        let host = match outbound {
            Outbound::Http(request) => request.url.domain(),
            Outbound::Mail(mail) => Some(mail.server.host.as_str()),
        };
        if let Some(host) = host {
            self.dns.expect(host, is_one_of_many);
        }
    }

    fn close_idle(&self, pool: PoolKey) {
        let mut pools = lock(&self.pools);
        // Its connections close with the client.
        pools.remove(&pool);
    }
}

fn request(message: &HttpRequest, asked_for: Arc<AtomicBool>) -> Request {
    let mut request = Request::new(message.method.clone(), message.url.clone());
    *request.headers_mut() = message.headers.clone();
    // Without it a server may compress as it likes (RFC 9110, 12.5.3).
    let accepted = request.headers_mut().entry(ACCEPT_ENCODING);
    accepted.or_insert(HeaderValue::from_static("identity"));
    if message.method == Method::GET {
        return request;
    }
    *request.body_mut() = Some(Body::wrap(WatchedBody {
        bytes: Some(message.body.clone()),
        asked_for,
    }));
    request
}

/// A body that records whether the connection requested it. Before that, no part of the message can have left.
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
pub(super) struct Resolver {
    dns: Arc<Dns>,
    private: PrivateAddresses,
    timeout: Duration,
    #[cfg(test)]
    detour: Detour,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (dns, private, timeout) = (Arc::clone(&self.dns), self.private, self.timeout);
        #[cfg(test)]
        let detour = self.detour.clone();
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
            #[cfg(test)]
            if let Some(detour) = detour {
                allowed
                    .iter_mut()
                    .for_each(|address| address.set_ip(detour(address.ip())));
            }
            match refused {
                Some(denied) if allowed.is_empty() => Err(denied.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}
