//! [`Standin`]: a running stand-in, for Rust tests.

use std::fmt::Display;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::fault::{Fault, FaultKind};
use crate::listen;
use crate::record::{Message, Record};
use crate::rules::Rule;
use crate::server;
use crate::tls;
use crate::world::World;

/// The maximum wait for running tasks when the stand-in stops. Idle tasks end immediately.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// A running stand-in. It has a separate runtime, so it replies even if the test's runtime blocks or pauses its clock.
/// Dropping it closes every socket.
#[derive(Debug)]
pub struct Standin {
    world: Arc<World>,
    addr: SocketAddr,
    /// `None` only in `drop`.
    runtime: Option<Runtime>,
}

impl Standin {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start() -> io::Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), 1)
    }

    /// Starts on a loopback address with `workers` threads. Port 0 selects a free port. Not async, for use without a runtime.
    pub fn start_on(addr: SocketAddr, workers: usize) -> io::Result<Self> {
        let listener = listen::listen(addr)?;
        let addr = listener.local_addr()?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name("standin")
            .enable_all()
            .build()?;
        let world = World::new(addr.ip(), runtime.handle().clone());
        let listener = {
            let _guard = runtime.enter();
            TcpListener::from_std(listener)?
        };
        runtime.spawn(server::run(Arc::clone(&world), listener));
        Ok(Self {
            world,
            addr,
            runtime: Some(runtime),
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// All requests to the providers, in order of arrival.
    pub fn requests(&self) -> Vec<Record> {
        self.world.records.list("")
    }

    /// The messages that the providers accepted, in order of acceptance.
    pub fn messages(&self) -> Vec<Message> {
        self.world.messages.list()
    }

    /// Waits for at least `minimum` requests, at most `limit`, and returns all requests.
    pub async fn wait_for_requests(&self, minimum: usize, limit: Duration) -> Vec<Record> {
        self.world
            .wait(limit, |world| world.records.count("") >= minimum)
            .await;
        self.requests()
    }

    /// Waits for at least `minimum` accepted messages, at most `limit`, and returns all messages.
    pub async fn wait_for_messages(&self, minimum: usize, limit: Duration) -> Vec<Message> {
        self.world
            .wait(limit, |world| world.messages.count() >= minimum)
            .await;
        self.messages()
    }

    /// The number of accepted connections, including TLS, without those of faults.
    pub fn connections(&self) -> u64 {
        self.world.connections()
    }

    /// Adds a rule after the existing rules.
    pub fn rule(&self, rule: Rule) {
        self.world.rules.add(rule);
    }

    /// Adds one rule or a list of rules, as `POST /_standin/rules` does.
    pub fn rules_json(&self, rules: Value) -> io::Result<()> {
        let rules = Rule::from_json(rules).map_err(invalid)?;
        rules.into_iter().for_each(|rule| self.rule(rule));
        Ok(())
    }

    /// The rules, with the remaining value of `times`.
    pub fn rules(&self) -> Vec<Rule> {
        self.world.rules.list()
    }

    /// Opens a fault on a separate port, until it is closed or the stand-in is dropped. `kind` is a [`FaultKind`], or the JSON
    /// of `POST /_standin/faults`.
    pub async fn fault<K>(&self, kind: K) -> io::Result<Fault>
    where
        K: TryInto<FaultKind>,
        K::Error: Display,
    {
        self.world.open_fault(kind.try_into().map_err(invalid)?)
    }

    /// Opens a TLS listener for the same providers, with a certificate chain and a key (PEM). Returns its address.
    pub async fn tls(&self, cert_pem: &str, key_pem: &str) -> io::Result<SocketAddr> {
        tls::open(&self.world, cert_pem, key_pem, None, server::serve_tls)
    }

    /// Clears records, messages, rules and sink counts, but not faults.
    pub fn clear(&self) {
        self.world.clear();
    }
}

fn invalid(error: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
}

impl Drop for Standin {
    /// Waits until the sockets are closed, so that the port refuses the next connection. On a thread, because a runtime's
    /// thread must not block on another runtime.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            let _ = std::thread::spawn(move || runtime.shutdown_timeout(STOP_LIMIT)).join();
        }
    }
}
