//! sendfile and splice: bytes from descriptor to descriptor.
//!
//! Neither has a flag for "do not wait" that sockets heed (SPLICE_F_NONBLOCK is about pipes). So poll is asked first,
//! and a socket is given no more than it has room for; another thread that writes to the same socket in between may
//! make the call block after all.

use libc::{EAGAIN, c_int, c_uint, loff_t, off_t, size_t, ssize_t};

use super::fds::{self, Kind};
use super::gate::{self, Green, Group};
use super::message::{answer, part};
use super::patience::{For, Patience};
use super::{kernel, real};

/// sendfile(2) for a green thread, from a file to a socket or pipe: all of it, as the blocking call does.
///
/// # Safety
/// As sendfile's.
unsafe fn send_file(
    green: Green,
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    len: usize,
) -> Result<usize, c_int> {
    let mut patience = Patience::new(green, to, For::Writing);
    let mut done = 0;
    while done < len {
        if !patience.is_pinned() && kernel::poll(to, libc::POLLOUT) == 0 {
            if let Err(error) = patience.after(EAGAIN) {
                return part(done, error);
            }
            continue;
        }
        let left = len - done;
        let piece = if patience.is_pinned() { left } else { left.min(kernel::room(to)) };
        // SAFETY: the caller's duty.
        let n = unsafe { kernel::sendfile(to, from, offset, piece) };
        if n < 0 {
            if let Err(error) = patience.after(-n as c_int) {
                return part(done, error);
            }
            continue;
        }
        if n == 0 {
            break; // the end of the file
        }
        done += n as usize;
        patience.fruitful();
    }
    Ok(done)
}

/// sendfile(2) and sendfile64(2), one and the same here.
///
/// # Safety
/// As sendfile's.
unsafe fn sends_file(
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    len: usize,
) -> Option<Result<usize, c_int>> {
    let green = gate::green(Group::Net)?;
    let waits = matches!(fds::kind(to), Kind::Socket | Kind::Pipe) && fds::kind(from) == Kind::File;
    if !waits {
        return None;
    }
    // SAFETY: the caller's duty.
    Some(unsafe { send_file(green, to, from, offset, len) })
}

/// Whether `fd` may make splice wait.
fn can_wait(fd: c_int) -> bool {
    matches!(fds::kind(fd), Kind::Socket | Kind::Pipe)
}

/// splice(2) for a green thread; `None`: it is the real function's.
///
/// # Safety
/// As splice's.
unsafe fn join(
    green: Green,
    from: (c_int, *mut loff_t),
    to: (c_int, *mut loff_t),
    len: usize,
    flags: c_uint,
) -> Option<Result<usize, c_int>> {
    let mut reading = Patience::new(green, from.0, For::Reading);
    let mut writing = Patience::new(green, to.0, For::Writing);
    loop {
        if reading.is_pinned() || writing.is_pinned() {
            return None;
        }
        let not_ready = if can_wait(from.0) && kernel::poll(from.0, libc::POLLIN) == 0 {
            Some(&mut reading)
        } else if can_wait(to.0) && kernel::poll(to.0, libc::POLLOUT) == 0 {
            Some(&mut writing)
        } else {
            None
        };
        if let Some(patience) = not_ready {
            if let Err(error) = patience.after(EAGAIN) {
                return Some(Err(error));
            }
            continue;
        }
        let room = if fds::kind(to.0) == Kind::Socket { kernel::room(to.0) } else { len };
        // For the pipes: another thread may be quicker than we.
        let now = flags | libc::SPLICE_F_NONBLOCK;
        // SAFETY: the caller's duty.
        let n = unsafe { kernel::splice(from, to, len.min(room), now) };
        match -n as c_int {
            ..=0 => return Some(Ok(n as usize)),
            // Ready for poll, and yet not (a page that is not read from disk yet, or half a message).
            EAGAIN => {
                let patience = if can_wait(from.0) { &mut reading } else { &mut writing };
                if let Err(error) = patience.after_unannounced(EAGAIN) {
                    return Some(Err(error));
                }
            }
            error => return Some(Err(error)),
        }
    }
}

/// sendfile(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendfile(
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    len: size_t,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    match unsafe { sends_file(to, from, offset, len) } {
        Some(result) => answer(result),
        // SAFETY: the caller's arguments.
        None => unsafe { real::sendfile(to, from, offset, len) },
    }
}

/// sendfile64(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendfile64(
    to: c_int,
    from: c_int,
    offset: *mut off_t,
    len: size_t,
) -> ssize_t {
    // SAFETY: the caller's arguments.
    unsafe { sendfile(to, from, offset, len) }
}

/// splice(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn splice(
    from: c_int,
    from_offset: *mut loff_t,
    to: c_int,
    to_offset: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    if let Some(green) = gate::green(Group::Net)
        && flags & libc::SPLICE_F_NONBLOCK == 0
        && len > 0
    {
        let (a, b) = ((from, from_offset), (to, to_offset));
        // SAFETY: the caller's arguments.
        if let Some(result) = unsafe { join(green, a, b, len, flags) } {
            return answer(result);
        }
    }
    // SAFETY: the caller's arguments.
    unsafe { real::splice(from, from_offset, to, to_offset, len, flags) }
}
