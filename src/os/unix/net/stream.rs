//! A connection over a Unix socket.
#![forbid(unsafe_code)]

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::hub;
use crate::io as calls;
use crate::socket::{Socket, common_methods, stream_traits, timeout_methods};
use crate::sys::SocketAddrAny;
use crate::sys::socket::{self, Kind};

/// A connection over a Unix socket; as [`std::os::unix::net::UnixStream`].
pub struct UnixStream(pub(crate) Socket);

impl UnixStream {
    /// Connects to the socket file `path`.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) without such a file, [`ConnectionRefused`](ErrorKind::ConnectionRefused) if
    /// nobody listens there any more, [`InvalidInput`](ErrorKind::InvalidInput) for a path of more than 107 bytes or
    /// with a NUL in it, and the system's.
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<UnixStream> {
        Self::connect_addr(&SocketAddr::from_pathname(path)?)
    }

    /// As [`connect`](Self::connect), for an address, which may be an abstract one.
    ///
    /// # Errors
    /// As `connect`.
    pub fn connect_addr(socket_addr: &SocketAddr) -> io::Result<UnixStream> {
        let stream = Socket::new(socket::unix(Kind::Stream)?);
        connect_patiently(&stream, &socket::from_unix(socket_addr)?)?;
        Ok(UnixStream(stream))
    }

    /// Two streams, connected to each other.
    ///
    /// # Errors
    /// The system's, such as too many open files.
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, two) = socket::unix_pair(Kind::Stream)?;
        Ok((UnixStream(Socket::new(one)), UnixStream(Socket::new(two))))
    }

    /// The address of this end; of the end that connected it is unnamed.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        socket::to_unix(Some(socket::local_addr(self.0.as_fd())?))
    }

    /// The address of the other end.
    ///
    /// # Errors
    /// The system's, such as [`NotConnected`](ErrorKind::NotConnected).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        socket::to_unix(socket::peer_addr(self.0.as_fd())?)
    }

    /// Shuts down reading, writing or both, for every handle to the connection; who waits in it returns.
    ///
    /// # Errors
    /// The system's.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    common_methods!("connection");
    timeout_methods!();
}

/// Connects, and tries again while the listener's queue is full: a call that does not block is told EAGAIN then,
/// and no event says when there is room again.
fn connect_patiently(stream: &Socket, to: &SocketAddrAny) -> io::Result<()> {
    let mut pause = Duration::from_millis(1);
    loop {
        match calls::connect(stream.descriptor(), to, None) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let until = Instant::now() + pause;
                match hub::park(Some(until)) {
                    // Woken, or the pause is over: the next try will tell.
                    Ok(()) | Err(hub::Interrupt::TimedOut) => {}
                    Err(why) => return Err(why.into_io()),
                }
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            other => return other,
        }
    }
}

stream_traits!(UnixStream);

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("UnixStream");
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
