//! How a green thread sends to a socket: what `send` and `write` have in common.
//!
//! As a blocking call does, it returns when all is taken; a time-out, an error or a cancellation after a part gives
//! the part's length.

use libc::{c_int, c_void, msghdr};

use super::buffers::{Buffers, NO_BUFFER};
use super::gate::Green;
use super::kernel::{self, Name, NameIn};
use super::message::part;
use super::patience::{For, Patience};

/// What an attempt to send ended with: whether to try again, and how.
fn after_send(patience: &mut Patience, error: c_int, announced: bool) -> Result<(), c_int> {
    match error {
        // TCP fast open: the connection is being made first.
        libc::EINPROGRESS if !patience.is_pinned() => patience
            .wait(false)
            .map_err(|error| if error == libc::EAGAIN { libc::EINPROGRESS } else { error }),
        error if announced => patience.after(error),
        error => patience.after_unannounced(error),
    }
}

/// sendto(2) for a green thread.
///
/// # Safety
/// As sendto's.
pub(super) unsafe fn transmit(
    green: Green,
    fd: c_int,
    buf: *const c_void,
    len: usize,
    mut flags: c_int,
    mut name: NameIn,
) -> Result<usize, c_int> {
    let mut patience = Patience::new(green, fd, For::Writing);
    let mut done = 0;
    loop {
        let now = flags | patience.unless_pinned(libc::MSG_DONTWAIT);
        let rest = buf.wrapping_byte_add(done);
        // SAFETY: the caller's duty; `rest` is what is left of the buffer.
        let n = unsafe { kernel::sendto(fd, rest, len - done, now, name) };
        if n < 0 {
            let error = -n as c_int;
            // Nobody says when the queue of a named Unix socket has room.
            // SAFETY: after EAGAIN the kernel has read the name.
            let announced = error != libc::EAGAIN || !unsafe { name.is_unix() };
            if let Err(error) = after_send(&mut patience, error, announced) {
                return part(done, error);
            }
            if error == libc::EINPROGRESS {
                (name, flags) = (NameIn::NONE, flags & !libc::MSG_FASTOPEN);
            }
            continue;
        }
        done += n as usize;
        // Each zero-copy call is announced on its own when its bytes are free, so one call stays one.
        if n == 0 || done >= len || flags & libc::MSG_ZEROCOPY != 0 {
            return patience.done(done);
        }
        // A part is success, and the end of the stream is the next call's to hear, SIGPIPE and all.
        flags |= libc::MSG_NOSIGNAL;
        patience.fruitful();
    }
}

/// sendmsg(2) for a green thread, of whose bytes `done` have been sent already.
///
/// # Safety
/// As sendmsg's.
pub(super) unsafe fn transmit_message(
    green: Green,
    fd: c_int,
    message: *const msghdr,
    mut flags: c_int,
    mut done: usize,
) -> Result<usize, c_int> {
    let mut patience = Patience::new(green, fd, For::Writing);
    let mut rest: msghdr;
    let mut now = message;
    let mut cut = NO_BUFFER;
    let mut len = None;
    loop {
        if done > 0 {
            // SAFETY: a part was sent, so the kernel has read it all.
            rest = unsafe { *message };
            let buffers = Buffers { list: rest.msg_iov, count: rest.msg_iovlen };
            // SAFETY: as above.
            let all = *len.get_or_insert_with(|| unsafe { buffers.len() });
            if done >= all || flags & libc::MSG_ZEROCOPY != 0 {
                return patience.done(done);
            }
            // SAFETY: as above.
            let left = unsafe { buffers.after(done, &mut cut) };
            rest.msg_iov = left.list.cast_mut();
            rest.msg_iovlen = left.count as _;
            // Names and descriptors went with the first part.
            (rest.msg_name, rest.msg_namelen) = (std::ptr::null_mut(), 0);
            (rest.msg_control, rest.msg_controllen) = (std::ptr::null_mut(), 0);
            flags |= libc::MSG_NOSIGNAL;
            now = &raw const rest;
        }
        let waits = flags | patience.unless_pinned(libc::MSG_DONTWAIT);
        // SAFETY: the caller's duty, or `rest` with what is left of it.
        let n = unsafe { kernel::sendmsg(fd, now, waits) };
        if n == 0 {
            return patience.done(done);
        }
        if n > 0 {
            done += n as usize;
            patience.fruitful();
            continue;
        }
        let error = -n as c_int;
        let unix = || {
            // SAFETY: after EAGAIN the kernel has read the message and its name.
            let message = unsafe { *message };
            let name = Name { addr: message.msg_name.cast_const().cast(), len: 0 };
            // SAFETY: as above.
            unsafe { name.is_unix() }
        };
        let announced = error != libc::EAGAIN || !unix();
        if let Err(error) = after_send(&mut patience, error, announced) {
            return part(done, error);
        }
        if error == libc::EINPROGRESS {
            // Connected now; a name is of no interest any more.
            flags &= !libc::MSG_FASTOPEN;
        }
    }
}
