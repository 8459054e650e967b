//! Faults: raw sockets that misbehave in one way, each on a separate loopback port.
//!
//! | module | what |
//! | --- | --- |
//! | [`kind`] | the kinds of faults, as data |
//! | [`conn`] | one connection: reads requests, counts them, closes with FIN or RST |
//! | [`play`] | the behaviour of each kind |
//!
//! Every fault is bounded: a connection lives at most [`LIFETIME`], and at most [`MAX_CONNECTIONS`] are open.

pub mod conn;
pub mod kind;
pub mod play;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

pub use self::kind::{FaultKind, FlakyFailure, Hostile, ReplyOf, Sequence};
use crate::listen;
use crate::lock::lock;

pub const LIFETIME: Duration = Duration::from_secs(120);
pub const MAX_CONNECTIONS: usize = 2_000;
/// The number of recorded heads and bodies per fault.
const MAX_RECORDED: usize = 20;
/// The recorded bytes of each head and body.
const MAX_BYTES: usize = 64 << 10;

/// The events at a fault.
#[derive(Debug, Default)]
pub struct Log {
    connections: AtomicU64,
    open: AtomicU64,
    requests: AtomicU64,
    sent: AtomicU64,
    recorded: Mutex<RecordedRequests>,
}

#[derive(Clone, Debug, Default)]
struct RecordedRequests {
    heads: Vec<String>,
    bodies: Vec<String>,
}

impl Log {
    /// Counts and records a request head, and returns the number of the request, from 1.
    fn head(&self, head: &[u8]) -> u64 {
        record(&mut lock(&self.recorded).heads, head);
        self.requests.fetch_add(1, Relaxed) + 1
    }

    fn body(&self, body: &[u8]) {
        record(&mut lock(&self.recorded).bodies, body);
    }
}

fn record(list: &mut Vec<String>, bytes: &[u8]) {
    if list.len() < MAX_RECORDED {
        list.push(String::from_utf8_lossy(bytes.get(..MAX_BYTES).unwrap_or(bytes)).into_owned());
    }
}

/// The reply to `GET /_standin/faults/N`.
#[derive(Clone, Debug, Serialize)]
pub struct FaultReport {
    pub port: u16,
    pub kind: FaultKind,
    /// The number of accepted connections.
    pub connections: u64,
    /// The number of open connections.
    pub open: u64,
    /// The number of requests whose head arrived.
    pub requests: u64,
    /// The reply bytes that the sockets accepted. It stays low if the client stops reading.
    pub bytes_sent: u64,
    /// The first 20 heads, unchanged.
    pub heads: Vec<String>,
    /// The first 20 bodies, without chunked framing.
    pub bodies: Vec<String>,
}

/// A handle to a running fault. The stand-in owns the fault, so dropping the handle does not stop it.
#[derive(Clone, Debug)]
pub struct Fault {
    addr: SocketAddr,
    kind: Arc<FaultKind>,
    log: Arc<Log>,
    guard: Arc<FaultGuard>,
}

/// The task or sockets of a fault.
#[derive(Debug)]
enum FaultGuard {
    Task(AbortHandle),
    /// Sockets that no task serves.
    Sockets(Mutex<Vec<Socket>>),
}

impl Fault {
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// `http://127.0.0.1:PORT`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn report(&self) -> FaultReport {
        let RecordedRequests { heads, bodies } = lock(&self.log.recorded).clone();
        FaultReport {
            port: self.port(),
            kind: self.kind.as_ref().clone(),
            connections: self.log.connections.load(Relaxed),
            open: self.log.open.load(Relaxed),
            requests: self.log.requests.load(Relaxed),
            bytes_sent: self.log.sent.load(Relaxed),
            heads,
            bodies,
        }
    }

    /// Closes the sockets, including open connections.
    pub fn close(&self) {
        match self.guard.as_ref() {
            FaultGuard::Task(task) => task.abort(),
            FaultGuard::Sockets(sockets) => lock(sockets).clear(),
        }
    }
}

/// The faults of a stand-in, by port.
#[derive(Debug, Default)]
pub struct Faults(Mutex<BTreeMap<u16, Fault>>);

impl Faults {
    pub fn open(&self, kind: FaultKind, ip: IpAddr, runtime: &Handle) -> io::Result<Fault> {
        let kind = Arc::new(kind);
        let log = Arc::new(Log::default());
        let any_port = SocketAddr::new(ip, 0);
        let (addr, guard) = match kind.as_ref() {
            // The socket is bound but does not listen, so it refuses connections and no other process gets the port.
            FaultKind::Refuse => hold_sockets(listen::bound(any_port)?, Vec::new())?,
            FaultKind::Blackhole => blackhole(any_port)?,
            _ => {
                let listener = listen::listen(any_port)?;
                let addr = listener.local_addr()?;
                let _guard = runtime.enter();
                let task = runtime.spawn(accept(
                    TcpListener::from_std(listener)?,
                    Arc::clone(&kind),
                    Arc::clone(&log),
                ));
                (addr, FaultGuard::Task(task.abort_handle()))
            }
        };
        let fault = Fault {
            addr,
            kind,
            log,
            guard: Arc::new(guard),
        };
        lock(&self.0).insert(fault.port(), fault.clone());
        Ok(fault)
    }

    pub fn report(&self, port: u16) -> Option<FaultReport> {
        lock(&self.0).get(&port).map(Fault::report)
    }

    pub fn list(&self) -> Vec<FaultReport> {
        lock(&self.0).values().map(Fault::report).collect()
    }

    /// Closes the fault on a port. False: there is none.
    pub fn close(&self, port: u16) -> bool {
        let fault = lock(&self.0).remove(&port);
        fault.inspect(Fault::close).is_some()
    }

    pub fn close_all(&self) {
        let faults = std::mem::take(&mut *lock(&self.0));
        faults.values().for_each(Fault::close);
    }
}

fn hold_sockets(socket: Socket, mut others: Vec<Socket>) -> io::Result<(SocketAddr, FaultGuard)> {
    let addr = socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("not an internet socket"))?;
    others.push(socket);
    Ok((addr, FaultGuard::Sockets(Mutex::new(others))))
}

/// Listens with the shortest queue, fills it with connections and never accepts. The kernel then drops further SYNs, so a
/// client's connection attempt times out.
fn blackhole(addr: SocketAddr) -> io::Result<(SocketAddr, FaultGuard)> {
    const WAIT: Duration = Duration::from_millis(50);
    // Linux queues one connection more than requested; other systems up to 50 % more, or a minimum.
    const MAX_FILLERS: usize = 256;
    let socket = listen::bound(addr)?;
    socket.listen(1)?;
    let target = socket.local_addr()?;
    let mut fillers = Vec::new();
    for _ in 0..MAX_FILLERS {
        let filler = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        let connected = filler.connect_timeout(&target, WAIT).is_ok();
        fillers.push(filler);
        if !connected {
            return hold_sockets(socket, fillers);
        }
    }
    Err(io::Error::other("the queue of the listener did not fill"))
}

/// Accepts connections until the task is aborted, which also ends the connections.
async fn accept(listener: TcpListener, kind: Arc<FaultKind>, log: Arc<Log>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = listen::accept(&listener) => stream,
            Some(_) = connections.join_next() => continue,
        };
        let number = log.connections.fetch_add(1, Relaxed) + 1;
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            continue;
        };
        let (kind, log) = (Arc::clone(&kind), Arc::clone(&log));
        connections.spawn(async move {
            let mut conn = conn::Conn::new(stream, log);
            // An error means that the client disconnected. The timeout bounds the connection.
            let _ = tokio::time::timeout(LIFETIME, play::play(&kind, &mut conn, number)).await;
            drop(permit);
        });
    }
}
