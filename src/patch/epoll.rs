//! epoll_wait(2) and its kin: an event loop on a green thread parks it until its epoll descriptor is readable.

use std::ptr;
use std::time::Duration;

use libc::{c_int, epoll_event, sigset_t, timespec};

use super::gate::{self, Green, Group};
use super::pins::{self, PinKind};
use super::raw::syscall;
use super::ready::{self, Mode};
use super::{real, time, wait};

/// epoll_wait(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn epoll_wait(
    fd: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: c_int,
) -> c_int {
    let Some(green) = gate::green(Group::Net).filter(|_| timeout != 0) else {
        // SAFETY: the caller's arguments.
        return unsafe { real::epoll_wait(fd, events, room, timeout) };
    };
    // SAFETY: the caller's arguments.
    unsafe { wait_for(green, fd, events, room, timeout) }
}

/// epoll_pwait(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn epoll_pwait(
    fd: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: c_int,
    mask: *const sigset_t,
) -> c_int {
    let Some(green) = gate::green(Group::Net).filter(|_| timeout != 0) else {
        // SAFETY: the caller's arguments.
        return unsafe { real::epoll_pwait(fd, events, room, timeout, mask) };
    };
    if !mask.is_null() {
        // The kernel swaps the mask and waits in one step; nothing that parks could.
        pins::count(PinKind::Unsupported);
        // SAFETY: the caller's arguments.
        return unsafe { real::epoll_pwait(fd, events, room, timeout, mask) };
    }
    // SAFETY: the caller's arguments.
    unsafe { wait_for(green, fd, events, room, timeout) }
}

/// epoll_pwait2(2): the time-out is a timespec. Always the bare system call, since older libcs have no such function.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn epoll_pwait2(
    fd: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: *const timespec,
    mask: *const sigset_t,
) -> c_int {
    let call = |timeout: *const timespec| {
        // SAFETY: the caller's arguments, or a time of our own. 8: the bytes of the kernel's signal sets.
        unsafe { syscall!(libc::SYS_epoll_pwait2, fd, events, room, timeout, mask, 8) }
    };
    let Some(green) = gate::green(Group::Net) else { return call(timeout) };
    // SAFETY: the caller's pointer, null or to a time.
    let Some(limit) = (unsafe { time::limit(timeout) }) else { return call(timeout) };
    if !mask.is_null() {
        pins::count(PinKind::Unsupported);
        return call(timeout);
    }
    let zero = time::spec(Duration::ZERO);
    let call = |mode| match mode {
        Mode::Look => call(&raw const zero),
        Mode::Block => call(timeout),
    };
    let deadline = wait::deadline(limit);
    ready::until(green, deadline, call, |deadline| wait::readable(green, fd, deadline))
}

/// # Safety
/// As epoll_wait(2) demands.
unsafe fn wait_for(
    green: Green,
    fd: c_int,
    events: *mut epoll_event,
    room: c_int,
    timeout: c_int,
) -> c_int {
    let call = |mode| {
        let timeout = if mode == Mode::Look { 0 } else { timeout };
        // SAFETY: the caller's arguments, with a time-out of ours.
        unsafe { real::epoll_pwait(fd, events, room, timeout, ptr::null()) }
    };
    // Negative: for ever.
    let deadline = wait::deadline(u64::try_from(timeout).ok().map(Duration::from_millis));
    ready::until(green, deadline, call, |deadline| wait::readable(green, fd, deadline))
}
