//! The same providers behind TLS, each listener with a certificate of the test's own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::server;
use crate::world::World;

/// A client that stops in the middle of its hello is not waited for longer.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(120);

/// Starts a listener with that chain and key (PEM); gives its address. It lives as long as the stand-in.
pub fn open(world: &Arc<World>, cert_pem: &str, key_pem: &str) -> io::Result<SocketAddr> {
    let acceptor = TlsAcceptor::from(Arc::new(config(cert_pem, key_pem)?));
    let listener = server::listen(SocketAddr::new(world.ip, 0))?;
    let addr = listener.local_addr()?;
    let _guard = world.runtime.enter();
    let listener = TcpListener::from_std(listener)?;
    world
        .runtime
        .spawn(run(Arc::clone(world), listener, acceptor));
    Ok(addr)
}

fn config(cert_pem: &str, key_pem: &str) -> io::Result<ServerConfig> {
    let invalid = |what: &str, e: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{what}: {e}"))
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(cert_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| invalid("cert_pem", &e))?;
    let key =
        PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|e| invalid("key_pem", &e))?;
    // Named, so that it works beside another provider in the same test process.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| invalid("TLS versions", &e))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| invalid("certificate and key", &e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn run(world: Arc<World>, listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let stream = server::accept(&listener).await;
        tokio::spawn(serve(Arc::clone(&world), stream, acceptor.clone()));
    }
}

async fn serve(world: Arc<World>, stream: TcpStream, acceptor: TlsAcceptor) {
    // A refused certificate ends here: the client is the one to tell of it.
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
        server::serve(world, stream, true).await;
    }
}
