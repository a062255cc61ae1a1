//! recv, send and their kin. On a green thread each is tried with MSG_DONTWAIT; at EAGAIN it parks and tries again.
//!
//! Not here: how that goes (`receive`, `transmit`), `read` and `write` on sockets (`stream`), batches (`batch`).

use libc::{c_int, c_void, msghdr, size_t, sockaddr, socklen_t, ssize_t};

use super::gate::{self, Group};
use super::kernel::{Name, NameIn, NameOut};
use super::receive::{receive, receive_message};
use super::transmit::{transmit, transmit_message};
use super::{errno, real};

/// Flags with which the kernel does not wait anyway.
pub(super) const NEVER_WAITS: c_int = libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE | libc::MSG_OOB;

/// `result` as libc gives it.
#[inline]
pub(super) fn answer(result: Result<usize, c_int>) -> ssize_t {
    match result {
        Ok(n) => n as ssize_t,
        Err(error) => {
            errno::set(error);
            -1
        }
    }
}

/// `done`, if that is anything; the error otherwise.
#[inline]
pub(super) fn part(done: usize, error: c_int) -> Result<usize, c_int> {
    if done > 0 { Ok(done) } else { Err(error) }
}

/// recv(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn recv(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    match gate::green(Group::Net) {
        Some(green) if flags & NEVER_WAITS == 0 => {
            // SAFETY: the caller's arguments.
            answer(unsafe { receive(green, fd, buf, len, flags, NameOut::NONE) })
        }
        // SAFETY: the caller's arguments.
        _ => unsafe { real::recv(fd, buf, len, flags) },
    }
}

/// recvfrom(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn recvfrom(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
) -> ssize_t {
    match gate::green(Group::Net) {
        Some(green) if flags & NEVER_WAITS == 0 => {
            let name = Name { addr, len: addr_len };
            // SAFETY: the caller's arguments.
            answer(unsafe { receive(green, fd, buf, len, flags, name) })
        }
        // SAFETY: the caller's arguments.
        _ => unsafe { real::recvfrom(fd, buf, len, flags, addr, addr_len) },
    }
}

/// recvmsg(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    match gate::green(Group::Net) {
        Some(green) if flags & NEVER_WAITS == 0 => {
            // SAFETY: the caller's arguments.
            answer(unsafe { receive_message(green, fd, message, flags) })
        }
        // SAFETY: the caller's arguments.
        _ => unsafe { real::recvmsg(fd, message, flags) },
    }
}

/// send(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn send(
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    match gate::green(Group::Net) {
        Some(green) if flags & libc::MSG_DONTWAIT == 0 => {
            // SAFETY: the caller's arguments.
            answer(unsafe { transmit(green, fd, buf, len, flags, NameIn::NONE) })
        }
        // SAFETY: the caller's arguments.
        _ => unsafe { real::send(fd, buf, len, flags) },
    }
}

/// sendto(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendto(
    fd: c_int,
    buf: *const c_void,
    len: size_t,
    flags: c_int,
    addr: *const sockaddr,
    addr_len: socklen_t,
) -> ssize_t {
    match gate::green(Group::Net) {
        Some(green) if flags & libc::MSG_DONTWAIT == 0 => {
            let name = Name { addr, len: addr_len };
            // SAFETY: the caller's arguments.
            answer(unsafe { transmit(green, fd, buf, len, flags, name) })
        }
        // SAFETY: the caller's arguments.
        _ => unsafe { real::sendto(fd, buf, len, flags, addr, addr_len) },
    }
}

/// sendmsg(2).
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn sendmsg(
    fd: c_int,
    message: *const msghdr,
    flags: c_int,
) -> ssize_t {
    match gate::green(Group::Net) {
        Some(green) if flags & libc::MSG_DONTWAIT == 0 => {
            // SAFETY: the caller's arguments.
            answer(unsafe { transmit_message(green, fd, message, flags, 0) })
        }
        // SAFETY: the caller's arguments.
        _ => unsafe { real::sendmsg(fd, message, flags) },
    }
}

/// recv, as C programs call it that are compiled with buffer checks.
///
/// # Safety
/// As libc's.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __recv_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    size: size_t,
    flags: c_int,
) -> ssize_t {
    match gate::green(Group::Net) {
        Some(green) if len <= size && flags & NEVER_WAITS == 0 => {
            // SAFETY: the caller's arguments.
            answer(unsafe { receive(green, fd, buf, len, flags, NameOut::NONE) })
        }
        // SAFETY: the caller's arguments. It ends the process if the buffer is too small.
        _ => unsafe { real::__recv_chk(fd, buf, len, size, flags) },
    }
}

/// recvfrom, as C programs call it that are compiled with buffer checks.
///
/// # Safety
/// As libc's.
#[cfg(not(target_feature = "crt-static"))]
#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn __recvfrom_chk(
    fd: c_int,
    buf: *mut c_void,
    len: size_t,
    size: size_t,
    flags: c_int,
    addr: *mut sockaddr,
    addr_len: *mut socklen_t,
) -> ssize_t {
    match gate::green(Group::Net) {
        Some(green) if len <= size && flags & NEVER_WAITS == 0 => {
            let name = Name { addr, len: addr_len };
            // SAFETY: the caller's arguments.
            answer(unsafe { receive(green, fd, buf, len, flags, name) })
        }
        // SAFETY: the caller's arguments. It ends the process if the buffer is too small.
        _ => unsafe { real::__recvfrom_chk(fd, buf, len, size, flags, addr, addr_len) },
    }
}
