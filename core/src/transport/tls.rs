//! TLS: combines the system's certificates with the bundled ones, and describes handshake failures.

use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InconsistentKeys, OtherError,
    RootCertStore, SignatureScheme,
};

use super::system_roots::{self, Certificates};
use crate::model::policy::TlsFiles;
use crate::panics::lock;

/// The configuration of clients, with a receiver's own certificates or without. Reading the system's is left until the
/// first handshake.
pub fn client_config(files: Option<&TlsFiles>) -> Result<ClientConfig, TlsFileError> {
    let unusable = |_| TlsFileError("TLS could not be set up");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Verifier {
        provider: Arc::clone(&provider),
        authorities: authorities(files)?,
        trust: Mutex::default(),
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(match files.and_then(|files| files.identity.as_ref()) {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let identity = identity(pem.expose().as_bytes())?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
    })
}

/// Why certificates cannot be used; follows the file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFileError(pub &'static str);

fn authorities(files: Option<&TlsFiles>) -> Result<Certificates, TlsFileError> {
    let Some(pem) = files.and_then(|files| files.authorities.as_ref()) else {
        return Ok(Vec::new());
    };
    let certificates = certificates(pem)?;
    let (_, ignored) = RootCertStore::empty().add_parsable_certificates(certificates.clone());
    match ignored {
        0 => Ok(certificates),
        _ => Err(TlsFileError("it holds a certificate that cannot be read")),
    }
}

fn certificates(pem: &[u8]) -> Result<Certificates, TlsFileError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(TlsFileError(
            "it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)",
        )),
    }
}

/// A client's certificate and key. The server judges the certificate: one of X.509 version 1, which rustls does not read, is
/// shown to it as well.
fn identity(pem: &[u8]) -> Result<CertifiedKey, TlsFileError> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| no_key(pem))?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| {
        TlsFileError("the private key is of a kind that is not supported: RSA, ECDSA on P-256 or P-384, and Ed25519 are")
    })?;
    let identity = CertifiedKey::new(certificates(pem)?, key);
    match identity.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(identity),
        Err(Error::InvalidCertificate(_)) if holds_key(&identity) => Ok(identity),
        Err(_) => Err(TlsFileError(
            "the certificate and the key do not belong together",
        )),
    }
}

fn no_key(pem: &[u8]) -> TlsFileError {
    const ENCRYPTED: &[u8] = b"ENCRYPTED";
    match pem.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) {
        true => TlsFileError("the private key is encrypted; decrypt it with: openssl pkey"),
        false => TlsFileError("it holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"),
    }
}

/// Returns whether the certificate contains the key's public half.
fn holds_key(identity: &CertifiedKey) -> bool {
    let (Some(key), Some(certificate)) = (identity.key.public_key(), identity.cert.first()) else {
        return false;
    };
    let mut parts = certificate.windows(key.len());
    parts.any(|part| part == key.as_ref())
}

/// rustls' own verifier over roots that are read when they are first needed: plain HTTP needs none, and a database's
/// start should not pay for them.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Trusted besides.
    authorities: Certificates,
    trust: Mutex<Option<Arc<Trust>>>,
}

/// The trusted roots, and whether this host's own store contributes to them.
#[derive(Debug)]
struct Trust {
    verifier: Arc<WebPkiServerVerifier>,
    has_system_roots: bool,
}

impl Verifier {
    fn trust(&self) -> Result<Arc<Trust>, Error> {
        let mut known = lock(&self.trust);
        if let Some(trust) = known.as_ref() {
            return Ok(Arc::clone(trust));
        }
        let system = system_roots::load();
        let was_read = system.is_ok();
        let (mut roots, of_system) = roots(system.unwrap_or_default());
        roots.add_parsable_certificates(self.authorities.iter().cloned());
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let trust = Arc::new(Trust {
            verifier,
            has_system_roots: of_system > 0,
        });
        // The next handshake retries files that did not respond in time.
        if was_read {
            *known = Some(Arc::clone(&trust));
        }
        Ok(trust)
    }

    /// Returns whether the operator trusts exactly this certificate, and only its issuer or its CA flag was at fault.
    /// Servers with a self-signed certificate, as from `openssl req -x509`, need this. Its dates and its name still
    /// count.
    fn is_pinned(&self, certificate: &CertificateDer<'_>, error: &CertificateError) -> bool {
        let of_issuer = matches!(
            error,
            CertificateError::UnknownIssuer | CertificateError::Other(_)
        );
        of_issuer && self.authorities.iter().any(|known| known == certificate)
    }
}

/// Returns Mozilla's roots and the system's, and the number of the system's. An empty or unreadable system store, as in
/// slim containers, must not stop an alert. Neither must an old store that lacks a new authority.
fn roots(system: Vec<CertificateDer<'static>>) -> (RootCertStore, usize) {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    let (of_system, _) = roots.add_parsable_certificates(system);
    (roots, of_system)
}

/// The issuer is unknown, which may well be since this host's own store could not be read.
#[derive(Debug)]
struct NoSystemRoots;

const NO_SYSTEM_ROOTS: &str = "the server's certificate is signed by an issuer that is not trusted here; this host's own store of certificates is empty or cannot be read (does SSL_CERT_FILE lead to a readable file?)";

impl std::fmt::Display for NoSystemRoots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(NO_SYSTEM_ROOTS)
    }
}

impl std::error::Error for NoSystemRoots {}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let trust = self.trust()?;
        let verifier = &trust.verifier;
        let verified =
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if let Err(Error::InvalidCertificate(error)) = &verified
            && self.is_pinned(end_entity, error)
        {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        verified.map_err(|error| match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer)
                if !trust.has_system_roots =>
            {
                let why = OtherError(Arc::new(NoSystemRoots));
                Error::InvalidCertificate(CertificateError::Other(why))
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            signed,
            &self.provider.signature_verification_algorithms,
        )
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
            CertificateError::Other(why) if why.0.is::<NoSystemRoots>() => NO_SYSTEM_ROOTS,
            CertificateError::Revoked => "the server's certificate is revoked",
            _ => "the server's certificate is not valid",
        },
        Error::InvalidMessage(_) => "the server does not speak TLS on this port",
        Error::AlertReceived(_) => "the server refused the TLS handshake",
        Error::PeerIncompatible(_) => "the server speaks no TLS version or cipher that is safe",
        _ => "the TLS handshake failed",
    }
}

/// Advice where the certificate has no part in it.
pub fn hint(error: &Error) -> Option<&'static str> {
    match error {
        Error::InvalidMessage(_) => Some(
            "A server of plain HTTP answers so: write http:// in the URL, or give the port at which the server speaks TLS.",
        ),
        Error::AlertReceived(_) | Error::PeerIncompatible(_) => Some(
            "Check host and port, and which TLS versions the server offers; it may ask for a client certificate.",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_client_certificate_is_used_or_its_error_reported() {
        let reason = |pem: &str| {
            let files = TlsFiles {
                authorities: None,
                identity: Some(Secret::new(pem.to_owned())),
            };
            client_config(Some(&files)).err().map(|unusable| unusable.0)
        };
        let version_1 = include_str!("../../../tests/vectors/tls/version_1.pem");
        let (certificate, key) = version_1.split_at(version_1.find("-----BEGIN PRIVATE").unwrap());
        for (pem, expected) in [
            (version_1, None),
            (
                include_str!("../../../tests/vectors/tls/p521.pem"),
                Some("is of a kind that is not supported"),
            ),
            (
                include_str!("../../../tests/vectors/tls/other_key.pem"),
                Some("do not belong together"),
            ),
            (
                include_str!("../../../tests/vectors/tls/encrypted_key.pem"),
                Some("is encrypted"),
            ),
            (certificate, Some("holds no private key")),
            (key, Some("holds no certificate")),
        ] {
            let found = reason(pem);
            let told = found
                .zip(expected)
                .is_some_and(|(found, expected)| found.contains(expected));
            assert!(
                told || found.is_none() == expected.is_none(),
                "{found:?}, not {expected:?}"
            );
        }
    }

    #[test]
    fn the_bundled_roots_and_the_systems_are_trusted_together() {
        let bundled = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        assert!(bundled.len() > 100);
        let system: Vec<_> = bundled.iter().take(3).cloned().collect();
        let garbage = CertificateDer::from_slice(b"no certificate").into_owned();
        for (system, count) in [(system, 3), (Vec::new(), 0), (vec![garbage], 0)] {
            let (roots, of_system) = roots(system);
            assert_eq!((roots.len(), of_system), (bundled.len() + count, count));
        }
    }
}
