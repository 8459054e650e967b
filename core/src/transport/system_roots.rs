//! The certificates that this host trusts. A handshake needs them on a thread of the runtime, so they are read within a time
//! limit.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::time_limit::files::{self, LIMIT};
use crate::time_limit::{TimeLimited, Unfinished};

/// A bundle of all public authorities has 0.2 MiB.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Apart from those for other files: a bundle that does not answer must not stop the configuration from being read.
static THREADS: TimeLimited = TimeLimited::new("notifier-roots", 512 * 1024);

pub type Certificates = Vec<CertificateDer<'static>>;

/// Reads the certificates of `SSL_CERT_FILE` and `SSL_CERT_DIR`, or else the system's. Omits invalid ones.
pub fn load() -> Result<Certificates, Unfinished> {
    THREADS.run(LIMIT, || {
        let set = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
        match (set("SSL_CERT_FILE"), set("SSL_CERT_DIR")) {
            (None, None) => rustls_native_certs::load_native_certs().certs,
            (file, directories) => {
                let file = file.map(PathBuf::from);
                let directories = directories.unwrap_or_default();
                let of_directories =
                    env::split_paths(&directories).flat_map(|path| files_of(&path));
                file.into_iter()
                    .chain(of_directories)
                    .flat_map(|path| certificates_of(&path))
                    .collect()
            }
        }
    })
}

/// Returns the number of abandoned threads that still read certificates.
pub fn abandoned_threads() -> usize {
    THREADS.abandoned()
}

fn files_of(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

fn certificates_of(path: &Path) -> Certificates {
    let pem = files::read_now(path, MAX_FILE_BYTES).unwrap_or_default();
    CertificateDer::pem_slice_iter(&pem).flatten().collect()
}
