//! TLS listeners for the same providers, each with a certificate from the test.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::listen;
use crate::world::World;

/// The maximum duration of a handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(120);

/// The processing of one connection.
pub type ServeFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
/// The function that processes a connection after the handshake.
pub type Serve = fn(Arc<World>, TlsStream<TcpStream>) -> ServeFuture;

/// Starts a listener with a certificate chain and key (PEM), and returns its address. It lives as long as the stand-in. With
/// `client_ca_pem` it accepts only clients with a certificate of that authority.
pub fn open(
    world: &Arc<World>,
    cert_pem: &str,
    key_pem: &str,
    client_ca_pem: Option<&str>,
    serve: Serve,
) -> io::Result<SocketAddr> {
    let acceptor = TlsAcceptor::from(Arc::new(config(cert_pem, key_pem, client_ca_pem)?));
    let listener = listen::listen(SocketAddr::new(world.ip, 0))?;
    let addr = listener.local_addr()?;
    let _guard = world.runtime.enter();
    let listener = TcpListener::from_std(listener)?;
    world
        .runtime
        .spawn(run(Arc::clone(world), listener, acceptor, serve));
    Ok(addr)
}

fn config(cert_pem: &str, key_pem: &str, client_ca_pem: Option<&str>) -> io::Result<ServerConfig> {
    let chain = certificates("cert_pem", cert_pem)?;
    let key =
        PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|e| invalid("key_pem", &e))?;
    // Explicit, because a test process may have another default provider.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| invalid("TLS versions", &e))?;
    let builder = match client_ca_pem {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates("client_ca_pem", pem)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|e| invalid("client_ca_pem", &e))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|e| invalid("certificate and key", &e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(name: &str, pem: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    let certificates = certificates.collect::<Result<_, _>>();
    certificates.map_err(|e| invalid(name, &e))
}

fn invalid(what: &str, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what}: {error}"))
}

async fn run(world: Arc<World>, listener: TcpListener, acceptor: TlsAcceptor, serve: Serve) {
    loop {
        let stream = listen::accept(&listener).await;
        tokio::spawn(handshake(
            Arc::clone(&world),
            stream,
            acceptor.clone(),
            serve,
        ));
    }
}

async fn handshake(world: Arc<World>, stream: TcpStream, acceptor: TlsAcceptor, serve: Serve) {
    // If the client rejects the certificate, the client's test checks the error.
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
        serve(world, stream).await;
    }
}
