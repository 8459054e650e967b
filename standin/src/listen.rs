//! Sockets on loopback addresses.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// Holds a burst of thousands of connections. With a shorter queue the kernel drops SYNs, and clients retry after a second.
const BACKLOG: i32 = 4096;

/// Listens on a loopback address. Rejects other addresses, so that no test is reachable from outside.
pub fn listen(addr: SocketAddr) -> io::Result<StdListener> {
    let socket = bound(addr)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A socket that is bound to a loopback address but does not listen. It refuses connections.
pub fn bound(addr: SocketAddr) -> io::Result<Socket> {
    if !addr.ip().is_loopback() {
        let sentence = format!("{addr} is not a loopback address");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
    }
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.port() != 0 {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Accepts the next connection. Without free file descriptors it waits instead of spinning.
pub async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Otherwise Nagle's algorithm delays small replies. An error only makes them slower.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
