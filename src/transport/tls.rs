//! TLS: the system's certificates and the bundled ones together, and what to say when a handshake fails.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// The configuration of every client. Reading the certificates is left until the first handshake.
pub fn client_config() -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier {
        provider: Arc::clone(&provider),
        inner: OnceLock::new(),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

/// rustls' own verifier over roots that are read when they are first needed: plain HTTP needs none, and a database's
/// start should not pay for them.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    inner: OnceLock<Result<Arc<WebPkiServerVerifier>, Error>>,
}

impl Verifier {
    fn inner(&self) -> Result<&Arc<WebPkiServerVerifier>, Error> {
        let built = self.inner.get_or_init(|| {
            WebPkiServerVerifier::builder_with_provider(roots(), Arc::clone(&self.provider))
                .build()
                .map_err(|error| Error::General(error.to_string()))
        });
        built.as_ref().map_err(Clone::clone)
    }
}

/// The system's store (`SSL_CERT_FILE` and `SSL_CERT_DIR` count) and Mozilla's roots: an empty or unreadable system
/// store, as in slim containers, must not stop an alert.
fn roots() -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner()?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner()?.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner()?.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Which fault a handshake found, in our own words.
pub fn sentence(error: &Error) -> &'static str {
    match error {
        Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the server's certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the server's certificate is not valid yet (is a clock wrong?)"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the server's certificate is for another name"
            }
            CertificateError::UnknownIssuer => {
                "the server's certificate is signed by an issuer that is not trusted here, or by itself"
            }
            CertificateError::Revoked => "the server's certificate is revoked",
            _ => "the server's certificate is not valid",
        },
        Error::InvalidMessage(_) => {
            "the server does not speak TLS on this port (plain HTTP, perhaps?)"
        }
        Error::AlertReceived(_) => "the server refused the TLS handshake",
        Error::PeerIncompatible(_) => "the server speaks no TLS version or cipher that is safe",
        _ => "the TLS handshake failed",
    }
}
