//! Accepting TCP connections.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::iter::FusedIterator;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use super::TcpStream;
use super::addr::{ToSocketAddrs, each};
use crate::socket::{BACKLOG, Socket, common_methods};
use crate::sys::socket::{self, Kind};

/// Waits for TCP connections; as [`std::net::TcpListener`].
///
/// Accepting parks the calling green thread or blocks the calling OS thread. Several threads may accept from one
/// listener: each connection goes to one of them.
///
/// ```
/// use std::io::Write;
/// use sward::net::{TcpListener, TcpStream};
///
/// sward::run(|| -> std::io::Result<()> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let addr = listener.local_addr()?;
///     sward::thread::spawn(move || TcpStream::connect(addr).map(drop));
///     let (mut stream, peer) = listener.accept()?;
///     println!("{peer} is here");
///     stream.write_all(b"hello")
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpListener(pub(crate) Socket);

impl TcpListener {
    /// Binds to the first of the addresses that can be bound to; port 0 lets the system choose.
    ///
    /// `SO_REUSEADDR` is set, and up to 1,024 connections wait to be accepted; [`bind_with`](Self::bind_with)
    /// says otherwise.
    ///
    /// # Errors
    /// The last address's, such as [`AddrInUse`](io::ErrorKind::AddrInUse), or the look-up's.
    pub fn bind<A: ToSocketAddrs>(addr: A) -> io::Result<TcpListener> {
        Self::bind_with(addr, BindOptions::new())
    }

    /// Binds as [`bind`](Self::bind) does, with options. Beyond std.
    ///
    /// # Errors
    /// As `bind`.
    ///
    /// ```
    /// use sward::net::{BindOptions, TcpListener};
    ///
    /// let options = BindOptions::new().reuse_port(true).backlog(4096);
    /// let one = TcpListener::bind_with("127.0.0.1:0", options)?;
    /// let two = TcpListener::bind_with(one.local_addr()?, options)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn bind_with<A: ToSocketAddrs>(addr: A, options: BindOptions) -> io::Result<TcpListener> {
        each(addr, |addr| options.bind(addr)).map(TcpListener)
    }

    /// The address that this listens on: the port that the system chose, if it was bound to port 0.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::to_inet(Some(socket::local_addr(self.0.as_fd())?))
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// The system's. A server should go on after most of them: a peer that was gone already
    /// ([`ConnectionAborted`](io::ErrorKind::ConnectionAborted)), or, after a pause, too many open files.
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.0.accept()?;
        Ok((TcpStream(stream), socket::to_inet(peer)?))
    }

    /// The connections, one after the other, without end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    /// How many routers a packet of accepted connections may pass.
    ///
    /// # Errors
    /// The system's.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        socket::set_ttl(self.0.as_fd(), ttl)
    }

    /// What [`set_ttl`](Self::set_ttl) set.
    ///
    /// # Errors
    /// The system's.
    pub fn ttl(&self) -> io::Result<u32> {
        socket::ttl(self.0.as_fd())
    }

    common_methods!("listener");
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("TcpListener");
        if let Ok(addr) = self.local_addr() {
            out.field("addr", &addr);
        }
        out.field("fd", &self.0.as_fd().as_raw_fd()).finish()
    }
}

/// The connections of a [`TcpListener`], without end; from [`TcpListener::incoming`].
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is used"]
pub struct Incoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<io::Result<TcpStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

impl FusedIterator for Incoming<'_> {}

/// How [`TcpListener::bind_with`] binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindOptions {
    reuse_addr: bool,
    reuse_port: bool,
    only_v6: Option<bool>,
    backlog: u32,
}

impl BindOptions {
    /// What [`TcpListener::bind`] does.
    pub fn new() -> Self {
        BindOptions { reuse_addr: true, reuse_port: false, only_v6: None, backlog: BACKLOG }
    }

    /// `SO_REUSEADDR`: the port may be bound again while connections of a predecessor linger. Default: `true`.
    #[must_use]
    pub fn reuse_addr(mut self, on: bool) -> Self {
        self.reuse_addr = on;
        self
    }

    /// `SO_REUSEPORT`: several listeners of one user share the port, and the kernel spreads the connections over
    /// them. Each of them has to say so. Default: `false`.
    #[must_use]
    pub fn reuse_port(mut self, on: bool) -> Self {
        self.reuse_port = on;
        self
    }

    /// `IPV6_V6ONLY`: whether `[::]` leaves IPv4 to others. Without effect on IPv4 addresses. Default: the system's.
    #[must_use]
    pub fn only_v6(mut self, on: bool) -> Self {
        self.only_v6 = Some(on);
        self
    }

    /// How many connections wait to be accepted before more are turned away; the system has a limit of its own
    /// (`net.core.somaxconn`). Default: 1,024.
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    fn bind(&self, addr: &SocketAddr) -> io::Result<Socket> {
        let fd = socket::inet(addr, Kind::Stream)?;
        if self.reuse_addr {
            socket::set_reuse_addr(fd.as_fd())?;
        }
        if self.reuse_port {
            socket::set_reuse_port(fd.as_fd())?;
        }
        if let (Some(on), SocketAddr::V6(_)) = (self.only_v6, addr) {
            socket::set_only_v6(fd.as_fd(), on)?;
        }
        socket::bind(fd.as_fd(), &(*addr).into())?;
        socket::listen(fd.as_fd(), self.backlog)?;
        Ok(Socket::new(fd))
    }
}

impl Default for BindOptions {
    fn default() -> Self {
        Self::new()
    }
}
