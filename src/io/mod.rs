//! The blocking operations, on any descriptor: they read like system calls and end like them, and what waits is
//! only the calling thread, of either kind.
//!
//! - On a green thread: try first, with MSG_DONTWAIT; park on EAGAIN; try again (DESIGN.md D5). The descriptor's
//!   own mode is not touched. A future io_uring driver takes over here, per operation, and callers cannot tell.
//! - On an OS thread: the plain blocking call. With a deadline, or inside a `timeout` scope, poll first.
//! - A program that set O_NONBLOCK gets EAGAIN from both.
//!
//! EINTR is retried. A deadline that passes is an error of kind `TimedOut`; `net` turns it into what std reports.
//!
//! Not here: names and options of sockets (`net`, `os`), buffering, traits.
#![forbid(unsafe_code)]

mod idle;

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::hub::descriptors::{Direction, Watch};
use crate::hub::park::ScopeId;
use crate::hub::{self, Interrupt};
use crate::sys::{self, RecvFlags, SendFlags, SocketAddrAny, message};

#[cfg(feature = "http")]
pub(crate) use idle::{OnReadable, end_idle, start_soon, start_when_readable};

/// An open file that can be waited for. Owns its number.
#[derive(Debug)]
pub(crate) struct Descriptor {
    fd: OwnedFd,
    /// Never used again, unlike the number: tells the hub that a number has a new meaning.
    source: u64,
    closed: AtomicBool,
    /// Several workers accept from it: one is woken per connection.
    shared_listener: AtomicBool,
    /// None as long as all are at their defaults, which is most descriptors' whole life.
    settings: OnceLock<Arc<Settings>>,
}

/// What belongs to the open file rather than to the descriptor: clones share it, as the kernel has it.
#[derive(Debug)]
struct Settings {
    /// As the program set it, or as it came.
    nonblocking: AtomicBool,
    /// Connections are accepted from it, so it is in O_NONBLOCK whatever the program wishes.
    listener: AtomicBool,
    /// Nanoseconds; 0: none.
    read_timeout: AtomicU64,
    write_timeout: AtomicU64,
}

static DEFAULTS: Settings = Settings {
    nonblocking: AtomicBool::new(false),
    listener: AtomicBool::new(false),
    read_timeout: AtomicU64::new(0),
    write_timeout: AtomicU64::new(0),
};

fn fresh_source() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Descriptor {
    /// Takes over `fd`, for which the program has asked no O_NONBLOCK (as for everything that this crate opens).
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Descriptor {
            fd,
            source: fresh_source(),
            closed: AtomicBool::new(false),
            shared_listener: AtomicBool::new(false),
            settings: OnceLock::new(),
        }
    }

    /// For reading; never changed through this.
    #[inline]
    fn settings(&self) -> &Settings {
        self.settings.get().map_or(&DEFAULTS, |own| own)
    }

    /// For changing, and for sharing.
    fn own_settings(&self) -> &Arc<Settings> {
        self.settings.get_or_init(|| {
            Arc::new(Settings {
                nonblocking: AtomicBool::new(false),
                listener: AtomicBool::new(false),
                read_timeout: AtomicU64::new(0),
                write_timeout: AtomicU64::new(0),
            })
        })
    }

    /// Takes over an `fd` from elsewhere, in whatever mode it is.
    pub(crate) fn adopt(fd: OwnedFd) -> Self {
        let nonblocking = sys::fd::is_nonblocking(fd.as_fd());
        let descriptor = Self::new(fd);
        if nonblocking {
            descriptor.own_settings().nonblocking.store(true, Ordering::Relaxed);
        }
        descriptor
    }

    /// As the program wants it: with `on`, what would wait fails with EAGAIN instead.
    pub(crate) fn set_nonblocking(&self, on: bool) -> io::Result<()> {
        let settings = self.own_settings();
        if !settings.listener.load(Ordering::Relaxed) {
            sys::fd::set_nonblocking(self.as_fd(), on)?;
        }
        settings.nonblocking.store(on, Ordering::Relaxed);
        Ok(())
    }

    /// This listener is accepted from by several workers, each in its own green thread.
    pub(crate) fn share_listener(&self) {
        self.shared_listener.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// `InvalidInput` for a duration of zero, as std has it.
    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_timeout(|own| &own.read_timeout, false, timeout)
    }

    /// # Errors
    /// `InvalidInput` for a duration of zero, as std has it.
    pub(crate) fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.set_timeout(|own| &own.write_timeout, true, timeout)
    }

    fn set_timeout(
        &self,
        word: fn(&Settings) -> &AtomicU64,
        send: bool,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        if timeout == Some(Duration::ZERO) {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "a time-out of zero is not possible: use None to wait for ever",
            ));
        }
        // Set on the socket too: OS threads make the plain blocking call.
        message::set_timeout(self.as_fd(), send, timeout)?;
        let nanos = timeout.map_or(0, |t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX));
        word(self.own_settings()).store(nanos, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn read_timeout(&self) -> Option<Duration> {
        some_nanos(&self.settings().read_timeout)
    }

    pub(crate) fn write_timeout(&self) -> Option<Duration> {
        some_nanos(&self.settings().write_timeout)
    }

    /// When a read that starts now times out.
    #[inline]
    pub(crate) fn read_deadline(&self) -> Option<Instant> {
        some_nanos(&self.settings().read_timeout).and_then(|t| Instant::now().checked_add(t))
    }

    /// When a write that starts now times out.
    #[inline]
    pub(crate) fn write_deadline(&self) -> Option<Instant> {
        some_nanos(&self.settings().write_timeout).and_then(|t| Instant::now().checked_add(t))
    }

    /// A second descriptor for the same open file, which shares the settings.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        let clone = Self::new(sys::fd::dup(self.as_fd())?);
        // OK to ignore: `clone` is fresh, so its cell is empty.
        let _ = clone.settings.set(self.own_settings().clone());
        Ok(clone)
    }

    /// Ends the descriptor's use: whoever waits on this socket is woken with EBADF, as is whoever comes later.
    /// The connection is shut down (clones see that too). The number goes when the last owner drops it, so that
    /// it can have no new meaning while somebody still holds it.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        message::hang_up(self.as_fd());
    }

    /// Opens a watch on the calling green thread, which ends when the peer ends its sending side or the connection
    /// breaks; close it with `unwatch`. `None` on an OS thread, whose waits nobody can end.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn watch(&self) -> Option<ScopeId> {
        let (hub, fiber) = hub::here_green()?;
        let scope = hub::park::open_watch();
        if hub.watch(fiber, self.as_fd(), self.source, scope).is_err() {
            hub::park::close_scope(scope);
            return None;
        }
        Some(scope)
    }

    /// Closes a watch on the same thread.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn unwatch(&self, scope: ScopeId) {
        if let Some((hub, _)) = hub::here_green() {
            hub.unwatch(self.as_fd(), scope);
        }
        hub::park::close_scope(scope);
    }

    /// As `close`, for a listening socket that others go on with: it is left as it is. Who waits on it has to be woken,
    /// and then gets EBADF too.
    pub(crate) fn retire(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    fn check_open(&self) -> io::Result<()> {
        const EBADF: i32 = 9;
        if self.closed.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(EBADF));
        }
        Ok(())
    }

    /// Parks the calling green thread until the descriptor may be ready, or blocks the calling OS thread.
    fn wait(&self, direction: Direction, deadline: Option<Instant>) -> io::Result<()> {
        match hub::here_green() {
            Some((hub, fiber)) if !std::thread::panicking() => {
                let shared = self.shared_listener.load(Ordering::Relaxed);
                let watch = Watch::Source { id: self.source, shared };
                hub.wait_for(fiber, self.as_fd(), watch, direction, deadline)?
                    .map_err(Interrupt::into_io)
            }
            _ => self.poll(direction, deadline),
        }
    }

    /// Blocks the OS thread. Also taken during an unwind, when a green thread must not switch.
    fn poll(&self, direction: Direction, deadline: Option<Instant>) -> io::Result<()> {
        let (deadline, why) = hub::park::limit_of_os_thread(deadline);
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        match sys::fd::poll(self.as_fd(), direction == Direction::Write, timeout) {
            Ok(true) => Ok(()),
            Ok(false) => Err(why.into_io()),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn some_nanos(word: &AtomicU64) -> Option<Duration> {
    match word.load(Ordering::Relaxed) {
        0 => None,
        nanos => Some(Duration::from_nanos(nanos)),
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(fd: OwnedFd) -> Self {
        Self::adopt(fd)
    }
}

impl From<Descriptor> for OwnedFd {
    fn from(descriptor: Descriptor) -> Self {
        let settings = descriptor.settings();
        let listener = settings.listener.load(Ordering::Relaxed);
        if listener && !settings.nonblocking.load(Ordering::Relaxed) {
            // Back to the mode that its owner knows. OK to ignore: nothing can be done about a failure.
            let _ = sys::fd::set_nonblocking(descriptor.fd.as_fd(), false);
            // A clone that accepts again puts it back.
            settings.listener.store(false, Ordering::Relaxed);
        }
        descriptor.fd
    }
}

/// Whether an operation has a plain blocking form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plain {
    /// An OS thread that waits for nothing but the descriptor makes the plain call.
    Blocks,
    /// The descriptor is in O_NONBLOCK, so the call never waits by itself.
    Fails,
}

/// The loop of every operation: try, wait on EAGAIN, try again. `attempt` is told whether it may block.
#[inline]
fn operate<T>(
    descriptor: &Descriptor,
    direction: Direction,
    deadline: Option<Instant>,
    plain: Plain,
    mut attempt: impl FnMut(bool) -> io::Result<T>,
) -> io::Result<T> {
    let green = hub::here_green();
    let may_block = plain == Plain::Blocks
        && green.is_none()
        && deadline.is_none()
        && !hub::park::os_thread_in_scope();
    loop {
        descriptor.check_open()?;
        match attempt(may_block) {
            Ok(value) => {
                if let Some((hub, _)) = green {
                    hub.spend();
                }
                return Ok(value);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error)
                if error.kind() == ErrorKind::WouldBlock
                    && !may_block
                    && !descriptor.settings().nonblocking.load(Ordering::Relaxed) =>
            {
                descriptor.wait(direction, deadline)?;
            }
            Err(error) => {
                descriptor.check_open()?; // `close` makes a blocked send fail with EPIPE, and accept with EINVAL
                return Err(error);
            }
        }
    }
}

fn recv_flags(flags: RecvFlags, may_block: bool) -> RecvFlags {
    if may_block { flags } else { flags | RecvFlags::DONTWAIT }
}

fn send_flags(flags: SendFlags, may_block: bool) -> SendFlags {
    if may_block { flags } else { flags | SendFlags::DONTWAIT }
}

/// recv(2). Returns how many bytes came; 0 at the end of a stream.
#[inline]
pub(crate) fn recv(
    d: &Descriptor,
    buf: &mut [u8],
    flags: RecvFlags,
    deadline: Option<Instant>,
) -> io::Result<usize> {
    let n = operate(d, Direction::Read, deadline, Plain::Blocks, |may_block| {
        message::recv(d.as_fd(), buf, recv_flags(flags, may_block))
    })?;
    if n == 0 {
        d.check_open()?; // the end was made by `close`
    }
    Ok(n)
}

/// A recv(2) of the caller's own, which gets the flags to pass on: for who takes a buffer only when there is
/// something to put into it.
#[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
pub(crate) fn recv_by<T>(
    d: &Descriptor,
    deadline: Option<Instant>,
    mut attempt: impl FnMut(BorrowedFd<'_>, RecvFlags) -> io::Result<T>,
) -> io::Result<T> {
    operate(d, Direction::Read, deadline, Plain::Blocks, |may_block| {
        attempt(d.as_fd(), recv_flags(RecvFlags::empty(), may_block))
    })
}

/// send(2). Returns how many bytes were taken.
#[inline]
pub(crate) fn send(
    d: &Descriptor,
    buf: &[u8],
    flags: SendFlags,
    deadline: Option<Instant>,
) -> io::Result<usize> {
    operate(d, Direction::Write, deadline, Plain::Blocks, |may_block| {
        message::send(d.as_fd(), buf, send_flags(flags, may_block))
    })
}

/// recvmsg(2) into several buffers.
pub(crate) fn recv_vectored(
    d: &Descriptor,
    bufs: &mut [IoSliceMut<'_>],
    deadline: Option<Instant>,
) -> io::Result<usize> {
    let n = operate(d, Direction::Read, deadline, Plain::Blocks, |may_block| {
        message::recv_vectored(d.as_fd(), bufs, recv_flags(RecvFlags::empty(), may_block))
    })?;
    if n == 0 {
        d.check_open()?;
    }
    Ok(n)
}

/// sendmsg(2) from several buffers.
pub(crate) fn send_vectored(
    d: &Descriptor,
    bufs: &[IoSlice<'_>],
    deadline: Option<Instant>,
) -> io::Result<usize> {
    operate(d, Direction::Write, deadline, Plain::Blocks, |may_block| {
        message::send_vectored(d.as_fd(), bufs, send_flags(SendFlags::empty(), may_block))
    })
}

/// sendfile(2): up to `count` bytes at `offset` of a regular file. 0 at the file's end.
///
/// No flag for "do not wait" here either: see [`connect`]. Nobody else sends while a file is being sent.
pub(crate) fn send_file(
    d: &Descriptor,
    file: BorrowedFd<'_>,
    offset: u64,
    count: usize,
    deadline: Option<Instant>,
) -> io::Result<usize> {
    let plain = !hub::is_green() && deadline.is_none() && !hub::park::os_thread_in_scope();
    let own_mode = d.settings().nonblocking.load(Ordering::Relaxed);
    let attempt = |_| sys::file::send_file(d.as_fd(), file, offset, count);
    if plain || own_mode {
        return operate(d, Direction::Write, deadline, Plain::Blocks, attempt);
    }
    sys::fd::set_nonblocking(d.as_fd(), true)?;
    let sent = operate(d, Direction::Write, deadline, Plain::Fails, attempt);
    sys::fd::set_nonblocking(d.as_fd(), false)?;
    sent
}

/// recvfrom(2).
pub(crate) fn recv_from(
    d: &Descriptor,
    buf: &mut [u8],
    flags: RecvFlags,
    deadline: Option<Instant>,
) -> io::Result<(usize, Option<SocketAddrAny>)> {
    let got = operate(d, Direction::Read, deadline, Plain::Blocks, |may_block| {
        message::recv_from(d.as_fd(), buf, recv_flags(flags, may_block))
    })?;
    if got.0 == 0 {
        d.check_open()?;
    }
    Ok(got)
}

/// sendto(2).
pub(crate) fn send_to(
    d: &Descriptor,
    buf: &[u8],
    addr: &SocketAddrAny,
    deadline: Option<Instant>,
) -> io::Result<usize> {
    operate(d, Direction::Write, deadline, Plain::Blocks, |may_block| {
        message::send_to(d.as_fd(), buf, send_flags(SendFlags::empty(), may_block), addr)
    })
}

/// accept4(2). The new descriptor is in blocking mode.
///
/// accept has no flag for "do not wait" (DESIGN.md D5), so the first call puts the listener into O_NONBLOCK; the
/// program's own wish is kept beside it and still decides whether the call waits.
pub(crate) fn accept(
    d: &Descriptor,
    deadline: Option<Instant>,
) -> io::Result<(Descriptor, Option<SocketAddrAny>)> {
    never_blocks(d)?;
    // Who accepts in a loop comes back when nobody else is there, as a rule. The kernel makes a socket and its file before it
    // finds that out, and then takes them apart: 4 microseconds, a tenth of what a short connection costs in all. A look costs 0.4.
    let mut is_likely = false;
    let accept = |_| {
        if !std::mem::replace(&mut is_likely, true)
            && !sys::fd::poll(d.as_fd(), false, Some(Duration::ZERO))?
        {
            return Err(ErrorKind::WouldBlock.into());
        }
        message::accept(d.as_fd())
    };
    let (fd, addr) = operate(d, Direction::Read, deadline, Plain::Fails, accept)?;
    Ok((Descriptor::new(fd), addr))
}

/// A connection that came to a listener before it was retired, if there is one left.
///
/// The kernel may have told this worker of it and nobody else, and others go on with the listener. So first the worker
/// gives up hearing of it, and then takes what it may have been told.
pub(crate) fn accept_left(d: &Descriptor) -> Option<(Descriptor, Option<SocketAddrAny>)> {
    if let Some((hub, _)) = hub::here_green() {
        hub.forget(d.as_fd());
    }
    let (fd, addr) = message::accept(d.as_fd()).ok()?;
    Some((Descriptor::new(fd), addr))
}

/// Puts a listener into O_NONBLOCK, once.
fn never_blocks(d: &Descriptor) -> io::Result<()> {
    if !d.settings().listener.load(Ordering::Relaxed) {
        sys::fd::set_nonblocking(d.as_fd(), true)?;
        d.own_settings().listener.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// As [`accept`] without a deadline, for an OS thread that is to be woken when `bell` becomes readable.
pub(crate) fn accept_or(
    d: &Descriptor,
    bell: BorrowedFd<'_>,
) -> io::Result<(Descriptor, Option<SocketAddrAny>)> {
    never_blocks(d)?;
    loop {
        d.check_open()?;
        match sys::fd::poll_two(d.as_fd(), bell) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        d.check_open()?;
        match message::accept(d.as_fd()) {
            Ok((fd, addr)) => return Ok((Descriptor::new(fd), addr)),
            // Another thread or process was quicker.
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
}

/// connect(2): waits until the connection is made or refused.
///
/// No flag for "do not wait" here either; while it lasts the socket is in O_NONBLOCK. Nobody else uses a socket
/// that is being connected.
pub(crate) fn connect(
    d: &Descriptor,
    addr: &SocketAddrAny,
    deadline: Option<Instant>,
) -> io::Result<()> {
    d.check_open()?;
    let own_mode = d.settings().nonblocking.load(Ordering::Relaxed);
    if own_mode {
        return message::connect(d.as_fd(), addr);
    }
    let plain = !hub::is_green() && deadline.is_none() && !hub::park::os_thread_in_scope();
    if !plain {
        sys::fd::set_nonblocking(d.as_fd(), true)?;
    }
    let result = match message::connect(d.as_fd(), addr) {
        Ok(()) => Ok(()),
        // EINPROGRESS, or a signal: the connection goes on in the background.
        Err(error) if in_background(&error) => finish_connect(d, deadline),
        Err(error) => Err(error),
    };
    if !plain {
        sys::fd::set_nonblocking(d.as_fd(), false)?;
    }
    result
}

fn in_background(error: &io::Error) -> bool {
    const EINPROGRESS: i32 = 115;
    error.raw_os_error() == Some(EINPROGRESS) || error.kind() == ErrorKind::Interrupted
}

fn finish_connect(d: &Descriptor, deadline: Option<Instant>) -> io::Result<()> {
    loop {
        d.wait(Direction::Write, deadline)?;
        d.check_open()?;
        if let Some(error) = message::take_error(d.as_fd())? {
            return Err(error);
        }
        // Woken for no reason? A socket that is still connecting has no peer.
        if sys::fd::poll(d.as_fd(), true, Some(Duration::ZERO))? {
            return Ok(());
        }
    }
}

/// read(2), for pipes, eventfds and the like. Only for descriptors of our own (never for ones that other processes
/// share) that are in O_NONBLOCK for good, as read has no flag for "do not wait".
pub(crate) fn read(d: &Descriptor, buf: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
    operate(d, Direction::Read, deadline, Plain::Fails, |_| sys::fd::read(d.as_fd(), buf))
}
