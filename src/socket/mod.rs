//! What TCP, UDP and Unix sockets have in common: one newtype over [`Descriptor`], and the methods and traits of std
//! that each public socket type has in the same way.
//!
//! It turns the deadlines of `io` into what std reports: a socket whose own time-out ran out answers `WouldBlock`,
//! as std's do on Unix; a `timeout` scope around the call that ran out answers `TimedOut`.
//!
//! Not here: addresses, and making sockets (`net`, `os`). The traits are in [`traits`].

mod traits;

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::hub::{self, park};
use crate::io::{self as calls, Descriptor};
use crate::sys::{RecvFlags, SendFlags, SocketAddrAny, message, socket};

pub(crate) use traits::{common_methods, descriptor_traits, stream_traits, timeout_methods};

/// How many connections wait to be accepted before the kernel refuses more.
pub(crate) const BACKLOG: u32 = 1024;

/// A socket of any kind.
#[derive(Debug)]
pub(crate) struct Socket(Descriptor);

impl Socket {
    /// Takes over a socket that this crate opened: blocking, without time-outs.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Socket(Descriptor::new(fd))
    }

    /// Takes over a socket from elsewhere, with the mode and the time-outs that it has.
    pub(crate) fn adopt(fd: OwnedFd) -> Self {
        let descriptor = Descriptor::from(fd);
        // OK to ignore errors: what is no socket has no time-outs, and says so at its first use.
        if let Ok(Some(timeout)) = message::timeout(descriptor.as_fd(), false) {
            let _ = descriptor.set_read_timeout(Some(timeout));
        }
        if let Ok(Some(timeout)) = message::timeout(descriptor.as_fd(), true) {
            let _ = descriptor.set_write_timeout(Some(timeout));
        }
        Socket(descriptor)
    }

    pub(crate) fn into_descriptor(self) -> Descriptor {
        self.0
    }

    pub(crate) fn descriptor(&self) -> &Descriptor {
        &self.0
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Socket)
    }

    pub(crate) fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv(buf, RecvFlags::empty())
    }

    pub(crate) fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.recv(buf, RecvFlags::PEEK)
    }

    #[inline]
    fn recv(&self, buf: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        calls::recv(&self.0, buf, flags, self.read_deadline()).map_err(|error| self.own(error))
    }

    #[inline]
    pub(crate) fn write(&self, buf: &[u8]) -> io::Result<usize> {
        calls::send(&self.0, buf, SendFlags::empty(), self.write_deadline())
            .map_err(|error| self.own(error))
    }

    pub(crate) fn read_vectored(&self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        calls::recv_vectored(&self.0, bufs, self.read_deadline()).map_err(|error| self.own(error))
    }

    pub(crate) fn write_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        calls::send_vectored(&self.0, bufs, self.write_deadline()).map_err(|error| self.own(error))
    }

    pub(crate) fn recv_from(
        &self,
        buf: &mut [u8],
        peek: bool,
    ) -> io::Result<(usize, Option<SocketAddrAny>)> {
        let flags = if peek { RecvFlags::PEEK } else { RecvFlags::empty() };
        calls::recv_from(&self.0, buf, flags, self.read_deadline()).map_err(|error| self.own(error))
    }

    pub(crate) fn send_to(&self, buf: &[u8], to: &SocketAddrAny) -> io::Result<usize> {
        calls::send_to(&self.0, buf, to, self.write_deadline()).map_err(|error| self.own(error))
    }

    pub(crate) fn accept(&self) -> io::Result<(Self, Option<SocketAddrAny>)> {
        let (descriptor, peer) = calls::accept(&self.0, None)?;
        Ok((Socket(descriptor), peer))
    }

    /// For sockets without connections: only notes the peer, so nothing can wait.
    pub(crate) fn connect_datagram(&self, to: &SocketAddrAny) -> io::Result<()> {
        message::connect(self.as_fd(), to)
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        socket::shutdown(self.as_fd(), how)
    }

    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        message::take_error(self.as_fd())
    }

    pub(crate) fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        self.0.set_nonblocking(on)
    }

    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(timeout)
    }

    pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_write_timeout(timeout)
    }

    pub(crate) fn read_timeout(&self) -> Option<Duration> {
        self.0.read_timeout()
    }

    pub(crate) fn write_timeout(&self) -> Option<Duration> {
        self.0.write_timeout()
    }

    pub(crate) fn close(&self) {
        self.0.close();
    }

    #[inline]
    fn read_deadline(&self) -> Option<Instant> {
        self.0.read_deadline().filter(|_| deadlines_are_ours())
    }

    #[inline]
    fn write_deadline(&self) -> Option<Instant> {
        self.0.write_deadline().filter(|_| deadlines_are_ours())
    }

    /// The socket's own time-out is EAGAIN to std, and so it is to us; a scope's stays `TimedOut`.
    fn own(&self, error: io::Error) -> io::Error {
        // An error number is the kernel's own: TCP gave up.
        let deadline = error.kind() == ErrorKind::TimedOut && error.raw_os_error().is_none();
        if deadline && park::interrupted().is_none() {
            return io::Error::from(ErrorKind::WouldBlock);
        }
        error
    }
}

/// Otherwise the kernel keeps the time-out, in the plain blocking call of an OS thread.
fn deadlines_are_ours() -> bool {
    hub::is_green() || park::os_thread_in_scope()
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.0.into()
    }
}
