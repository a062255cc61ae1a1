//! Accepting connections on a Unix socket.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;

use super::UnixStream;
use crate::socket::{BACKLOG, Socket, common_methods};
use crate::sys::socket::{self, Kind};

/// Waits for connections on a Unix socket; as [`std::os::unix::net::UnixListener`].
///
/// Binding makes a file, which stays when the listener goes, as with std.
pub struct UnixListener(pub(crate) Socket);

impl UnixListener {
    /// Makes the socket file `path` and listens on it.
    ///
    /// # Errors
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the file exists, [`InvalidInput`](io::ErrorKind::InvalidInput) for a
    /// path of more than 107 bytes or with a NUL in it, and the system's.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<UnixListener> {
        Self::bind_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`bind`](Self::bind), for an address, which may be an abstract one.
    ///
    /// # Errors
    /// As `bind`.
    pub fn bind_addr(socket_addr: &SocketAddr) -> io::Result<UnixListener> {
        let fd = socket::unix(Kind::Stream)?;
        socket::bind(fd.as_fd(), &socket::from_unix(socket_addr)?)?;
        socket::listen(fd.as_fd(), BACKLOG)?;
        Ok(UnixListener(Socket::new(fd)))
    }

    /// Waits for the next connection. The peer's address is most often unnamed.
    ///
    /// # Errors
    /// The system's.
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, peer) = self.0.accept()?;
        Ok((UnixStream(stream), socket::to_unix(peer)?))
    }

    /// The address that this listens on.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::to_unix(Some(socket::local_addr(self.0.as_fd())?))
    }

    /// The connections, one after the other, without end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self }
    }

    common_methods!("listener");
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("UnixListener");
        out.field("fd", &self.0.as_fd().as_raw_fd());
        if let Ok(addr) = self.local_addr() {
            out.field("local", &addr);
        }
        out.finish()
    }
}

impl<'a> IntoIterator for &'a UnixListener {
    type Item = io::Result<UnixStream>;
    type IntoIter = Incoming<'a>;

    fn into_iter(self) -> Incoming<'a> {
        self.incoming()
    }
}

/// The connections of a [`UnixListener`], without end; from [`UnixListener::incoming`].
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is used"]
pub struct Incoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for Incoming<'_> {
    type Item = io::Result<UnixStream>;

    fn next(&mut self) -> Option<io::Result<UnixStream>> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}
