//! accept and connect, which have no flag for "do not wait" and so go by O_NONBLOCK: a listener gets it for good
//! (`listeners`), a socket that connects gets it for the one call.
//!
//! Not here: `socket`, `bind`, `listen`, `shutdown`, `setsockopt` and `getsockopt` never wait, and the kernel
//! remembers what they say; a `shutdown` wakes who is parked, through epoll.

use std::time::Instant;

use libc::{EAGAIN, EALREADY, EINPROGRESS, EINTR, EISCONN, c_int, sockaddr, socklen_t};

use super::gate::{self, Green, Group};
use super::kernel::{self, Name, NameIn, NameOut};
use super::message::answer;
use super::patience::{For, Patience};
use super::{errno, fds, listeners, real, wait};

/// Whether O_NONBLOCK is set, whoever has set it.
fn is_nonblocking(fd: c_int) -> bool {
    fds::kernel_flags(fd) & libc::O_NONBLOCK != 0
}

/// accept4(2) that blocks its OS thread, also on a listener that we have put into O_NONBLOCK.
fn accept_here(fd: c_int, mut attempt: impl FnMut() -> c_int) -> c_int {
    let mut limit = None;
    loop {
        let result = attempt();
        if result >= 0 {
            fds::forget(result); // what it was before is over
            return result;
        }
        if errno::get() != EAGAIN || !listeners::is_forced(fd) {
            return result;
        }
        let limit =
            *limit.get_or_insert_with(|| wait::deadline(kernel::timeout(fd, libc::SO_RCVTIMEO)));
        let left = limit.map(|limit| limit.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return result; // EAGAIN, as the socket's time-out is reported
        }
        // A signal only makes it look again: poll does not say whether its handler wanted EINTR (no SA_RESTART).
        kernel::poll_for(fd, libc::POLLIN, left);
    }
}

/// accept4(2) for a green thread; `None`: it has to be the blocking call.
///
/// # Safety
/// As accept4's.
unsafe fn admit(
    green: Green,
    fd: c_int,
    name: NameOut,
    flags: c_int,
) -> Option<Result<usize, c_int>> {
    let mut patience = Patience::new(green, fd, For::Reading);
    loop {
        // Asked anew each time: a program may have taken the flag away meanwhile.
        let safe =
            is_nonblocking(fd) || listeners::force(fd) || kernel::poll(fd, libc::POLLIN) != 0;
        let result = if safe {
            // SAFETY: the caller's duty.
            unsafe { kernel::accept4(fd, name, flags) }
        } else {
            -(EAGAIN as isize)
        };
        if result >= 0 {
            fds::forget(result as c_int); // what it was before is over
            return Some(patience.done(result as usize));
        }
        if let Err(error) = patience.after(-result as c_int) {
            return Some(Err(error));
        }
        if patience.is_pinned() {
            return None;
        }
    }
}

/// accept(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn accept(
    fd: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    if !gate::concerns([Group::Net]) && !listeners::any() {
        // SAFETY: the caller's arguments.
        return unsafe { real::accept(fd, addr, len) };
    }
    // SAFETY: the caller's arguments.
    unsafe { accept_patched(fd, addr, len) }
}

/// # Safety
/// As accept's.
#[inline(never)]
unsafe fn accept_patched(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int {
    if let Some(green) = gate::green(Group::Net) {
        // SAFETY: the caller's arguments.
        if let Some(result) = unsafe { admit(green, fd, Name { addr, len }, 0) } {
            return answer(result) as c_int;
        }
    }
    // SAFETY: the caller's arguments.
    accept_here(fd, || unsafe { real::accept(fd, addr, len) })
}

/// The backlog of a green thread's listener, at least; the kernel cuts it to net.core.somaxconn.
const BACKLOG: c_int = 4096;

/// listen(2), with room for a burst: on one worker hundreds of green threads may connect in one turn of the hub, before
/// the one that accepts has its own, and what does not fit into std's 128 tries again after a second. The number is a
/// hint, by POSIX.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn listen(fd: c_int, backlog: c_int) -> c_int {
    let green = gate::green(Group::Net).filter(|_| backlog > 0);
    let backlog = if green.is_some() { backlog.max(BACKLOG) } else { backlog };
    // SAFETY: the caller's arguments.
    unsafe { real::listen(fd, backlog) }
}

/// accept4(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn accept4(
    fd: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    if !gate::concerns([Group::Net]) && !listeners::any() {
        // SAFETY: the caller's arguments.
        return unsafe { real::accept4(fd, addr, len, flags) };
    }
    // SAFETY: the caller's arguments.
    unsafe { accept4_patched(fd, addr, len, flags) }
}

/// # Safety
/// As accept4's.
#[inline(never)]
unsafe fn accept4_patched(
    fd: c_int,
    addr: *mut sockaddr,
    len: *mut socklen_t,
    flags: c_int,
) -> c_int {
    if let Some(green) = gate::green(Group::Net) {
        // SAFETY: the caller's arguments.
        if let Some(result) = unsafe { admit(green, fd, Name { addr, len }, flags) } {
            return answer(result) as c_int;
        }
    }
    // SAFETY: the caller's arguments.
    accept_here(fd, || unsafe { real::accept4(fd, addr, len, flags) })
}

/// connect(2) for a green thread, on a socket in blocking mode.
///
/// # Safety
/// As connect's.
unsafe fn join(green: Green, fd: c_int, name: NameIn) -> Result<usize, c_int> {
    let mut patience = Patience::new(green, fd, For::Writing);
    let mut waited = false;
    loop {
        let set = !patience.is_pinned() && fds::set_kernel_nonblocking(fd, true);
        // SAFETY: the caller's duty.
        let result = unsafe { kernel::connect(fd, name) };
        if set {
            // At once, not when it is connected: clones of the socket are in this mode too.
            fds::set_kernel_nonblocking(fd, false);
        }
        match -result as c_int {
            ..=0 => return Ok(0),
            // Another thread waited for the same attempt, and was told first.
            EISCONN if waited => return Ok(0),
            // EALREADY: an attempt is under way, ours or an earlier one that was given up. A blocking call waits.
            EINPROGRESS | EALREADY | EINTR if set => {
                waited = true;
                // The kernel calls the end of SO_SNDTIMEO by this name here.
                let late = |error| if error == EAGAIN { EINPROGRESS } else { error };
                patience.wait(false).map_err(late)?;
                // TCP tells by the next connect, and only then is the socket good for another attempt. Others would
                // begin anew.
                // SAFETY: the kernel has read the name.
                let family = unsafe { name.family() };
                if !matches!(family, libc::AF_INET | libc::AF_INET6)
                    && let error @ 1.. = kernel::take_error(fd)
                {
                    return Err(error);
                }
            }
            // A Unix listener's queue is full. Nobody tells when it is not.
            // SAFETY: after EAGAIN the kernel has read the name.
            EAGAIN if unsafe { name.is_unix() } => patience.after_unannounced(EAGAIN)?,
            error => return Err(error),
        }
    }
}

/// connect(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn connect(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
    if let Some(green) = gate::green(Group::Net)
        && !is_nonblocking(fd)
    {
        // SAFETY: the caller's arguments.
        return answer(unsafe { join(green, fd, Name { addr, len }) }) as c_int;
    }
    // SAFETY: the caller's arguments.
    unsafe { real::connect(fd, addr, len) }
}
