//! Listeners that we put into O_NONBLOCK although their program did not ask for it.
//!
//! accept has no flag for "do not wait" (DESIGN.md D5), so the first accept of a green thread forces O_NONBLOCK on the
//! listener, and it stays. That must not be seen: `fcntl(F_GETFL)` hides it, and an OS thread's accept waits by poll.
//!
//! The flag belongs to the open socket, which several descriptors may lead to (`try_clone`), so it is the socket's
//! cookie that is remembered, not a number. As soon as the program says itself what it wants (`F_SETFL`, FIONBIO),
//! the kernel's flag is the truth again; the next green accept forces it anew if it has to.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::c_int;

use super::{fds, gate, kernel};
use crate::sys::Lock;

/// Cookies are never used again, so those of closed sockets do no harm but 8 bytes.
static FORCED: Lock<BTreeSet<u64>> = Lock::new(BTreeSet::new());
static ANY: AtomicBool = AtomicBool::new(false);

/// Puts `fd` into O_NONBLOCK for good. False if that cannot be done and remembered.
pub(super) fn force(fd: c_int) -> bool {
    let Some(cookie) = kernel::cookie(fd) else { return false };
    ANY.store(true, Ordering::SeqCst);
    // Remembered first: nobody may see the flag and think that it is the program's.
    // The set allocates: an allocator of pthread's mutexes must not switch under our lock.
    let new = gate::without_switching(|| FORCED.lock().insert(cookie));
    let done = fds::set_kernel_nonblocking(fd, true);
    if !done && new {
        FORCED.lock().remove(&cookie);
    }
    done
}

/// Whether there was ever such a listener.
#[inline(always)]
pub(super) fn any() -> bool {
    ANY.load(Ordering::Relaxed)
}

/// Whether O_NONBLOCK of `fd`, if it is set, is our doing.
#[inline]
pub(super) fn is_forced(fd: c_int) -> bool {
    any() && is_remembered(fd)
}

fn is_remembered(fd: c_int) -> bool {
    kernel::cookie(fd).is_some_and(|cookie| FORCED.lock().contains(&cookie))
}

/// The program has said itself whether `fd` is in O_NONBLOCK.
#[inline]
pub(super) fn release(fd: c_int) {
    if any()
        && let Some(cookie) = kernel::cookie(fd)
    {
        FORCED.lock().remove(&cookie);
    }
}

/// Whether the program wants EAGAIN instead of a wait: the kernel's O_NONBLOCK, unless that is our doing.
pub(super) fn wants_nonblocking(fd: c_int) -> bool {
    fds::kernel_flags(fd) & libc::O_NONBLOCK != 0 && !is_forced(fd)
}
