//! Locks on files: flock, and fcntl with F_SETLKW or F_OFD_SETLKW. The holder may be a green thread of the same worker,
//! so a wait must not block it; std's `File::lock` is flock.
//!
//! Nobody is told when such a lock is free, so this looks again after 1, 2, 4, 8, 16, 16, ... ms. What that loses: the
//! order of waiters, and the kernel's EDEADLK for F_SETLKW. A `timeout` scope or a cancellation ends the wait.

use libc::c_int;

use super::gate::{self, Green, Group};
use super::message::answer;
use super::patience::Patience;
use super::{kernel, real};

/// Takes a lock by `attempt`, which does not wait; `None`: it is to be the blocking call.
fn acquire(
    green: Green,
    fd: c_int,
    mut attempt: impl FnMut() -> isize,
) -> Option<Result<usize, c_int>> {
    let mut patience = Patience::unlimited(green, fd);
    loop {
        let error = match attempt() {
            0.. => return Some(Ok(0)),
            error => -error as c_int,
        };
        // POSIX leaves it open which of the two it is.
        if !matches!(error, libc::EAGAIN | libc::EACCES) {
            return Some(Err(error));
        }
        if let Err(error) = patience.after_unannounced(libc::EAGAIN) {
            return Some(Err(error));
        }
        if patience.is_pinned() {
            return None;
        }
    }
}

/// flock(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn flock(fd: c_int, operation: c_int) -> c_int {
    if let Some(green) = gate::green(Group::Sync)
        && operation & (libc::LOCK_NB | libc::LOCK_UN) == 0
        && let Some(result) = acquire(green, fd, || kernel::flock(fd, operation | libc::LOCK_NB))
    {
        return answer(result) as c_int;
    }
    // SAFETY: the caller's arguments.
    unsafe { real::flock(fd, operation) }
}

/// fcntl with a command that waits for a lock; `None`: it is another command, or to be the blocking call.
///
/// # Safety
/// As fcntl's.
pub(super) unsafe fn wait_for_record(
    fd: c_int,
    command: c_int,
    record: usize,
) -> Option<Result<usize, c_int>> {
    let try_it = match command {
        libc::F_SETLKW => libc::F_SETLK,
        libc::F_OFD_SETLKW => libc::F_OFD_SETLK,
        _ => return None,
    };
    let green = gate::green(Group::Sync)?;
    // SAFETY: the caller's arguments.
    acquire(green, fd, || unsafe { kernel::fcntl(fd, try_it, record) })
}
