//! What changes the meaning of a descriptor's number, or its mode: close, dup2 and their kin, fcntl, ioctl(FIONBIO).
//!
//! Numbers belong to the process, so these are followed on every thread. Whoever is parked on a number that is closed
//! gets EBADF, instead of waiting for ever as a blocked OS thread would.

use std::ffi::c_ulong;

use libc::{c_int, c_uint, c_void};

use super::gate::{self, Group};
use super::message::answer;
use super::{fds, kernel, listeners, locks, real};

/// close(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn close(fd: c_int) -> c_int {
    fds::forget(fd);
    // SAFETY: the caller's arguments.
    unsafe { real::close(fd) }
}

/// `new` is about to mean something else, if `old` is open.
fn replaced(old: c_int, new: c_int) {
    if kernel::is_open(old) {
        fds::forget(new);
    }
}

/// dup(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dup(fd: c_int) -> c_int {
    // SAFETY: the caller's arguments.
    given(unsafe { real::dup(fd) })
}

/// A number that was just given out: what it was before is over, even if we have not seen the end.
fn given(fd: c_int) -> c_int {
    fds::forget(fd);
    fd
}

/// dup2(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dup2(old: c_int, new: c_int) -> c_int {
    if old != new {
        replaced(old, new);
    }
    // SAFETY: the caller's arguments.
    unsafe { real::dup2(old, new) }
}

/// dup3(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    if old != new {
        replaced(old, new);
    }
    // SAFETY: the caller's arguments.
    unsafe { real::dup3(old, new, flags) }
}

/// close_range(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    // With CLOEXEC nothing is closed yet; with UNSHARE the process's own numbers stay.
    if flags == 0 {
        fds::forget_range(first, last);
    }
    // SAFETY: the caller's arguments.
    unsafe { real::close_range(first, last, flags) }
}

/// Whether a command has anything to do with us.
#[inline(always)]
fn matters(command: c_int) -> bool {
    match command {
        libc::F_GETFL | libc::F_SETFL => listeners::any(),
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => gate::installed(Group::Net),
        libc::F_SETLKW | libc::F_OFD_SETLKW => gate::concerns([Group::Sync]),
        _ => false,
    }
}

/// fcntl(2). Its third argument is optional and at most a register wide, which is how C passes it.
#[inline(never)]
fn control(fd: c_int, command: c_int, real: impl FnOnce() -> c_int) -> c_int {
    let result = real();
    if result < 0 {
        return result;
    }
    match command {
        libc::F_GETFL if result & libc::O_NONBLOCK != 0 && listeners::is_forced(fd) => {
            result & !libc::O_NONBLOCK
        }
        libc::F_SETFL => {
            listeners::release(fd);
            result
        }
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => given(result),
        _ => result,
    }
}

/// fcntl(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    if !matters(command) {
        // SAFETY: the caller's arguments.
        return unsafe { real::fcntl(fd, command, argument) };
    }
    // SAFETY: the caller's arguments.
    if let Some(result) = unsafe { locks::wait_for_record(fd, command, argument) } {
        return answer(result) as c_int;
    }
    // SAFETY: the caller's arguments.
    control(fd, command, || unsafe { real::fcntl(fd, command, argument) })
}

/// fcntl, as C programs call it whose file offsets have 64 bits.
///
/// # Safety
/// As libc's.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int {
    if !matters(command) {
        // SAFETY: the caller's arguments.
        return unsafe { real::fcntl64(fd, command, argument) };
    }
    // SAFETY: the caller's arguments.
    if let Some(result) = unsafe { locks::wait_for_record(fd, command, argument) } {
        return answer(result) as c_int;
    }
    // SAFETY: the caller's arguments.
    control(fd, command, || unsafe { real::fcntl64(fd, command, argument) })
}

/// ioctl(2). Its third argument is a register wide, which is how C passes it.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    if request != libc::FIONBIO as c_ulong || !listeners::any() {
        // SAFETY: the caller's arguments.
        return unsafe { real::ioctl(fd, request, argument) };
    }
    // SAFETY: the caller's arguments.
    unsafe { set_nonblocking(fd, argument) }
}

/// # Safety
/// As ioctl's with FIONBIO.
#[inline(never)]
unsafe fn set_nonblocking(fd: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: the caller's arguments.
    let result = unsafe { real::ioctl(fd, libc::FIONBIO as c_ulong, argument) };
    if result == 0 {
        listeners::release(fd);
    }
    result
}
