//! Faults: raw sockets that misbehave in one way each, on a loopback port of their own.
//!
//! | module | what |
//! | --- | --- |
//! | [`kind`] | the ways, as data |
//! | [`conn`] | one connection: reading requests, counting, ending by FIN or RST |
//! | [`play`] | what each way does with a connection |
//!
//! Every fault is bounded: a connection lives [`LIFETIME`] at most, and [`MAX_CONNECTIONS`] are held at once.

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

pub use self::kind::{FaultKind, Flaw, Hostile, Played, Sequence};
use crate::listen;
use crate::lock::lock;

pub const LIFETIME: Duration = Duration::from_secs(120);
pub const MAX_CONNECTIONS: usize = 2_000;
/// Heads and bodies kept of each fault, and bytes of each.
const MAX_KEPT: usize = 20;
const MAX_BYTES: usize = 64 << 10;

/// What happened at a fault.
#[derive(Debug, Default)]
pub struct Log {
    connections: AtomicU64,
    open: AtomicU64,
    requests: AtomicU64,
    sent: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Clone, Debug, Default)]
struct Kept {
    heads: Vec<String>,
    bodies: Vec<String>,
}

impl Log {
    /// Counts a request whose head arrived; gives its number, from 1.
    fn head(&self, head: &[u8]) -> u64 {
        keep(&mut lock(&self.kept).heads, head);
        self.requests.fetch_add(1, Relaxed) + 1
    }

    fn body(&self, body: &[u8]) {
        keep(&mut lock(&self.kept).bodies, body);
    }
}

fn keep(list: &mut Vec<String>, bytes: &[u8]) {
    if list.len() < MAX_KEPT {
        list.push(String::from_utf8_lossy(bytes.get(..MAX_BYTES).unwrap_or(bytes)).into_owned());
    }
}

/// What `GET /_standin/faults/N` tells.
#[derive(Clone, Debug, Serialize)]
pub struct FaultReport {
    pub port: u16,
    pub kind: FaultKind,
    /// Connections accepted so far.
    pub connections: u64,
    /// Of those, the ones still open.
    pub open: u64,
    /// Requests whose head arrived.
    pub requests: u64,
    /// Bytes of replies that the sockets took: what a client that stops reading keeps low.
    pub bytes_sent: u64,
    /// The first 20 heads, as they came.
    pub heads: Vec<String>,
    /// The first 20 bodies that were read, de-chunked.
    pub bodies: Vec<String>,
}

/// A running fault. Dropping the handle leaves it running: the stand-in owns it.
#[derive(Clone, Debug)]
pub struct Fault {
    addr: SocketAddr,
    kind: Arc<FaultKind>,
    log: Arc<Log>,
    end: Arc<End>,
}

/// What holds a fault open.
#[derive(Debug)]
enum End {
    Task(AbortHandle),
    /// Sockets whose mere existence is the fault.
    Sockets(Mutex<Vec<Socket>>),
}

impl Fault {
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// `http://127.0.0.1:PORT`, no slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn report(&self) -> FaultReport {
        let Kept { heads, bodies } = lock(&self.log.kept).clone();
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

    /// Closes its sockets, open connections included.
    pub fn close(&self) {
        match self.end.as_ref() {
            End::Task(task) => task.abort(),
            End::Sockets(sockets) => lock(sockets).clear(),
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
        let (addr, end) = match kind.as_ref() {
            // Bound but never listening: refuses, and nobody else can get the port meanwhile.
            FaultKind::Refuse => held(listen::bound(any_port)?, Vec::new())?,
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
                (addr, End::Task(task.abort_handle()))
            }
        };
        let fault = Fault {
            addr,
            kind,
            log,
            end: Arc::new(end),
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

    /// Whether there was one on that port.
    pub fn close(&self, port: u16) -> bool {
        let fault = lock(&self.0).remove(&port);
        fault.inspect(Fault::close).is_some()
    }

    pub fn close_all(&self) {
        let faults = std::mem::take(&mut *lock(&self.0));
        faults.values().for_each(Fault::close);
    }
}

fn held(socket: Socket, mut others: Vec<Socket>) -> io::Result<(SocketAddr, End)> {
    let addr = socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("not an internet socket"))?;
    others.push(socket);
    Ok((addr, End::Sockets(Mutex::new(others))))
}

/// Listens with the shortest queue, fills it with connections of its own and never accepts: the kernel then drops further
/// SYNs, so a client's connect waits for an answer that never comes.
fn blackhole(addr: SocketAddr) -> io::Result<(SocketAddr, End)> {
    const WAIT: Duration = Duration::from_millis(50);
    // Linux takes one more than asked for; others up to half as many again, or a minimum of their own.
    const MOST: usize = 256;
    let socket = listen::bound(addr)?;
    socket.listen(1)?;
    let target = socket.local_addr()?;
    let mut fillers = Vec::new();
    for _ in 0..MOST {
        let filler = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        let connected = filler.connect_timeout(&target, WAIT).is_ok();
        fillers.push(filler);
        if !connected {
            return held(socket, fillers);
        }
    }
    Err(io::Error::other("the queue of the listener did not fill"))
}

/// Accepts until aborted; its connections end with it.
async fn accept(listener: TcpListener, kind: Arc<FaultKind>, log: Arc<Log>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = listen::accept(&listener) => stream,
            Some(_) = connections.join_next() => continue,
        };
        let number = log.connections.fetch_add(1, Relaxed) + 1;
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            continue;
        };
        let (kind, log) = (Arc::clone(&kind), Arc::clone(&log));
        connections.spawn(async move {
            let mut conn = conn::Conn::new(stream, log);
            // Errors are the client's leaving, and a timeout is the bound: neither is anyone's concern.
            let _ = tokio::time::timeout(LIFETIME, play::play(&kind, &mut conn, number)).await;
            drop(permit);
        });
    }
}
