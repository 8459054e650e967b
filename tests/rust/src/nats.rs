//! Real NATS servers, each with its own directory and a free port on loopback.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use notifier_core::store::OutboxServers;

/// The way to one server, without credentials.
pub fn nats(url: &str) -> OutboxServers {
    OutboxServers {
        urls: vec![url.to_owned()],
        credentials: None,
        tls: None,
    }
}

/// A server that ends with the value.
pub struct NatsServer {
    process: Child,
    pub url: String,
    _directory: tempfile::TempDir,
}

impl NatsServer {
    /// With JetStream; `configuration` is added to the server's.
    pub fn start(configuration: &str) -> Self {
        Self::with("jetstream { store_dir: \"store\" }\n", configuration)
    }

    pub fn without_jetstream() -> Self {
        Self::with("", "")
    }

    fn with(jetstream: &str, configuration: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("server.conf");
        let listen = "listen: \"127.0.0.1:-1\"\n";
        std::fs::write(&file, format!("{listen}{jetstream}{configuration}")).unwrap();
        let mut process = Command::new(program())
            .arg("-c")
            .arg(&file)
            .arg("--ports_file_dir")
            .arg(directory.path())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(directory.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let log = directory.path().join("log");
        let url = until_it_listens(&mut process, directory.path(), &log);
        Self {
            process,
            url,
            _directory: directory,
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the path of the server: from the variable `NATS_SERVER`, or else that of `make setup`.
fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        return path.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join(".venv/bin/nats-server");
    assert!(
        path.exists(),
        "there is no NATS server at {}: run `make setup`, or set NATS_SERVER to its path",
        path.display()
    );
    path
}

fn until_it_listens(process: &mut Child, directory: &Path, log: &Path) -> String {
    let ports = directory.join(format!("nats-server_{}.ports", process.id()));
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let text = std::fs::read_to_string(&ports).unwrap_or_default();
        let urls: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        // The file says that sockets are open; JetStream is ready when a connection is answered.
        if let Some(url) = urls["nats"][0].as_str() {
            return url.to_owned();
        }
        let log = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(
            process.try_wait().unwrap().is_none(),
            "it has ended: {}",
            log()
        );
        assert!(Instant::now() < deadline, "it does not listen: {}", log());
        std::thread::sleep(Duration::from_millis(5));
    }
}
