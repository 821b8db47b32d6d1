//! Stream sockets of both kinds, as one.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::{SockRef, TcpKeepalive};

/// Silence after which a TCP peer is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A connected socket that never blocks.
#[derive(Debug)]
pub enum Socket {
    /// Over the network.
    Tcp(TcpStream),
    /// A Unix domain socket.
    Unix(UnixStream),
}

impl Socket {
    /// Read what there is.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(into),
            Self::Unix(stream) => stream.read(into),
        }
    }

    /// Write what fits. A peer that is gone is an error, never a signal.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    /// Tell the peer that nothing more will be written.
    pub fn finish_writing(&self) {
        // It fails when the peer is gone, which the next read says too.
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Be told of events.
    pub fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.register(stream, token, interest),
            Self::Unix(stream) => registry.register(stream, token, interest),
        }
    }

    /// Be told of other events. What is ready already is told again.
    pub fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry.reregister(stream, token, interest),
            Self::Unix(stream) => registry.reregister(stream, token, interest),
        }
    }
}

/// A listening socket that never blocks.
#[derive(Debug)]
pub enum Listener {
    /// Over the network.
    Tcp(TcpListener),
    /// A Unix domain socket.
    Unix(UnixListener),
}

impl Listener {
    /// Take over a socket that listens already.
    pub fn new(listening: OwnedFd) -> io::Result<Self> {
        // The standard library tells the kinds apart by the address, which a Unix socket has another form of.
        let unix = StdUnixListener::from(listening);
        if unix.local_addr().is_ok() {
            unix.set_nonblocking(true)?;
            return Ok(Self::Unix(UnixListener::from_std(unix)));
        }
        let tcp = std::net::TcpListener::from(OwnedFd::from(unix));
        tcp.set_nonblocking(true)?;
        Ok(Self::Tcp(TcpListener::from_std(tcp)))
    }

    /// Take the next connection.
    pub fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                // Replies are written whole; one that waited for the peer's acknowledgement would come late.
                stream.set_nodelay(true)?;
                // A peer that vanished without a word would keep its place among the connections for ever.
                SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
                Ok(Socket::Tcp(stream))
            }
            Self::Unix(listener) => listener.accept().map(|(stream, _)| Socket::Unix(stream)),
        }
    }

    /// Be told of new connections.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => registry.register(listener, token, Interest::READABLE),
            Self::Unix(listener) => registry.register(listener, token, Interest::READABLE),
        }
    }
}
