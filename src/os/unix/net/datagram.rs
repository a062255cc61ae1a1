//! Datagrams over Unix sockets.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;

use crate::socket::{Socket, common_methods, timeout_methods};
use crate::sys::socket::{self, Kind};

/// A Unix socket for datagrams; as [`std::os::unix::net::UnixDatagram`].
///
/// Unlike with UDP nothing is lost: a sender waits while the receiver's queue is full.
///
/// ```
/// use sward::os::unix::net::UnixDatagram;
///
/// let (one, two) = UnixDatagram::pair()?;
/// one.send(b"hello")?;
/// let mut buf = [0; 16];
/// assert_eq!(two.recv(&mut buf)?, 5);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct UnixDatagram(pub(crate) Socket);

impl UnixDatagram {
    /// Makes the socket file `path` and receives what is sent to it.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the file exists, [`InvalidInput`](io::ErrorKind::InvalidInput) for a
    /// path of more than 107 bytes or with a NUL in it, and the system's.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixDatagram> {
        Self::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`bind`](Self::bind), for an address, which may be an abstract one.
    ///
    /// # Errors
    /// As `bind`.
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixDatagram> {
        let datagram = Self::unbound()?;
        socket::bind(datagram.0.as_fd(), &socket::from_unix(socket_addr)?)?;
        Ok(datagram)
    }

    /// A socket without an address: it can send, and receive once it is connected.
    ///
    /// # Errors
    /// The system's, such as too many open files.
    pub fn unbound() -> io::Result<UnixDatagram> {
        Ok(UnixDatagram(Socket::new(socket::unix(Kind::Datagram)?)))
    }

    /// Two sockets, connected to each other.
    ///
    /// # Errors
    /// The system's, such as too many open files.
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, two) = socket::unix_pair(Kind::Datagram)?;
        Ok((UnixDatagram(Socket::new(one)), UnixDatagram(Socket::new(two))))
    }

    /// Makes `path` the only peer: [`send`](Self::send) goes there, and only what comes from there is received.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    pub fn connect<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        self.connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`connect`](Self::connect), for an address, which may be an abstract one.
    ///
    /// # Errors
    /// As `connect`.
    pub fn connect_addr(&self, socket_addr: &SocketAddr) -> io::Result<()> {
        self.0.connect_datagram(&socket::from_unix(socket_addr)?)
    }

    /// The address of this socket.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::to_unix(Some(socket::local_addr(self.0.as_fd())?))
    }

    /// The peer of [`connect`](Self::connect).
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) without one.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        socket::to_unix(socket::peer_addr(self.0.as_fd())?)
    }

    /// The next datagram and where it came from. What does not fit into `buf` is lost.
    ///
    /// # Errors
    /// The system's.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (n, from) = self.0.recv_from(buf, false)?;
        Ok((n, socket::to_unix(from)?))
    }

    /// The next datagram. What does not fit into `buf` is lost.
    ///
    /// # Errors
    /// The system's.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }

    /// Sends one datagram to the socket file `path`.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound) without such a file,
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nobody receives there any more, and the system's.
    pub fn send_to<P: AsRef<Path>>(&self, buf: &[u8], path: P) -> io::Result<usize> {
        self.send_to_addr(buf, &SocketAddr::from_pathname(path)?)
    }

    /// As [`send_to`](Self::send_to), for an address, which may be an abstract one.
    ///
    /// # Errors
    /// As `send_to`.
    pub fn send_to_addr(&self, buf: &[u8], socket_addr: &SocketAddr) -> io::Result<usize> {
        self.0.send_to(buf, &socket::from_unix(socket_addr)?)
    }

    /// Sends one datagram to the peer of [`connect`](Self::connect).
    ///
    /// # Errors
    /// The system's, such as [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    /// Shuts down receiving, sending or both.
    ///
    /// # Errors
    /// The system's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    common_methods!("socket");
    timeout_methods!();
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("UnixDatagram");
        out.field("fd", &self.0.as_fd().as_raw_fd());
        if let Ok(addr) = self.local_addr() {
            out.field("local", &addr);
        }
        if let Ok(addr) = self.peer_addr() {
            out.field("peer", &addr);
        }
        out.finish()
    }
}
