//! read, write, readv, writev, by what the descriptor is:
//!
//! - sockets as `recv` and `send` (`message`);
//! - pipes, eventfds, timerfds and the like with RWF_NOWAIT; where a file does not know that, poll is asked first, and
//!   another thread that is quicker in between makes the call block after all;
//! - terminals: reads wait for input and then read; writes block, as do all writes to standard output and error:
//!   stdio's locks belong to the OS thread (DESIGN.md section 5, rule 4);
//! - regular files: untouched, unless the group `files` sends reads to the pool.
//!
//! A blocking write to a socket or a pipe returns when all is written. Not here: sendfile and splice (`transfer`).

use libc::{c_int, c_void, iovec, size_t, ssize_t};

use super::buffers::{Buffers, NO_BUFFER};
use super::fds::{self, Kind};
use super::files::take_on_pool;
use super::gate::{self, Green, Group};
use super::kernel::{self, NameIn, NameOut};
use super::message::{answer, part};
use super::patience::{For, Patience};
use super::pins::{self, PinKind};
use super::real;
use super::receive::{receive, receive_message};
use super::transmit::{transmit, transmit_message};

/// The kernel takes no longer lists.
const MOST: usize = 1024;

/// What a read or write by a green thread came to; `None`: it is the real function's.
type Taken = Option<Result<usize, c_int>>;

/// Remembered kinds may be of an earlier file under the same number, which a call that no hook saw has closed.
fn was_no_socket(fd: c_int, result: Result<usize, c_int>) -> bool {
    let wrong = result == Err(libc::ENOTSOCK);
    if wrong {
        fds::mistaken(fd);
    }
    wrong
}

/// read(2) and readv(2).
///
/// # Safety
/// As readv's.
unsafe fn take(green: Green, fd: c_int, into: Buffers) -> Taken {
    // SAFETY: the caller's list.
    if unsafe { into.len() } == 0 {
        return None; // never waits, not even on a socket
    }
    let mut kind = fds::kind(fd);
    if kind == Kind::Socket {
        let result = if into.count == 1 {
            // SAFETY: the list has one.
            let only = unsafe { *into.list };
            // SAFETY: the caller's buffer.
            unsafe { receive(green, fd, only.iov_base, only.iov_len, 0, NameOut::NONE) }
        } else {
            let mut message = message_of(into);
            // SAFETY: the caller's buffers.
            unsafe { receive_message(green, fd, &raw mut message, 0) }
        };
        if !was_no_socket(fd, result) {
            return Some(result);
        }
        kind = fds::kind(fd);
    }
    match kind {
        Kind::Socket | Kind::File => None,
        // SAFETY: the caller's duty.
        _ => Some(unsafe { draw(green, fd, into, kind != Kind::Terminal) }),
    }
}

/// Only buffers: no name, nothing beside the bytes.
fn message_of(buffers: Buffers) -> libc::msghdr {
    // SAFETY: all zeroes are a message of nothing.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = buffers.list.cast_mut();
    message.msg_iovlen = buffers.count as _;
    message
}

/// Reads from what is no socket. `nowait`: RWF_NOWAIT is worth a try.
///
/// # Safety
/// As readv's.
unsafe fn draw(green: Green, fd: c_int, into: Buffers, mut nowait: bool) -> Result<usize, c_int> {
    let mut patience = Patience::new(green, fd, For::Reading);
    loop {
        let n = if !nowait && !patience.is_pinned() && kernel::poll(fd, libc::POLLIN) == 0 {
            -(libc::EAGAIN as isize)
        } else {
            let flags = if nowait { patience.unless_pinned(libc::RWF_NOWAIT) } else { 0 };
            // SAFETY: the caller's duty.
            unsafe { kernel::readv(fd, into.list, into.count, flags) }
        };
        match -n as c_int {
            ..=0 => return Ok(n as usize),
            libc::EOPNOTSUPP if nowait => nowait = false,
            error => patience.after(error)?,
        }
        unfool(&mut patience, fd, libc::POLLIN);
    }
}

/// A file that is ready and still says EAGAIN to RWF_NOWAIT (its data are on a disk, say) gets the plain call.
fn unfool(patience: &mut Patience, fd: c_int, events: libc::c_short) {
    if patience.is_fooled() && kernel::poll(fd, events) != 0 {
        fds::mistaken(fd);
        patience.pin();
    }
}

/// write(2) and writev(2).
///
/// # Safety
/// As writev's.
unsafe fn put(green: Green, fd: c_int, from: Buffers) -> Taken {
    if fd == libc::STDOUT_FILENO || fd == libc::STDERR_FILENO {
        return stdio(fd);
    }
    // SAFETY: the caller's list.
    let len = unsafe { from.len() };
    let mut kind = fds::kind(fd);
    if kind == Kind::Socket {
        let result = if from.count == 1 {
            // SAFETY: the list has one.
            let only = unsafe { *from.list };
            // SAFETY: the caller's buffer.
            unsafe { transmit(green, fd, only.iov_base, only.iov_len, 0, NameIn::NONE) }
        } else if len == 0 {
            return None; // writev of nothing sends nothing, sendmsg an empty datagram
        } else {
            let message = message_of(from);
            // SAFETY: the caller's buffers.
            unsafe { transmit_message(green, fd, &raw const message, 0, 0) }
        };
        if !was_no_socket(fd, result) {
            return Some(result);
        }
        kind = fds::kind(fd);
    }
    match kind {
        Kind::Socket | Kind::File => None,
        Kind::Terminal => stdio(fd),
        _ if len == 0 => None,
        // SAFETY: the caller's duty.
        Kind::Pipe => Some(unsafe { pour(green, fd, from, len) }),
        // SAFETY: the caller's duty.
        Kind::Other => Some(unsafe { put_once(green, fd, from) }),
    }
}

/// A write that may hold up the worker. It is counted if it does.
fn stdio(fd: c_int) -> Taken {
    if kernel::poll(fd, libc::POLLOUT) == 0 {
        pins::count(PinKind::Stdio);
    }
    None
}

/// Writes all of `from` to a pipe.
///
/// # Safety
/// As writev's.
unsafe fn pour(green: Green, fd: c_int, from: Buffers, len: usize) -> Result<usize, c_int> {
    let mut patience = Patience::new(green, fd, For::Writing);
    let (mut done, mut cut, mut nowait) = (0, NO_BUFFER, true);
    loop {
        // SAFETY: the caller's list.
        let mut left = unsafe { from.after(done, &mut cut) };
        let polled = !nowait && !patience.is_pinned();
        if polled && len > libc::PIPE_BUF {
            // One page fits into a writable pipe; what is longer than that need not be in one piece.
            // SAFETY: not at the end, so there is one.
            let first = unsafe { *left.list };
            cut = iovec { iov_len: first.iov_len.min(libc::PIPE_BUF), ..first };
            left = Buffers { list: &raw const cut, count: 1 };
        }
        let n = if polled && kernel::poll(fd, libc::POLLOUT) == 0 {
            -(libc::EAGAIN as isize)
        } else {
            let flags = if nowait { patience.unless_pinned(libc::RWF_NOWAIT) } else { 0 };
            // SAFETY: the caller's duty.
            unsafe { kernel::writev(fd, left.list, left.count, flags) }
        };
        if n >= 0 {
            done += n as usize;
            if done >= len {
                return patience.done(done);
            }
            patience.fruitful();
            continue;
        }
        match -n as c_int {
            libc::EOPNOTSUPP if nowait => nowait = false,
            error => {
                if let Err(error) = patience.after(error) {
                    return part(done, error);
                }
            }
        }
        unfool(&mut patience, fd, libc::POLLOUT);
    }
}

/// Writes to an eventfd and the like, where a write is one thing. They do not know RWF_NOWAIT.
///
/// # Safety
/// As writev's.
unsafe fn put_once(green: Green, fd: c_int, from: Buffers) -> Result<usize, c_int> {
    let mut patience = Patience::new(green, fd, For::Writing);
    loop {
        let n = if !patience.is_pinned() && kernel::poll(fd, libc::POLLOUT) == 0 {
            -(libc::EAGAIN as isize)
        } else {
            // SAFETY: the caller's duty.
            unsafe { kernel::writev(fd, from.list, from.count, 0) }
        };
        if n >= 0 {
            return patience.done(n as usize);
        }
        patience.after(-n as c_int)?;
    }
}

/// All reads, on green threads.
///
/// # Safety
/// As readv's.
#[inline]
unsafe fn taken(fd: c_int, into: Buffers) -> Taken {
    if let Some(green) = gate::green(Group::Net)
        // SAFETY: the caller's duty.
        && let Some(result) = unsafe { take(green, fd, into) }
    {
        return Some(result);
    }
    if gate::installed(Group::Files) {
        // SAFETY: the caller's duty.
        return unsafe { take_on_pool(fd, into) };
    }
    None
}

/// A list of the caller's that the kernel would take.
fn list(list: *const iovec, count: c_int) -> Option<Buffers> {
    let count = usize::try_from(count).ok()?;
    (!list.is_null() && (1..=MOST).contains(&count)).then_some(Buffers { list, count })
}

/// read(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    if !gate::concerns([Group::Net, Group::Files]) {
        // SAFETY: the caller's arguments.
        return unsafe { real::read(fd, buf, len) };
    }
    // SAFETY: the caller's arguments.
    unsafe { read_green(fd, buf, len) }
}

/// # Safety
/// As read's.
#[inline(never)]
unsafe fn read_green(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t {
    let one = iovec { iov_base: buf, iov_len: len };
    // SAFETY: the caller's arguments.
    match unsafe { taken(fd, Buffers { list: &raw const one, count: 1 }) } {
        Some(result) => answer(result),
        // SAFETY: the caller's arguments.
        None => unsafe { real::read(fd, buf, len) },
    }
}

/// readv(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn readv(fd: c_int, of: *const iovec, count: c_int) -> ssize_t {
    if let Some(buffers) = list(of, count)
        // SAFETY: the caller's arguments.
        && let Some(result) = unsafe { taken(fd, buffers) }
    {
        return answer(result);
    }
    // SAFETY: the caller's arguments.
    unsafe { real::readv(fd, of, count) }
}

/// read, as C programs call it that are compiled with buffer checks.
///
/// # Safety
/// As libc's.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __read_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    size: size_t,
) -> ssize_t {
    if len <= size {
        // SAFETY: the caller's arguments.
        return unsafe { read(fd, buf, len) };
    }
    // SAFETY: the caller's arguments. It ends the process.
    unsafe { real::__read_chk(fd, buf, len, size) }
}

/// write(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t {
    if !gate::concerns([Group::Net]) {
        // SAFETY: the caller's arguments.
        return unsafe { real::write(fd, buf, len) };
    }
    // SAFETY: the caller's arguments.
    unsafe { write_green(fd, buf, len) }
}

/// # Safety
/// As write's.
#[inline(never)]
unsafe fn write_green(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t {
    if let Some(green) = gate::green(Group::Net) {
        let one = iovec { iov_base: buf.cast_mut(), iov_len: len };
        // SAFETY: the caller's arguments.
        if let Some(result) = unsafe { put(green, fd, Buffers { list: &raw const one, count: 1 }) }
        {
            return answer(result);
        }
    }
    // SAFETY: the caller's arguments.
    unsafe { real::write(fd, buf, len) }
}

/// writev(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn writev(fd: c_int, of: *const iovec, count: c_int) -> ssize_t {
    if let Some(green) = gate::green(Group::Net)
        && let Some(buffers) = list(of, count)
        // SAFETY: the caller's arguments.
        && let Some(result) = unsafe { put(green, fd, buffers) }
    {
        return answer(result);
    }
    // SAFETY: the caller's arguments.
    unsafe { real::writev(fd, of, count) }
}
