//! [`Standin`]: a running stand-in, as Rust tests hold it.

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

/// How long the end waits for tasks that are just running; idle ones end at once.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// A running stand-in. It has a runtime of its own, so it answers whatever the test's runtime does: blocks, pauses its clock,
/// or is none at all. Dropping it closes every socket.
#[derive(Debug)]
pub struct Standin {
    world: Arc<World>,
    addr: SocketAddr,
    /// Taken only by `drop`.
    runtime: Option<Runtime>,
}

impl Standin {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start() -> io::Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), 1)
    }

    /// Starts on that loopback address (port 0: a free one) with so many worker threads. Not async: for use without a runtime.
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

    /// `http://127.0.0.1:PORT`, no slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// All requests to the providers, in order of arrival.
    pub fn requests(&self) -> Vec<Record> {
        self.world.records.list("")
    }

    /// What the providers accepted, in that order.
    pub fn messages(&self) -> Vec<Message> {
        self.world.messages.list()
    }

    /// All requests once there are so many, or what there is after that long.
    pub async fn wait_for_requests(&self, least: usize, limit: Duration) -> Vec<Record> {
        self.world
            .wait(limit, |world| world.records.count("") >= least)
            .await;
        self.requests()
    }

    /// All accepted messages once there are so many, or what there is after that long.
    pub async fn wait_for_messages(&self, least: usize, limit: Duration) -> Vec<Message> {
        self.world
            .wait(limit, |world| world.messages.count() >= least)
            .await;
        self.messages()
    }

    /// Connections accepted so far, TLS included, faults not.
    pub fn connections(&self) -> u64 {
        self.world.connections()
    }

    /// Adds a rule after those in force.
    pub fn rule(&self, rule: Rule) {
        self.world.rules.add(rule);
    }

    /// Adds one rule or a list of them, as `POST /_standin/rules` does.
    pub fn rules_json(&self, rules: Value) -> io::Result<()> {
        let rules = Rule::from_json(rules).map_err(invalid)?;
        rules.into_iter().for_each(|rule| self.rule(rule));
        Ok(())
    }

    /// The rules with the times that remain.
    pub fn rules(&self) -> Vec<Rule> {
        self.world.rules.list()
    }

    /// Opens a fault on a port of its own: a [`FaultKind`], or JSON as `POST /_standin/faults` takes it. It stays until it is
    /// closed or the stand-in is dropped.
    pub async fn fault<K>(&self, kind: K) -> io::Result<Fault>
    where
        K: TryInto<FaultKind>,
        K::Error: Display,
    {
        self.world.open_fault(kind.try_into().map_err(invalid)?)
    }

    /// The same providers behind TLS with that chain and key (PEM): the address of the new listener.
    pub async fn tls(&self, cert_pem: &str, key_pem: &str) -> io::Result<SocketAddr> {
        tls::open(&self.world, cert_pem, key_pem, None, server::serve_tls)
    }

    /// Forgets records, messages, rules and sink counts; faults stay.
    pub fn clear(&self) {
        self.world.clear();
    }
}

fn invalid(error: impl Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
}

impl Drop for Standin {
    /// Waits until the sockets are closed, so that what comes next finds the port refused. On a thread, because a runtime may
    /// not wait for another on its own.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            let _ = std::thread::spawn(move || runtime.shutdown_timeout(STOP_LIMIT)).join();
        }
    }
}
