//! A TCP connection.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use super::addr::{ToSocketAddrs, each};
use crate::io as calls;
use crate::socket::{Socket, common_methods, stream_traits, timeout_methods};
use crate::sys::socket::{self, Kind};

/// A TCP connection; as [`std::net::TcpStream`].
///
/// [`Read`](io::Read) and [`Write`](io::Write) are implemented for it and for references to it, so one thread may
/// read while another writes. Two readers at once each get some of the bytes.
///
/// ```no_run
/// use std::io::{Read, Write};
/// use sward::net::TcpStream;
///
/// sward::run(|| -> std::io::Result<()> {
///     let mut stream = TcpStream::connect("example.org:80")?;
///     stream.write_all(b"GET / HTTP/1.0\r\nHost: example.org\r\n\r\n")?;
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer)?;
///     println!("{answer}");
///     Ok(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct TcpStream(pub(crate) Socket);

impl TcpStream {
    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    /// The last address's, such as [`ConnectionRefused`](ErrorKind::ConnectionRefused), or the look-up's.
    pub fn connect<A: ToSocketAddrs>(addr: A) -> io::Result<TcpStream> {
        each(addr, |addr| Self::connect_one(addr, None))
    }

    /// Connects to `addr` within `timeout`.
    ///
    /// # Errors
    /// [`TimedOut`](ErrorKind::TimedOut), [`InvalidInput`](ErrorKind::InvalidInput) for a `timeout` of zero, and as
    /// [`connect`](Self::connect).
    pub fn connect_timeout(addr: &SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        if timeout.is_zero() {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "cannot connect within a time of zero",
            ));
        }
        Self::connect_one(addr, Instant::now().checked_add(timeout))
    }

    fn connect_one(addr: &SocketAddr, deadline: Option<Instant>) -> io::Result<TcpStream> {
        let stream = Socket::new(socket::inet(addr, Kind::Stream)?);
        calls::connect(stream.descriptor(), &(*addr).into(), deadline)?;
        Ok(TcpStream(stream))
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// The system's, such as [`NotConnected`](ErrorKind::NotConnected).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        socket::to_inet(socket::peer_addr(self.0.as_fd())?)
    }

    /// The address of this end.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::to_inet(Some(socket::local_addr(self.0.as_fd())?))
    }

    /// Shuts down reading, writing or both, for every handle to the connection; who waits in it returns.
    ///
    /// # Errors
    /// The system's, such as [`NotConnected`](ErrorKind::NotConnected).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    /// Reads without taking: the next read gives the same bytes again.
    ///
    /// # Errors
    /// As a read.
    pub fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buf)
    }

    /// With `true`, small writes are sent at once instead of being gathered (Nagle's algorithm). Default: `false`.
    ///
    /// # Errors
    /// The system's.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        socket::set_nodelay(self.0.as_fd(), nodelay)
    }

    /// What [`set_nodelay`](Self::set_nodelay) set.
    ///
    /// # Errors
    /// The system's.
    pub fn nodelay(&self) -> io::Result<bool> {
        socket::nodelay(self.0.as_fd())
    }

    /// How many routers a packet may pass.
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

    common_methods!("connection");
    timeout_methods!();
}

stream_traits!(TcpStream);

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("TcpStream");
        if let Ok(addr) = self.local_addr() {
            out.field("addr", &addr);
        }
        if let Ok(peer) = self.peer_addr() {
            out.field("peer", &peer);
        }
        out.field("fd", &self.0.as_fd().as_raw_fd()).finish()
    }
}
