//! A connection's socket with the server's time-outs: the only file of the connection code that does I/O.
//!
//! On a green thread a deadline goes with each operation. On an OS thread the same time-outs are set on the
//! socket once, because a deadline there costs a `poll` before each call.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::buffer;
use super::config::Config;
use super::connection::Context;
use super::state::{Reachable, Waits};
use crate::hub;
use crate::io::{self as sys_io, Descriptor};
use crate::sys::{self, RecvFlags, SendFlags};

/// A connected socket in use by one connection.
pub(crate) struct Link<'c> {
    /// The socket.
    socket: &'c Descriptor,
    /// The server's limits.
    pub(crate) config: &'c Config,
    /// Set when the server cuts what still runs after its graceful stop.
    cut: &'c AtomicBool,
    /// On an OS thread: where it says whether it is idle.
    os: Option<&'c Reachable>,
}

impl<'c> Link<'c> {
    /// Of a connection that runs on a green thread, or on an OS thread (`os`) and was prepared with
    /// [`Link::prepare_os`].
    pub(crate) fn new(
        socket: &'c Descriptor,
        context: &'c Context,
        os: Option<&'c Reachable>,
    ) -> Link<'c> {
        Link { socket, config: &context.config, cut: &context.state.cut, os }
    }

    /// Sets the time-outs that an OS thread's plain blocking calls keep to.
    pub(crate) fn prepare_os(socket: &Descriptor, config: &Config) -> io::Result<()> {
        socket.set_read_timeout(Some(config.keep_alive_timeout.max(Duration::from_millis(1))))?;
        socket.set_write_timeout(Some(config.write_timeout.max(Duration::from_millis(1))))
    }

    /// Reads; waits no longer than until `deadline`, or without one (OS threads only) the keep-alive
    /// time. 0 means that the client sends no more.
    #[inline]
    pub(crate) fn recv(&self, buf: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        self.check()?;
        sys_io::recv(self.socket, buf, RecvFlags::empty(), deadline).map_err(timed_out)
    }

    /// The read that a turn begins with. An OS thread waits here between two requests. A green thread
    /// was started because there is something to read: if not (`None`), it need not wait, it can end.
    #[inline]
    pub(crate) fn recv_first(
        &self,
        buf: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<Option<usize>> {
        let Some(os) = self.os else {
            self.check()?;
            return match sys::message::recv(self.socket.as_fd(), buf, RecvFlags::DONTWAIT) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                received => received.map(Some),
            };
        };
        let received = self.recv(buf, deadline);
        os.set(Waits::No);
        received.map(Some)
    }

    /// Reads into a buffer that is taken when there is something to read: who waits holds none. Give it back.
    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn recv_lent(&self, deadline: Option<Instant>) -> io::Result<(Vec<u8>, usize)> {
        self.check()?;
        sys_io::recv_by(self.socket, deadline, receive_lent).map_err(timed_out)
    }

    /// The same without waiting: `WouldBlock` if there is nothing.
    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn try_recv_lent(&self) -> io::Result<(Vec<u8>, usize)> {
        self.check()?;
        if let Some((hub, _)) = hub::here_green() {
            hub.spend(); // a client that always has sent something must not keep the worker
        }
        receive_lent(self.socket.as_fd(), RecvFlags::DONTWAIT)
    }

    /// Sends all of it. The write time-out counts from `now` for the first call to the system, and
    /// anew for each further one.
    pub(crate) fn send(&self, mut bytes: &[u8], now: Option<Instant>) -> io::Result<()> {
        let mut now = now;
        while !bytes.is_empty() {
            self.check()?;
            let deadline = self.write_deadline(now.take());
            let n = sys_io::send(self.socket, bytes, SendFlags::empty(), deadline);
            bytes = &bytes[n.map_err(timed_out)?..];
        }
        Ok(())
    }

    /// Sends all of it, and says to the kernel that a file follows, which may share its last packet.
    pub(crate) fn send_more(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.check()?;
            let deadline = self.write_deadline(None);
            let n = sys_io::send(self.socket, bytes, SendFlags::MORE, deadline);
            bytes = &bytes[n.map_err(timed_out)?..];
        }
        Ok(())
    }

    /// Sends up to `count` bytes of a file; 0 if it ends before them.
    pub(crate) fn send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> io::Result<usize> {
        self.check()?;
        let deadline = self.write_deadline(None);
        sys_io::send_file(self.socket, file, offset, count, deadline).map_err(timed_out)
    }

    /// Sends `first`, then `second`, in one call to the system if the socket takes it.
    pub(crate) fn send_both(&self, first: &[u8], second: &[u8]) -> io::Result<()> {
        self.check()?;
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        let deadline = self.write_deadline(None);
        let n = sys_io::send_vectored(self.socket, &slices, deadline).map_err(timed_out)?;
        match n.checked_sub(first.len()) {
            Some(of_second) => self.send(&second[of_second..], None),
            None => {
                self.send(&first[n..], None)?;
                self.send(second, None)
            }
        }
    }

    /// A deadline for a read that may take `timeout` from now.
    pub(crate) fn after(timeout: Duration) -> Option<Instant> {
        Instant::now().checked_add(timeout)
    }

    fn write_deadline(&self, now: Option<Instant>) -> Option<Instant> {
        // Those set on the socket do not bind a green thread that an OS thread shares its WebSocket with.
        if self.os.is_some() && !hub::is_green() {
            return None;
        }
        now.unwrap_or_else(Instant::now).checked_add(self.config.write_timeout)
    }

    #[inline]
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Relaxed) {
            return Err(io::Error::new(ErrorKind::ConnectionAborted, "the server has stopped"));
        }
        Ok(())
    }

    /// The client hears that nothing follows; then what it still sends is read and dropped for a
    /// moment, since closing with bytes unread would make the kernel reset the connection, and the
    /// client might lose the answer.
    pub(crate) fn linger(&self) {
        const BYTES: usize = 256 << 10;
        const TIME: Duration = Duration::from_secs(2);

        if sys::socket::shutdown(self.socket.as_fd(), Shutdown::Write).is_err() {
            return;
        }
        let deadline = Link::after(TIME);
        let mut buf = buffer::input();
        let mut left = BYTES;
        while let Ok(n @ 1..) = self.recv(&mut buf, deadline) {
            left = left.saturating_sub(n);
            if left == 0 {
                break;
            }
        }
        buffer::give_input(buf);
    }

    /// Makes the coming close a reset, so that the client cannot take what it has for the whole.
    pub(crate) fn abort(&self) {
        // OK to ignore: then the socket is gone already.
        let _ = sys::socket::set_reset_on_close(self.socket.as_fd());
    }
}

#[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
fn receive_lent(fd: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<(Vec<u8>, usize)> {
    let mut buf = buffer::input();
    match sys::message::recv(fd, &mut buf, flags) {
        Ok(n) => Ok((buf, n)),
        Err(error) => {
            buffer::give_input(buf);
            Err(error)
        }
    }
}

/// A time-out set on the socket reports EAGAIN; a deadline, `TimedOut`. From here on it is one.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}
