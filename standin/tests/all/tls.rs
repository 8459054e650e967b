//! The providers behind TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::client::{End, Wire, post};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use standin::Standin;

const REQUEST: &[u8] = b"POST /services/T0/B0/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"text\":\"hi\"}";

/// A self-signed certificate for a name: chain and key as PEM, and a client that trusts it.
fn certificate(name: &str) -> (String, String, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let config = config.with_root_certificates(roots).with_no_client_auth();
    (
        made.cert.pem(),
        made.signing_key.serialize_pem(),
        Arc::new(config),
    )
}

fn ask(port: u64, config: Arc<ClientConfig>) -> std::io::Result<String> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(config, name).expect("a client");
    let mut stream = StreamOwned::new(
        connection,
        TcpStream::connect(("127.0.0.1", u16::try_from(port).expect("a port")))?,
    );
    stream.write_all(REQUEST)?;
    let mut reply = Vec::new();
    // hyper closes without `close_notify`, which rustls reports after the bytes.
    let _ = stream.read_to_end(&mut reply);
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

#[tokio::test]
async fn providers_reply_over_tls() {
    let standin = Standin::start().await.expect("starts");
    let (cert, key, config) = certificate("localhost");
    let opened = post(
        standin.addr(),
        "/_standin/tls",
        &json!({ "cert_pem": cert, "key_pem": key }),
    )
    .json();
    let port = opened["port"].as_u64().expect("a port");
    assert_eq!(opened["url"], format!("https://localhost:{port}"));
    let reply = ask(port, config).expect("an answer");
    assert!(
        reply.starts_with("HTTP/1.1 200 OK") && reply.ends_with("\r\n\r\nok"),
        "{reply}"
    );
    assert!(standin.requests()[0].tls);
}

#[tokio::test]
async fn a_client_without_a_required_certificate_is_rejected() {
    let standin = Standin::start().await.expect("starts");
    let (cert, key, config) = certificate("localhost");
    let (authority, _, _) = certificate("a client");
    let opened = json!({ "cert_pem": cert, "key_pem": key, "client_ca_pem": authority });
    let opened = post(standin.addr(), "/_standin/tls", &opened).json();
    let reply = ask(opened["port"].as_u64().expect("a port"), config);
    assert!(reply.is_err() || reply.is_ok_and(|reply| reply.is_empty()));
    assert!(standin.requests().is_empty());
}

#[tokio::test]
async fn a_client_rejects_a_certificate_for_another_name() {
    let standin = Standin::start().await.expect("starts");
    let (cert, key, config) = certificate("other.example");
    let addr = standin.tls(&cert, &key).await.expect("a listener");
    let refused = ask(addr.port().into(), config).expect_err("the wrong name");
    assert!(refused.to_string().contains("certificate"), "{refused}");
    assert!(standin.requests().is_empty());
}

#[tokio::test]
async fn a_stalled_handshake_never_ends() {
    let standin = Standin::start().await.expect("starts");
    let opened = post(standin.addr(), "/_standin/tls", &json!({ "stall": true })).json();
    let port = u16::try_from(opened["port"].as_u64().expect("a port")).expect("a port");
    let mut wire = Wire::open(([127, 0, 0, 1], port).into());
    wire.write(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]);
    let began = std::time::Instant::now();
    assert_eq!(wire.read(1), (vec![], End::Quiet));
    assert!(began.elapsed() >= Duration::from_millis(250));
}
