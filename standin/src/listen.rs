//! Sockets on loopback addresses.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// A burst of thousands of connections waits here instead of being dropped and tried again a second later.
const BACKLOG: i32 = 4096;

/// Listens on a loopback address; others are refused, for no test may be reachable from outside.
pub fn listen(addr: SocketAddr) -> io::Result<StdListener> {
    let socket = bound(addr)?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Bound to a loopback address, not yet listening: connecting to it is refused.
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

/// The next connection. Out of descriptors, it waits for some to be closed rather than spin.
pub async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Small answers would wait for the client's delayed acknowledgement; without it they are only slower.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}
