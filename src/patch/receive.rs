//! How a green thread receives from a socket: what `recv` and `read` have in common.
//!
//! MSG_WAITALL holds: the call returns when all is there; a time-out, an error or a cancellation after a part gives
//! the part's length. SO_RCVLOWAT is not looked at: what is there is returned.

use libc::{c_int, c_void, msghdr};

use super::buffers::{Buffers, NO_BUFFER};
use super::gate::Green;
use super::kernel::{self, NameOut};
use super::message::part;
use super::patience::{For, Patience};

/// Whether the stream has nothing more to come than what is there.
fn has_ended(fd: c_int) -> bool {
    let ended = libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR;
    kernel::poll(fd, ended) & ended != 0
}

/// Peeks until `len` bytes are there, as MSG_PEEK and MSG_WAITALL want it together.
///
/// Nobody is told of a second byte behind the first, so this looks again from time to time.
fn peek_all(
    green: Green,
    fd: c_int,
    len: usize,
    mut attempt: impl FnMut(c_int) -> isize,
) -> Result<usize, c_int> {
    let mut patience = Patience::new(green, fd, For::Reading);
    let mut seen = 0;
    loop {
        let ended = has_ended(fd);
        let n = attempt(patience.unless_pinned(libc::MSG_DONTWAIT));
        if n >= 0 {
            seen = n as usize;
            if ended || n == 0 || seen >= len || !kernel::is_stream(fd) {
                return patience.done(seen);
            }
        }
        let result = match n {
            0.. => patience.after_unannounced(libc::EAGAIN),
            _ => patience.after(-n as c_int),
        };
        if let Err(error) = result {
            return part(seen, error);
        }
    }
}

const PEEK_ALL: c_int = libc::MSG_PEEK | libc::MSG_WAITALL;

/// recvfrom(2) for a green thread.
///
/// # Safety
/// As recvfrom's.
pub(super) unsafe fn receive(
    green: Green,
    fd: c_int,
    buf: *mut c_void,
    len: usize,
    flags: c_int,
    name: NameOut,
) -> Result<usize, c_int> {
    if flags & PEEK_ALL == PEEK_ALL {
        return peek_all(green, fd, len, |more| {
            // SAFETY: the caller's duty.
            unsafe { kernel::recvfrom(fd, buf, len, flags | more, name) }
        });
    }
    let mut patience = Patience::new(green, fd, For::Reading);
    let mut done = 0;
    loop {
        let now = flags | patience.unless_pinned(libc::MSG_DONTWAIT);
        let rest = buf.wrapping_byte_add(done);
        // SAFETY: the caller's duty; `rest` is what is free of the buffer.
        let n = unsafe { kernel::recvfrom(fd, rest, len - done, now, name) };
        if n < 0 {
            if let Err(error) = patience.after(-n as c_int) {
                return part(done, error);
            }
            continue;
        }
        done += n as usize;
        let enough = n == 0 || done >= len || flags & libc::MSG_WAITALL == 0;
        if enough || !kernel::is_stream(fd) {
            return patience.done(done);
        }
        patience.fruitful();
    }
}

/// recvmsg(2) for a green thread.
///
/// # Safety
/// As recvmsg's.
pub(super) unsafe fn receive_message(
    green: Green,
    fd: c_int,
    message: *mut msghdr,
    flags: c_int,
) -> Result<usize, c_int> {
    // SAFETY: the caller's duty.
    let attempt = |flags| unsafe { kernel::recvmsg(fd, message, flags) };
    if flags & libc::MSG_WAITALL == 0 {
        let mut patience = Patience::new(green, fd, For::Reading);
        loop {
            let n = attempt(flags | patience.unless_pinned(libc::MSG_DONTWAIT));
            if n >= 0 {
                return patience.done(n as usize);
            }
            patience.after(-n as c_int)?;
        }
    }
    // SAFETY: the caller's.
    let asked = unsafe { *message };
    let buffers = Buffers { list: asked.msg_iov, count: asked.msg_iovlen };
    // SAFETY: the caller's list.
    let len = unsafe { buffers.len() };
    if flags & PEEK_ALL == PEEK_ALL {
        return peek_all(green, fd, len, |more| {
            // SAFETY: the caller's. An attempt before this one has left its own lengths there.
            unsafe { *message = asked };
            attempt(flags | more)
        });
    }
    let mut patience = Patience::new(green, fd, For::Reading);
    let (mut rest, mut cut, mut done) = (asked, NO_BUFFER, 0);
    loop {
        let now = flags | patience.unless_pinned(libc::MSG_DONTWAIT);
        // SAFETY: as `asked`, with what is free of its buffers.
        let n = unsafe { kernel::recvmsg(fd, &raw mut rest, now) };
        if n < 0 {
            if let Err(error) = patience.after(-n as c_int) {
                return part(done, error);
            }
            continue;
        }
        if done == 0 {
            // SAFETY: the caller's. The name is that of the first part.
            unsafe { (*message).msg_namelen = rest.msg_namelen };
            (rest.msg_name, rest.msg_namelen) = (std::ptr::null_mut(), 0);
        }
        done += n as usize;
        // SAFETY: the caller's.
        unsafe { (*message).msg_controllen = rest.msg_controllen };
        // SAFETY: the caller's.
        unsafe { (*message).msg_flags = rest.msg_flags };
        // What comes beside the bytes ends the call, as it does in the kernel.
        let enough = n == 0 || done >= len || rest.msg_controllen != 0;
        if enough || !kernel::is_stream(fd) {
            return patience.done(done);
        }
        patience.fruitful();
        // SAFETY: the caller's list.
        let left = unsafe { buffers.after(done, &mut cut) };
        rest.msg_iov = left.list.cast_mut();
        rest.msg_iovlen = left.count as _;
        rest.msg_controllen = asked.msg_controllen;
    }
}
