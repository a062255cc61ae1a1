//! A connection's socket with the server's time-outs: the only file of the connection code that does I/O.
//!
//! On a green thread a deadline goes with each operation. On an OS thread the same time-outs are set on the
//! socket once, because a deadline there costs a `poll` before each call.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::buffer;
use super::config::Config;
use super::error::ClientGone;
use super::pace::Pace;
use super::state::{Reachable, Waits};
use super::tls::Session;
use super::turn::Context;
use crate::hub;
use crate::io::{self as sys_io, Descriptor};
use crate::sys::{self, RecvFlags, SendFlags};
use crate::watch::while_connected;

/// A connected socket in use by one connection.
pub(crate) struct Link<'c> {
    /// The socket.
    socket: &'c Descriptor,
    /// The server's limits.
    pub(crate) config: &'c Config,
    /// Set when the server cuts what still runs after its graceful stop.
    cut: &'c AtomicBool,
    /// Whose thread it is.
    holder: Holder<'c>,
    /// What goes over the socket is encrypted by this.
    pub(crate) tls: Option<&'c Session>,
    /// Who has announced the client, if somebody has.
    pub(crate) proxy: Option<&'c SocketAddr>,
    /// The last call that received took all that there was.
    drained: AtomicBool,
    /// How well the client sends, and how well it takes.
    incoming: Pace,
    outgoing: Pace,
}

/// What kind of thread a connection's turn runs on.
#[derive(Clone, Copy)]
pub(crate) enum Holder<'c> {
    /// A green thread for one turn: it was started because there is something to read, and ends rather than wait for
    /// a head.
    Turn,
    /// A green thread for the whole connection.
    Green,
    /// An OS thread for the whole connection. This is where it says whether it is idle.
    Os(&'c Reachable),
}

impl<'c> Link<'c> {
    /// Of a connection that runs on a thread of `holder`'s kind; if that is an OS thread, it was prepared with
    /// [`Link::prepare_os`].
    pub(crate) fn new(
        socket: &'c Descriptor,
        context: &'c Context,
        holder: Holder<'c>,
    ) -> Link<'c> {
        let config = &context.config;
        let (incoming, outgoing) = (Pace::default(), Pace::default());
        let drained = AtomicBool::new(false);
        let cut = &context.state.cut;
        Link { socket, config, cut, holder, tls: None, proxy: None, drained, incoming, outgoing }
    }

    /// Behind a proxy that has announced its client.
    pub(crate) fn by(mut self, proxy: Option<&'c SocketAddr>) -> Link<'c> {
        self.proxy = proxy;
        self
    }

    /// The same over TLS, if there is a session.
    pub(crate) fn over(mut self, tls: Option<&'c Session>) -> Link<'c> {
        self.tls = tls;
        self
    }

    /// For who reads and sends what is on the wire.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn socket(&self) -> &Descriptor {
        self.socket
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
        match self.tls {
            None => sys_io::recv(self.socket, buf, RecvFlags::empty(), deadline)
                .inspect(|n| self.received(*n, buf.len())),
            Some(session) => self.recv_tls(session, buf, deadline),
        }
        .map_err(timed_out)
    }

    /// The read that a turn begins with: `None` if there is nothing, and the thread is not to wait for it.
    #[inline]
    pub(crate) fn recv_first(
        &self,
        buf: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<Option<usize>> {
        let received = self.recv_head(buf, deadline);
        if let Holder::Os(os) = self.holder {
            os.set(Waits::No);
        }
        received
    }

    /// The same for the rest of a head.
    #[inline]
    pub(crate) fn recv_head(
        &self,
        buf: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<Option<usize>> {
        if !matches!(self.holder, Holder::Turn) {
            return self.recv(buf, deadline).map(Some);
        }
        self.check()?;
        if let Some(session) = self.tls {
            return self.try_recv_tls(session, buf);
        }
        self.try_recv(buf)
    }

    /// What is on the wire, for a handshake.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn recv_handshake(
        &self,
        buf: &mut [u8],
        deadline: Option<Instant>,
    ) -> io::Result<Option<usize>> {
        self.check()?;
        if matches!(self.holder, Holder::Turn) {
            return self.try_recv(buf);
        }
        sys_io::recv(self.socket, buf, RecvFlags::empty(), deadline).map(Some)
    }

    fn try_recv(&self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        match sys::message::recv(self.socket.as_fd(), buf, RecvFlags::DONTWAIT) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.received(0, buf.len());
                Ok(None)
            }
            received => received.inspect(|n| self.received(*n, buf.len())).map(Some),
        }
    }

    /// `n` bytes came where there was room for `room`.
    #[inline]
    pub(crate) fn received(&self, n: usize, room: usize) {
        self.drained.store(n < room, Ordering::Relaxed);
    }

    /// Whether there may be something to read that no event will announce, since it came with what was read already; and
    /// whether the turn is to look, rather than to wait.
    pub(crate) fn may_have_more(&self) -> bool {
        matches!(self.holder, Holder::Turn) && !self.drained.load(Ordering::Relaxed)
    }

    /// A request begins: what the client did before does not count.
    pub(crate) fn begin(&self) {
        self.incoming.reset();
        self.outgoing.reset();
    }

    /// What has come is not all that is needed, and the rest is waited for. Says to the client at once that it has come: by
    /// Nagle's algorithm many do not send the second part of a request before, and would wait for the kernel's delayed
    /// acknowledgement, 40 ms (RFC 9293, section 3.7.4 and 3.8.6.3).
    pub(crate) fn acknowledge(&self) {
        // OK to ignore the error: it is no TCP, or the client is gone.
        let _ = sys::socket::set_quick_ack(self.socket.as_fd(), true);
    }

    /// Reads some of a body. `None`: the client took longer than [`Config::body_timeout`], or is too slow in all.
    pub(crate) fn recv_body(&self, buf: &mut [u8]) -> io::Result<Option<usize>> {
        if self.incoming.is_fresh() {
            self.acknowledge();
        }
        let began = Instant::now();
        let patience = self.incoming.patience(self.config, self.config.body_timeout);
        let deadline = began.checked_add(patience);
        match self.recv(buf, deadline) {
            Ok(n) => {
                self.incoming.add(began.elapsed(), n);
                Ok(Some(n))
            }
            // An enclosing time-out of the handler's own is the handler's to judge.
            Err(error)
                if error.kind() == ErrorKind::TimedOut
                    && deadline.is_some_and(|at| Instant::now() >= at) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads into a buffer that is taken when there is something to read: who waits holds none. Give it back.
    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn recv_lent(&self, deadline: Option<Instant>) -> io::Result<(Vec<u8>, usize)> {
        self.check()?;
        match self.tls {
            None => sys_io::recv_by(self.socket, deadline, receive_lent),
            Some(session) => self.recv_lent_tls(session, deadline),
        }
        .map_err(timed_out)
    }

    /// The same without waiting: `WouldBlock` if there is nothing.
    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn try_recv_lent(&self) -> io::Result<(Vec<u8>, usize)> {
        self.check()?;
        if let Some((hub, _)) = hub::here_green() {
            hub.spend(); // a client that always has sent something must not keep the worker
        }
        match self.tls {
            None => receive_lent(self.socket.as_fd(), RecvFlags::DONTWAIT),
            Some(session) => self.try_recv_lent_tls(session),
        }
    }

    /// Sends all of it. The write time-out counts anew for each call to the system. A `batch` of responses is sent often, and goes at
    /// once as a rule.
    pub(crate) fn send(&self, bytes: &[u8], batch: bool) -> io::Result<()> {
        match self.tls {
            None => self.send_raw(bytes, batch),
            Some(session) => self.send_tls(session, [bytes, &[]], batch),
        }
    }

    /// The same for what goes over the wire as it is.
    pub(crate) fn send_raw(&self, mut bytes: &[u8], mut batch: bool) -> io::Result<()> {
        if batch && matches!(self.holder, Holder::Turn) {
            bytes = &bytes[self.taken_at_once(bytes, SendFlags::empty())?..];
            if bytes.is_empty() {
                if let Some((hub, _)) = hub::here_green() {
                    hub.spend(); // as any operation
                }
                return Ok(());
            }
        }
        while !bytes.is_empty() {
            let began = Instant::now();
            let n =
                self.sent(began, |at| sys_io::send(self.socket, bytes, SendFlags::empty(), at))?;
            // A second look at the clock for what went at once is spared.
            if !std::mem::take(&mut batch) || n < bytes.len() {
                self.outgoing.add(began.elapsed(), n);
            }
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// How much the socket takes without a wait. As a rule that is all, and nobody has to know for how long it might be waited for.
    #[inline]
    fn taken_at_once(&self, bytes: &[u8], flags: SendFlags) -> io::Result<usize> {
        self.check()?;
        let sent = sys::message::send(self.socket.as_fd(), bytes, SendFlags::DONTWAIT | flags);
        // What is wrong will be said once more, to who sends the rest.
        Ok(sent.unwrap_or(0))
    }

    /// Sends all of it, and says to the kernel that a file follows, which may share its last packet.
    pub(crate) fn send_more(&self, mut bytes: &[u8]) -> io::Result<()> {
        if let Some(session) = self.tls {
            return self.send_tls(session, [bytes, &[]], false);
        }
        while !bytes.is_empty() {
            let n = self.counted(|at| sys_io::send(self.socket, bytes, SendFlags::MORE, at))?;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Sends all of it. The end of the stream, which follows, goes with the last of it in one packet: the client has both at
    /// once, and neither kernel has the work of two. `shutdown` rather than `close`, as that throws away what is not on its way if
    /// something was not read.
    pub(crate) fn send_last(&self, bytes: &[u8]) -> io::Result<()> {
        if self.tls.is_some() || bytes.is_empty() {
            return self.send(bytes, false);
        }
        self.send_more(&bytes[self.taken_at_once(bytes, SendFlags::MORE)?..])?;
        // OK to ignore the error: then the client is gone.
        let _ = sys::socket::shutdown(self.socket.as_fd(), Shutdown::Write);
        Ok(())
    }

    /// Whether a file can go from the page cache to the socket.
    pub(crate) fn takes_files(&self) -> bool {
        self.tls.is_none()
    }

    /// Sends up to `count` bytes of a file; 0 if it ends before them. Only if it [takes](Link::takes_files) files.
    pub(crate) fn send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: u64,
        count: usize,
    ) -> io::Result<usize> {
        self.counted(|at| sys_io::send_file(self.socket, file, offset, count, at))
    }

    /// Sends `first`, then `second`, in one call to the system if the socket takes it.
    pub(crate) fn send_both(&self, first: &[u8], second: &[u8]) -> io::Result<()> {
        if let Some(session) = self.tls {
            return self.send_tls(session, [first, second], false);
        }
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        let n = self.counted(|at| sys_io::send_vectored(self.socket, &slices, at))?;
        match n.checked_sub(first.len()) {
            Some(of_second) => self.send(&second[of_second..], false),
            None => {
                self.send(&first[n..], false)?;
                self.send(second, false)
            }
        }
    }

    /// One call that sends, with its wait counted.
    fn counted(
        &self,
        call: impl FnOnce(Option<Instant>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let began = Instant::now();
        let n = self.sent(began, call)?;
        self.outgoing.add(began.elapsed(), n);
        Ok(n)
    }

    /// One call that sends and waits from `began` no longer than the client deserves.
    #[inline]
    fn sent(
        &self,
        began: Instant,
        call: impl FnOnce(Option<Instant>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.check()?;
        // Those set on the socket do not bind a green thread that an OS thread shares its WebSocket with.
        let by_socket = matches!(self.holder, Holder::Os(_)) && !hub::is_green();
        if by_socket && self.outgoing.is_too_slow(self.config) {
            return Err(ErrorKind::TimedOut.into());
        }
        let deadline = match by_socket {
            true => None,
            false => {
                let patience = self.outgoing.patience(self.config, self.config.write_timeout);
                began.checked_add(patience)
            }
        };
        call(deadline).map_err(timed_out)
    }

    /// A deadline for a read that may take `timeout` from now.
    pub(crate) fn after(timeout: Duration) -> Option<Instant> {
        Instant::now().checked_add(timeout)
    }

    #[inline]
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Relaxed) {
            return Err(io::Error::new(ErrorKind::ConnectionAborted, "the server has stopped"));
        }
        Ok(())
    }

    /// The client hears that nothing follows. What it still sends is read and dropped for a moment, since closing with
    /// bytes unread would make the kernel reset the connection, and the client might lose the answer. True if somebody
    /// else has to do that: [`drain`](Link::drain), for [`LINGER`].
    pub(crate) fn end(&self) -> bool {
        self.goodbye();
        if sys::socket::shutdown(self.socket.as_fd(), Shutdown::Write).is_err() {
            return false;
        }
        if matches!(self.holder, Holder::Turn) {
            return true;
        }
        let deadline = Link::after(LINGER);
        let mut buf = buffer::input();
        let mut left = LINGER_BYTES;
        while let Ok(n @ 1..) = sys_io::recv(self.socket, &mut buf, RecvFlags::empty(), deadline) {
            left = left.saturating_sub(n);
            if left == 0 {
                break;
            }
        }
        buffer::give_input(buf);
        false
    }

    /// Drops what has come, up to `left` bytes, which it counts down. False if no more is to come, or to be dropped.
    pub(crate) fn drain(socket: &Descriptor, left: &mut usize) -> bool {
        let mut buf = buffer::input();
        let more = loop {
            match sys::message::recv(socket.as_fd(), &mut buf, RecvFlags::DONTWAIT) {
                Ok(0) => break false,
                Ok(n) => {
                    *left = left.saturating_sub(n);
                    if *left == 0 {
                        break false;
                    }
                }
                Err(error) => break error.kind() == ErrorKind::WouldBlock,
            }
        };
        buffer::give_input(buf);
        more
    }

    /// Sends what the socket takes at once; `WouldBlock` if that is nothing. For whoever is not the connection's thread.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        match self.tls {
            None => sys::message::send(self.socket.as_fd(), bytes, SendFlags::DONTWAIT),
            Some(session) => self.try_send_tls(session, bytes),
        }
    }

    /// The same without a connection's thread.
    pub(crate) fn try_send_on(socket: &Descriptor, bytes: &[u8]) -> io::Result<usize> {
        sys::message::send(socket.as_fd(), bytes, SendFlags::DONTWAIT)
    }

    /// Whether the socket can be handed to whoever sends plain bytes on it, without the connection's thread.
    pub(crate) fn can_detach(&self) -> bool {
        matches!(self.holder, Holder::Turn) && self.tls.is_none()
    }

    /// Wakes whoever waits without a stack for something to read: he finds the end.
    pub(crate) fn end_reading(socket: &Descriptor) {
        // OK to ignore the error: then the connection is gone, and he knows.
        let _ = sys::socket::shutdown(socket.as_fd(), Shutdown::Read);
    }

    /// The close that comes is a reset.
    pub(crate) fn reset(socket: &Descriptor) {
        // OK to ignore: then the socket is gone already.
        let _ = sys::socket::set_reset_on_close(socket.as_fd());
    }

    /// Ends the connection for whoever uses it: reads find the end, sends fail, and waits for the client end.
    pub(crate) fn hang_up(&self) {
        Link::hang_up_on(self.socket);
    }

    /// The same without a connection's thread.
    pub(crate) fn hang_up_on(socket: &Descriptor) {
        sys::message::hang_up(socket.as_fd());
    }

    /// Runs `f`, whose waits end when the client is gone: see [`while_connected`].
    pub(crate) fn while_connected<T>(&self, f: impl FnOnce() -> T) -> Result<T, ClientGone> {
        while_connected(self.socket, f).map_err(ClientGone::from)
    }

    /// Makes the coming close a reset, so that the client cannot take what it has for the whole.
    pub(crate) fn abort(&self) {
        if let Some(session) = self.tls {
            session.break_off();
        }
        Link::reset(self.socket);
    }
}

/// How long a client that still sends is listened to after the last answer.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// And how much of it.
pub(crate) const LINGER_BYTES: usize = 256 << 10;

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
